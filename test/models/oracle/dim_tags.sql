select
  tags.id as tag_id,
  tags.org_id,
  tags.user_id,
  pg_temp.clean(tags.name) as name,
  nullif(pg_temp.clean(tags.color), '') as color,
  cardinality(used.days) as uses,
  used.days[cardinality(used.days)] as last_used_on
from app.tags
cross join lateral (
  select array(
    select visible.booking_date
    from tagging
    join visible on visible.id = tagging.transaction_id and visible.user_id = tagging.user_id
    where tagging.tag_id = tags.id
    order by visible.booking_date
  ) as days
) as used
