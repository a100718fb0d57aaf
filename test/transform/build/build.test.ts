import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isSluiceError } from '../../../warehouse/core/errors.ts';
import { openEngine } from '../../../warehouse/transform/index.ts';
import { openShop, order, SHOP_FILES, TEN_ORDERS } from './shop.ts';
import { buildAndPublish, readGold, startBuild } from './support.ts';

test('a first build makes every table and view, and gold answers alone', async (t) => {
  const { lake, releases, run, gold } = await openShop(t);
  await lake.commit({ orders: TEN_ORDERS.slice(0, 4) });
  const { release, actions } = await run();
  assert.deepEqual(actions, {
    'silver.stg_orders': 'view',
    'gold.fct_orders': 'rebuilt',
    'gold.customer_totals': 'rebuilt',
    'gold.averages': 'view',
    'gold.overall': 'rebuilt',
  });
  assert.deepEqual(await gold('overall'), [[4, '12.00']]);
  assert.deepEqual(await gold('averages'), [
    ['ann', '1.500000', '2026-01-31'],
    ['bob', '2.500000', '2026-01-31'],
    ['cy', '3.500000', '2026-01-31'],
    [null, '4.500000', '2026-01-31'],
  ]);
  const states = new Map(release.models.map((state) => [state.name, state]));
  assert.deepEqual(states.get('gold.fct_orders')?.consumed, { 'bronze.app.orders': 1 });
  assert.deepEqual(states.get('gold.customer_totals')?.consumed, { 'gold.fct_orders': 1 });
  assert.equal(states.get('gold.averages')?.rows, 4, 'rows of a view are counted by its tests');
  assert.equal(states.get('gold.averages')?.asOf, '2026-01-31');
  assert.equal(states.get('gold.overall')?.asOf, undefined);
  assert.deepEqual(release.commits, { app: 1 });
  assert.deepEqual(
    await readGold(
      releases,
      release,
      "select count(*) from duckdb_tables() where table_name like '\\_sluice%' escape '\\'",
    ),
    [[0]],
  );
});

test('a run with nothing new leaves both files byte for byte, and still has every verdict', async (t) => {
  const { lake, run } = await openShop(t);
  await lake.commit({ orders: TEN_ORDERS });
  const first = await run();
  const second = await run();
  assert.deepEqual(new Set(Object.values(second.actions)), new Set(['unchanged']));
  assert.deepEqual(second.release.files, first.release.files);
  const kept = first.tests.map((result) => ({ ...result, scope: 'unchanged' as const }));
  assert.deepEqual(second.tests, kept);
  assert.equal(second.tests.length, 6);
  assert.deepEqual(second.release.models, first.release.models);
});

test('inserts, updates that move a row and deletes touch only their partitions, through the chain', async (t) => {
  const { lake, run, gold } = await openShop(t);
  await lake.commit({ orders: TEN_ORDERS });
  await run();
  await lake.commit({
    orders: [
      { op: 'insert', row: order(11, 'dee', '100.00') },
      { op: 'update', row: order(1, 'bob', '1.50') },
      { op: 'delete', row: order(3, 'cy', '3.50') },
    ],
  });
  const { outcomes, actions } = await run();
  assert.equal(actions['gold.fct_orders'], 'refreshed');
  assert.equal(actions['gold.customer_totals'], 'refreshed');
  assert.equal(actions['gold.overall'], 'rebuilt');
  const totals = outcomes.find((outcome) => outcome.name === 'gold.customer_totals');
  assert.equal(totals?.changedRows, 4, 'ann, bob, cy and dee, not NULL');
  assert.match(totals?.why ?? '', /4 customer touched/);
  assert.deepEqual(await gold('customer_totals'), [
    ['ann', 2, '15.00'],
    ['bob', 4, '21.00'],
    ['cy', 1, '7.50'],
    ['dee', 1, '100.00'],
    [null, 2, '13.00'],
  ]);
});

test('NULL is a partition like any other: its row is replaced, not doubled', async (t) => {
  const { lake, run, gold } = await openShop(t);
  await lake.commit({ orders: TEN_ORDERS });
  await run();
  await lake.commit({ orders: [{ op: 'update', row: order(4, null, '40.00') }] });
  const { actions } = await run();
  assert.equal(actions['gold.customer_totals'], 'refreshed');
  const nulls = (await gold('customer_totals')).filter((row) => Array.isArray(row) && row[0] === null);
  assert.deepEqual(nulls, [[null, 2, '48.50']]);
  await lake.commit({
    orders: [
      { op: 'delete', row: order(4, null, '40.00') },
      { op: 'delete', row: order(8, null, '8.50') },
    ],
  });
  await run();
  assert.equal((await gold('customer_totals')).length, 3);
});

