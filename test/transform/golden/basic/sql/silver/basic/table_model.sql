/*
description: A table over a view.
materialized: table
key: [id]
*/
select * from silver.view_model
