/*
description: Events per day up to the logical date, in a chain behind two other models.
materialized: incremental
key: [happened]
as_of: recompute
owner: { public: a golden case }
columns: { happened: {}, events: {} }
*/
select happened, count(*) as events
from silver.stg_events
where happened <= as_of()
group by happened
