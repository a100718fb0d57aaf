select
    lines.order_id,
    lines.line,
    lines.product_id,
    lines.quantity,
    {{ cents_to_amount('products.price_cents') }} as unit_price,
    lines.quantity * {{ cents_to_amount('products.price_cents') }} as line_total
from {{ source('bakery', 'order_lines') }} as lines
inner join {{ source('bakery', 'products') }} as products on products.id = lines.product_id
