select
  tags.id as tag_id,
  tags.org_id,
  tags.user_id,
  pg_temp.clean(tags.name) as name,
  nullif(pg_temp.clean(tags.color), '') as color,
  (
    select count(*) from visible
    where visible.user_id = tags.user_id
      and visible.id in (select transaction_id from tagging where tagging.tag_id = tags.id)
  ) as uses,
  (
    select visible.booking_date from visible
    join tagging on tagging.transaction_id = visible.id and tagging.user_id = visible.user_id
    where tagging.tag_id = tags.id
    order by visible.booking_date desc
    limit 1
  ) as last_used_on
from app.tags
