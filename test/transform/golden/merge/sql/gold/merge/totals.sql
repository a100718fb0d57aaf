/*
description: One row, whatever there is.
materialized: table
owner: { public: a golden case }
columns: { events: {}, days: {} }
*/
select cast(coalesce(sum(events), 0) as bigint) as events, count(*) as days from gold.days
