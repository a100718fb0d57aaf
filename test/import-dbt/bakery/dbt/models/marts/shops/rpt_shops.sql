{{ config(materialized='view') }}
select
    customers.shop_id,
    '{{ env_var('BAKERY_REGION', 'north') }}' as region,
    count(distinct customers.customer_id) as customers,
    coalesce(sum(orders.order_total), 0) as sales
from {{ ref('dim_customers') }} as customers
left join {{ ref('fct_orders') }} as orders on orders.customer_id = customers.customer_id
group by customers.shop_id
