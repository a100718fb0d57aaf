/*
description: How a user's accounts reach us, one row per link to an institution or per manual collection.
materialized: view
key: [connection_id]
columns:
  connection_id: { type: UUID, description: "The connection.", tests: [not_null, unique] }
  org_id: { type: BIGINT, description: "Organisation of the owner.", tests: [not_null] }
  user_id: { type: BIGINT, description: "Owner.", tests: [not_null, { relationships: { to: silver.stg_users, column: user_id } }] }
  institution_id: { type: UUID, description: "The institution it leads to; NULL where there is none.", tests: [{ relationships: { to: silver.stg_institutions, column: institution_id } }] }
  provider: { type: VARCHAR, description: "Where rows come from.", tests: [not_null, { accepted_values: [csv, plaid, manual] }] }
  status: { type: VARCHAR, description: "Whether it works.", tests: [not_null, { accepted_values: [active, error, revoked] }] }
  last_synced_at: { type: TIMESTAMP WITH TIME ZONE, description: "Last successful synchronisation; NULL before the first." }
tags: [app]
*/
select
  id as connection_id,
  org_id,
  user_id,
  institution_id,
  provider,
  status,
  last_synced_at
from bronze.app.connections
