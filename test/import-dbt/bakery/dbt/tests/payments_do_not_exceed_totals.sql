{{ config(severity='warn') }}
select order_id, paid, order_total
from {{ ref('fct_orders') }}
where paid > order_total
