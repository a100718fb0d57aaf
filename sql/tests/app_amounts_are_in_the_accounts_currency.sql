/*
description: Every transaction and every balance report is in the currency of its account; otherwise no balance could be added up.
*/
select 'transaction' as what, transactions.transaction_id as id, transactions.currency, accounts.currency as account_currency
from silver.stg_transactions as transactions
inner join silver.stg_accounts as accounts on accounts.account_id = transactions.account_id
where transactions.currency <> accounts.currency
union all
select 'balance report', snapshots.snapshot_id, snapshots.currency, accounts.currency
from silver.stg_balance_snapshots as snapshots
inner join silver.stg_accounts as accounts on accounts.account_id = snapshots.account_id
where snapshots.currency <> accounts.currency
