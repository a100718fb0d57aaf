import assert from 'node:assert/strict';
import { test } from 'node:test';
import { importFiles, placesOf, sqlOf, textOf } from './support.ts';

/** What each thing of a dbt project becomes. */

const SOURCES = `sources:
  - name: till
    tables:
      - name: orders
        columns:
          - { name: id, data_type: bigint }
          - { name: shop, data_type: varchar }
          - { name: amount, data_type: "decimal(10,2)" }
          - { name: day, data_type: date }
`;
const STG = "select id, shop, amount, day from {{ source('till', 'orders') }}";

test('layers come from folders, then names; a reader of gold is gold', async (t) => {
  const imported = await importFiles(t, {
    'models/sources.yml': SOURCES,
    'models/staging/till/stg_a.sql': STG,
    'models/marts/finance/deep/a.sql': "select id from {{ ref('stg_a') }}",
    'models/dim_b.sql': "select id from {{ ref('stg_a') }}",
    'models/core/c.sql': "select id from {{ ref('stg_a') }}",
    'models/staging/till/stg_d.sql': "select id from {{ ref('dim_b') }}",
  });
  assert.deepEqual(imported.files.map(({ path }) => path).sort(), [
    'sql/gold/finance/a.sql',
    'sql/gold/shop/dim_b.sql',
    'sql/gold/till/stg_d.sql',
    'sql/silver/core/c.sql',
    'sql/silver/till/stg_a.sql',
  ]);
  assert.ok(
    placesOf(imported, 'changed').includes(
      'models/staging/till/stg_d.sql:1: lies in gold, because it reads gold.dim_b',
    ),
  );
});

test('the folder map goes before the names', async (t) => {
  const files = { 'models/sources.yml': SOURCES, 'models/core/sales/c.sql': STG };
  const imported = await importFiles(t, files, { layers: [{ folder: 'core', layer: 'gold' }] });
  assert.deepEqual(
    imported.files.map(({ path }) => path),
    ['sql/gold/sales/c.sql'],
  );
});

