import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { writeQuarantine } from '../../warehouse/core/bronze-quarantine.ts';
import { isSluiceError } from '../../warehouse/core/errors.ts';
import { verifySource } from '../../warehouse/extract/index.ts';
import { log, openLakePerTest, sourceOf, type TestLake, testLake, touchedTableSql } from './lake.ts';

let lake: TestLake;
openLakePerTest((made) => {
  lake = made;
});

/** Every type whose text the two sides make by different means, with values where they might part. */
const WIDE = `id int primary key, b bool, i2 int2, i8 int8, f4 float4, f8 float8, n numeric(20,4), u numeric, t text, v varchar(9), c char(5),
  d date, ts timestamp, tz timestamptz, uu uuid, by bytea, j json, arr text[], tm time, iv interval, ip inet`;

test('equal tables have equal checksums, computed on both sides from every type', async () => {
  await lake.client.query(
    `create type app.pair as (a int, b text); create table app.w (${WIDE}, p app.pair); create table app.empty (id int primary key); create table app.bag (v text)`,
  );
  await lake.client.query(`insert into app.w select i, i % 2 = 0, i - 50, i * 1e15, i / 7.0, i / 7.0 * 1e30, i * 1.0001, i * 0.10, repeat('é😀"', i % 4), 'v' || i, 'c' || i % 9,
      date '2020-01-01' + i * 100, timestamp '1969-12-31 23:59:59.999999' + i * interval '1 day 1 microsecond', now() - i * interval '1 year', gen_random_uuid(), decode('00ff', 'hex'), '{"a": 1.0}', array['x', null, ''], '24:00', '-2 days', '10.0.0.1', row(i, null)::app.pair
    from generate_series(1, 200) i;
    insert into app.w (id, f4, f8, d, ts, tz, p) values (1001, 'nan', '-0', 'infinity', '-infinity', 'infinity', null), (1002, '-inf', 'inf', '0001-12-31 BC', '0044-03-15 01:02:03 BC', '4714-11-24 00:00:00+00 BC', row(null, null)), (1003, '1e-45', '5e-324', '5874897-12-31', '10000-01-01', '0001-01-01 00:00:00+00 BC', null);
    insert into app.bag values ('a'), ('a'), (null), ('')`);
  const columns = [
    'id',
    'b',
    'i2',
    'i8',
    'f4',
    'f8',
    'n',
    'u',
    't',
    'v',
    'c',
    'd',
    'ts',
    'tz',
    'uu',
    'by',
    'j',
    'arr',
    'tm',
    'iv',
    'ip',
    'p',
  ];
  const source = sourceOf({
    w: { mode: 'full', key: ['id'], columns },
    empty: { mode: 'full', key: ['id'], columns: ['id'] },
    bag: { mode: 'full', key: [], columns: ['v'] },
  });
  await lake.run(source);
  const report = await lake.verify(source);
  assert.deepEqual(
    report.tables.map(({ table, equal, sourceRows, bronzeRows, note }) => [table, equal, sourceRows, bronzeRows, note]),
    [
      ['w', true, 203, 203, undefined],
      ['empty', true, 0, 0, undefined],
      ['bag', true, 4, 4, undefined],
    ],
  );
  for (const table of report.tables) assert.equal(table.sourceChecksum, table.bronzeChecksum);
  assert.equal(report.equal, true);
  // One changed value of any column shows.
  for (const [i, column] of columns.slice(1).entries()) {
    const id = 100 + i;
    await lake.client.query(
      `update app.w set ${column} = case when num_nulls(${column}) = 1 then (select ${column} from app.w where id = 7) end where id = ${id}`,
    );
    const [table] = (await lake.verify(source)).tables;
    assert.deepEqual([table?.equal, table?.different.count], [false, i + 1], column);
    if (i < 5) assert.equal(table?.different.keys.at(-1), `id = ${id} (${column})`);
  }
  await lake.run(source);
  assert.equal((await lake.verify(source)).equal, true);
});

