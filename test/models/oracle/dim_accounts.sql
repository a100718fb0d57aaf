select
  accounts.id as account_id,
  accounts.org_id,
  accounts.user_id,
  pg_temp.clean(accounts.name) as name,
  accounts.kind,
  upper(pg_temp.clean(accounts.currency::text)) as currency,
  accounts.connection_id,
  connection.provider,
  connection.status as connection_status,
  (extract(epoch from connection.last_synced_at) * 1000000)::bigint as last_synced_at,
  institution.id as institution_id,
  pg_temp.clean(institution.name) as institution_name,
  upper(pg_temp.clean(institution.country::text)) as institution_country,
  accounts.opened_on,
  nullif(least(accounts.closed_on, run.as_of + 1), run.as_of + 1) as closed_on,
  (accounts.closed_on is not null and accounts.closed_on <= run.as_of) as is_closed,
  accounts.opening_balance::numeric(18, 2) as opening_balance,
  (accounts.opening_balance + coalesce((
    select sum(amount) from visible
    where visible.account_id = accounts.id and visible.user_id = accounts.user_id and visible.code = upper(pg_temp.clean(accounts.currency::text))
      and not visible.pending
  ), 0))::numeric(18, 2) as current_balance,
  activity.transaction_count,
  activity.first_transaction_on,
  activity.last_transaction_on
from app.accounts
cross join run
cross join lateral (
  select count(*) as transaction_count, min(booking_date) as first_transaction_on, max(booking_date) as last_transaction_on
  from visible
  where visible.account_id = accounts.id and visible.user_id = accounts.user_id and visible.code = upper(pg_temp.clean(accounts.currency::text))
) as activity
left join lateral (
  select * from app.connections
  where connections.id = accounts.connection_id and connections.user_id = accounts.user_id
) as connection on true
left join lateral (
  select * from app.institutions
  where institutions.id = connection.institution_id and institutions.user_id = connection.user_id
) as institution on true
where least(accounts.opened_on, activity.first_transaction_on) <= run.as_of
