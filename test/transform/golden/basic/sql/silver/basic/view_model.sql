/*
description: A view.
key: [id]
*/
select id, name, some_date from bronze.dbt.base
