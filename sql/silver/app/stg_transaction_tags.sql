/*
description: Which tag hangs on which transaction, one row per pair. Kept as a table that follows single pairs.
materialized: incremental
key: [transaction_id, tag_id]
columns:
  transaction_id: { type: UUID, description: "The transaction.", tests: [not_null, { relationships: { to: silver.stg_transactions, column: transaction_id } }] }
  tag_id: { type: UUID, description: "The tag.", tests: [not_null, { relationships: { to: silver.stg_tags, column: tag_id } }] }
  org_id: { type: BIGINT, description: "Organisation of the owner.", tests: [not_null] }
  user_id: { type: BIGINT, description: "Owner.", tests: [not_null] }
tests:
  - { unique: [transaction_id, tag_id] }
tags: [app]
*/
select
  transaction_id,
  tag_id,
  org_id,
  user_id
from bronze.app.transaction_tags
