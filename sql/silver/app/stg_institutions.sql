/*
description: Banks and other institutions a user is a customer of, one row per user and institution.
materialized: view
key: [institution_id]
columns:
  institution_id: { type: UUID, description: "The institution, as this user entered it.", tests: [not_null, unique] }
  org_id: { type: BIGINT, description: "Organisation of the owner.", tests: [not_null] }
  user_id: { type: BIGINT, description: "Owner.", tests: [not_null, { relationships: { to: silver.stg_users, column: user_id } }] }
  name: { type: VARCHAR, description: "Its name, trimmed." }
  country: { type: VARCHAR, description: "ISO 3166 code of two letters." }
tags: [app]
*/
select
  id as institution_id,
  org_id,
  user_id,
  trim(name) as name,
  upper(trim(country)) as country
from bronze.app.institutions
