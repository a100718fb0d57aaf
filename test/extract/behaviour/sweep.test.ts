import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type TableDefinition } from '../../../warehouse/extract/index.ts';
import { sawTheSame, sweptSql, whyNoSweep } from '../../../warehouse/extract/xmin-sweep.ts';
import { openLakePerTest, sourceOf, type TestLake, testLake, touchedTableSql } from '../lake.ts';
import { bronzeRows, runAndCompare, sourceRows } from './same.ts';

/** Cursors that prove nothing: rows are found by the transaction that wrote them. And changes that no row shows. */

const columns = ['id', 'v', 'updated_at'];
const definition: TableDefinition = {
  mode: 'cursor',
  key: ['id'],
  columns,
  cursor: { column: 'updated_at', setBy: 'application' },
};
const source = sourceOf({ t: definition });

let lake: TestLake;
openLakePerTest(async (made) => {
  lake = made;
  await lake.client.query(`create table app.t (id int primary key, v text, updated_at timestamptz);
    insert into app.t select i, 'old', now() - interval '1 day' from generate_series(1, 200) i`);
});

test('B1: a row committed late, in a subtransaction or a prepared transaction, arrives by the sweep, and once', async () => {
  const observer = await lake.connect();
  const [late, prepared] = [await lake.connect(), await lake.connect()];
  await lake.run(source);
  await late.query(
    `begin; insert into app.t values (300, 'late', now()); savepoint s; update app.t set v = 'in a subtransaction' where id = 5`,
  );
  await prepared.query(
    `begin; savepoint s; insert into app.t values (301, 'prepared', now()); prepare transaction 'sweep-${process.pid}'`,
  );
  await lake.client.query(`insert into app.t values (302, 'overtakes', now())`);
  const first = await runAndCompare(lake, observer, source);
  assert.deepEqual([first.tables['t']?.how, first.tables['t']?.inserted], ['sweep', 1]);
  assert.match(first.tables['t']?.note ?? '', /updated_at is set by the application; deletes are not seen/);
  await late.query('release s; commit');
  const second = await runAndCompare(lake, observer, source);
  assert.deepEqual([second.tables['t']?.inserted, second.tables['t']?.updated], [1, 1]);
  await lake.client.query(`commit prepared 'sweep-${process.pid}'`);
  assert.equal((await runAndCompare(lake, observer, source)).tables['t']?.inserted, 1);
  await runAndCompare(lake, observer, source);
  const idle = await lake.run(source);
  assert.deepEqual([idle.tables['t']?.inserted, idle.tables['t']?.updated], [0, 0]);
});

test('B2 B3 B4 B6: ties, NULL, the future and the past in a cursor that the application sets', async () => {
  const observer = await lake.connect();
  await lake.run(source);
  const changes = [
    `insert into app.t select i, 'tie', '2026-01-01' from generate_series(400, 402) i`,
    `insert into app.t values (403, 'tie after the run', '2026-01-01')`,
    `insert into app.t values (410, 'no cursor', null)`,
    `update app.t set v = 'updated later' where id = 410`,
    `update app.t set updated_at = now() + interval '10 years' where id = 7`,
    `insert into app.t values (411, 'behind the future one', now())`,
    `update app.t set v = 'backward', updated_at = '2001-01-01' where id in (8, 9)`,
  ];
  for (const change of changes) {
    const { rowCount } = await lake.client.query(change);
    const { tables } = await runAndCompare(lake, observer, source);
    const { how, inserted = 0, updated = 0 } = tables['t'] ?? {};
    assert.deepEqual([how, inserted + updated], ['sweep', rowCount], change);
  }
});

test('a mark is the table’s own: runs and backfills that leave the table out do not move it', async () => {
  await lake.client.query(`create table app.other (like app.t including all)`);
  const both = sourceOf({ t: definition, other: definition });
  const other = sourceOf({ other: definition });
  await lake.run(both);
  await lake.client.query(
    `insert into app.t values (500, 'before', null); insert into app.other values (1, 'a', null)`,
  );
  await lake.run(other);
  await lake.client.query(`insert into app.other values (2, 'b', null)`);
  await lake.run(both, { backfill: { table: 'other', maxRows: 100, range: {} } });
  await lake.client.query(`insert into app.other values (3, 'c', null)`);
  const { tables } = await lake.run(both);
  assert.deepEqual([tables['t']?.how, tables['t']?.inserted], ['sweep', 1]);
  for (const table of ['t', 'other'])
    assert.deepEqual(await bronzeRows(lake, table), await sourceRows(lake.client, table));
});

