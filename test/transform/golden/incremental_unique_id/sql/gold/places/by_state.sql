/*
description: One key column; the last visit of each state.
materialized: incremental
key: [state]
owner: { public: a golden case }
columns: { state: {}, county: {}, city: {}, last_visit_date: {} }
*/
select state, county, city, last_visit_date
from bronze.dbt.visits
qualify row_number() over (partition by state order by last_visit_date desc, id desc) = 1
