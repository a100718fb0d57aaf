/*
description: Organisations, one row each. The tenant above users.
materialized: view
key: [org_id]
columns:
  org_id: { type: BIGINT, description: "The organisation.", tests: [not_null, unique] }
  name: { type: VARCHAR, description: "Its name, trimmed." }
  time_zone: { type: VARCHAR, description: "IANA zone in which its calendar days run; UTC where none is given.", tests: [not_null] }
  currency: { type: VARCHAR, description: "ISO 4217 code of the currency shown first; figures are never converted to it." }
tags: [app]
*/
select
  id as org_id,
  trim(name) as name,
  coalesce(nullif(trim(time_zone), ''), 'UTC') as time_zone,
  upper(trim(currency)) as currency
from bronze.app.orgs
