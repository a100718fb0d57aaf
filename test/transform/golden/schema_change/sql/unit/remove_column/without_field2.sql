/*
description: Without the second field.
materialized: incremental
key: [id]
owner: { public: a golden case }
columns: { id: {}, field1: {} }
*/
select id, field1 from bronze.dbt.model_a
