/*
description: >-
  Income, spending and savings per user, currency and month: every month from the first with a figure to that of the
  logical date is present, the quiet ones with zeros; the last month runs to the logical date only. Transfers, pending
  rows and rows of amount 0 are left out.
materialized: incremental
key: [user_id, currency, month]
incremental: { by: [user_id] }
as_of: recompute
owner: { org: org_id, user: user_id }
dataset:
  friendly_name: Monthly trends
  group: aggregations
  time_grain: month
  filters: { date_column: month }
columns:
  org_id: { type: BIGINT, description: "Organisation of the owner.", tests: [not_null] }
  user_id: { type: BIGINT, description: "Owner.", tests: [not_null] }
  currency: { type: VARCHAR, description: "ISO 4217 code of every amount of the row.", tests: [not_null] }
  month: { type: DATE, description: "First day of the month.", tests: [not_null] }
  income: { type: "DECIMAL(18,2)", description: "Money received, 0 or more.", tests: [not_null, { range: { min: 0 } }] }
  spending: { type: "DECIMAL(18,2)", description: "Money spent, 0 or more.", tests: [not_null, { range: { min: 0 } }] }
  net: { type: "DECIMAL(18,2)", description: "income − spending; numerator of savings_rate.", tests: [not_null] }
  savings_rate: { type: "DECIMAL(18,6)", description: "net / income; NULL without income. To sum up several rows divide the sums." }
  transaction_count: { type: BIGINT, description: "Transactions in income and spending.", tests: [not_null, { range: { min: 0 } }] }
  income_change: { type: "DECIMAL(18,2)", description: "income − that of the month before; NULL in the first month." }
  spending_change: { type: "DECIMAL(18,2)", description: "spending − that of the month before; NULL in the first month." }
  net_change: { type: "DECIMAL(18,2)", description: "net − that of the month before; NULL in the first month." }
  months_3m: { type: BIGINT, description: "Months in the 3-month figures: 3, fewer in the first two months. Denominator of the averages.", tests: [not_null, { range: { min: 1, max: 3 } }] }
  income_3m: { type: "DECIMAL(18,2)", description: "income of this month and the two before.", tests: [not_null] }
  spending_3m: { type: "DECIMAL(18,2)", description: "spending of this month and the two before.", tests: [not_null] }
  net_3m: { type: "DECIMAL(18,2)", description: "net of this month and the two before.", tests: [not_null] }
  income_avg_3m: { type: "DECIMAL(18,6)", description: "income_3m / months_3m.", tests: [not_null] }
  spending_avg_3m: { type: "DECIMAL(18,6)", description: "spending_3m / months_3m.", tests: [not_null] }
  net_avg_3m: { type: "DECIMAL(18,6)", description: "net_3m / months_3m.", tests: [not_null] }
tests:
  - { unique: [user_id, currency, month] }
  - { expression: "net = income - spending", name: net_is_income_minus_spending }
  - { expression: "net_3m = income_3m - spending_3m", name: net_3m_is_income_minus_spending }
  - { expression: "(savings_rate is null) = (income = 0)", name: savings_rate_needs_income }
  - { expression: "transaction_count > 0 or (income = 0 and spending = 0)", name: quiet_months_are_zero }
tags: [app]
*/
with counted as (
  select org_id, user_id, currency, month, direction, amount
  from gold.fct_transactions
  where direction in ('income', 'spending')
    and not pending
),
monthly as (
  select
    org_id,
    user_id,
    currency,
    month,
    sum(case when direction = 'income' then amount else 0 end) as income,
    sum(case when direction = 'spending' then -amount else 0 end) as spending,
    count(*) as transaction_count
  from counted
  group by org_id, user_id, currency, month
),
spans as (
  select org_id, user_id, currency, min(month) as first_month
  from monthly
  group by org_id, user_id, currency
),
months as (
  select
    org_id, user_id, currency,
    cast(unnest(generate_series(first_month, date_trunc('month', as_of()), interval 1 month)) as date) as month
  from spans
),
figures as (
  select
    months.org_id,
    months.user_id,
    months.currency,
    months.month,
    cast(coalesce(monthly.income, 0) as decimal(18, 2)) as income,
    cast(coalesce(monthly.spending, 0) as decimal(18, 2)) as spending,
    cast(coalesce(monthly.income, 0) - coalesce(monthly.spending, 0) as decimal(18, 2)) as net,
    coalesce(monthly.transaction_count, 0) as transaction_count
  from months
  left join monthly
    on monthly.user_id = months.user_id
    and monthly.org_id = months.org_id
    and monthly.currency = months.currency
    and monthly.month = months.month
),
windowed as (
  select
    *,
    lag(income) over by_month as income_before,
    lag(spending) over by_month as spending_before,
    lag(net) over by_month as net_before,
    count(*) over last_three as months_3m,
    cast(sum(income) over last_three as decimal(18, 2)) as income_3m,
    cast(sum(spending) over last_three as decimal(18, 2)) as spending_3m,
    cast(sum(net) over last_three as decimal(18, 2)) as net_3m
  from figures
  window
    by_month as (partition by user_id, currency order by month),
    last_three as (partition by user_id, currency order by month rows between 2 preceding and current row)
)
select
  org_id,
  user_id,
  currency,
  month,
  income,
  spending,
  net,
  ratio(net, income) as savings_rate,
  transaction_count,
  cast(income - income_before as decimal(18, 2)) as income_change,
  cast(spending - spending_before as decimal(18, 2)) as spending_change,
  cast(net - net_before as decimal(18, 2)) as net_change,
  months_3m,
  income_3m,
  spending_3m,
  net_3m,
  ratio(income_3m, months_3m) as income_avg_3m,
  ratio(spending_3m, months_3m) as spending_avg_3m,
  ratio(net_3m, months_3m) as net_avg_3m
from windowed
