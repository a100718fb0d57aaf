import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isSluiceError } from '../../../warehouse/core/errors.ts';
import { compileProject, planBuild } from '../../../warehouse/transform/index.ts';
import { openWorld } from '../snapshot/world.ts';

const TABLES = { orders: { key: ['id'], columns: { id: 'BIGINT', country: 'VARCHAR', amount: 'DECIMAL(14,2)' } } };

const YAML = `description: Names and rates of countries.
key: [code]
columns:
  code: { type: VARCHAR, description: "ISO code.", tests: [not_null] }
  name: { type: VARCHAR }
  rate: { type: "DECIMAL(5,2)", tests: [{ range: { min: 0 } }] }
  since: { type: DATE }
`;
const CSV =
  'code,name,rate,since\nat,Austria,20.00,1995-01-01\nde,"Germany, ""D""",19,\nfr,,20.5,1958-01-01\nit,"",22,1958-01-01\n';

const FILES = {
  'seeds/countries.csv': CSV,
  'seeds/countries.yaml': YAML,
  'gold/app/by_order.sql': `/*
description: Orders with their country.
materialized: incremental
key: [id]
incremental: { by: [country] }
owner: { public: a test }
columns: { id: {}, country: {}, name: {}, rate: {} }
*/
select orders.id, orders.country, countries.name, countries.rate
from bronze.app.orders as orders left join silver.countries as countries on countries.code = orders.country`,
};

const orders = (count: number) =>
  Array.from({ length: count }, (_, i) => ({
    op: 'read' as const,
    row: { id: i, country: ['at', 'de', 'fr', 'it'][i % 4] ?? null, amount: '1.00' },
  }));

test('a seed is a table of silver, tested and planned like any other, and its changed rows alone reach an increment', async (t) => {
  const { lake, run, rows, compile } = await openWorld(t, TABLES, FILES);
  await lake.commit({ orders: orders(8) });
  const first = await run();
  assert.deepEqual(first.actions, { 'silver.countries': 'rebuilt', 'gold.by_order': 'rebuilt' });
  assert.deepEqual(
    first.tests.map(({ name, status }) => [name, status]),
    [
      ['silver.countries.unique(code)', 'pass'],
      ['silver.countries.code.not_null', 'pass'],
      ['silver.countries.rate.range', 'pass'],
      ['gold.by_order.unique(id)', 'pass'],
    ],
  );
  assert.deepEqual(await rows('select distinct country, name, rate from gold.main.by_order order by all'), [
    ['at', 'Austria', '20.00'],
    ['de', 'Germany, "D"', '19.00'],
    ['fr', null, '20.50'],
    ['it', '', '22.00'],
  ]);
  const changed = await compile({
    ...FILES,
    'seeds/countries.csv': CSV.replace('20.5', '21.00').replace('Austria', 'Österreich'),
  });
  const plan = planBuild({ project: changed, previous: first.release, bronze: lake.snapshot(), asOf: '2026-01-31' });
  assert.deepEqual(
    plan.steps.map(({ model, materialized, action, why }) => [model, materialized, action, why]),
    [
      ['silver.countries', 'seed', 'rebuild', 'its file changed'],
      ['gold.by_order', 'incremental', 'refresh', 'if changed: silver.countries'],
    ],
  );
  const second = await run({ project: changed, limits: { maxTouchedShare: 0.6 } });
  const increment = second.outcomes.find(({ name }) => name === 'gold.by_order');
  assert.equal(second.outcomes[0]?.changedRows, 2);
  assert.equal(increment?.action, 'refreshed');
  assert.match(increment?.why ?? '', /2 country touched/);
  assert.equal(increment?.changedRows, 4);
  assert.deepEqual(
    await rows("select distinct name, rate from gold.main.by_order where country in ('at', 'fr') order by all"),
    [
      ['Österreich', '20.00'],
      [null, '21.00'],
    ],
  );
});

test('layout, quotes, line ends and the order of rows are no change of a seed', async (t) => {
  const { lake, run, compile } = await openWorld(t, TABLES, FILES);
  await lake.commit({ orders: orders(4) });
  await run();
  const [head = '', ...lines] = CSV.trimEnd().split('\n');
  const csv = `\uFEFF${[head, ...lines.toReversed()].join('\r\n').replace('Austria', '"Austria"')}`;
  const { actions } = await run({ project: await compile({ ...FILES, 'seeds/countries.csv': csv }) });
  assert.deepEqual(actions, { 'silver.countries': 'unchanged', 'gold.by_order': 'unchanged' });
});

test('a failing test of a seed stops the release', async (t) => {
  const { lake, run } = await openWorld(t, TABLES, { ...FILES, 'seeds/countries.csv': CSV.replace('20.00', '-1') });
  await lake.commit({ orders: orders(4) });
  await assert.rejects(run(), (error) => isSluiceError(error, 'TESTS_FAILED') && /rate\.range/.test(error.message));
});

async function problemsOf(csv: string | undefined, yaml: string | undefined): Promise<string[]> {
  const seed = { stem: 'sql/seeds/countries', table: 'countries', csv, yaml };
  try {
    await compileProject({ files: { models: [], macros: [], tests: [], seeds: [seed] }, bronzeTables: [] });
  } catch (error) {
    if (!isSluiceError(error)) throw error;
    const found = error.details['diagnostics'] as {
      message: string;
      at: { file: string; line: number; column: number };
    }[];
    return found.map(({ message, at }) => `${at.file.slice('sql/seeds/'.length)}:${at.line}:${at.column} ${message}`);
  }
  return [];
}

