select id as payment_id, order_id, method, amount, amount < 0 as is_refund
from {{ source('bakery', 'payments') }}
