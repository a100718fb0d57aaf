/*
description: With a column of the source that is new, and one that is computed.
materialized: incremental
key: [id]
owner: { public: a golden case }
columns: { id: {}, field1: {}, field2: {}, field3: {}, length1: {} }
*/
select id, field1, field2, field3, length(field1) as length1 from bronze.dbt.model_a