const BAD_VALUES: readonly (readonly [type: string, good: readonly string[], bad: readonly string[]])[] = [
  ['INTEGER', ['42', '-7', '+1', '007'], ['1.5', '1e3', ' 1', '1 ', '2147483648', 'NULL', '0x1']],
  ['DECIMAL(5,2)', ['1', '1.5', '-1.50', '1.5000', '999.99'], ['1.505', '1000', '.5', '1,5']],
  ['BOOLEAN', ['true', 'false'], ['1', 'TRUE', 'yes', 't']],
  ['DATE', ['2024-02-29'], ['2026-02-30', '2026-1-1', '01/02/2026', '2026-01-01 00:00:00']],
  [
    'TIMESTAMP',
    ['2026-01-01 08:00', '2026-01-01T08:00:00.123456'],
    ['2026-01-01', '2026-01-01 08:00:00Z', '2026-01-01 25:00:00'],
  ],
  ['TIMESTAMPTZ', ['2026-01-01 08:00:00Z', '2026-01-01 08:00:00+02'], ['2026-01-01 08:00:00']],
  ['DOUBLE', ['1', '1.5e-3', '.5'], ['inf', 'nan', '1e999', '0x10']],
  [
    'UUID',
    ['123e4567-e89b-12d3-a456-426614174000'],
    ['123e4567e89b12d3a456426614174000', '{123e4567-e89b-12d3-a456-426614174000}'],
  ],
];

test('a value that is not of its type is an error at its line and column, and nothing is rounded or trimmed', async () => {
  for (const [type, good, bad] of BAD_VALUES) {
    const yaml = `description: A test.\ncolumns: { n: { type: INTEGER }, v: { type: "${type}" } }\n`;
    const csv = (values: readonly string[]): string =>
      `n,v\n${values.map((value, i) => `${i},"${value}"`).join('\n')}\n`;
    assert.deepEqual(await problemsOf(csv(good), yaml), [], type);
    const found = await problemsOf(csv(bad), yaml);
    assert.equal(found.length, bad.length, `${type}: ${found.join('; ')}`);
    for (const [i, value] of bad.entries()) {
      assert.ok(found[i]?.startsWith(`countries.csv:${i + 2}:3 v is ${JSON.stringify(value)}, which is no `), found[i]);
    }
  }
});

test('whatever is wrong with a seed is said at its place', async () => {
  const yaml = 'description: A test.\nkey: [a]\ncolumns: { a: { type: INTEGER }, b: { type: VARCHAR } }\n';
  const cases: readonly (readonly [csv: string | undefined, yaml: string | undefined, expected: RegExp])[] = [
    ['a,b\n1,x\n', undefined, /^countries\.csv:1:1 the types of the seed are not declared/],
    [undefined, yaml, /^countries\.yaml:1:1 the rows of the seed are missing/],
    ['a,b\n1\n', yaml, /^countries\.csv:2:1 the row has 1 fields, the first line 2/],
    ['a,b\n1,x,y\n', yaml, /^countries\.csv:2:5 the row has 3 fields/],
    [
      'a,c\n1,x\n',
      yaml,
      /^countries\.csv:1:1 the declared column b is missing.*countries\.csv:1:3 the column "c" is not declared/s,
    ],
    ['a,b,a\n1,x,2\n', yaml, /^countries\.csv:1:5 the column a stands twice/],
    ['a,b\n1,x\n2,y\n1,z\n', yaml, /^countries\.csv:4:1 the key a 1 stands in line 2 already/],
    ['a,b\n1,"x\n', yaml, /^countries\.csv:2:3 a quoted field is not closed/],
    ['a,b\n1,x"y\n', yaml, /^countries\.csv:2:4 a quote stands within a field/],
    ['a,b\n1,"x"y\n', yaml, /^countries\.csv:2:6 text follows a quoted field/],
    ['a,b\n1,x\n\n2,y\n', yaml, /^countries\.csv:3:1 a line is empty/],
    ['a,b\n1,\uFFFD\n', yaml, /^countries\.csv:2:3 a character is not UTF-8 text/],
    ['', yaml, /the declared column a is missing/],
    [
      'a,b\n',
      yaml.replace('INTEGER', 'MONEY'),
      /^countries\.yaml:3:17 the column a is declared MONEY, which is no type of a seed/,
    ],
    ['a,b\n', yaml.replace('{ type: INTEGER }', '{}'), /^countries\.yaml:3:12 the column a has no type/],
    ['a,b\n', yaml.replace('[a]', '[aa]'), /^countries\.yaml:2:7 the key names aa.*did you mean a\?/],
    ['a,b\n', `${yaml}delimiter: ";"\n`, /^countries\.yaml:4:1 header: delimiter is not a known field/],
  ];
  for (const [csv, text, expected] of cases) assert.match((await problemsOf(csv, text)).join('\n'), expected);
  assert.deepEqual(await problemsOf('a,b\n', yaml), [], 'a seed without rows is a table without rows');
});

test('a seed and a model of one name, or a seed with a bad name, are refused', async () => {
  const seeds = ['countries', 'Bad-Name'].map((table) => ({
    stem: `sql/seeds/${table}`,
    table,
    csv: 'a\n',
    yaml: 'description: x\n',
  }));
  const model = {
    file: 'sql/silver/app/countries.sql',
    layer: 'silver' as const,
    name: 'silver.countries',
    domain: 'app',
    table: 'countries',
  };
  const files = { models: [{ ...model, text: '/*\ndescription: x\n*/\nselect 1 as a' }], macros: [], tests: [], seeds };
  await assert.rejects(compileProject({ files, bronzeTables: [] }), (error) => {
    assert.ok(isSluiceError(error, 'SEED_INVALID'));
    assert.match(error.message, /silver\.countries is defined already/);
    assert.match(error.message, /Bad-Name is not a table name/);
    return true;
  });
});