test('a backfill of a swept table leaves its mark, and carries the deletes', async () => {
  const late = await lake.connect();
  await lake.run(source);
  await late.query(`begin; insert into app.t values (600, 'in flight', null)`);
  await lake.client.query(`delete from app.t where id = 3; insert into app.t values (601, 'new', null)`);
  const range = { by: 'key', from: '1', to: '10' } as const;
  const slice = await lake.run(source, { backfill: { table: 't', maxRows: 100, range } });
  assert.deepEqual([slice.tables['t']?.how, slice.tables['t']?.deleted], ['range', 1]);
  await late.query('commit');
  assert.equal((await lake.run(source)).tables['t']?.inserted, 2);
  await lake.client.query(`insert into app.t values (602, 'new', null)`);
  await lake.run(source, { backfill: { table: 't', maxRows: 1000, range: {} } });
  assert.equal((await lake.run(source)).tables['t']?.inserted, 0);
  assert.deepEqual(await bronzeRows(lake, 't'), await sourceRows(lake.client, 't'));
});

test('rows written without a change do not come again in every run, and VACUUM FULL brings none', async () => {
  await lake.run(source);
  await lake.client.query('update app.t set v = v');
  await lake.settle();
  const touched = await lake.run(source);
  assert.ok((touched.tables['t']?.rowsRead ?? 0) >= 200);
  assert.equal(touched.tables['t']?.updated, 0);
  const idle = await lake.idle(source);
  assert.deepEqual([idle.tables['t']?.rowsRead, idle.batch.drafts], [0, []]);
  await lake.client.query('vacuum (full, freeze) app.t');
  await lake.client.query('cluster app.t using t_pkey');
  const rewritten = await lake.run(source);
  assert.deepEqual([rewritten.tables['t']?.how, rewritten.tables['t']?.rowsRead], ['sweep', 0]);
});

/** What changes rows without writing them, or writes them past the cursor: the contract stays as it was. */
const UNSEEN: readonly (readonly [string, string])[] = [
  [
    'two columns swapped by renames',
    'alter table app.x rename v to w; alter table app.x rename other to v; alter table app.x rename w to other',
  ],
  [
    'a column dropped and added again with a default',
    `alter table app.x drop column v; alter table app.x add column v text default 'again'`,
  ],
  ['a column rewritten in its own type', `alter table app.x alter v type text using v || ' rewritten'`],
  ['a label of an enum renamed', `alter type app.mood rename value 'fine' to 'very fine'`],
  ['a generated column with another expression', 'alter table app.x alter made set expression as (length(other) * 2)'],
];
for (const [what, sql] of UNSEEN) {
  test(`B13: ${what}, between two runs, is noticed and carried`, async (t) => {
    await lake.client.query(`create type app.mood as enum ('fine', 'sad');
      ${touchedTableSql('x', `id int primary key, v text, other text, mood app.mood default 'fine', made int generated always as (length(other)) virtual`)};
      insert into app.x (id, v, other) select i, 'v' || i, 'other' || i from generate_series(1, 5) i;
      alter table app.x disable trigger touch; update app.x set updated_at = '2020-01-01'; alter table app.x enable trigger touch`);
    const all = ['id', 'v', 'other', 'mood', 'made', 'updated_at'];
    for (const setBy of ['database', 'application'] as const) {
      const fresh = await testLake({ url: lake.url, drop: () => Promise.resolve() });
      t.after(() => fresh[Symbol.asyncDispose]());
      const x = sourceOf({ x: { mode: 'cursor', key: ['id'], columns: all, cursor: { column: 'updated_at', setBy } } });
      await fresh.run(x);
      const how = async (): Promise<unknown> => (await fresh.run(x)).tables['x']?.how;
      assert.equal(await how(), setBy === 'database' ? 'cursor' : 'sweep');
      await lake.client.query(sql);
      assert.equal(await how(), 'whole');
      const { rows } = await lake.client.query<{ row: string }>(
        `select concat_ws('|', id, v, other, mood, made) as row from app.x order by id`,
      );
      const bronze = await fresh.rows('x', 'id');
      assert.deepEqual(
        bronze.map((row) => ['id', 'v', 'other', 'mood', 'made'].map((name) => String(row[name])).join('|')),
        rows.map(({ row }) => row),
      );
      if (what.startsWith('a label')) await lake.client.query(`alter type app.mood rename value 'very fine' to 'fine'`);
    }
  });
}

