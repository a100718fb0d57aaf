/*
description: No row of any dataset is dated after the logical date.
*/
select 'fct_transactions' as dataset, cast(transaction_id as varchar) as id, booking_date as day
from gold.fct_transactions
where booking_date > as_of()
union all
select 'fct_daily_spending_by_tag', concat(user_id, ' ', tag_id, ' ', currency), day
from gold.fct_daily_spending_by_tag
where day > as_of()
union all
select 'fct_daily_balance_history', cast(account_id as varchar), day
from gold.fct_daily_balance_history
where day > as_of()
union all
select 'fct_monthly_trends', concat(user_id, ' ', currency), month
from gold.fct_monthly_trends
where month > as_of()
union all
select 'dim_accounts', cast(account_id as varchar), last_transaction_on
from gold.dim_accounts
where last_transaction_on > as_of()
  or closed_on > as_of()
union all
select 'dim_tags', cast(tag_id as varchar), last_used_on
from gold.dim_tags
where last_used_on > as_of()