test('differences are counted and named, with five keys of each kind', async () => {
  await lake.client.query(`${touchedTableSql('t', 'a int, b text, v text, primary key (a, b)')}; insert into app.t select i, 'x', 'v' from generate_series(1, 1000) i;
    create table app.bag (v text, n int); insert into app.bag values ('a', 1), ('a', 1)`);
  const source = sourceOf({
    t: {
      mode: 'cursor',
      key: ['a', 'b'],
      columns: ['a', 'b', 'v', 'updated_at'],
      cursor: { column: 'updated_at', setBy: 'database' },
    },
    bag: { mode: 'full', key: [], columns: ['v', 'n'] },
  });
  await lake.run(source);
  assert.equal((await lake.verify(source)).equal, true);
  await lake.client.query(`delete from app.t where a between 1 and 7; update app.t set v = null where a in (500, 501); insert into app.t values (2000, 'new', '');
    delete from app.bag where ctid = (select min(ctid) from app.bag); insert into app.bag values (null, null)`);
  const { equal, tables } = await lake.verify(source);
  const [t, bag] = tables;
  assert.equal(equal, false);
  assert.deepEqual([t?.sourceRows, t?.bronzeRows], [994, 1000]);
  assert.deepEqual(t?.missingInBronze, { count: 1, keys: ['a = 2000, b = new'] });
  assert.deepEqual(
    [t?.extraInBronze.count, t?.extraInBronze.keys.length, t?.extraInBronze.keys[0]],
    [7, 5, 'a = 1, b = x'],
  );
  assert.deepEqual(t?.different, {
    count: 2,
    keys: ['a = 500, b = x (v, updated_at)', 'a = 501, b = x (v, updated_at)'],
  });
  assert.deepEqual(bag?.missingInBronze, { count: 1, keys: ['v = NULL, n = NULL'] });
  assert.deepEqual(bag?.extraInBronze, { count: 1, keys: ['v = a, n = 1'] });
  // Cursor mode cannot see deletes: the next run carries the rest, and verify still names them.
  await lake.run(source);
  const later = await lake.verify(source);
  assert.deepEqual(
    later.tables.map((table) => [
      table.equal,
      table.missingInBronze.count,
      table.extraInBronze.count,
      table.different.count,
    ]),
    [
      [false, 0, 7, 0],
      [true, 0, 0, 0],
    ],
  );
});

test('a table never extracted is all missing, and says so', async () => {
  await lake.client.query('create table app.t (id int primary key); insert into app.t values (1), (2)');
  const { tables } = await lake.verify(sourceOf({ t: { mode: 'full', key: ['id'], columns: ['id'] } }));
  assert.deepEqual(
    [tables[0]?.equal, tables[0]?.missingInBronze.count, tables[0]?.note],
    [false, 2, 'never extracted'],
  );
});

test('a lake of another source is refused', async () => {
  await lake.client.query('create table app.t (id int primary key)');
  const source = sourceOf({ t: { mode: 'full', key: ['id'], columns: ['id'] } });
  await lake.run(source);
  const other = await testLake();
  try {
    await other.client.query('create table app.t (id int primary key)');
    const state = await lake.bronze.state(['app']);
    await assert.rejects(
      verifySource({ url: other.url, sources: [source], state, workDir: lake.dir, version: '0', log }),
      (error: unknown) => isSluiceError(error, 'LAKE_OF_ANOTHER_SOURCE'),
    );
  } finally {
    await other[Symbol.asyncDispose]();
  }
});

