/*
description: Other types under the same names.
materialized: incremental
key: [id]
owner: { public: a golden case }
columns: { id: { type: VARCHAR }, field1: { type: BIGINT } }
*/
select cast(id as varchar) as id, length(field1) as field1 from bronze.dbt.model_a
