import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openDuckDb } from '../../../warehouse/core/duckdb.ts';
import { openShop, order, SHOP_FILES, TEN_ORDERS } from './shop.ts';
import { buildAndPublish, compileFiles, createTestLake, openTestReleases, readGold, testFolder } from './support.ts';

const model = (name: string, header: string, sql: string): Record<string, string> => ({
  [`gold/shop/${name}.sql`]: `/*\ndescription: A test.\nowner: { public: a test }\n${header}\n*/\n${sql}`,
});

test('a table becomes a view and a view a table, in both layers, and those behind them still answer', async (t) => {
  const { lake, run, gold, compile } = await openShop(t);
  await lake.commit({ orders: TEN_ORDERS });
  await run();
  const wanted = await gold('customer_totals');
  const turned = {
    ...SHOP_FILES,
    'silver/shop/stg_orders.sql': SHOP_FILES['silver/shop/stg_orders.sql'].replace(
      'key: [id]',
      'materialized: table\nkey: [id]',
    ),
    'gold/shop/customer_totals.sql': SHOP_FILES['gold/shop/customer_totals.sql'].replace(
      'materialized: incremental',
      'materialized: view',
    ),
    'gold/shop/averages.sql': SHOP_FILES['gold/shop/averages.sql'].replace('materialized: view', 'materialized: table'),
  };
  const there = await run({ project: await compile(turned) });
  assert.equal(there.actions['silver.stg_orders'], 'rebuilt');
  assert.equal(there.actions['gold.customer_totals'], 'view');
  assert.equal(there.actions['gold.averages'], 'rebuilt');
  const changed = there.outcomes.find((outcome) => outcome.name === 'gold.customer_totals');
  assert.match(changed?.why ?? '', /was an incremental table, is a view now|was an incremental, is a view now/);
  assert.deepEqual(await gold('customer_totals'), wanted);
  const back = await run({ project: await compile() });
  assert.equal(back.actions['silver.stg_orders'], 'view');
  assert.equal(back.actions['gold.customer_totals'], 'rebuilt');
  assert.deepEqual(await gold('customer_totals'), wanted);
  assert.equal((await gold('averages')).length, 4);
});

test('a model taken out of the project is dropped from the files', async (t) => {
  const { lake, run, compile, releases } = await openShop(t);
  await lake.commit({ orders: TEN_ORDERS });
  await run();
  const { 'gold/shop/overall.sql': _table, 'gold/shop/averages.sql': _view, ...rest } = SHOP_FILES;
  const { release, actions } = await run({ project: await compile(rest) });
  assert.equal(actions['gold.overall'], 'dropped');
  assert.equal(actions['gold.averages'], 'dropped');
  assert.deepEqual(
    release.models.map((state) => state.name),
    ['silver.stg_orders', 'gold.fct_orders', 'gold.customer_totals'],
  );
  const names = 'select table_name from information_schema.tables order by all';
  assert.deepEqual(await readGold(releases, release, names), [['customer_totals'], ['fct_orders']]);
  const again = await run();
  assert.equal(again.actions['gold.overall'], 'rebuilt');
});

test('a column added to a source and a model is there with its history', async (t) => {
  const { dir, lake, run, gold, releases } = await openShop(t);
  await lake.commit({ orders: TEN_ORDERS });
  await run();
  lake.addColumn('orders', 'channel', 'VARCHAR');
  await lake.commit({ orders: [{ op: 'update', row: { ...order(1, 'ann', '1.50'), channel: 'web' } }] });
  const files = {
    ...SHOP_FILES,
    'silver/shop/stg_orders.sql': SHOP_FILES['silver/shop/stg_orders.sql'].replace(
      'amount from',
      'amount, channel from',
    ),
    ...model(
      'channels',
      'columns: { channel: {}, orders: {} }',
      'select channel, count(*) as orders from silver.stg_orders group by channel',
    ),
  };
  const project = await compileFiles(dir, files, lake.snapshot());
  const { actions } = await run({ project });
  assert.equal(actions['gold.channels'], 'rebuilt');
  assert.deepEqual(await gold('channels'), [
    ['web', 1],
    [null, 9],
  ]);
  const wider = {
    ...files,
    'gold/shop/fct_orders.sql': SHOP_FILES['gold/shop/fct_orders.sql']
      .replace('amount: {} }', 'amount: {}, channel: {} }')
      .replace('amount from', 'amount, channel from'),
  };
  const second = await run({ project: await compileFiles(dir, wider, lake.snapshot()) });
  assert.equal(second.actions['gold.fct_orders'], 'rebuilt');
  assert.equal(second.release.models.find((state) => state.name === 'gold.fct_orders')?.columns.length, 5);
  assert.equal(
    (
      await readGold(releases, second.release, "select count(*) from gold.main.fct_orders where channel = 'web'")
    )[0]?.toString(),
    '1',
  );
});

