-- Each day's balance is added up anew from the opening balance: no running sum. The last day takes everything booked.
with life as (
  select
    accounts.*,
    upper(pg_temp.clean(accounts.currency::text)) as code,
    run.as_of,
    case
      when accounts.closed_on is null or accounts.closed_on > run.as_of then run.as_of
      when accounts.closed_on < accounts.opened_on then accounts.opened_on
      else accounts.closed_on
    end as last_day
  from app.accounts
  cross join run
  where accounts.opened_on <= run.as_of
)
select
  life.org_id,
  life.user_id,
  life.id as account_id,
  calendar.day::date as day,
  life.code as currency,
  (upto.amount - before.amount)::numeric(18, 2) as booked_amount,
  upto.count - before.count as booked_count,
  (life.opening_balance + upto.amount)::numeric(18, 2) as closing_balance,
  report.balance::numeric(18, 2) as reported_balance,
  (report.balance - life.opening_balance - upto.amount)::numeric(18, 2) as drift
from life
cross join lateral generate_series(life.opened_on::timestamp, life.last_day::timestamp, interval '1 day') as calendar (day)
cross join lateral (
  select coalesce(sum(visible.amount), 0) as amount, count(*) as count
  from visible
  where visible.account_id = life.id
    and visible.user_id = life.user_id
    and visible.code = life.code
    and not visible.pending
    and visible.booking_date <= case when calendar.day::date = life.last_day then life.as_of else calendar.day::date end
) as upto
cross join lateral (
  select coalesce(sum(visible.amount), 0) as amount, count(*) as count
  from visible
  where visible.account_id = life.id
    and visible.user_id = life.user_id
    and visible.code = life.code
    and not visible.pending
    and visible.booking_date <= calendar.day::date - 1
    and calendar.day::date > life.opened_on
) as before
left join app.balance_snapshots as report
  on report.account_id = life.id
  and report.user_id = life.user_id
  and report.as_of = calendar.day::date
  and upper(pg_temp.clean(report.currency::text)) = life.code