test('a change that does not reach a model stops there, and those behind it stay', async (t) => {
  const { lake, run } = await openShop(t);
  await lake.commit({ orders: TEN_ORDERS });
  const first = await run();
  await lake.commit({ orders: [{ op: 'update', row: order(1, 'ann', '1.50', '2026-01-09') }] });
  const { actions, release } = await run();
  assert.equal(actions['gold.fct_orders'], 'refreshed');
  assert.equal(actions['gold.customer_totals'], 'unchanged', 'the day is not in it');
  assert.equal(actions['gold.overall'], 'unchanged');
  const version = (name: string, models = release.models) => models.find((state) => state.name === name)?.dataVersion;
  assert.equal(version('gold.customer_totals'), version('gold.customer_totals', first.release.models));
  assert.equal(version('gold.fct_orders'), 2);
});

test('a change of more rows than the guard allows is rebuilt, and the plan says how many', async (t) => {
  const { lake, run, gold } = await openShop(t);
  await lake.commit({ orders: TEN_ORDERS });
  await run();
  await lake.commit({
    orders: TEN_ORDERS.slice(0, 4).map(({ row }) => ({ op: 'update' as const, row: { ...row, amount: '7.00' } })),
  });
  const { outcomes } = await run({ limits: { maxTouchedShare: 0.3 } });
  const facts = outcomes.find((outcome) => outcome.name === 'gold.fct_orders');
  assert.equal(facts?.action, 'rebuilt');
  assert.match(facts?.why ?? '', /touches 4 of its 10 rows/);
  assert.equal(facts?.changedRows, 4);
  assert.deepEqual(await gold('overall'), [[4, '76.00']]);
});

test('a rule whose query fails is answered by a rebuild, not by a failed run', async (t) => {
  const { lake, run, gold, project } = await openShop(t);
  await lake.commit({ orders: TEN_ORDERS });
  await run();
  await lake.commit({ orders: [{ op: 'insert', row: order(11, 'dee', '1.00') }] });
  const broken = {
    ...project,
    models: project.models.map((model) =>
      model.name === 'gold.fct_orders' && model.refresh.kind === 'partition'
        ? { ...model, refresh: { ...model.refresh, touchedSql: "select error('no such thing') as id" } }
        : model,
    ),
  };
  const { outcomes } = await run({ project: broken });
  const facts = outcomes.find((outcome) => outcome.name === 'gold.fct_orders');
  assert.equal(facts?.action, 'rebuilt');
  assert.match(facts?.why ?? '', /no such thing/);
  assert.equal((await gold('fct_orders')).length, 11);
});

test('a full refresh over the same rows computes all of them and writes nothing', async (t) => {
  const { lake, run } = await openShop(t);
  await lake.commit({ orders: TEN_ORDERS });
  const first = await run();
  const { outcomes, release } = await run({ fullRefresh: true });
  assert.deepEqual(new Set(outcomes.map(({ action }) => action)), new Set(['unchanged']));
  const totals = outcomes.find((outcome) => outcome.name === 'gold.customer_totals');
  assert.equal(totals?.why, 'a full refresh was asked for; the same content');
  assert.deepEqual(release.files, first.release.files);
});

test('a new logical date moves the views and tables that read it, and leaves the others', async (t) => {
  const files = {
    ...SHOP_FILES,
    'gold/shop/past_orders.sql': `/*
description: Orders up to the logical date.
materialized: table
owner: { public: a test }
as_of: recompute
columns: { id: {} }
*/
select id from silver.stg_orders where day <= as_of()`,
  };
  const { lake, run, gold } = await openShop(t, files);
  await lake.commit({ orders: [...TEN_ORDERS, { op: 'read', row: order(99, 'late', '1.00', '2026-03-01') }] });
  await run();
  assert.equal((await gold('past_orders')).length, 10);
  const { actions } = await run({ asOf: '2026-03-01' });
  assert.deepEqual(actions, {
    'silver.stg_orders': 'unchanged',
    'gold.fct_orders': 'unchanged',
    'gold.customer_totals': 'unchanged',
    'gold.averages': 'view',
    'gold.overall': 'unchanged',
    'gold.past_orders': 'rebuilt',
  });
  assert.equal((await gold('past_orders')).length, 11);
  assert.deepEqual((await gold('averages'))[0], ['ann', '5.500000', '2026-03-01']);
});