test('the same rows under another type or column order are another content', async (t) => {
  const { lake, run, compile } = await openShop(t, {
    ...SHOP_FILES,
    ...model('t', 'columns: { a: {}, b: {} }', 'select 1 as a, 1 as b'),
  });
  await lake.commit({ orders: TEN_ORDERS });
  await run();
  const columnsOf = (result: Awaited<ReturnType<typeof run>>) =>
    result.release.models.find((state) => state.name === 'gold.t')?.columns;
  const typed = await run({
    project: await compile({ ...SHOP_FILES, ...model('t', 'columns: { a: {}, b: {} }', "select 1 as a, '1' as b") }),
  });
  assert.equal(typed.actions['gold.t'], 'rebuilt');
  assert.deepEqual(columnsOf(typed), [
    { name: 'a', type: 'INTEGER' },
    { name: 'b', type: 'VARCHAR' },
  ]);
  const ordered = await run({
    project: await compile({ ...SHOP_FILES, ...model('t', 'columns: { a: {}, b: {} }', "select '1' as b, 1 as a") }),
  });
  assert.equal(ordered.actions['gold.t'], 'rebuilt');
  assert.deepEqual(
    columnsOf(ordered)?.map(({ name }) => name),
    ['b', 'a'],
  );
  const layout = await run({
    project: await compile({
      ...SHOP_FILES,
      ...model('t', 'columns: { a: {}, b: {} }', "select '1' as b, -- a remark\n 1 as a"),
    }),
  });
  assert.equal(layout.actions['gold.t'], 'unchanged');
});

test('0.0 and -0.0, NaN and NULL, one row and two equal rows are all told apart', async (t) => {
  const versions = [
    'select 0.0::double as x',
    "select '-0.0'::double as x",
    "select 'nan'::double as x",
    'select null::double as x',
    'select 1.0::double as x',
    'select unnest([1.0, 1.0])::double as x',
    'select 1.0::double as x where false',
  ];
  const { lake, run, compile } = await openShop(t);
  await lake.commit({ orders: TEN_ORDERS.slice(0, 1) });
  for (const sql of versions) {
    const project = await compile({ ...SHOP_FILES, ...model('t', 'columns: { x: {} }', sql) });
    assert.equal((await run({ project })).actions['gold.t'], 'rebuilt', sql);
    assert.equal((await run({ project, fullRefresh: true })).actions['gold.t'], 'unchanged', `again: ${sql}`);
  }
});

test('a table without a key keeps equal rows, and a source without a key is replaced whole', async (t) => {
  const dir = await testFolder(t);
  const lake = createTestLake(dir, { marks: { key: [], columns: { mark: 'VARCHAR' } } });
  const releases = openTestReleases(dir);
  await lake.replace('marks', [{ mark: 'a' }, { mark: 'a' }, { mark: null }]);
  const files = {
    ...model(
      'marks',
      'materialized: incremental\nkey: [mark]\ntests: []\ncolumns: { mark: {}, n: {} }',
      'select mark, count(*) as n from bronze.app.marks group by mark',
    ),
    ...model('bag', 'materialized: table\ncolumns: { mark: {} }', 'select mark from bronze.app.marks'),
  };
  const run = async () => {
    const project = await compileFiles(dir, files, lake.snapshot());
    return buildAndPublish({ dir, releases, project, bronze: lake.snapshot(), limits: { maxTouchedShare: 1 } });
  };
  const first = await run();
  assert.deepEqual(await readGold(releases, first.release, 'from gold.main.bag order by all'), [['a'], ['a'], [null]]);
  await lake.replace('marks', [{ mark: 'a' }, { mark: 'b' }]);
  const second = await run();
  assert.equal(second.actions['gold.marks'], 'rebuilt', 'what stood before is not in the log any more');
  assert.deepEqual(await readGold(releases, second.release, 'from gold.main.marks order by all'), [
    ['a', 1],
    ['b', 1],
  ]);
  assert.deepEqual(await readGold(releases, second.release, 'from gold.main.bag order by all'), [['a'], ['b']]);
});

test('an unchanged table keeps its blocks when another one changes', async (t) => {
  const { lake, run, releases, compile } = await openShop(t);
  await lake.commit({ orders: TEN_ORDERS });
  const big = {
    ...SHOP_FILES,
    ...model('big', 'materialized: table\ncolumns: { n: {} }', 'select range as n from range(300000)'),
  };
  const project = await compile(big);
  const first = await run({ project });
  await lake.commit({ orders: [{ op: 'insert', row: order(11, 'dee', '1.00') }] });
  const second = await run({ project });
  assert.equal(second.actions['gold.big'], 'unchanged');
  assert.equal(second.release.files.silver.sha256, first.release.files.silver.sha256, 'silver holds views only');
  assert.notEqual(second.release.files.gold.sha256, first.release.files.gold.sha256);
  const blocks = async (release: typeof first.release) => {
    const { gold } = await releases.fetch(release);
    const db = await openDuckDb({ path: gold, readOnly: true, threads: 1 });
    const rows = await db.rows(
      "select row_group_id, column_id, block_id, block_offset from pragma_storage_info('gold.main.big') order by all",
    );
    db.close();
    return rows;
  };
  assert.deepEqual(await blocks(second.release), await blocks(first.release));
});
