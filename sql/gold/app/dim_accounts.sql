/*
description: >-
  Accounts at the logical date with their institution, the state of their connection and what they hold. An account is
  listed from opened_on on, or from its first transaction where that is dated earlier.
materialized: incremental
key: [account_id]
incremental: { by: [user_id] }
as_of: recompute
owner: { org: org_id, user: user_id }
dataset:
  friendly_name: Accounts
  group: dimensions
  entity: account
  filters: { account_id_column: account_id }
columns:
  account_id: { type: UUID, description: "The account.", tests: [not_null, unique] }
  org_id: { type: BIGINT, description: "Organisation of the owner.", tests: [not_null] }
  user_id: { type: BIGINT, description: "Owner.", tests: [not_null] }
  name: { type: VARCHAR, description: "The owner's name for it." }
  kind: { type: VARCHAR, description: "What sort of account.", tests: [not_null, { accepted_values: [checking, savings, credit, loan, investment] }] }
  currency: { type: VARCHAR, description: "ISO 4217 code of its balances.", tests: [not_null] }
  connection_id: { type: UUID, description: "The connection that feeds it; NULL for an account kept by hand." }
  provider: { type: VARCHAR, description: "Where its rows come from; NULL without a connection.", tests: [{ accepted_values: [csv, plaid, manual] }] }
  connection_status: { type: VARCHAR, description: "Whether the connection works; NULL without one.", tests: [{ accepted_values: [active, error, revoked] }] }
  last_synced_at: { type: TIMESTAMP WITH TIME ZONE, description: "Last successful synchronisation of the connection; NULL before the first." }
  institution_id: { type: UUID, description: "The institution; NULL without one." }
  institution_name: { type: VARCHAR, description: "Its name." }
  institution_country: { type: VARCHAR, description: "ISO 3166 code of its country." }
  opened_on: { type: DATE, description: "First day of the balance history.", tests: [not_null] }
  closed_on: { type: DATE, description: "Day of closing; NULL while open at the logical date." }
  is_closed: { type: BOOLEAN, description: "True when closed at the logical date.", tests: [not_null] }
  opening_balance: { type: "DECIMAL(18,2)", description: "Balance before the first transaction; owed money is negative.", tests: [not_null] }
  current_balance: { type: "DECIMAL(18,2)", description: "opening_balance plus everything booked up to the logical date; owed money is negative.", tests: [not_null] }
  transaction_count: { type: BIGINT, description: "Transactions up to the logical date, pending ones included.", tests: [not_null, { range: { min: 0 } }] }
  first_transaction_on: { type: DATE, description: "Booking day of the first of them; NULL where there is none." }
  last_transaction_on: { type: DATE, description: "Booking day of the last of them; NULL where there is none." }
tests:
  - { expression: "is_closed = (closed_on is not null)", name: closed_accounts_have_a_day }
  - { expression: "(transaction_count = 0) = (first_transaction_on is null)", name: first_transaction_is_known }
  - { expression: "first_transaction_on <= last_transaction_on", name: first_is_not_after_last }
tags: [app]
*/
with activity as (
  select
    user_id,
    account_id,
    currency,
    sum(case when pending then 0 else amount end) as booked_amount,
    count(*) as transaction_count,
    min(booking_date) as first_transaction_on,
    max(booking_date) as last_transaction_on
  from silver.stg_transactions
  where booking_date <= as_of()
  group by user_id, account_id, currency
),
sources as (
  select
    connections.user_id,
    connections.connection_id,
    connections.provider,
    connections.status as connection_status,
    connections.last_synced_at,
    connections.institution_id,
    institutions.name as institution_name,
    institutions.country as institution_country
  from silver.stg_connections as connections
  left join silver.stg_institutions as institutions
    on institutions.user_id = connections.user_id
    and institutions.institution_id = connections.institution_id
)
select
  accounts.account_id,
  accounts.org_id,
  accounts.user_id,
  accounts.name,
  accounts.kind,
  accounts.currency,
  accounts.connection_id,
  sources.provider,
  sources.connection_status,
  sources.last_synced_at,
  sources.institution_id,
  sources.institution_name,
  sources.institution_country,
  accounts.opened_on,
  case when accounts.closed_on <= as_of() then accounts.closed_on end as closed_on,
  coalesce(accounts.closed_on <= as_of(), false) as is_closed,
  accounts.opening_balance,
  cast(accounts.opening_balance + coalesce(activity.booked_amount, 0) as decimal(18, 2)) as current_balance,
  coalesce(activity.transaction_count, 0) as transaction_count,
  activity.first_transaction_on,
  activity.last_transaction_on
from silver.stg_accounts as accounts
left join activity
  on activity.user_id = accounts.user_id
  and activity.account_id = accounts.account_id
  and activity.currency = accounts.currency
left join sources
  on sources.user_id = accounts.user_id
  and sources.connection_id = accounts.connection_id
where accounts.opened_on <= as_of()
  or activity.first_transaction_on is not null