test('a source without rows gives tables with columns and no rows', async (t) => {
  const { run, gold, releases } = await openShop(t);
  const { release, actions } = await run();
  assert.equal(actions['gold.fct_orders'], 'rebuilt');
  assert.deepEqual(await gold('fct_orders'), []);
  assert.deepEqual(
    await readGold(releases, release, 'describe gold.main.fct_orders').then((rows) =>
      rows.map((row) => (row as string[]).slice(0, 2)),
    ),
    [
      ['id', 'BIGINT'],
      ['customer', 'VARCHAR'],
      ['day', 'DATE'],
      ['amount', 'DECIMAL(14,2)'],
    ],
  );
});

test('a table whose rows all went is empty, and fills again', async (t) => {
  const { lake, run, gold } = await openShop(t);
  await lake.commit({ orders: TEN_ORDERS });
  await run();
  await lake.commit({ orders: TEN_ORDERS.map(({ row }) => ({ op: 'delete' as const, row })) });
  await run();
  assert.deepEqual(await gold('fct_orders'), []);
  assert.deepEqual(await gold('customer_totals'), []);
  assert.deepEqual(await gold('overall'), [[0, null]]);
  await lake.commit({ orders: [{ op: 'insert', row: order(1, 'ann', '3.00') }] });
  await run();
  assert.deepEqual(await gold('customer_totals'), [['ann', 1, '3.00']]);
});

test('a bronze history shorter than what was consumed is answered by a rebuild', async (t) => {
  const { dir, lake, releases, project, run, gold } = await openShop(t);
  await lake.commit({ orders: TEN_ORDERS });
  const early = lake.snapshot();
  await lake.commit({ orders: [{ op: 'insert', row: order(11, 'dee', '1.00') }] });
  await run();
  const { outcomes } = await buildAndPublish({ dir, releases, project, bronze: early, limits: { maxTouchedShare: 1 } });
  const facts = outcomes.find((outcome) => outcome.name === 'gold.fct_orders');
  assert.equal(facts?.action, 'rebuilt');
  assert.equal((await gold('fct_orders')).length, 10);
});

test('models left out of a selection stay as they are, and are right again when they run', async (t) => {
  const { lake, run, gold } = await openShop(t);
  await lake.commit({ orders: TEN_ORDERS });
  await run();
  await lake.commit({ orders: [{ op: 'insert', row: order(11, 'dee', '1.00') }] });
  const partly = await run({ selected: new Set(['gold.fct_orders']) });
  assert.equal(partly.actions['gold.fct_orders'], 'refreshed');
  assert.equal(partly.actions['gold.customer_totals'], 'not selected');
  assert.equal((await gold('customer_totals')).length, 4);
  await lake.commit({ orders: [{ op: 'insert', row: order(12, 'eve', '1.00') }] });
  const whole = await run();
  const totals = whole.outcomes.find((outcome) => outcome.name === 'gold.customer_totals');
  assert.equal(totals?.action, 'rebuilt', 'the change it missed is not known row by row any more');
  assert.match(totals?.why ?? '', /not known one by one/);
  assert.equal((await gold('customer_totals')).length, 6);
});

test('after a rollback the next build starts from the old ledger and arrives at the same gold', async (t) => {
  const { lake, run, gold, releases } = await openShop(t);
  await lake.commit({ orders: TEN_ORDERS });
  await run();
  await lake.commit({ orders: [{ op: 'insert', row: order(11, 'dee', '1.00') }] });
  await run();
  const wanted = await gold('customer_totals');
  await releases.rollback(1);
  assert.equal((await gold('customer_totals')).length, 4);
  const { release, actions } = await run();
  assert.equal(release.number, 4);
  assert.equal(actions['gold.customer_totals'], 'refreshed');
  assert.deepEqual(await gold('customer_totals'), wanted);
});

test('a model that cannot run names itself and its file, and the last release stands', async (t) => {
  const files = {
    ...SHOP_FILES,
    'gold/shop/parsed.sql': `/*
description: Breaks on a text that is no number.
materialized: table
owner: { public: a test }
columns: { number: {} }
*/
select cast(customer as integer) as number from silver.stg_orders where customer is not null`,
  };
  const { lake, run, releases } = await openShop(t, files);
  await lake.commit({ orders: [{ op: 'read', row: order(1, '12', '1.00') }] });
  const first = await run();
  await lake.commit({ orders: [{ op: 'update', row: order(1, 'twelve', '1.00') }] });
  await assert.rejects(run(), (error: unknown) => {
    assert.ok(isSluiceError(error, 'BUILD_FAILED'));
    assert.match(error.message, /gold\.parsed \(sql\/gold\/shop\/parsed\.sql\) failed: .*twelve/);
    return error.remedy !== undefined;
  });
  assert.deepEqual(await releases.current(), first.release);
});

