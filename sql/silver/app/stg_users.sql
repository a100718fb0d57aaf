/*
description: Users of the application, one row each. Owners of every row of this domain. Their addresses and password hashes stay in the source.
materialized: view
key: [user_id]
columns:
  user_id: { type: BIGINT, description: "The user.", tests: [not_null, unique] }
  org_id: { type: BIGINT, description: "The organisation the user belongs to.", tests: [not_null, { relationships: { to: silver.stg_orgs, column: org_id } }] }
  role: { type: VARCHAR, description: "Role within the organisation." }
tags: [app]
*/
select
  id as user_id,
  org_id,
  role
from bronze.app.users
