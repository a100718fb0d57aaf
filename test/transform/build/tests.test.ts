import assert from 'node:assert/strict';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { isSluiceError } from '../../../warehouse/core/errors.ts';
import type { TestResult } from '../../../warehouse/core/release.ts';
import { openShop, order, SHOP_FILES, TEN_ORDERS } from './shop.ts';
import { startBuild } from './support.ts';

/** The shop with one more model that carries the tests under test. */
function withTests(columns: string, tests = ''): Record<string, string> {
  return {
    ...SHOP_FILES,
    'gold/shop/tested.sql': `/*
description: A test.
materialized: table
owner: { public: a test }
columns: ${columns}
${tests}
*/
select id, customer, day, amount from silver.stg_orders`,
  };
}

const COLUMNS = '{ id: {}, customer: {}, day: {}, amount: {} }';

async function resultsOf(
  t: Parameters<typeof openShop>[0],
  files: Record<string, string>,
  changes = TEN_ORDERS,
): Promise<Map<string, TestResult>> {
  const { dir, lake, releases, compile } = await openShop(t, files);
  await lake.commit({ orders: changes });
  const project = await compile(files);
  const { build } = await startBuild({ dir, releases, project, bronze: lake.snapshot() });
  try {
    const results: TestResult[] = [];
    for (const layer of ['silver', 'gold'] as const) {
      await build.runModels(layer);
      results.push(...(await build.runTests(layer)));
    }
    return new Map(results.map((result) => [result.name, result]));
  } finally {
    await build.abort();
  }
}

test('each kind of test counts its failing rows and shows a few of them with their keys', async (t) => {
  const columns = `
  id: { tests: [unique, { range: { min: 2, max: 8 } }] }
  customer: { tests: [not_null, { accepted_values: [ann, "o'neil"] }, { relationships: { to: gold.customer_totals, column: customer } }] }
  day: { tests: [{ range: { min: '2026-01-02' } }] }
  amount: { tests: [{ range: { min: 1.6 } }] }`;
  const found = await resultsOf(
    t,
    withTests(columns, 'key: [id]\ntests: [{ expression: "amount < 5 -- or so", name: small, severity: warn }]'),
  );
  const facts = (name: string) => {
    const result = found.get(`gold.tested.${name}`);
    return result === undefined ? undefined : [result.status, result.failures, result.sample.length];
  };
  assert.deepEqual(facts('id.unique'), ['pass', 0, 0]);
  assert.deepEqual(facts('id.range'), ['fail', 3, 3]);
  assert.deepEqual(facts('customer.not_null'), ['fail', 2, 2]);
  assert.deepEqual(facts('customer.accepted_values'), ['fail', 5, 5]);
  assert.deepEqual(facts('customer.relationships'), ['pass', 0, 0]);
  assert.deepEqual(facts('day.range'), ['fail', 10, 5]);
  assert.deepEqual(facts('amount.range'), ['fail', 1, 1]);
  assert.deepEqual(facts('small'), ['warn', 6, 5]);
  assert.deepEqual(found.get('gold.tested.customer.not_null')?.sample, [
    { id: '4', customer: null },
    { id: '8', customer: null },
  ]);
  assert.deepEqual(found.get('gold.tested.small')?.sample[0], {
    id: '5',
    customer: 'ann',
    day: '2026-01-01',
    amount: '5.50',
  });
});

test('unique tells composite keys apart, with NULL as a value', async (t) => {
  const rows = [
    order(1, 'a', '1.00'),
    order(2, 'a', '2.00'),
    order(3, null, '1.00'),
    order(4, null, '1.00'),
    order(5, null, '1.00', '2026-01-02'),
  ].map((row) => ({ op: 'read' as const, row }));
  const found = await resultsOf(t, withTests(COLUMNS, 'tests: [{ unique: [customer, amount, day] }]'), rows);
  const result = found.get('gold.tested.unique(customer,amount,day)');
  assert.equal(result?.failures, 1);
  assert.deepEqual(result?.sample, [{ customer: null, amount: '1.00', day: '2026-01-01', rows: '2' }]);
});

test('relationships finds values that the other table lacks', async (t) => {
  const files = {
    ...withTests(
      '{ id: {}, customer: { tests: [{ relationships: { to: gold.known, column: name } }] }, day: {}, amount: {} }',
    ),
    'gold/shop/known.sql': `/*
description: A test.
materialized: table
owner: { public: a test }
columns: { name: {} }
*/
select 'ann' as name`,
  };
  const result = (await resultsOf(t, files)).get('gold.tested.customer.relationships');
  assert.deepEqual([result?.status, result?.failures, result?.sample.length], ['fail', 5, 5]);
});