test('a partition attached with old rows is noticed, whoever sets the cursor', async () => {
  await lake.client.query(`create table app.p (id int, v text, updated_at timestamptz, primary key (id)) partition by range (id);
    create table app.p1 partition of app.p for values from (0) to (100); create table app.p2 (like app.p including all);
    insert into app.p values (1, 'a', '2020-01-01'); insert into app.p2 values (150, 'old', '2020-01-01')`);
  const parts = sourceOf({ p: definition });
  await lake.run(parts);
  assert.equal((await lake.run(parts)).tables['p']?.how, 'sweep');
  await lake.client.query('alter table app.p attach partition app.p2 for values from (100) to (200)');
  const { how, inserted, note } = (await lake.run(parts)).tables['p'] ?? {};
  assert.deepEqual([how, inserted], ['whole', 1]);
  assert.match(note ?? '', /no sweep: its columns or partitions or the server changed/);
  await lake.client.query(`update app.p set v = 'b' where id = 150`);
  assert.equal((await lake.run(parts)).tables['p']?.updated, 1);
});

test('a view, and a column that shows names of the catalog, are read whole and compared', async () => {
  await lake.client.query(`create view app.w as table app.t;
    create table app.r (id int primary key, v regclass, updated_at timestamptz); insert into app.r values (1, 'app.t', null)`);
  const whole = sourceOf({ w: definition, r: definition });
  await lake.run(whole);
  await lake.client.query('alter table app.t rename to renamed');
  const { tables } = await lake.run(whole);
  assert.deepEqual([tables['w']?.how, tables['r']?.how, tables['r']?.updated], ['whole', 'whole', 1]);
  assert.match(tables['w']?.note ?? '', /no sweep: a view/);
  assert.match(tables['r']?.note ?? '', /v shows names of the catalog/);
});

test('B17: rows deleted in Postgres stay with a cursor; verify names them, and a backfill of the whole table takes them out', async () => {
  await lake.run(source);
  await lake.client.query('delete from app.t where id in (10, 20)');
  assert.equal((await lake.run(source)).tables['t']?.deleted, 0);
  assert.equal((await lake.rows('t')).length, 200);
  const report = await lake.verify(source);
  assert.deepEqual(report.tables[0]?.extraInBronze, { count: 2, keys: ['id = 10', 'id = 20'] });
  const carried = await lake.run(source, { backfill: { table: 't', maxRows: 1000, range: {} } });
  assert.equal(carried.tables['t']?.deleted, 2);
  assert.deepEqual(await bronzeRows(lake, 't'), await sourceRows(lake.client, 't'));
});

test('a mark is not swept from when it is too far back, of another history, or ahead of the server', () => {
  const mark = { snapshot: '4294967290:4294967295:4294967291', proof: 'p' };
  const why = (now: string, proof = 'p'): string | null => whyNoSweep(mark, { proof }, now);
  assert.equal(why('4294967290:4294967295:4294967291'), null);
  assert.equal(why('6294967290:6294967290:'), null);
  assert.match(why('6294967291:6294967291:') ?? '', /transactions ago/);
  assert.match(why('4294967290:4294967294:') ?? '', /went back/);
  assert.match(why('4294967290:4294967295:', 'q') ?? '', /server changed/);
  assert.match(whyNoSweep(mark, { why: 'unreadable' }, '1:1:') ?? '', /unreadable/);
  assert.match(whyNoSweep(undefined, { proof: 'p' }, '1:1:') ?? '', /no snapshot/);
  assert.equal(sweptSql({ snapshot: '8589934592:8589934600:', proof: 'p' }), "age(xmin) between 1 and age('0'::xid)");
  assert.deepEqual(
    [sawTheSame('5:9:6', '5:9:6', false), sawTheSame('5:9:6', '5:9:', false), sawTheSame('5:9:', '5:9:', true)],
    [true, false, false],
  );
  assert.equal(sawTheSame('9:9:', '9:9:', true), true);
});
