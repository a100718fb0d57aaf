/*
description: First a table, then a view, then an increment.
materialized: table
key: [id]
*/
select id, name from bronze.dbt.base
