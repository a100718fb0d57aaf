import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { openDuckDb } from '../../../warehouse/core/duckdb.ts';
import { isSluiceError } from '../../../warehouse/core/errors.ts';
import type { TestResult } from '../../../warehouse/core/release.ts';
import { scanSql } from '../../../warehouse/transform/build/run-tests.ts';
import { toTestSql } from '../../../warehouse/transform/build/test-sql.ts';
import { openShop, order, TEN_ORDERS } from './shop.ts';
import { type BuildRequest, type Change, startBuild } from './support.ts';

/** What a build looks at to know that every test is true of the whole table, and that looking at less never hides a failure. */

const FILES = {
  'silver/shop/stg_orders.sql': `/*
description: Orders, as a table that follows single rows.
materialized: incremental
key: [id]
columns: { id: { tests: [not_null] } }
*/
select id, customer, day, amount from bronze.app.orders`,
  'silver/shop/customers.sql': `/*
description: Everybody with an order of a day, who is a parent.
materialized: incremental
key: [customer]
*/
select customer, min(day) as since from silver.stg_orders where id < 100 group by customer`,
  'silver/shop/dear.sql': `/*
description: A view that is tested itself and is a parent.
materialized: view
columns: { customer: { tests: [{ not_null: true, severity: warn }] } }
*/
select customer, amount from silver.stg_orders where amount > 1`,
  'gold/shop/facts.sql': `/*
description: One row per order.
materialized: incremental
key: [id]
owner: { public: a test }
columns:
  id: { tests: [unique] }
  customer: { tests: [{ relationships: { to: silver.customers, column: customer } }, { relationships: { to: silver.dear, column: customer }, name: is_dear, severity: warn }, { accepted_values: [ann, bob, cy] }] }
  day: { tests: [{ range: { max: '2026-06-30' }, where: amount > 0 }] }
  amount: { tests: [not_null, { range: { min: 0 }, name: low, severity: warn, warn_if: ">1" }] }
tests:
  - { unique: [customer, amount] }
  - { unique: [day], where: id >= 100 }
  - { expression: amount < 1000, name: small }
  - { expression: "amount <= (select max(amount) from silver.stg_orders where id < 100)", name: below_the_top }
  - { row_count: { max: 14 } }
*/
select id, customer, day, amount from silver.stg_orders`,
};

const scopesOf = (tests: readonly TestResult[]): Record<string, string | undefined> =>
  Object.fromEntries(tests.map(({ name, scope }) => [name, scope]));

const only = (tests: readonly TestResult[], prefix: string) =>
  new Set(tests.filter(({ name }) => name.startsWith(prefix)).map(({ scope }) => scope));

test('after an increment the changed rows are tested, after nothing nothing, and asked for all is tested', async (t) => {
  const { lake, run } = await openShop(t, FILES);
  const orders = TEN_ORDERS.filter(({ row }) => row.customer !== null);
  await lake.commit({ orders });
  const first = await run();
  assert.deepEqual(only(first.tests, ''), new Set(['whole']));
  const second = await run();
  assert.deepEqual(only(second.tests, ''), new Set(['unchanged', 'whole']));
  assert.equal(scopesOf(second.tests)['gold.facts.below_the_top'], 'whole', 'it asks another table');
  await lake.commit({ orders: [{ op: 'insert', row: order(11, 'ann', '11.50') }] });
  const third = await run();
  const scopes = scopesOf(third.tests);
  assert.equal(third.actions['gold.facts'], 'refreshed');
  assert.equal(scopes['silver.stg_orders.id.not_null'], 'changes');
  assert.equal(scopes['gold.facts.id.unique'], 'changes');
  assert.equal(scopes['gold.facts.unique(customer,amount)'], 'changes');
  assert.equal(scopes['gold.facts.customer.relationships'], 'changes');
  assert.equal(scopes['gold.facts.day.range'], 'changes');
  assert.equal(scopes['gold.facts.row_count'], 'whole');
  const asked = await run({ fullTests: true });
  assert.deepEqual(only(asked.tests, ''), new Set(['whole']));
});

