/*
description: Every visit, without a key.
materialized: table
owner: { public: a golden case }
columns: { state: {}, county: {}, city: {}, last_visit_date: {} }
*/
select state, county, city, last_visit_date
from bronze.dbt.seed
