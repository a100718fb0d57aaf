select id as product_id, name as product_name, kind, {{ cents_to_amount('price_cents') }} as price
from {{ source('bakery', 'products') }}