test('a test that is new, says something else, or was not clean before is asked of the whole table', async (t) => {
  const { lake, run, compile } = await openShop(t, FILES);
  await lake.commit({ orders: TEN_ORDERS.filter(({ row }) => row.customer !== null) });
  await run();
  const file = 'gold/shop/facts.sql';
  const changed = {
    ...FILES,
    [file]: FILES[file].replace('amount < 1000', 'amount < 999').replace('[ann, bob, cy]', '[ann, bob, cy, di]'),
  };
  const project = await compile(changed);
  const second = scopesOf((await run({ project })).tests);
  assert.equal(second['gold.facts.small'], 'whole');
  assert.equal(second['gold.facts.customer.accepted_values'], 'whole');
  assert.equal(second['gold.facts.id.unique'], 'unchanged');
  // Two amounts below 0 are a warning; while there are any, the table is looked at whole.
  await lake.commit({
    orders: [order(21, 'ann', '-1.00'), order(22, 'bob', '-2.00')].map((row) => ({ op: 'insert' as const, row })),
  });
  const warned = (await run({ project })).tests.find(({ name }) => name === 'gold.facts.low');
  assert.deepEqual([warned?.status, warned?.failures, warned?.scope], ['warn', 2, 'whole']);
  await lake.commit({ orders: [{ op: 'delete', row: order(21, 'ann', '-1.00') }] });
  const passed = (await run({ project })).tests.find(({ name }) => name === 'gold.facts.low');
  assert.deepEqual([passed?.status, passed?.failures, passed?.scope], ['pass', 1, 'whole']);
});

test('a parent that goes away is seen though no row of the child changed', async (t) => {
  const files = {
    ...FILES,
    'gold/shop/facts.sql': `/*
description: The orders of number 100 and more.
materialized: incremental
key: [id]
owner: { public: a test }
columns: { id: {}, customer: { tests: [{ relationships: { to: silver.customers, column: customer } }] } }
*/
select id, customer from silver.stg_orders where id >= 100`,
  };
  const { lake, run } = await openShop(t, files);
  await lake.commit({
    orders: [order(1, 'ann', '1.00'), order(2, 'bob', '2.00'), order(100, 'bob', '3.00')].map((row) => ({
      op: 'insert' as const,
      row,
    })),
  });
  await run();
  await lake.commit({ orders: [{ op: 'delete', row: order(1, 'ann', '1.00') }] });
  const harmless = await run();
  assert.equal(harmless.actions['gold.facts'], 'unchanged');
  assert.equal(scopesOf(harmless.tests)['gold.facts.customer.relationships'], 'changes');
  await lake.commit({ orders: [{ op: 'delete', row: order(2, 'bob', '2.00') }] });
  await assert.rejects(run(), (error: unknown) => {
    assert.ok(isSluiceError(error, 'TESTS_FAILED'));
    assert.match(error.message, /gold\.facts\.customer\.relationships \(1 row: id 100\)/);
    return true;
  });
});

test('a test that looks beyond its row is asked of every row, whatever changed', async (t) => {
  const files = {
    ...FILES,
    'macros/few.sql': 'create macro few(x) as x < 9',
    'tests/steady.sql': "/*\ndescription: Nobody is called Zoe.\n*/\nselect id from gold.facts where customer = 'Zoe'",
    'tests/dated.sql': '/*\ndescription: Nothing is dated later.\n*/\nselect id from gold.facts where day > as_of()',
    'tests/counted.sql':
      '/*\ndescription: A macro may say something else tomorrow.\n*/\nselect id from gold.facts where not few(amount)',
  };
  const { lake, run, compile } = await openShop(t, files);
  const orders = [order(1, 'ann', '1.00'), order(2, 'bob', '2.00'), order(3, 'cy', '3.00'), order(100, 'ann', '3.00')];
  await lake.commit({ orders: orders.map((row) => ({ op: 'insert' as const, row })) });
  await run();
  const second = scopesOf((await run()).tests);
  assert.deepEqual(
    ['steady', 'dated', 'counted'].map((name) => second[`tests.${name}`]),
    ['unchanged', 'whole', 'whole'],
  );
  // The dearest order goes: the row of order 100, which is as it was, is now above all others.
  await lake.commit({ orders: [{ op: 'delete', row: order(3, 'cy', '3.00') }] });
  await assert.rejects(run(), /gold\.facts\.below_the_top \(1 row: id 100\)/);
  await lake.commit({ orders: [{ op: 'insert', row: order(3, 'cy', '3.00') }] });
  assert.equal(
    scopesOf((await run()).tests)['tests.steady'],
    'unchanged',
    'the rows are those of the last release again',
  );
  const project = await compile({ ...files, 'macros/few.sql': 'create macro few(x) as x < 2' });
  await assert.rejects(run({ project }), /tests\.counted \(3 rows\)/);
  await assert.rejects(run({ asOf: '2025-12-31' }), /tests\.dated \(4 rows\)/);
});

/** Runs a build to its tests and throws it away. */
async function testsOf(request: Omit<BuildRequest, 'dir'> & { readonly dir: string }): Promise<readonly TestResult[]> {
  const { build } = await startBuild(request);
  try {
    const results: TestResult[] = [];
    for (const layer of ['silver', 'gold'] as const) {
      await build.runModels(layer);
      results.push(...(await build.runTests(layer)));
    }
    return results;
  } finally {
    await build.abort();
  }
}

const verdict = ({ scope: _scope, ...result }: TestResult) => result;