test('a test whose expression cannot run is an error, and the others still count', async (t) => {
  const tests =
    'tests: [{ expression: "cast(customer as integer) > 0", name: number }, { expression: "amount > 2", name: two }]';
  const found = await resultsOf(t, withTests(COLUMNS, tests));
  assert.equal(found.get('gold.tested.number')?.status, 'error');
  assert.match(found.get('gold.tested.number')?.sample[0]?.['error'] ?? '', /ann/);
  assert.deepEqual([found.get('gold.tested.two')?.status, found.get('gold.tested.two')?.failures], ['fail', 1]);
});

test('a file of sql/tests fails with its rows, in the layer it reads', async (t) => {
  const files = {
    ...SHOP_FILES,
    'tests/sums_agree.sql': `/*
description: The totals add up to the orders.
*/
select sum(amount) as orders, (select sum(total) from gold.customer_totals) as totals
from silver.stg_orders having orders <> totals`,
    'tests/no_small_orders.sql': `/*
description: Nobody orders for less than five.
severity: warn
*/
select id, amount from silver.stg_orders where amount < 5`,
  };
  const found = await resultsOf(t, files);
  assert.equal(found.get('tests.sums_agree')?.status, 'pass');
  const small = found.get('tests.no_small_orders');
  assert.deepEqual([small?.status, small?.failures], ['warn', 4]);
  assert.deepEqual(small?.sample[0], { id: '1', amount: '1.50' });
});

test('a failing test leaves the last release; a warning does not hold it up', async (t) => {
  const files = withTests(
    '{ id: {}, customer: { tests: [{ not_null: true, severity: warn }] }, day: {}, amount: { tests: [{ range: { min: 0 } }] } }',
  );
  const { lake, run, releases } = await openShop(t, files);
  await lake.commit({ orders: TEN_ORDERS });
  const first = await run();
  assert.equal(first.release.tests.find((result) => result.name === 'gold.tested.customer.not_null')?.status, 'warn');
  await lake.commit({ orders: [{ op: 'insert', row: order(11, 'eve', '-1.00') }] });
  await assert.rejects(run(), (error: unknown) => {
    assert.ok(isSluiceError(error, 'TESTS_FAILED'));
    assert.match(error.message, /gold\.tested\.amount\.range \(1 row/);
    return true;
  });
  assert.deepEqual(await releases.current(), first.release);
  await lake.commit({ orders: [{ op: 'delete', row: order(11, 'eve', '-1.00') }] });
  assert.equal((await run()).release.number, 2);
});

test('a build that was not tested does not finish', async (t) => {
  const { dir, lake, releases, project } = await openShop(t);
  await lake.commit({ orders: TEN_ORDERS });
  const { build } = await startBuild({ dir, releases, project, bronze: lake.snapshot() });
  await build.runModels('silver');
  await build.runModels('gold');
  await build.runTests('gold');
  await assert.rejects(build.finish(), /silver was not built and tested/);
  await build.abort();
});

test('up to 100 failing rows of each test are kept with their keys, and the folders of the last 20 builds', async (t) => {
  const files = withTests(
    '{ id: { tests: [{ range: { max: 0 }, name: "odd/name" }] }, customer: {}, day: {}, amount: {} }',
    'key: [id]',
  );
  const { dir, lake, releases, compile } = await openShop(t, files);
  const changes = Array.from({ length: 150 }, (_, i) => ({ op: 'read' as const, row: order(i + 1, 'ann', '1.00') }));
  await lake.commit({ orders: changes });
  const project = await compile(files);
  const parent = join(dir, 'failures');
  const folders = Array.from({ length: 25 }, (_, i) => `20260101T0000${String(i + 10)}Z-aaaaaaaa`);
  for (const name of folders) await mkdir(join(parent, name), { recursive: true });
  const failuresDir = join(parent, '20270101T000000Z-bbbbbbbb');
  const { build } = await startBuild({ dir, releases, project, bronze: lake.snapshot(), failuresDir });
  for (const layer of ['silver', 'gold'] as const) {
    await build.runModels(layer);
    await build.runTests(layer);
  }
  await assert.rejects(build.finish(), (error: unknown) => {
    assert.ok(isSluiceError(error, 'TESTS_FAILED'));
    assert.match(error.message, /gold\.tested\.odd\/name \(150 rows: id 1, id 2, id 3, …\)/);
    assert.ok(error.remedy?.includes(failuresDir));
    return true;
  });
  await build.abort();
  const path = join(failuresDir, 'gold.tested.odd_name.ndjson');
  const rows = (await readFile(path, 'utf8')).trimEnd().split('\n');
  assert.deepEqual(
    [rows.length, JSON.parse(rows[99] ?? '')],
    [100, { id: '100', customer: 'ann', day: '2026-01-01', amount: '1.00' }],
  );
  assert.deepEqual((await readdir(parent)).sort(), [...folders.slice(6), '20270101T000000Z-bbbbbbbb']);
});
