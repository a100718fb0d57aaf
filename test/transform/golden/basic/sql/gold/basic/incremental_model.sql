/*
description: An increment over a view.
materialized: incremental
key: [id]
owner: { public: a golden case }
columns: { id: {}, name: {}, some_date: {} }
*/
select id, name, some_date from silver.view_model
