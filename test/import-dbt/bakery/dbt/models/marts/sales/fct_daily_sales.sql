select
    ordered_on,
    count(*) as orders,
    sum(order_total) as sales,
    sum(order_total) / count(*) as mean_order,
    {{ dbt.datediff("cast('" ~ var('first_day') ~ "' as date)", 'ordered_on', 'day') }} as days_since_first
from {{ ref('fct_orders') }}
where status <> 'returned'
  and ordered_on >= cast('{{ var("first_day") }}' as date)
{% if target.name == 'dev' %}
  and ordered_on >= cast('2024-03-05' as date)
{% endif %}
group by ordered_on