test('whatever changes, the verdicts are those of the whole table', async (t) => {
  const customer = fc.constantFrom('ann', 'bob', 'cy', 'di', null);
  const row = fc.record({
    id: fc.oneof(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 100, max: 106 })),
    customer,
    amount: fc.constantFrom('1.00', '2.00', '3.00', '-1.00', '2000.00'),
    day: fc.constantFrom('2026-01-01', '2026-01-02', '2026-12-31'),
  });
  const batch = fc.array(fc.record({ row, gone: fc.boolean() }), { minLength: 1, maxLength: 3 });
  const histories = fc.sample(fc.array(batch, { minLength: 5, maxLength: 5 }), { numRuns: 4, seed: 20_261_121 });
  const seen = { changes: 0, unchanged: 0, failed: 0 };
  // Severity warn, so that releases with failures are published and histories go on through them.
  const files = { ...FILES, 'gold/shop/facts.sql': toWarnings(FILES['gold/shop/facts.sql']) };
  for (const history of histories) {
    const { dir, lake, releases, project, run } = await openShop(t, files);
    const current = new Map<number, ReturnType<typeof order>>();
    await lake.commit({
      orders: ['ann', 'bob', 'cy'].map((name, i) => ({ op: 'read' as const, row: order(i + 1, name, `${i + 1}.00`) })),
    });
    for (let i = 0; i < 3; i++) current.set(i + 1, order(i + 1, ['ann', 'bob', 'cy'][i] ?? null, `${i + 1}.00`));
    await run();
    for (const changes of history) {
      const byId = new Map(changes.map((change) => [change.row.id, change]));
      const orders = [...byId.values()].flatMap(({ row, gone }): Change[] => {
        const next = order(row.id, row.customer, row.amount, row.day);
        const old = current.get(row.id);
        if (gone && old === undefined) return [];
        if (gone && old !== undefined) {
          current.delete(row.id);
          return [{ op: 'delete', row: old }];
        }
        current.set(row.id, next);
        return [{ op: old === undefined ? 'insert' : 'update', row: next }];
      });
      await lake.commit({ orders });
      const request = { dir, releases, project, bronze: lake.snapshot(), limits: { maxTouchedShare: 1 } };
      const whole = await testsOf({ ...request, fullTests: true });
      const narrow = await run();
      assert.deepEqual(narrow.tests.map(verdict), whole.map(verdict), JSON.stringify({ history, changes }));
      for (const { scope } of narrow.tests) if (scope === 'changes' || scope === 'unchanged') seen[scope] += 1;
      seen.failed += narrow.tests.filter(({ failures }) => failures > 0).length;
    }
  }
  // Else the histories would have proven nothing.
  assert.ok(seen.changes > 20 && seen.unchanged > 5 && seen.failed > 20, JSON.stringify(seen));
});

function toWarnings(file: string): string {
  return file
    .replace('id: { tests: [unique] }', 'id: { tests: [{ unique: true, severity: warn }] }')
    .replace('column: customer } }', 'column: customer }, severity: warn }')
    .replace('[ann, bob, cy] }', '[ann, bob, cy], severity: warn }')
    .replace('where: amount > 0 }', 'where: amount > 0, severity: warn }')
    .replace('[customer, amount] }', '[customer, amount], severity: warn }')
    .replace('where: id >= 100 }', 'where: id >= 100, severity: warn }')
    .replace('name: small }', 'name: small, severity: warn }')
    .replace('name: below_the_top }', 'name: below_the_top, severity: warn }')
    .replace('{ max: 14 } }', '{ max: 14 }, severity: warn }');
}

test('all tests of a model, whatever their severity and rows, read its table once', async (t) => {
  const { dir, lake, releases, project } = await openShop(t, FILES);
  await lake.commit({ orders: TEN_ORDERS.filter(({ row }) => row.customer !== null) });
  const { build, paths } = await startBuild({ dir, releases, project, bronze: lake.snapshot() });
  for (const layer of ['silver', 'gold'] as const) {
    await build.runModels(layer);
    await build.runTests(layer);
  }
  await build.finish();
  const model = project.models.find(({ name }) => name === 'gold.facts');
  assert.ok(model !== undefined && model.tests.length >= 10);
  const db = await openDuckDb({ threads: 1 });
  try {
    for (const file of ['silver', 'gold'] as const) await db.run(`attach '${paths[file]}' as ${file} (read_only)`);
    const sql = scanSql(
      model,
      model.tests.map((entry, i) => ({ test: entry, sql: toTestSql(entry, i) })),
    );
    const plan = await db.rows<{ explain_value: string }>(`explain (format json) ${sql}`);
    const scans = [
      ...plan
        .map((row) => row.explain_value)
        .join('')
        .matchAll(/"Table": "([^"]+)"/g),
    ].map((match) => match[1]);
    assert.equal(scans.filter((name) => name?.endsWith('facts')).length, 1, scans.join(', '));
  } finally {
    db.close();
  }
});
