-- Every figure of a month is added up anew from the transactions of its days: no windows, no figures of other rows.
with span as (
  select
    counted.user_id,
    counted.org_id,
    counted.code,
    date_trunc('month', min(counted.booking_date)::timestamp) as first_month
  from counted
  group by counted.user_id, counted.org_id, counted.code
),
months as (
  select span.*, calendar.month
  from span
  cross join run
  cross join lateral generate_series(span.first_month, run.as_of::timestamp, interval '1 month') as calendar (month)
),
sums as (
  select
    months.*,
    this.*,
    previous.income as income_before,
    previous.spending as spending_before,
    quarter.income as income_3m,
    quarter.spending as spending_3m,
    least(3, (extract(year from age(months.month, months.first_month)) * 12
      + extract(month from age(months.month, months.first_month)))::int + 1) as months_3m
  from months
  cross join lateral (
    select
      coalesce(sum(amount) filter (where amount > 0), 0) as income,
      coalesce(-sum(amount) filter (where amount < 0), 0) as spending,
      count(*) as transaction_count
    from counted
    where (counted.user_id, counted.org_id, counted.code) = (months.user_id, months.org_id, months.code)
      and counted.booking_date >= months.month and counted.booking_date < months.month + interval '1 month'
  ) as this
  cross join lateral (
    select
      coalesce(sum(amount) filter (where amount > 0), 0) as income,
      coalesce(-sum(amount) filter (where amount < 0), 0) as spending
    from counted
    where (counted.user_id, counted.org_id, counted.code) = (months.user_id, months.org_id, months.code)
      and counted.booking_date >= months.month - interval '1 month' and counted.booking_date < months.month
  ) as previous
  cross join lateral (
    select
      coalesce(sum(amount) filter (where amount > 0), 0) as income,
      coalesce(-sum(amount) filter (where amount < 0), 0) as spending
    from counted
    where (counted.user_id, counted.org_id, counted.code) = (months.user_id, months.org_id, months.code)
      and counted.booking_date >= months.month - interval '2 months' and counted.booking_date < months.month + interval '1 month'
  ) as quarter
)
select
  org_id,
  user_id,
  code as currency,
  month::date as month,
  income::numeric(18, 2) as income,
  spending::numeric(18, 2) as spending,
  (income - spending)::numeric(18, 2) as net,
  round((income - spending)::numeric(60, 30) / nullif(income, 0), 6)::numeric(18, 6) as savings_rate,
  transaction_count,
  case when month > first_month then (income - income_before)::numeric(18, 2) end as income_change,
  case when month > first_month then (spending - spending_before)::numeric(18, 2) end as spending_change,
  case when month > first_month then (income - spending - income_before + spending_before)::numeric(18, 2) end as net_change,
  months_3m,
  income_3m::numeric(18, 2) as income_3m,
  spending_3m::numeric(18, 2) as spending_3m,
  (income_3m - spending_3m)::numeric(18, 2) as net_3m,
  round(income_3m::numeric(60, 30) / months_3m, 6)::numeric(18, 6) as income_avg_3m,
  round(spending_3m::numeric(60, 30) / months_3m, 6)::numeric(18, 6) as spending_avg_3m,
  round((income_3m - spending_3m)::numeric(60, 30) / months_3m, 6)::numeric(18, 6) as net_avg_3m
from sums
