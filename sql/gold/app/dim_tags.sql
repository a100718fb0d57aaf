/*
description: >-
  Tags with how much they are used. A use is a transaction up to the logical date that carries the tag, whatever its
  direction and pending or not.
materialized: incremental
key: [tag_id]
incremental: { by: [user_id] }
owner: { org: org_id, user: user_id }
dataset:
  friendly_name: Tags
  group: dimensions
  entity: tag
  filters: { tag_id_column: tag_id }
columns:
  tag_id: { type: UUID, description: "The tag.", tests: [not_null, unique] }
  org_id: { type: BIGINT, description: "Organisation of the owner.", tests: [not_null] }
  user_id: { type: BIGINT, description: "Owner.", tests: [not_null] }
  name: { type: VARCHAR, description: "The owner's word.", tests: [not_null] }
  color: { type: VARCHAR, description: "Colour it is drawn in; NULL where none was chosen." }
  uses: { type: BIGINT, description: "Transactions that carry it.", tests: [not_null, { range: { min: 0 } }] }
  last_used_on: { type: DATE, description: "Latest booking day of those; NULL for an unused tag." }
tests:
  - { expression: "(uses = 0) = (last_used_on is null)", name: used_tags_have_a_day }
tags: [app]
*/
with usage as (
  select
    links.user_id,
    links.tag_id,
    count(*) as uses,
    max(transactions.booking_date) as last_used_on
  from silver.int_transaction_tags as links
  inner join gold.fct_transactions as transactions
    on transactions.user_id = links.user_id
    and transactions.transaction_id = links.transaction_id
  group by links.user_id, links.tag_id
)
select
  tags.tag_id,
  tags.org_id,
  tags.user_id,
  tags.name,
  tags.color,
  coalesce(usage.uses, 0) as uses,
  usage.last_used_on
from silver.stg_tags as tags
left join usage
  on usage.user_id = tags.user_id
  and usage.tag_id = tags.tag_id
