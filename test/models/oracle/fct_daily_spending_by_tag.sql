-- Tagged and untagged spending apart, put together at the end.
select
  counted.org_id,
  counted.user_id,
  tagging.tag_id,
  tagging.tag_name,
  counted.code as currency,
  counted.booking_date as day,
  (-sum(counted.amount))::numeric(18, 2) as spending,
  count(*) as transaction_count
from tagging
join counted on counted.id = tagging.transaction_id and counted.user_id = tagging.user_id
where counted.amount < 0
group by counted.org_id, counted.user_id, tagging.tag_id, tagging.tag_name, counted.code, counted.booking_date
union all
select
  org_id,
  user_id,
  null,
  null,
  code,
  booking_date,
  sum(abs(amount))::numeric(18, 2),
  count(*)
from counted
where amount < 0
  and (user_id, id) not in (select user_id, transaction_id from tagging)
group by org_id, user_id, code, booking_date
