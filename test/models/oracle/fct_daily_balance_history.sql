-- The balance of a day is the one after the latest day on which it moved: no running sum over days.
select
  life.org_id,
  life.user_id,
  life.id as account_id,
  calendar.day::date as day,
  life.code as currency,
  coalesce(turn.amount, 0)::numeric(18, 2) as booked_amount,
  coalesce(turn.count, 0) as booked_count,
  closing.balance::numeric(18, 2) as closing_balance,
  report.balance::numeric(18, 2) as reported_balance,
  (report.balance - closing.balance)::numeric(18, 2) as drift
from life
cross join lateral generate_series(life.first_day::timestamp, life.last_day::timestamp, interval '1 day') as calendar (day)
cross join lateral (
  select coalesce((
    select balance_after.balance
    from balance_after
    where balance_after.id = life.id and balance_after.day <= calendar.day::date
    order by balance_after.day desc
    limit 1
  ), life.opening_balance) as balance
) as closing
left join turn on turn.id = life.id and turn.day = calendar.day::date
left join app.balance_snapshots as report
  on report.account_id = life.id
  and report.user_id = life.user_id
  and report.as_of = calendar.day::date
  and upper(pg_temp.clean(report.currency::text)) = life.code
