/*
description: Sums by two keys whose texts may run into each other.
materialized: incremental
key: [a, b]
owner: { public: a golden case }
columns: { a: {}, b: {}, events: {}, total: {} }
*/
select a, b, count(*) as events, cast(sum(amount) as decimal(18, 2)) as total
from silver.stg_events
group by a, b
