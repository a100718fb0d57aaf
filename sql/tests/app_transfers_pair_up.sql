/*
description: >-
  The two legs of a transfer name each other, are of one user and currency, lie on two accounts at most 3 days apart, are
  booked, and add up to zero.
*/
select legs.transaction_id, legs.amount, legs.transfer_transaction_id, partners.amount as partner_amount
from gold.fct_transactions as legs
left join gold.fct_transactions as partners on partners.transaction_id = legs.transfer_transaction_id
where legs.direction = 'transfer'
  and (
    partners.transaction_id is null
    or partners.transfer_transaction_id is distinct from legs.transaction_id
    or partners.user_id <> legs.user_id
    or partners.currency <> legs.currency
    or partners.account_id = legs.account_id
    or partners.account_id is distinct from legs.transfer_account_id
    or partners.amount + legs.amount <> 0
    or abs(partners.booking_date - legs.booking_date) > 3
    or partners.pending
  )
