/*
description: >-
  Accounts whose latest bank report differs from the computed balance: something was booked that never reached us, or the
  other way round. Worth a look, no reason to hold a release back.
severity: warn
*/
with latest as (
  select user_id, account_id, day, closing_balance, reported_balance, drift
  from gold.fct_daily_balance_history
  where reported_balance is not null
  qualify row_number() over (partition by account_id order by day desc) = 1
)
select user_id, account_id, day, closing_balance, reported_balance, drift
from latest
where drift <> 0