test('gold asks for its owner unless somebody says it', async (t) => {
  const files = { 'models/sources.yml': SOURCES, 'models/marts/a.sql': STG, 'models/marts/b.sql': 'select 1 as x' };
  const asked = await importFiles(t, files);
  assert.match(textOf(asked, 'sql/gold/shop/a.sql'), /^# owner: /m);
  assert.ok(placesOf(asked, 'left_out').includes('models/marts/a.sql:1: nobody has said who owns a row of gold.a'));
  const owned = await importFiles(t, files, { owner: { kind: 'columns', org: 'shop' } });
  assert.match(textOf(owned, 'sql/gold/shop/a.sql'), /^owner: \{ org: shop \}$/m);
  assert.match(textOf(owned, 'sql/gold/shop/b.sql'), /^# owner: /m);
  const open = await importFiles(t, files, { owner: { kind: 'public', reason: 'open data' } });
  assert.match(textOf(open, 'sql/gold/shop/b.sql'), /^owner: \{ public: open data \}$/m);
});

test('configuration comes from the tree, the properties and the file, the nearest last', async (t) => {
  const imported = await importFiles(t, {
    'dbt_project.yml':
      'name: shop\nmodels:\n  shop:\n    +materialized: table\n    +tags: [all]\n    staging:\n      +tags: low\n      b: { +materialized: view }\n',
    'models/sources.yml': `${SOURCES}models:\n  - { name: c, config: { materialized: view, tags: [props] } }\n`,
    'models/staging/a.sql': STG,
    'models/staging/b.sql': STG,
    'models/staging/c.sql': `{{ config(materialized="table", tags="own") }}\n${STG}`,
    'models/staging/d.sql': `{{ config(enabled=false) }}\n${STG}`,
  });
  assert.match(textOf(imported, 'sql/silver/shop/a.sql'), /materialized: table\ntags: \[all, low\]/);
  assert.match(textOf(imported, 'sql/silver/shop/b.sql'), /materialized: view/);
  assert.match(textOf(imported, 'sql/silver/shop/c.sql'), /materialized: table\ntags: \[all, low, props, own\]/);
  assert.ok(placesOf(imported, 'left_out').includes('models/staging/d.sql:1: the model is disabled'));
});

test('the block of is_incremental goes, and the list keeps its text', async (t) => {
  const imported = await importFiles(t, {
    'models/sources.yml': SOURCES,
    'models/staging/a.sql': `{{ config(materialized='incremental', unique_key=['id', 'day']) }}\n${STG}\n{% if is_incremental() %}\nwhere day > (select max(day) from {{ this }})\n{% else %}\nwhere id > 0\n{% endif %}`,
    'models/staging/b.sql': `{{ config(materialized='incremental') }}\n${STG}`,
  });
  assert.match(textOf(imported, 'sql/silver/shop/a.sql'), /materialized: incremental\nkey: \[id, day\]/);
  assert.equal(
    sqlOf(imported, 'sql/silver/shop/a.sql'),
    'select id, shop, amount, day from bronze.till.orders\nwhere id > 0',
  );
  const changes = placesOf(imported, 'changed').join('\n');
  assert.match(
    changes,
    /a\.sql:3: the block of is_incremental\(\) is gone.*It was: where day > \(select max\(day\) from \{\{ this \}\}\)/,
  );
  assert.match(changes, /b\.sql:1: is a table: without unique_key/);
});

test('vars, target, loops and macros with statements are filled in', async (t) => {
  const imported = await importFiles(
    t,
    {
      'dbt_project.yml': 'name: shop\nvars:\n  shop: { low: 3 }\n  kinds: [a, b]\n',
      'models/sources.yml': SOURCES,
      'macros/m.sql':
        "{% macro kinds(list) %}{% for k in list %}'{{ k }}'{% if not loop.last %}, {% endif %}{% endfor %}{% endmacro %}",
      'models/staging/a.sql': `${STG} where shop in ({{ kinds(var('kinds')) }}) and id > {{ var('low') }} and id < {{ var('high', 9) }} {% if target.name == 'dev' %}limit 1{% endif %}`,
    },
    { vars: { low: 4 } },
  );
  assert.equal(
    sqlOf(imported, 'sql/silver/shop/a.sql'),
    "select id, shop, amount, day from bronze.till.orders where shop in ('a', 'b') and id > 4 and id < 9",
  );
});

test('a macro of one expression stays a macro where its arguments mean the same', async (t) => {
  const imported = await importFiles(t, {
    'models/sources.yml': SOURCES,
    'macros/m.sql':
      '{% macro cents(c, times=100) %}({{ c }} * {{ times }})::bigint{% endmacro %}{% macro plus(a) %}{{ a }} + 1{% endmacro %}{% macro as_type(a, t) %}({{ a }}::{{ t }}){% endmacro %}',
    'models/staging/a.sql':
      "select {{ cents('amount') }} as a, {{ cents('amount + 1', times=10) }} as b, {{ plus('id') }} as c, {{ as_type('id', 'varchar') }} as d from {{ source('till', 'orders') }}",
  });
  assert.equal(
    textOf(imported, 'sql/macros/cents.sql').split('\n')[1],
    'create macro cents(c, times) as (c * times)::bigint;',
  );
  assert.equal(
    sqlOf(imported, 'sql/silver/shop/a.sql'),
    'select cents(amount, 100) as a, (amount + 1 * 10)::bigint as b, id + 1 as c, (id::varchar) as d from bronze.till.orders',
  );
  assert.equal(imported.files.filter(({ path }) => path.startsWith('sql/macros/')).length, 1);
});

test('SQL that Sluice refuses is written so that it is taken', async (t) => {
  const imported = await importFiles(t, {
    'models/sources.yml': SOURCES,
    'models/staging/a.sql': `-- a / b, avg(x)
select shop, avg(amount) as mean_amount, avg(distinct amount) as d, avg(amount) filter (where id > 1) as f, '1/2' as t,
  sum(amount) / nullif(count(*), 0) as q, sum(id) // 2 as w, max(amount)::double / 3 as k, current_date as today, sum(amount) / -2.5 as m
from {{ source('till', 'orders') }} where day < now() group by shop`,
    'models/staging/b.sql': "select shop from {{ ref('a') }}",
  });
  assert.equal(
    sqlOf(imported, 'sql/silver/shop/a.sql'),
    `-- a / b, avg(x)
select shop, mean(amount) as mean_amount, avg(distinct cast( amount as double)) as d, avg(cast(amount as double)) filter (where id > 1) as f, '1/2' as t,
  sum(amount) / nullif(count(*), 0)::double as q, sum(id) // 2 as w, max(amount)::double / 3 as k, as_of() as today, sum(amount) / -2.5::double as m
from bronze.till.orders where day < as_of()::timestamp group by shop`,
  );
  assert.match(textOf(imported, 'sql/silver/shop/a.sql'), /^as_of: recompute$/m);
  assert.match(
    textOf(imported, 'sql/silver/shop/b.sql'),
    /^as_of: recompute$/m,
    'a reader of such a view moves with the date, too',
  );
  assert.ok(
    placesOf(imported, 'changed').some((place) => place.startsWith('models/staging/a.sql:3: current_date is as_of()')),
  );
});

test('gold names its columns where dbt selects *', async (t) => {
  const imported = await importFiles(t, {
    'models/sources.yml': `${SOURCES}models:\n  - name: a\n    description: "A."\n    columns: [{ name: id, description: "The id; /* not */ a comment." }, { name: gone, description: x }]\n`,
    'models/staging/stg.sql': STG,
    'models/marts/a.sql': 'with final as (select *, 1 as "order" from {{ ref(\'stg\') }})\nselect * from final',
    'models/marts/b.sql': "select s.*, 2 as two from {{ ref('stg') }} as s union all select *, 3 from {{ ref('stg') }}",
  });
  assert.match(
    sqlOf(imported, 'sql/gold/shop/a.sql'),
    /\nselect\n {2}id,\n {2}shop,\n {2}amount,\n {2}day,\n {2}"order"\nfrom final$/,
  );
  assert.match(
    textOf(imported, 'sql/gold/shop/a.sql'),
    /id: \{ type: BIGINT, description: "The id; \/ \* not \* \/ a comment." \}/,
  );
  assert.match(
    sqlOf(imported, 'sql/gold/shop/b.sql'),
    /^select\n {2}id,\n {2}shop,\n {2}amount,\n {2}day,\n {2}two\nfrom \(\n/,
  );
  assert.ok(
    placesOf(imported, 'left_out').some((place) => place.startsWith('models/sources.yml:13: a column that the SQL')),
  );
});

test('where nobody says which columns a source has, * over it is not made up', async (t) => {
  const imported = await importFiles(t, {
    'models/sources.yml': 'sources: [{ name: till, tables: [{ name: orders }, { name: lines }] }]\n',
    'models/staging/stg_named.sql':
      "with s as (select * from {{ source('till', 'orders') }}) select id as order_id, lower(name) as name from s",
    'models/staging/stg_all.sql': "select * from {{ source('till', 'orders') }}",
    'models/marts/named.sql':
      "select s.*, l.line from {{ ref('stg_named') }} as s join {{ source('till', 'lines') }} as l on l.order_id = s.order_id",
    'models/marts/everything.sql': "select * from {{ ref('stg_all') }}",
  });
  assert.match(sqlOf(imported, 'sql/gold/shop/named.sql'), /^select\n {2}order_id,\n {2}name,\n {2}line\nfrom \(/);
  assert.ok(
    placesOf(imported, 'left_out').some((place) =>
      /everything\.sql:1: selects \* of tables whose columns are not known/.test(place),
    ),
  );
});

test('tests become tests of the header, thresholds and names with them', async (t) => {
  const imported = await importFiles(t, {
    'models/sources.yml': `${SOURCES}models:
  - name: a
    tests:
      - dbt_utils.unique_combination_of_columns: { combination_of_columns: [id, day] }
      - dbt_utils.expression_is_true: { arguments: { expression: "amount < 1000" }, config: { where: "shop = 'x'" } }
    columns:
      - name: id
        tests: [unique, not_null, { not_null: { name: id_is_there, severity: warn, warn_if: ">10" } }]
      - name: shop
        data_tests:
          - accepted_values: { values: ["a", "b'c", 3] }
          - unique: { where: "id > 0" }
          - relationships: { to: ref('b'), field: shop }
          - relationships: { to: ref('g'), field: shop }
      - name: amount
        data_tests:
          - dbt_utils.accepted_range: { min_value: 0, max_value: 10.5 }
          - dbt_utils.accepted_range: { min_value: 0, inclusive: false }
          - dbt_utils.recency: { datepart: day }
`,
    'models/staging/a.sql': STG,
    'models/staging/b.sql': STG,
    'models/marts/g.sql': STG,
  });
  const header = textOf(imported, 'sql/silver/shop/a.sql');
  assert.match(
    header,
    /^ {2}id: \{ tests: \[unique, not_null, \{ not_null: true, severity: warn, warn_if: ">10", name: id_is_there \}\] \}$/m,
  );
  assert.match(
    header,
    /^ {2}shop: \{ tests: \[\{ accepted_values: \[a, "b'c", 3\] \}, \{ relationships: \{ to: silver\.b, column: shop \} \}\] \}$/m,
  );
  assert.match(header, /^ {2}amount: \{ tests: \[\{ range: \{ min: 0, max: 10\.5 \} \}\] \}$/m);
  assert.match(header, /- \{ unique: \[id, day\] \}/);
  assert.match(header, /- \{ expression: "amount > 0" \}/);
  assert.match(header, /- \{ expression: "\(shop = 'x'\) is not true or \(amount < 1000\)" \}/);
  assert.match(
    textOf(imported, 'sql/tests/a_shop_unique.sql'),
    /from \(select \* from silver\.a where id > 0\)\ngroup by shop/,
  );
  assert.match(textOf(imported, 'sql/tests/a_shop_relationships.sql'), /anti join gold\.g as parent/);
  assert.deepEqual(
    placesOf(imported, 'left_out').filter((place) => place.includes('recency')),
    ['models/sources.yml:28: the test dbt_utils.recency is not known'],
  );
});

test('snapshots of both forms, seeds with their types', async (t) => {
  const imported = await importFiles(t, {
    'dbt_project.yml': 'name: shop\nseeds: { shop: { rates: { +column_types: { rate: "decimal(6,4)" } } } }\n',
    'models/sources.yml': `${SOURCES}seeds: [{ name: rates, description: Rates., columns: [{ name: code, tests: [unique, not_null] }] }]\nsnapshots:\n  - { name: snap_b, relation: ref('a'), config: { strategy: check, check_cols: [shop, amount], unique_key: id, hard_deletes: invalidate } }\n`,
    'seeds/rates.csv': 'code,rate\na,1.5\nb,2\n',
    'models/staging/a.sql': `select o.*, r.rate from {{ source('till', 'orders') }} as o left join {{ ref('rates') }} as r on r.code = o.shop`,
    'models/marts/g.sql': "select id, dbt_valid_from from {{ ref('snap_a') }} where dbt_valid_to is null",
    'snapshots/s.sql':
      "{% snapshot snap_a %}\n{{ config(strategy='timestamp', unique_key='id', updated_at='day') }}\nselect * from {{ ref('a') }}\n{% endsnapshot %}\n",
  });
  assert.match(
    textOf(imported, 'sql/silver/shop/snap_a.sql'),
    /materialized: snapshot\nkey: \[id\]\nsnapshot: \{ strategy: timestamp, updated_at: day, hard_deletes: ignore \}/,
  );
  assert.equal(sqlOf(imported, 'sql/silver/shop/snap_a.sql'), 'select * from silver.a');
  assert.match(
    textOf(imported, 'sql/silver/shop/snap_b.sql'),
    /snapshot: \{ strategy: check, columns: \[shop, amount\], hard_deletes: close \}/,
  );
  assert.equal(
    sqlOf(imported, 'sql/gold/shop/g.sql'),
    'select id, valid_from from silver.snap_a where valid_to is null',
  );
  assert.equal(textOf(imported, 'sql/seeds/rates.csv'), 'code,rate\na,1.5\nb,2\n');
  assert.match(
    textOf(imported, 'sql/seeds/rates.yaml'),
    /description: Rates\.\ncolumns:\n {2}code: \{ type: VARCHAR, tests: \[unique, not_null\] \}\n {2}rate: \{ type: "decimal\(6,4\)" \}\n/,
  );
});

test('dbt_utils without its package', async (t) => {
  const macros: readonly (readonly [string, string])[] = [
    [
      `dbt_utils.generate_surrogate_key(['id', 'shop'])`,
      `md5(coalesce(cast(id as varchar), '_dbt_utils_surrogate_key_null_') || '-' || coalesce(cast(shop as varchar), '_dbt_utils_surrogate_key_null_'))`,
    ],
    [`dbt_utils.safe_divide('id', 'amount')`, '(id) / nullif((amount), 0)::double'],
    [
      `dbt_utils.pivot('shop', ['a', "b'c"])`,
      `sum(case when shop = 'a' then 1 else 0 end) as "a",\n    sum(case when shop = 'b''c' then 1 else 0 end) as "b'c"`,
    ],
    [`dbt_utils.star(from=ref('stg'), except=['id'])`, `* exclude ("id")`],
    [`dbt.dateadd('month', 2, 'day')`, `(day + (interval '1 month' * (2)))`],
  ];
  const files = Object.fromEntries(
    macros.map(([call], i) => [`models/staging/m${i}.sql`, `select {{ ${call} }} from {{ ref('stg') }}`]),
  );
  const imported = await importFiles(t, { 'models/sources.yml': SOURCES, 'models/staging/stg.sql': STG, ...files });
  for (const [i, [, sql]] of macros.entries())
    assert.equal(sqlOf(imported, `sql/silver/shop/m${i}.sql`), `select ${sql} from silver.stg`);
  assert.deepEqual(placesOf(imported, 'left_out'), []);
});

test('macros of an installed package are expanded, through dispatch as well', async (t) => {
  const imported = await importFiles(t, {
    'dbt_packages/tools/dbt_project.yml': 'name: tools\n',
    'dbt_packages/tools/macros/m.sql':
      "{% macro twice(x) %}{{ return(adapter.dispatch('twice', 'tools')(x)) }}{% endmacro %}{% macro default__twice(x) %}{{ x }} * 2{% endmacro %}",
    'models/sources.yml': SOURCES,
    'models/staging/a.sql': "select {{ tools.twice('id') }} as x from {{ source('till', 'orders') }}",
  });
  assert.equal(sqlOf(imported, 'sql/silver/shop/a.sql'), 'select id * 2 as x from bronze.till.orders');
});

test('what has no place here is listed with its line', async (t) => {
  const imported = await importFiles(t, {
    'dbt_project.yml': 'name: shop\non-run-end:\n  - grant select on x to y\n',
    'packages.yml': 'packages:\n  - package: dbt-labs/dbt_utils\n    version: 1.3.0\n',
    'models/sources.yml': `${SOURCES}exposures:\n  - { name: board, type: dashboard }\nunit_tests:\n  - { name: u, model: a }\n`,
    'models/staging/a.sql': `{{ config(post_hook='analyze') }}\n${STG}`,
    'models/staging/p.py': 'def model(dbt, session): pass\n',
    'analyses/q.sql': 'select 1',
  });
  assert.deepEqual(placesOf(imported, 'left_out').sort(), [
    'analyses/q.sql:1: an analysis: dbt compiles it and never runs it',
    'dbt_project.yml:3: a hook: grant select on x to y',
    'models/sources.yml:11: who reads the tables',
    'models/sources.yml:13: a unit test',
    'models/staging/a.sql:1: a hook after the model: analyze',
    'models/staging/p.py:1: a Python model',
    'packages.yml:2: a package: its macros are expanded where you call them, its models are not carried',
  ]);
});
