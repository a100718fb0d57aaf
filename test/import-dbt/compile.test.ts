import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkImported } from '../../import-dbt/index.ts';
import type { BronzeTableFacts } from '../../warehouse/transform/index.ts';
import { importFiles, placesOf } from './support.ts';

/** What the compiler refuses is told at its line in the dbt project, however templates moved the SQL. */

const column = (name: string, duckdbType: string) => ({
  name,
  postgresType: duckdbType.toLowerCase(),
  duckdbType,
  nullable: true,
  policy: 'error' as const,
});
const BRONZE: readonly BronzeTableFacts[] = [
  {
    source: 'till',
    table: 'orders',
    contract: { key: ['id'], columns: [column('id', 'BIGINT'), column('name', 'VARCHAR')] },
  },
];
const COLUMNS = new Map([
  [
    'bronze.till.orders',
    [
      { name: 'id', type: 'BIGINT' },
      { name: 'name', type: 'VARCHAR' },
    ],
  ],
]);
const NOTHING = { models: [], macros: [], tests: [] };
const SOURCES = 'sources: [{ name: till, tables: [{ name: orders }] }]\n';

test('refusals of the compiler name the line of the dbt file', async (t) => {
  const imported = await importFiles(
    t,
    {
      'models/sources.yml': SOURCES,
      'models/stg_limit.sql':
        "{{\n  config(\n    materialized='table'\n  )\n}}\n{% set names = ['id', 'name'] %}\n\nselect\n  {% for n in names %}\n  {{ n }}{% if not loop.last %},{% endif %}\n  {% endfor %}\nfrom {{ source('till', 'orders') }}\nlimit 5\n",
      'models/stg_random.sql':
        "-- {{ ref('stg_limit') }}\nselect id,\n\n  random() as r\nfrom {{ source('till', 'orders') }}",
      'models/stg_list.sql':
        "select\n  {{ dbt.listagg('name', \"', '\") }} as names,\n  id / 2 as half\nfrom {{ source('till', 'orders') }}\ngroup by id",
      'tests/t.sql': "select 1\nfrom {{ ref('stg_limit') }}\nwhere where\n",
    },
    { bronze: COLUMNS },
  );
  assert.equal(await checkImported(imported, { files: NOTHING, bronzeTables: BRONZE }), true);
  const places = placesOf(imported, 'left_out').sort();
  assert.deepEqual(places, [
    'models/stg_limit.sql:13: does not compile: limit without order by takes any rows',
    'models/stg_list.sql:2: does not compile: string_agg() without an order gives any result',
    'models/stg_random.sql:4: does not compile: random() is not decided by its arguments',
    'tests/t.sql:3: does not compile: syntax error at or near "where"',
  ]);
});

test('nothing is compiled where a table of bronze is not known', async (t) => {
  const imported = await importFiles(t, {
    'models/sources.yml': SOURCES,
    'models/stg_a.sql': "select id from {{ source('till', 'orders') }}",
  });
  assert.equal(await checkImported(imported, { files: NOTHING, bronzeTables: [] }), false);
});

test('what was imported compiles beside what the project has', async (t) => {
  const files = {
    'models/sources.yml': SOURCES,
    'models/stg_a.sql': "select id, name from {{ source('till', 'orders') }}",
    'models/marts/b.sql': "select *, id / 2 as half from {{ ref('stg_a') }}",
  };
  const imported = await importFiles(t, files, { bronze: COLUMNS, owner: { kind: 'columns', org: 'id' } });
  const own = {
    file: 'sql/silver/x/mine.sql',
    text: '/*\ndescription: Mine.\n*/\nselect id from silver.stg_a',
    layer: 'silver' as const,
    name: 'silver.mine',
    domain: 'x',
    table: 'mine',
  };
  assert.equal(await checkImported(imported, { files: { ...NOTHING, models: [own] }, bronzeTables: BRONZE }), true);
  assert.deepEqual(placesOf(imported, 'left_out'), []);
});
