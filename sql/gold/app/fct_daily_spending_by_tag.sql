/*
description: >-
  Spending per user, tag, currency and day. Transfers and pending transactions are left out. A transaction counts in
  each of its tags, so tags do NOT add up to the total; spending without a tag stands in the row whose tag_id is NULL.
  Only days with spending have a row.
materialized: incremental
key: [user_id, tag_id, currency, day]
incremental: { by: [user_id] }
owner: { org: org_id, user: user_id }
dataset:
  friendly_name: Daily spending by tag
  group: aggregations
  time_grain: day
  filters: { date_column: day, tag_id_column: tag_id }
columns:
  org_id: { type: BIGINT, description: "Organisation of the owner.", tests: [not_null] }
  user_id: { type: BIGINT, description: "Owner.", tests: [not_null] }
  tag_id: { type: UUID, description: "The tag; NULL for spending without any.", tests: [{ relationships: { to: gold.dim_tags, column: tag_id } }] }
  tag_name: { type: VARCHAR, description: "The tag's name; NULL for spending without any." }
  currency: { type: VARCHAR, description: "ISO 4217 code of the spending.", tests: [not_null] }
  day: { type: DATE, description: "Calendar day of booking.", tests: [not_null] }
  spending: { type: "DECIMAL(18,2)", description: "Money spent, above 0.", tests: [not_null] }
  transaction_count: { type: BIGINT, description: "Transactions it comes from.", tests: [not_null, { range: { min: 1 } }] }
tests:
  - { unique: [user_id, tag_id, currency, day] }
  - { expression: "spending > 0", name: spending_is_positive }
  - { expression: "(tag_id is null) = (tag_name is null)", name: every_tag_has_a_name }
tags: [app]
*/
with spent as (
  select org_id, user_id, transaction_id, currency, booking_date as day, -amount as spending
  from gold.fct_transactions
  where direction = 'spending'
    and not pending
),
tagged as (
  select
    spent.org_id,
    spent.user_id,
    spent.currency,
    spent.day,
    spent.spending,
    links.tag_id,
    links.tag_name
  from spent
  left join silver.int_transaction_tags as links
    on links.user_id = spent.user_id
    and links.transaction_id = spent.transaction_id
)
select
  org_id,
  user_id,
  tag_id,
  tag_name,
  currency,
  day,
  cast(sum(spending) as decimal(18, 2)) as spending,
  count(*) as transaction_count
from tagged
group by org_id, user_id, tag_id, tag_name, currency, day
