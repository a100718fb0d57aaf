/*
description: >-
  One row for every day of an account's life, without gaps: from opened_on to closed_on, or to the logical date while it
  is open. The closing balance is opening_balance plus everything booked up to that day; pending rows are left out.
  Owed money (credit, loan) is negative. Nothing booked is lost: what is dated before opened_on counts from the first day,
  what is dated after closing counts on the last. Bank reports outside these days are not shown.
materialized: incremental
key: [account_id, day]
incremental: { by: [account_id] }
as_of: recompute
owner: { org: org_id, user: user_id }
dataset:
  friendly_name: Daily balance history
  group: facts
  time_grain: day
  filters: { date_column: day, account_id_column: account_id }
columns:
  org_id: { type: BIGINT, description: "Organisation of the owner.", tests: [not_null] }
  user_id: { type: BIGINT, description: "Owner.", tests: [not_null] }
  account_id: { type: UUID, description: "The account.", tests: [not_null, { relationships: { to: gold.dim_accounts, column: account_id } }] }
  day: { type: DATE, description: "Calendar day.", tests: [not_null] }
  currency: { type: VARCHAR, description: "ISO 4217 code, the account's own.", tests: [not_null] }
  booked_amount: { type: "DECIMAL(18,2)", description: "Sum booked on this day.", tests: [not_null] }
  booked_count: { type: BIGINT, description: "Transactions booked on this day.", tests: [not_null, { range: { min: 0 } }] }
  closing_balance: { type: "DECIMAL(18,2)", description: "Computed balance at the end of the day.", tests: [not_null] }
  reported_balance: { type: "DECIMAL(18,2)", description: "Balance the bank reported for the day; NULL where it reported none." }
  drift: { type: "DECIMAL(18,2)", description: "reported_balance − closing_balance; NULL without a report." }
tests:
  - { unique: [account_id, day] }
  - { expression: "drift is not distinct from reported_balance - closing_balance", name: drift_is_reported_minus_closing }
  - { expression: "booked_count > 0 or booked_amount = 0", name: nothing_booked_moves_nothing }
tags: [app]
*/
with accounts as (
  select
    org_id,
    user_id,
    account_id,
    currency,
    opening_balance,
    opened_on as first_day,
    greatest(opened_on, least(coalesce(closed_on, as_of()), as_of())) as last_day
  from silver.stg_accounts
  where opened_on <= as_of()
),
days as (
  select
    org_id, user_id, account_id, currency, opening_balance,
    cast(unnest(generate_series(first_day, last_day, interval 1 day)) as date) as day
  from accounts
),
booked as (
  select
    accounts.account_id,
    greatest(accounts.first_day, least(transactions.booking_date, accounts.last_day)) as day,
    sum(transactions.amount) as booked_amount,
    count(*) as booked_count
  from accounts
  inner join silver.stg_transactions as transactions
    on transactions.account_id = accounts.account_id
    and transactions.user_id = accounts.user_id
    and transactions.currency = accounts.currency
  where not transactions.pending
    and transactions.booking_date <= as_of()
  group by accounts.account_id, greatest(accounts.first_day, least(transactions.booking_date, accounts.last_day))
),
balances as (
  select
    days.org_id,
    days.user_id,
    days.account_id,
    days.day,
    days.currency,
    coalesce(booked.booked_amount, 0) as booked_amount,
    coalesce(booked.booked_count, 0) as booked_count,
    days.opening_balance
      + sum(coalesce(booked.booked_amount, 0)) over (
        partition by days.account_id
        order by days.day
        rows between unbounded preceding and current row
      ) as closing_balance
  from days
  left join booked
    on booked.account_id = days.account_id
    and booked.day = days.day
)
select
  balances.org_id,
  balances.user_id,
  balances.account_id,
  balances.day,
  balances.currency,
  cast(balances.booked_amount as decimal(18, 2)) as booked_amount,
  balances.booked_count,
  cast(balances.closing_balance as decimal(18, 2)) as closing_balance,
  reported.balance as reported_balance,
  cast(reported.balance - balances.closing_balance as decimal(18, 2)) as drift
from balances
left join silver.stg_balance_snapshots as reported
  on reported.account_id = balances.account_id
  and reported.user_id = balances.user_id
  and reported.day = balances.day
  and reported.currency = balances.currency
