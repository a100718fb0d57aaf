/*
description: First a table, then a view, then an increment.
materialized: incremental
key: [id]
*/
select id, name from bronze.dbt.base
