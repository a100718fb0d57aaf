/*
description: >-
  An account's current balance is its opening balance plus its booked transactions, and the last day of its history says
  the same: nothing booked is lost, before opening or after closing.
*/
with booked as (
  select account_id, sum(amount) as amount
  from gold.fct_transactions
  where not pending
  group by account_id
),
last_days as (
  select account_id, closing_balance
  from gold.fct_daily_balance_history
  qualify row_number() over (partition by account_id order by day desc) = 1
)
select
  accounts.account_id,
  accounts.current_balance,
  accounts.opening_balance + coalesce(booked.amount, 0) as booked_balance,
  last_days.closing_balance
from gold.dim_accounts as accounts
left join booked on booked.account_id = accounts.account_id
left join last_days on last_days.account_id = accounts.account_id
where accounts.current_balance <> accounts.opening_balance + coalesce(booked.amount, 0)
  or accounts.current_balance <> last_days.closing_balance
