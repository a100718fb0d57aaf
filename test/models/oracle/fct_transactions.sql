select
  visible.id as transaction_id,
  visible.org_id,
  visible.user_id,
  visible.account_id,
  visible.booking_date,
  visible.value_date,
  make_date(extract(year from visible.booking_date)::int, extract(month from visible.booking_date)::int, 1) as month,
  visible.amount::numeric(18, 2) as amount,
  visible.code as currency,
  case
    when exists (select from transfer_leg where transfer_leg.id = visible.id) then 'transfer'
    else (array['spending', null, 'income'])[sign(visible.amount)::int + 2]
  end as direction,
  (select partner_id from transfer_leg where transfer_leg.id = visible.id) as transfer_transaction_id,
  (select partner_account_id from transfer_leg where transfer_leg.id = visible.id) as transfer_account_id,
  visible.pending,
  visible.description,
  nullif(pg_temp.clean(visible.merchant), '') as merchant,
  nullif(pg_temp.clean(visible.category), '') as category,
  visible.external_id,
  to_json(array(
    select tagging.tag_id from tagging
    where tagging.transaction_id = visible.id and tagging.user_id = visible.user_id
    order by tagging.tag_name collate "C", tagging.tag_id
  )) as tag_ids,
  to_json(array(
    select tagging.tag_name from tagging
    where tagging.transaction_id = visible.id and tagging.user_id = visible.user_id
    order by tagging.tag_name collate "C", tagging.tag_id
  )) as tag_names
from visible
