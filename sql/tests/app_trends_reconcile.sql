/*
description: >-
  Income, spending and count of every month are those of its transactions, every month from the first to that of the
  logical date is present, and none is there without a user's transactions.
*/
with booked as (
  select
    user_id,
    currency,
    month,
    sum(case when direction = 'income' then amount else 0 end) as income,
    sum(case when direction = 'spending' then -amount else 0 end) as spending,
    count(*) as transaction_count
  from gold.fct_transactions
  where not pending
    and direction in ('income', 'spending')
  group by user_id, currency, month
),
spans as (
  select user_id, currency, min(month) as first_month, max(month) as last_month, count(*) as months
  from gold.fct_monthly_trends
  group by user_id, currency
)
select
  coalesce(trends.user_id, booked.user_id) as user_id,
  coalesce(trends.currency, booked.currency) as currency,
  coalesce(trends.month, booked.month) as month,
  'figures are not those of the transactions' as problem
from gold.fct_monthly_trends as trends
full join booked
  on booked.user_id = trends.user_id
  and booked.currency = trends.currency
  and booked.month = trends.month
where trends.month is null
  or trends.income <> coalesce(booked.income, 0)
  or trends.spending <> coalesce(booked.spending, 0)
  or trends.transaction_count <> coalesce(booked.transaction_count, 0)
union all
select user_id, currency, first_month, 'a month is missing'
from spans
where last_month <> date_trunc('month', as_of())
  or months <> date_diff('month', first_month, last_month) + 1
