import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openDuckDb } from '../../../warehouse/core/duckdb.ts';
import { decideModel } from '../../../warehouse/transform/build/decide-model.ts';
import { handOnLimit, refreshLimit } from '../../../warehouse/transform/build/refresh-limit.ts';
import { rebuildTable } from '../../../warehouse/transform/build/write-table.ts';
import { planBuild } from '../../../warehouse/transform/index.ts';
import { compile, modelText } from '../compile/project.ts';
import { openShop, order } from './shop.ts';

/** The limits that hold where a project sets none. */
const limits = {};

const MODEL = modelText('select id, amount from bronze.app.payments', ['materialized: incremental', 'key: [id]']);
const STATE = {
  name: 'silver.m',
  materialized: 'incremental',
  dataVersion: 1,
  consumed: { 'bronze.app.payments': 1 },
  columns: [],
} as const;

test('a fifth of few rows may be touched, and a twenty-fifth of many', () => {
  assert.deepEqual(
    [10, 50_000, 100_000, 1_000_000].map((rows) => refreshLimit(rows, undefined)),
    [2, 10_000, 10_000, 40_000],
  );
  assert.equal(refreshLimit(1000, 0.5), 500);
  assert.equal(handOnLimit(1_000_000, undefined), 200_000);
});

test('a change that the log shows to be too large is planned and run as a rebuild, and both say so', async (t) => {
  const { lake, project, releases, run, gold } = await openShop(t);
  const rows = Array.from({ length: 40 }, (_, i) => order(i, `c${i % 20}`, '1.00'));
  await lake.commit({ orders: rows.map((row) => ({ op: 'read' as const, row })) });
  await run({ limits });
  const change = (count: number, amount: string) =>
    lake.commit({ orders: rows.slice(0, count).map((row) => ({ op: 'update' as const, row: { ...row, amount } })) });
  const planned = async () => {
    const previous = await releases.current();
    const plan = planBuild({ project, previous, bronze: lake.snapshot(), asOf: '2026-01-31' });
    return plan.steps.find(({ model }) => model === 'gold.fct_orders');
  };

  await change(4, '2.00');
  assert.equal((await planned())?.action, 'refresh');
  const small = await run({ limits });
  assert.equal(small.actions['gold.fct_orders'], 'refreshed');
  assert.equal(small.actions['gold.customer_totals'], 'refreshed');

  await change(20, '3.00');
  const why = '20 of 64 rows of bronze.app.orders changed';
  const step = await planned();
  assert.deepEqual([step?.action, step?.why], ['rebuild', why]);
  const large = await run({ limits });
  assert.equal(large.actions['gold.fct_orders'], 'rebuilt');
  assert.equal(large.outcomes.find(({ name }) => name === 'gold.fct_orders')?.why, why);
  assert.equal(large.actions['gold.customer_totals'], 'rebuilt');
  const totals = await gold('customer_totals');
  assert.deepEqual(totals.slice(0, 2), [
    ['c0', 2, '4.00'],
    ['c1', 2, '4.00'],
  ]);
});

test('only a change of many rows is large enough to go without a comparison', async () => {
  const project = await compile({ 'sql/silver/app/m.sql': MODEL });
  const [model] = project.models;
  assert.ok(model);
  const decide = (changed: number, rows: number) =>
    decideModel({
      model,
      state: { ...STATE, fingerprint: model.fingerprint, rows },
      versions: new Map([['bronze.app.payments', 2]]),
      knowsChanges: () => true,
      countChanges: () => ({ changed, rows }),
      asOf: '2026-01-31',
      fullRefresh: false,
    });
  assert.equal(decide(2400, 12_000).kind, 'refresh');
  assert.deepEqual(decide(900, 1000), {
    kind: 'rebuild',
    why: '900 of 1000 rows of bronze.app.payments changed',
    isLarge: false,
  });
  const large = decide(11_000, 12_000);
  assert.equal(large.kind === 'rebuild' && large.isLarge, true);
});

test('after a large change a table is written whole, and left alone where nothing of it changed', async (t) => {
  const project = await compile({ 'sql/silver/app/m.sql': MODEL });
  const [model] = project.models;
  assert.ok(model);
  const db = await openDuckDb();
  t.after(() => db.close());
  await db.run(`attach ':memory:' as bronze; attach ':memory:' as silver; create schema bronze.app;
    create table bronze.app.payments as select range as id, 1.5::decimal(14, 2) as amount, 'x' as note from range(100)`);
  const relation = { layer: 'silver', table: 'm', kind: 'table', columns: model.boundColumns } as const;
  const facts = { db, model, maxTouchedShare: undefined, isLarge: true };
  await rebuildTable({ ...facts, relation: undefined });
  await db.run("update bronze.app.payments set note = 'y'");
  assert.equal((await rebuildTable({ ...facts, relation })).changed, false);
  await db.run('update bronze.app.payments set amount = 2.5 where id = 7');
  const { changed, changes, note, rows } = await rebuildTable({ ...facts, relation });
  assert.deepEqual(
    { changed, changes, note, rows },
    { changed: true, changes: undefined, note: 'written whole', rows: 100 },
  );
  const [stored] = await db.rows('select sum(amount)::varchar as total, count(*)::integer as n from silver.m');
  assert.deepEqual(stored, { total: '151.00', n: 100 });
  await db.run('update bronze.app.payments set amount = 3.5 where id = 7');
  const compared = await rebuildTable({ ...facts, relation, isLarge: false });
  assert.deepEqual([compared.changed, compared.changedRows, compared.note], [true, 1, undefined]);
});
