{{
    config(
        materialized='incremental',
        unique_key='order_id',
        on_schema_change='fail'
    )
}}

with lines as (

    select order_id, sum(line_total) as order_total, count(*) as line_count
    from {{ ref('stg_order_lines') }}
    group by order_id

),

orders as (

    select * from {{ ref('stg_orders') }}
    {% if is_incremental() %}
    where updated_at > (select max(updated_at) from {{ this }})
    {% endif %}

),

final as (

    select
        orders.order_id,
        orders.customer_id,
        orders.ordered_on,
        orders.status,
        orders.updated_at,
        lines.line_count,
        lines.order_total,
        {% for method in var('methods') %}
        coalesce(payments.{{ method }}_amount, 0) as {{ method }}_amount{{ ',' }}
        {% endfor %}
        coalesce(payments.paid, 0) as paid,
        {{ share('payments.paid', 'lines.order_total') }} as paid_share
    from orders
    left join lines on lines.order_id = orders.order_id
    left join {{ ref('int_order_payments') }} as payments on payments.order_id = orders.order_id

)

select * from final
