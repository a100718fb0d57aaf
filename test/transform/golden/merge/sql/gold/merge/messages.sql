/*
description: Each event with the name of its color.
materialized: incremental
key: [id]
owner: { public: a golden case }
columns: { id: {}, msg: {}, color: {}, name: {} }
*/
select events.id, events.msg, events.color, colors.name
from silver.stg_events as events
left join bronze.dbt.colors as colors on colors.color = events.color
