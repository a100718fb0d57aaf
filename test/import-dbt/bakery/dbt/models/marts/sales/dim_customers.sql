{% set statuses = ['open', 'done', 'returned'] %}
with orders as (
    select
        customer_id,
        min(ordered_on) as first_order_on,
        {% for status in statuses %}
        count(*) filter (where status = '{{ status }}') as {{ status }}_orders
        {%- if not loop.last %},{% endif %}
        {% endfor %}
    from {{ ref('stg_orders') }}
    group by customer_id
)

select customers.*, {{ row_id(['customers.shop_id', 'customers.customer_id']) }} as row_id, orders.* exclude (customer_id)
from {{ ref('stg_customers') }} as customers
left join orders using (customer_id)
