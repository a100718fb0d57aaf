import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { sourceOf, type TestLake, testLake } from '../lake.ts';

/** B15: tables with nothing in them and with as much beside each other as Postgres allows. */

let lake: TestLake;
before(async () => {
  lake = await testLake();
});
after(() => lake[Symbol.asyncDispose]());

test('B15: an empty table and an empty delta leave a state to go on from in every mode, and no file', async () => {
  await lake.client.query(`create table app.f (id int primary key, at timestamptz); create table app.b (id int, at timestamptz);
    create table app.c (like app.f including all); create table app.a (like app.f including all); create table app.k (like app.b);
    create function app.stamp() returns trigger language plpgsql as $$ begin new.at := now(); return new; end $$;
    create table app.g (like app.f including all); create trigger stamp before insert or update on app.g for each row execute function app.stamp()`);
  const columns = ['id', 'at'];
  const source = sourceOf({
    f: { mode: 'full', key: ['id'], columns },
    b: { mode: 'full', key: [], columns },
    c: { mode: 'cursor', key: ['id'], columns, cursor: { column: 'at', setBy: 'application' } },
    g: { mode: 'cursor', key: ['id'], columns, cursor: { column: 'at' } },
    a: { mode: 'append', key: ['id'], columns },
    k: { mode: 'append', key: [], columns },
  });
  const first = await lake.run(source);
  assert.deepEqual(
    Object.values(first.batch.drafts[0]?.tables ?? {}).map((table) => [table.files.length, table.read.how]),
    Array.from({ length: 6 }, () => [0, 'whole']),
  );
  assert.equal((await lake.run(source)).batch.drafts.length, 0);
  const late = await lake.connect();
  await late.query('begin; insert into app.g values (1); insert into app.k values (1)');
  assert.deepEqual(
    Object.values((await lake.run(source)).tables).map(({ rowsRead }) => rowsRead),
    [0, 0, 0, 0, 0, 0],
  );
  await late.query('commit');
  const { tables } = await lake.run(source);
  assert.deepEqual([tables['g']?.how, tables['g']?.inserted], ['cursor', 1]);
  assert.deepEqual([tables['k']?.how, tables['k']?.inserted], ['sweep', 1]);
});

test('B15: 1,600 columns arrive, and change, as few do', async () => {
  const names = Array.from({ length: 1599 }, (_, i) => `c${i}`);
  await lake.client.query(`create table app.wide (id int primary key, ${names.map((name) => `${name} bool`).join(', ')});
    insert into app.wide (id, c0, c1598) select i, true, false from generate_series(1, 20) i`);
  const source = sourceOf({ wide: { mode: 'append', key: ['id'], columns: ['id', ...names] } });
  await lake.run(source);
  await lake.client.query('insert into app.wide (id, c7) values (21, true)');
  const { tables } = await lake.run(source);
  assert.deepEqual([tables['wide']?.how, tables['wide']?.inserted], ['sweep', 1]);
  const rows = await lake.rows('wide', 'id');
  assert.deepEqual([rows.length, Object.keys(rows[0] ?? {}).length], [21, 1600]);
  assert.deepEqual([rows[0]?.['c0'], rows[0]?.['c1'], rows[0]?.['c1598'], rows[20]?.['c7']], [true, null, false, true]);
});
