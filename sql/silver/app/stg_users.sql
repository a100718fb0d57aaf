/*
description: Users of the application, one row each. Owners of every row of this domain. The password hash never leaves the source.
materialized: view
key: [user_id]
columns:
  user_id: { type: BIGINT, description: "The user.", tests: [not_null, unique] }
  org_id: { type: BIGINT, description: "The organisation the user belongs to.", tests: [not_null, { relationships: { to: silver.stg_orgs, column: org_id } }] }
  email: { type: VARCHAR, description: "Address the user signs in with, as written." }
  role: { type: VARCHAR, description: "Role within the organisation." }
tags: [app]
*/
select
  id as user_id,
  org_id,
  email,
  role
from bronze.app.users