test('rows set aside are named as such, with the reason, until a later commit brings them', async () => {
  await lake.client.query(
    "create table app.t (id int, d date, v text, primary key (id, d)); insert into app.t select i, date '2020-01-01' + i, 'v' from generate_series(1, 50) i",
  );
  const source = sourceOf({ t: { mode: 'full', key: ['id', 'd'], columns: ['id', 'd', 'v'] } });
  await lake.run(source);
  await lake.client.query(
    "insert into app.t values (100, '2021-01-01', 'new'), (101, '2021-01-01', 'new'); update app.t set v = 'odd' where id = 5",
  );
  // What an extraction of these three would commit if v could not hold their values.
  const state = await lake.bronze.state(['app']);
  const [known] = state.sources;
  const first = (await Array.fromAsync(lake.bronze.commits('app')))[0];
  const entry = first?.tables['t'];
  if (known?.identity == null || known.snapshot === null || entry === undefined) throw new Error('no commit');
  const row = (id: string, d: string) => ({ key: { id, d }, column: 'v', value: 'x', reason: 'not representable' });
  const aside = await writeQuarantine(join(lake.dir, 'aside'), [
    row('100', '2021-01-01'),
    row('101', '2021-01-01'),
    row('5', '2020-01-06'),
    row('7', '2020-01-08'),
  ]);
  await lake.bronze.commit('app', {
    source: 'app',
    number: 2,
    batch: 'aside',
    identity: known.identity,
    snapshot: known.snapshot,
    tables: { t: { ...entry, files: [], replaced: false, quarantined: aside === undefined ? [] : [aside] } },
  });
  const [t] = (await lake.verify(source)).tables;
  assert.deepEqual(
    [t?.equal, t?.missingInBronze.count, t?.extraInBronze.count, t?.different.count, t?.note],
    [true, 0, 0, 0, '3 rows set aside'],
  );
  assert.deepEqual(t?.setAside, {
    count: 3,
    keys: ['id = 100, d = 2021-01-01', 'id = 101, d = 2021-01-01', 'id = 5, d = 2020-01-06'].map(
      (key) => `${key} (v: not representable)`,
    ),
  });
  // Beside them a real difference is still one, and unequal.
  await lake.client.query("insert into app.t values (102, '2021-01-01', 'late')");
  const [later] = (await lake.verify(source)).tables;
  assert.deepEqual(
    [later?.equal, later?.missingInBronze.keys, later?.setAside.count],
    [false, ['id = 102, d = 2021-01-01'], 3],
  );
  await lake.run(source);
  assert.deepEqual((await lake.verify(source)).tables[0]?.setAside.count, 0);
  await lake.client.query("update app.t set v = 'again' where id in (5, 100)");
  const [again] = (await lake.verify(source)).tables;
  assert.deepEqual([again?.equal, again?.different.count, again?.setAside.count], [false, 2, 0], 'brought since');
});

test('chosen tables and the number of keys named; an unknown table is refused', async () => {
  await lake.client.query(
    'create table app.t (id int primary key, b bytea, long text); create table app.u (id int primary key); insert into app.t select i from generate_series(1, 9) i',
  );
  const source = sourceOf({
    t: { mode: 'full', key: ['id'], columns: ['id', 'b', 'long'] },
    u: { mode: 'full', key: ['id'], columns: ['id'] },
  });
  await lake.run(source);
  await lake.client.query("update app.t set long = repeat('é', 100000) || id, b = decode(repeat('00', 500), 'hex')");
  const { tables } = await lake.verify(source, { tables: ['app.t'], sample: 7 });
  assert.deepEqual(
    tables.map((table) => [table.table, table.different.count, table.different.keys.length]),
    [['t', 9, 7]],
  );
  assert.equal(tables[0]?.different.keys[0], 'id = 1 (b, long)');
  assert.deepEqual((await lake.verify(source, { sample: 0 })).tables[0]?.different, { count: 9, keys: [] });
  await lake.run(source);
  await lake.client.query("update app.t set long = repeat('é', 99999) || 'x' || id where id = 3");
  assert.deepEqual((await lake.verify(source)).tables[0]?.different, { count: 1, keys: ['id = 3 (long)'] });
  await assert.rejects(lake.verify(source, { tables: ['app.none'] }), (error: unknown) =>
    isSluiceError(error, 'USAGE'),
  );
});

test('a table of 1,600 columns is compared, and the column that differs is named', async () => {
  const names = Array.from({ length: 1600 }, (_, i) => `c${i}`);
  await lake.client.query(
    `create table app.wide (${names.map((name, i) => `${name} ${i % 2 === 0 ? 'int' : 'bool'}`).join(', ')}, primary key (c0))`,
  );
  await lake.client.query('insert into app.wide (c0, c1599) values (1, true), (2, null)');
  const source = sourceOf({ wide: { mode: 'full', key: ['c0'], columns: names } });
  await lake.run(source);
  assert.equal((await lake.verify(source)).equal, true);
  await lake.client.query('update app.wide set c1598 = 7 where c0 = 2; delete from app.wide where c0 = 1');
  const [wide] = (await lake.verify(source)).tables;
  assert.deepEqual([wide?.different.keys, wide?.extraInBronze.keys], [['c0 = 2 (c1598)'], ['c0 = 1']]);
});
