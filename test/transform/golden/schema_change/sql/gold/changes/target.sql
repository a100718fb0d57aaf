/*
description: First without the later fields.
materialized: incremental
key: [id]
owner: { public: a golden case }
columns: { id: {}, field1: {}, field2: {} }
*/
select id, field1, field2 from bronze.dbt.model_a
