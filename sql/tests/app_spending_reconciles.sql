/*
description: >-
  Per user, currency and day, untagged spending is that of the transactions without tags, and tagged spending counts each
  transaction once for each of its tags.
*/
with expected as (
  select
    user_id,
    currency,
    booking_date as day,
    sum(case when length(tag_ids) = 0 then -amount else 0 end) as untagged,
    sum(-amount * length(tag_ids)) as tagged
  from gold.fct_transactions
  where direction = 'spending'
    and not pending
  group by user_id, currency, booking_date
),
actual as (
  select
    user_id,
    currency,
    day,
    sum(case when tag_id is null then spending else 0 end) as untagged,
    sum(case when tag_id is null then 0 else spending end) as tagged
  from gold.fct_daily_spending_by_tag
  group by user_id, currency, day
)
select
  coalesce(expected.user_id, actual.user_id) as user_id,
  coalesce(expected.currency, actual.currency) as currency,
  coalesce(expected.day, actual.day) as day,
  expected.untagged as expected_untagged,
  actual.untagged,
  expected.tagged as expected_tagged,
  actual.tagged
from expected
full join actual
  on actual.user_id = expected.user_id
  and actual.currency = expected.currency
  and actual.day = expected.day
where actual.untagged is distinct from expected.untagged
  or actual.tagged is distinct from expected.tagged
