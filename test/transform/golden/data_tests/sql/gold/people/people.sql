/*
description: People.
materialized: incremental
key: [id]
owner: { public: a golden case }
columns:
  id: { tests: [not_null, unique] }
  first_name: { tests: [{ accepted_values: [Jack, Kathryn, Gerald, Bonnie, Harold, Jacqueline, Wanda, Jack, Louise], name: known_name }] }
  last_name: { tests: [{ not_null: true, where: "gender is not null" }] }
  gender: {}
  ip_address: { tests: [{ unique: true, where: "ip_address <> ''", name: own_address }] }
  boss: { tests: [{ relationships: { to: gold.people, column: id } }] }
  seen: {}
tests:
  - { expression: "boss <> id", name: nobody_is_his_own_boss }
  - { expression: "gender in ('Male', 'Female')", name: few_others, warn_if: ">0", error_if: ">=2" }
  - { expression: "length(first_name) > 2", name: short_names, severity: warn, warn_if: ">20%" }
  - { row_count: { min: 1, max: 6 } }
  - { freshness: { column: seen, warn_after: 2 days, error_after: 7 days } }
*/
select id, first_name, last_name, gender, ip_address, boss, seen from bronze.dbt.people
