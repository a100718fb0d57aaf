/*
description: >-
  Transactions as the application holds them now, one row each, whatever their date: rows later than the logical date
  are hidden by the models that read this one. Kept as a table that follows single rows, since every fact starts here.
materialized: incremental
key: [transaction_id]
columns:
  transaction_id: { type: UUID, description: "The transaction.", tests: [not_null, unique] }
  org_id: { type: BIGINT, description: "Organisation of the owner.", tests: [not_null] }
  user_id: { type: BIGINT, description: "Owner.", tests: [not_null, { relationships: { to: silver.stg_users, column: user_id } }] }
  account_id: { type: UUID, description: "The account it moves.", tests: [not_null, { relationships: { to: silver.stg_accounts, column: account_id } }] }
  booking_date: { type: DATE, description: "Calendar day it is booked on; the day of every figure.", tests: [not_null] }
  value_date: { type: DATE, description: "Day from which it bears interest; NULL where the bank gives none." }
  amount: { type: "DECIMAL(18,2)", description: "Money in is positive, money out negative, in the account's currency.", tests: [not_null] }
  currency: { type: VARCHAR, description: "ISO 4217 code, the account's own.", tests: [not_null] }
  description: { type: VARCHAR, description: "Text of the booking, as the bank wrote it." }
  merchant: { type: VARCHAR, description: "Who was paid or paid, trimmed; NULL where empty." }
  category: { type: VARCHAR, description: "The application's own category, trimmed; NULL where empty." }
  pending: { type: BOOLEAN, description: "True while announced and not booked.", tests: [not_null] }
  external_id: { type: VARCHAR, description: "The bank's own id; NULL for rows entered by hand." }
tags: [app]
*/
select
  id as transaction_id,
  org_id,
  user_id,
  account_id,
  booking_date,
  value_date,
  cast(amount as decimal(18, 2)) as amount,
  upper(trim(currency)) as currency,
  description,
  nullif(trim(merchant), '') as merchant,
  nullif(trim(category), '') as category,
  pending,
  external_id
from bronze.app.transactions
