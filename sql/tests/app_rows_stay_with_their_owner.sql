/*
description: >-
  Every row of a user's belongs to that user's organisation, and whatever hangs on another row has the same owner: an
  account on its connection, a transaction or balance report on its account, a tag on its transaction.
*/
with owned as (
  select 'institution' as what, cast(institution_id as varchar) as id, org_id, user_id from silver.stg_institutions
  union all
  select 'connection', cast(connection_id as varchar), org_id, user_id from silver.stg_connections
  union all
  select 'account', cast(account_id as varchar), org_id, user_id from silver.stg_accounts
  union all
  select 'transaction', cast(transaction_id as varchar), org_id, user_id from silver.stg_transactions
  union all
  select 'tag', cast(tag_id as varchar), org_id, user_id from silver.stg_tags
  union all
  select 'link', concat(transaction_id, ' ', tag_id), org_id, user_id from silver.stg_transaction_tags
  union all
  select 'balance report', cast(snapshot_id as varchar), org_id, user_id from silver.stg_balance_snapshots
),
wrong_org as (
  select owned.what, owned.id, 'organisation is not its user''s' as problem
  from owned
  inner join silver.stg_users as users on users.user_id = owned.user_id
  where users.org_id <> owned.org_id
),
wrong_user as (
  select 'connection' as what, cast(connections.connection_id as varchar) as id, 'institution of another user' as problem
  from silver.stg_connections as connections
  inner join silver.stg_institutions as institutions on institutions.institution_id = connections.institution_id
  where institutions.user_id <> connections.user_id
  union all
  select 'account', cast(accounts.account_id as varchar), 'connection of another user'
  from silver.stg_accounts as accounts
  inner join silver.stg_connections as connections on connections.connection_id = accounts.connection_id
  where connections.user_id <> accounts.user_id
  union all
  select 'transaction', cast(transactions.transaction_id as varchar), 'account of another user'
  from silver.stg_transactions as transactions
  inner join silver.stg_accounts as accounts on accounts.account_id = transactions.account_id
  where accounts.user_id <> transactions.user_id
  union all
  select 'balance report', cast(snapshots.snapshot_id as varchar), 'account of another user'
  from silver.stg_balance_snapshots as snapshots
  inner join silver.stg_accounts as accounts on accounts.account_id = snapshots.account_id
  where accounts.user_id <> snapshots.user_id
  union all
  select 'link', concat(links.transaction_id, ' ', links.tag_id), 'tag of another user'
  from silver.stg_transaction_tags as links
  inner join silver.stg_tags as tags on tags.tag_id = links.tag_id
  where tags.user_id <> links.user_id
  union all
  select 'link', concat(links.transaction_id, ' ', links.tag_id), 'transaction of another user'
  from silver.stg_transaction_tags as links
  inner join silver.stg_transactions as transactions on transactions.transaction_id = links.transaction_id
  where transactions.user_id <> links.user_id
)
select what, id, problem from wrong_org
union all
select what, id, problem from wrong_user
