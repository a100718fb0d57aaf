/*
description: >-
  Balances as the bank reported them, at most one per account and day. Signed like accounts: owed money is negative.
materialized: incremental
key: [snapshot_id]
columns:
  snapshot_id: { type: UUID, description: "The report.", tests: [not_null, unique] }
  org_id: { type: BIGINT, description: "Organisation of the owner.", tests: [not_null] }
  user_id: { type: BIGINT, description: "Owner.", tests: [not_null] }
  account_id: { type: UUID, description: "The account.", tests: [not_null, { relationships: { to: silver.stg_accounts, column: account_id } }] }
  day: { type: DATE, description: "Calendar day at whose close the balance stood.", tests: [not_null] }
  balance: { type: "DECIMAL(18,2)", description: "The reported balance.", tests: [not_null] }
  currency: { type: VARCHAR, description: "ISO 4217 code, the account's own.", tests: [not_null] }
tests:
  - { unique: [account_id, day] }
tags: [app]
*/
select
  id as snapshot_id,
  org_id,
  user_id,
  account_id,
  as_of as day,
  cast(balance as decimal(18, 2)) as balance,
  upper(trim(currency)) as currency
from bronze.app.balance_snapshots
