with source as (

    select * from {{ source('bakery', 'customers') }}

),

renamed as (

    select
        id as customer_id,
        shop_id,
        full_name as customer_name,
        {# the till writes e-mail addresses as people say them #}
        lower(email) as email,
        joined_on,
        is_member
    from source

)

select * from renamed
