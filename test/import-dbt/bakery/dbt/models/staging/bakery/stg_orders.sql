{{ config(materialized='view', tags=['till']) }}

select
    id as order_id,
    customer_id,
    ordered_at,
    -- the day counts for {{ ref('stg_customers') }} as well
    {{ dbt.date_trunc('day', 'ordered_at') }}::date as ordered_on,
    status,
    updated_at
from {{ source('bakery', 'orders') }}
