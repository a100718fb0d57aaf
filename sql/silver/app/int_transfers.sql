/*
description: >-
  Transfers between a user's own accounts, one row per leg. Two booked transactions a and b are a transfer when they are
  of the same user and currency, on two different accounts, with opposite amounts other than zero, at most 3 days apart,
  and each is the other's best. The best of a is the first of all its such partners by (days apart, partner's booking
  date, partner's id); a and b are each other's best when both orders begin with the other. The definition looks the
  same from both legs and every transaction is in at most one transfer; a partner already taken is not replaced by the
  second best. Rows pending or later than the logical date take no part.
materialized: incremental
key: [transaction_id]
incremental: { by: [user_id] }
as_of: recompute
columns:
  org_id: { type: BIGINT, description: "Organisation of the owner.", tests: [not_null] }
  user_id: { type: BIGINT, description: "Owner of both legs.", tests: [not_null] }
  transaction_id: { type: UUID, description: "This leg.", tests: [not_null, unique] }
  account_id: { type: UUID, description: "Account of this leg.", tests: [not_null] }
  partner_transaction_id: { type: UUID, description: "The other leg.", tests: [not_null, unique] }
  partner_account_id: { type: UUID, description: "Account of the other leg.", tests: [not_null] }
  currency: { type: VARCHAR, description: "Currency of both legs.", tests: [not_null] }
  amount: { type: "DECIMAL(18,2)", description: "Amount of this leg; the other's is its opposite.", tests: [not_null] }
  booking_date: { type: DATE, description: "Booking day of this leg.", tests: [not_null] }
  days_apart: { type: BIGINT, description: "Days between the two bookings.", tests: [not_null, { range: { min: 0, max: 3 } }] }
tests:
  - { expression: "amount <> 0", name: moves_money }
  - { expression: "account_id <> partner_account_id", name: joins_two_accounts }
tags: [app]
*/
with booked as (
  select org_id, user_id, currency, account_id, booking_date, amount, transaction_id
  from silver.stg_transactions
  where not pending
    and amount <> 0
    and booking_date <= as_of()
),
-- Of rows alike in account, day and amount only the lowest id can be anyone's best: the others cannot be in a transfer.
-- Dropping them here keeps the join below linear even for a user with thousands of equal bookings.
legs as (
  select org_id, user_id, currency, account_id, booking_date, amount, min(transaction_id) as transaction_id
  from booked
  group by org_id, user_id, currency, account_id, booking_date, amount
),
outgoing as (
  select org_id, user_id, currency, account_id, booking_date, -amount as amount, transaction_id
  from legs
  where amount < 0
),
-- One row per day on which a partner may lie turns the range of days into an equality that hashes.
incoming as (
  select
    org_id, user_id, currency, account_id, booking_date, amount, transaction_id,
    booking_date + unnest([-3, -2, -1, 0, 1, 2, 3]) as partner_date
  from legs
  where amount > 0
),
pairs as (
  select
    outgoing.user_id,
    outgoing.currency,
    outgoing.amount,
    abs(outgoing.booking_date - incoming.booking_date) as days_apart,
    outgoing.org_id as out_org_id,
    outgoing.transaction_id as out_id,
    outgoing.account_id as out_account_id,
    outgoing.booking_date as out_date,
    incoming.org_id as in_org_id,
    incoming.transaction_id as in_id,
    incoming.account_id as in_account_id,
    incoming.booking_date as in_date
  from outgoing
  inner join incoming
    on incoming.user_id = outgoing.user_id
    and incoming.currency = outgoing.currency
    and incoming.amount = outgoing.amount
    and incoming.partner_date = outgoing.booking_date
    and incoming.account_id <> outgoing.account_id
),
ranked as (
  select
    *,
    row_number() over (partition by user_id, out_id order by days_apart, in_date, in_id) as rank_for_out,
    row_number() over (partition by user_id, in_id order by days_apart, out_date, out_id) as rank_for_in
  from pairs
),
transfers as (
  select *
  from ranked
  where rank_for_out = 1
    and rank_for_in = 1
)
select
  out_org_id as org_id,
  user_id,
  out_id as transaction_id,
  out_account_id as account_id,
  in_id as partner_transaction_id,
  in_account_id as partner_account_id,
  currency,
  cast(-amount as decimal(18, 2)) as amount,
  out_date as booking_date,
  days_apart
from transfers
union all
select
  in_org_id as org_id,
  user_id,
  in_id as transaction_id,
  in_account_id as account_id,
  out_id as partner_transaction_id,
  out_account_id as partner_account_id,
  currency,
  cast(amount as decimal(18, 2)) as amount,
  in_date as booking_date,
  days_apart
from transfers
