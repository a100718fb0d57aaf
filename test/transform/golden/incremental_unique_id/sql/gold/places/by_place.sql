/*
description: Three key columns, of which county and city may be NULL; the last visit of each place.
materialized: incremental
key: [state, county, city]
owner: { public: a golden case }
columns: { state: {}, county: {}, city: {}, last_visit_date: {}, visits: {} }
*/
select state, county, city, max(last_visit_date) as last_visit_date, count(*) as visits
from bronze.dbt.visits
group by state, county, city
