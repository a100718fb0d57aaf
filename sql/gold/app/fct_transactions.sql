/*
description: >-
  Every transaction up to the logical date, pending ones included, with its tags and its direction. A transfer is a leg
  of a pair between the owner's own accounts (silver.int_transfers says exactly which). A transaction of amount 0 moves
  no money: its direction is NULL and no figure counts it.
materialized: incremental
key: [transaction_id]
incremental: { by: [user_id] }
as_of: recompute
owner: { org: org_id, user: user_id }
dataset:
  friendly_name: Transactions
  group: facts
  time_grain: transaction
  filters: { date_column: booking_date, account_id_column: account_id, tag_id_column: tag_ids }
columns:
  transaction_id: { type: UUID, description: "The transaction.", tests: [not_null, unique] }
  org_id: { type: BIGINT, description: "Organisation of the owner.", tests: [not_null] }
  user_id: { type: BIGINT, description: "Owner.", tests: [not_null] }
  account_id: { type: UUID, description: "The account it moves.", tests: [not_null, { relationships: { to: gold.dim_accounts, column: account_id } }] }
  booking_date: { type: DATE, description: "Calendar day of booking.", tests: [not_null] }
  value_date: { type: DATE, description: "Day from which it bears interest; NULL where the bank gives none." }
  month: { type: DATE, description: "First day of the month of booking.", tests: [not_null] }
  amount: { type: "DECIMAL(18,2)", description: "Money in is positive, money out negative.", tests: [not_null] }
  currency: { type: VARCHAR, description: "ISO 4217 code of the amount.", tests: [not_null] }
  direction: { type: VARCHAR, description: "income (amount above 0), spending (below 0), or transfer between own accounts; NULL for amount 0.", tests: [{ accepted_values: [income, spending, transfer] }] }
  transfer_transaction_id: { type: UUID, description: "The other leg of a transfer; NULL otherwise.", tests: [{ relationships: { to: gold.fct_transactions, column: transaction_id } }] }
  transfer_account_id: { type: UUID, description: "The other account of a transfer; NULL otherwise." }
  pending: { type: BOOLEAN, description: "True while announced and not booked; such rows are in no other figure.", tests: [not_null] }
  description: { type: VARCHAR, description: "Text of the booking, as the bank wrote it." }
  merchant: { type: VARCHAR, description: "Who was paid or paid; NULL where unknown." }
  category: { type: VARCHAR, description: "The application's own category; NULL where unknown." }
  external_id: { type: VARCHAR, description: "The bank's own id; NULL for rows entered by hand." }
  tag_ids: { type: "UUID[]", description: "Its tags, ordered by name, then id; empty where it has none.", tests: [not_null] }
  tag_names: { type: "VARCHAR[]", description: "The names of tag_ids, in the same order.", tests: [not_null] }
tests:
  - { expression: "length(tag_ids) = length(tag_names)", name: tag_lists_match }
  - { expression: "month <= booking_date and booking_date < month + interval 1 month", name: month_of_booking_date }
  - { expression: "direction is not distinct from case when transfer_transaction_id is not null then 'transfer' when amount > 0 then 'income' when amount < 0 then 'spending' end", name: direction_follows_amount }
  - { expression: "direction is distinct from 'transfer' or not pending", name: transfers_are_booked }
tags: [app]
*/
with visible as (
  select
    transaction_id, org_id, user_id, account_id, booking_date, value_date, amount, currency,
    description, merchant, category, pending, external_id,
    cast(date_trunc('month', booking_date) as date) as month
  from silver.stg_transactions
  where booking_date <= as_of()
),
tag_lists as (
  select
    user_id,
    transaction_id,
    list(tag_id order by tag_name, tag_id) as tag_ids,
    list(tag_name order by tag_name, tag_id) as tag_names
  from silver.int_transaction_tags
  group by user_id, transaction_id
)
select
  visible.transaction_id,
  visible.org_id,
  visible.user_id,
  visible.account_id,
  visible.booking_date,
  visible.value_date,
  visible.month,
  visible.amount,
  visible.currency,
  case
    when transfers.transaction_id is not null then 'transfer'
    when visible.amount > 0 then 'income'
    when visible.amount < 0 then 'spending'
  end as direction,
  transfers.partner_transaction_id as transfer_transaction_id,
  transfers.partner_account_id as transfer_account_id,
  visible.pending,
  visible.description,
  visible.merchant,
  visible.category,
  visible.external_id,
  coalesce(tag_lists.tag_ids, cast([] as uuid[])) as tag_ids,
  coalesce(tag_lists.tag_names, cast([] as varchar[])) as tag_names
from visible
left join silver.int_transfers as transfers
  on transfers.user_id = visible.user_id
  and transfers.transaction_id = visible.transaction_id
left join tag_lists
  on tag_lists.user_id = visible.user_id
  and tag_lists.transaction_id = visible.transaction_id
