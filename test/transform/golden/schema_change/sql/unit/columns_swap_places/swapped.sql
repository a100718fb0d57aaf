/*
description: The same columns in another order.
materialized: incremental
key: [id]
owner: { public: a golden case }
columns: { field2: {}, field1: {}, id: {} }
*/
select field2, field1, id from bronze.dbt.model_a
