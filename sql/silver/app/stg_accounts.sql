/*
description: >-
  Accounts, one row each. Signs are the owner's on every kind of account: money owned is positive, money owed (credit
  and loan) is negative, so that balance = opening_balance + the sum of booked amounts holds for all kinds.
materialized: view
key: [account_id]
columns:
  account_id: { type: UUID, description: "The account.", tests: [not_null, unique] }
  org_id: { type: BIGINT, description: "Organisation of the owner.", tests: [not_null] }
  user_id: { type: BIGINT, description: "Owner.", tests: [not_null, { relationships: { to: silver.stg_users, column: user_id } }] }
  connection_id: { type: UUID, description: "The connection that feeds it; NULL for an account kept by hand.", tests: [{ relationships: { to: silver.stg_connections, column: connection_id } }] }
  name: { type: VARCHAR, description: "The owner's name for it, trimmed." }
  kind: { type: VARCHAR, description: "What sort of account.", tests: [not_null, { accepted_values: [checking, savings, credit, loan, investment] }] }
  currency: { type: VARCHAR, description: "ISO 4217 code; every amount of the account is in it.", tests: [not_null] }
  opened_on: { type: DATE, description: "First day of the balance history.", tests: [not_null] }
  closed_on: { type: DATE, description: "Day of closing; NULL while open. May lie after the logical date." }
  opening_balance: { type: "DECIMAL(18,2)", description: "Balance before the first transaction; owed money is negative.", tests: [not_null] }
tests:
  - { expression: "length(currency) = 3", name: currency_has_three_letters }
  - { expression: "closed_on is null or closed_on >= opened_on", name: closes_after_opening, severity: warn }
tags: [app]
*/
select
  id as account_id,
  org_id,
  user_id,
  connection_id,
  trim(name) as name,
  kind,
  upper(trim(currency)) as currency,
  opened_on,
  closed_on,
  cast(opening_balance as decimal(18, 2)) as opening_balance
from bronze.app.accounts
