/*
description: >-
  Tags on transactions with the tags' names, one row per pair. Owner, tag and link must be the same user's: a link that
  crosses users is not carried (sql/tests/app_links_stay_with_their_owner.sql names it).
materialized: view
key: [transaction_id, tag_id]
columns:
  org_id: { type: BIGINT, description: "Organisation of the owner." }
  user_id: { type: BIGINT, description: "Owner of the transaction, the tag and the link." }
  transaction_id: { type: UUID, description: "The transaction." }
  tag_id: { type: UUID, description: "The tag." }
  tag_name: { type: VARCHAR, description: "The tag's name." }
tags: [app]
*/
select
  links.org_id,
  links.user_id,
  links.transaction_id,
  links.tag_id,
  tags.name as tag_name
from silver.stg_transaction_tags as links
inner join silver.stg_tags as tags
  on tags.user_id = links.user_id
  and tags.tag_id = links.tag_id
