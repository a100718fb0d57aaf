/*
description: Reads the model whose columns change, by name.
materialized: incremental
key: [id]
owner: { public: a golden case }
columns: { id: {}, field1: {} }
*/
select id, field1 from gold.target
