/*
description: Every type, as it is; reserved words and mixed case are names like others.
materialized: incremental
key: [id]
owner: { public: a golden case }
columns: { id: {}, select: {}, Mixed Case: {}, flag: {}, ratio: {}, small: {}, amount: {}, big: {}, day: {}, at: {}, at_zone: {}, clock: {}, span: {}, bytes: {}, uid: {}, doc: {}, list: {}, texts: {}, pair: {}, mapping: {} }
*/
select id, "select", "Mixed Case", flag, ratio, small, amount, big, day, "at", at_zone, clock, span, bytes, uid, doc, list, texts, pair, mapping
from bronze.dbt.things
