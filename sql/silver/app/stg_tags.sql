/*
description: Tags users invented for their transactions, one row each.
materialized: view
key: [tag_id]
columns:
  tag_id: { type: UUID, description: "The tag.", tests: [not_null, unique] }
  org_id: { type: BIGINT, description: "Organisation of the owner.", tests: [not_null] }
  user_id: { type: BIGINT, description: "Owner.", tests: [not_null, { relationships: { to: silver.stg_users, column: user_id } }] }
  name: { type: VARCHAR, description: "The owner's word, trimmed.", tests: [not_null] }
  color: { type: VARCHAR, description: "Colour it is drawn in; NULL where none was chosen." }
tags: [app]
*/
select
  id as tag_id,
  org_id,
  user_id,
  trim(name) as name,
  nullif(trim(color), '') as color
from bronze.app.tags
