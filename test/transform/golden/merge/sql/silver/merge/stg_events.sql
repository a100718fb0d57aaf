/*
description: Events.
materialized: incremental
key: [id]
*/
select id, a, b, msg, color, happened, amount from bronze.dbt.events