test('a cancelled build says CANCELLED and leaves nothing behind', async (t) => {
  const files = {
    ...SHOP_FILES,
    'gold/shop/endless.sql': `/*
description: Takes for ever.
materialized: table
owner: { public: a test }
columns: { n: {} }
*/
select count(*) as n from range(4000000000) as a(x), silver.stg_orders where a.x % 7 <> id`,
  };
  const { lake, run, releases } = await openShop(t, files);
  await lake.commit({ orders: TEN_ORDERS });
  const controller = new AbortController();
  const started = performance.now();
  const running = run({
    signal: controller.signal,
    onProgress: (event) => {
      if (event.item === 'gold.endless') setTimeout(() => controller.abort(), 50);
    },
  });
  await assert.rejects(running, (error: unknown) => isSluiceError(error, 'CANCELLED'));
  assert.ok(performance.now() - started < 10_000);
  assert.equal(await releases.current(), undefined);
});

test('the SQL of a model reads no file of the machine', async (t) => {
  const { lake, run, project, releases } = await openShop(t);
  await lake.commit({ orders: TEN_ORDERS });
  const spy = {
    ...project,
    models: project.models.map((model) =>
      model.name === 'gold.overall' ? { ...model, sql: "select content from read_text('/etc/hostname')" } : model,
    ),
  };
  await assert.rejects(run({ project: spy }), /gold\.overall .*file system operations are disabled/);
  assert.equal(await releases.current(), undefined);
});

test('a build that is aborted in the midst of a query ends it and leaves no file', async (t) => {
  const { dir, lake, releases, project } = await openShop(t);
  await lake.commit({ orders: TEN_ORDERS });
  const slow = {
    ...project,
    models: project.models.map((model) =>
      model.name === 'gold.overall'
        ? { ...model, sql: 'select count(*) as n from range(9000000000) where range % 7 = 3' }
        : model,
    ),
  };
  const { build, paths } = await startBuild({ dir, releases, project: slow, bronze: lake.snapshot() });
  await build.runModels('silver');
  const running = build.runModels('gold').catch((error: unknown) => error);
  await sleep(300);
  await build.abort();
  assert.ok((await running) instanceof Error);
  await assert.rejects(stat(paths.gold), /ENOENT/);
  await assert.rejects(build.runModels('gold'), /closed/);
});

test('a read-only engine shows bronze, silver, gold and the date, shares the files, and writes nothing', async (t) => {
  const { dir, lake, releases, project, run } = await openShop(t);
  await lake.commit({ orders: TEN_ORDERS });
  const { release } = await run();
  const options = {
    paths: await releases.fetch(release),
    bronze: lake.snapshot(),
    project,
    asOf: release.asOf,
    workDir: dir,
    limits: { threads: 1 },
    readOnly: true,
  };
  const [one, two] = [await openEngine(options), await openEngine({ ...options, workDir: `${dir}/two` })];
  t.after(() => [one, two].forEach((db) => db.close()));
  for (const db of [one, two]) {
    const rows = await db.rows(
      `select (select count(*) from bronze.app.orders) as bronze, (select count(*) from bronze_log.app.orders) as log,
              (select count(*) from silver.stg_orders) as silver, (select count(*) from gold.fct_orders) as gold, as_of() as day`,
    );
    assert.deepEqual(rows, [{ bronze: 10n, log: 10n, silver: 10n, gold: 10n, day: '2026-01-31' }]);
    await assert.rejects(db.run('delete from gold.fct_orders'), /read-only/);
    await assert.rejects(db.run(`copy (select 1) to '${dir}/cache/out.csv'`), /disabled/);
    await assert.rejects(db.run('set enable_external_access = true'), /locked|cannot be/i);
  }
});

test('a gold view that needs silver is found before it is published', async (t) => {
  const { lake, run, project, releases } = await openShop(t);
  await lake.commit({ orders: TEN_ORDERS });
  const leaky = {
    ...project,
    models: project.models.map((model) =>
      model.name === 'gold.averages' ? { ...model, sql: 'select * from silver.stg_orders' } : model,
    ),
  };
  await assert.rejects(run({ project: leaky }), /gold\.averages .* cannot be read from gold alone/);
  assert.equal(await releases.current(), undefined);
});
