/*
description: >-
  Every account open by the logical date has one row for each day from opened_on to its closing, or to the logical date
  while it is open, and each day's balance is that of the day before plus what was booked.
*/
with neighbours as (
  select
    account_id,
    day,
    booked_amount,
    closing_balance,
    lag(day) over by_day as day_before,
    lag(closing_balance) over by_day as balance_before
  from gold.fct_daily_balance_history
  window by_day as (partition by account_id order by day)
),
spans as (
  select account_id, min(day) as first_day, max(day) as last_day
  from gold.fct_daily_balance_history
  group by account_id
)
select account_id, day, 'gap before this day' as problem
from neighbours
where day_before is not null
  and day <> day_before + 1
union all
select account_id, day, 'balance is not that of the day before plus what was booked'
from neighbours
where balance_before is not null
  and closing_balance <> balance_before + booked_amount
union all
select accounts.account_id, accounts.opened_on, 'history does not run from opening to closing or the logical date'
from gold.dim_accounts as accounts
left join spans on spans.account_id = accounts.account_id
where accounts.opened_on <= as_of()
  and (
    spans.first_day is distinct from accounts.opened_on
    or spans.last_day is distinct from greatest(accounts.opened_on, coalesce(accounts.closed_on, as_of()))
  )
