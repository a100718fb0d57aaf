import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openLakePerTest, sourceOf, type TestLake } from '../lake.ts';
import { bronzeRows, runAndCompare, sourceRows } from './same.ts';

/** Tables that only grow: new rows once each, with or without a key, and what happens when they do not only grow. */

const columns = ['id', 'v', 'updated_at'];
const keyless = sourceOf({ e: { mode: 'append', key: [], columns } });
const keyed = sourceOf({ e: { mode: 'append', key: ['id'], columns } });

let lake: TestLake;
openLakePerTest(async (made) => {
  lake = made;
  await lake.client.query(`create table app.e (id int, v text, updated_at timestamptz default now());
    insert into app.e (id, v) select i % 100, 'old' from generate_series(1, 500) i`);
});

test('without a key only new rows are read, equal ones as often as they stand in Postgres, and an idle run commits nothing', async () => {
  assert.deepEqual((await lake.run(keyless)).tables['e']?.how, 'whole');
  const idle = await lake.run(keyless);
  assert.deepEqual([idle.tables['e']?.how, idle.tables['e']?.rowsRead, idle.batch.drafts.length], ['sweep', 0, 0]);
  await lake.client.query(`insert into app.e select 7, 'twice', now() from generate_series(1, 2) i`);
  const { tables } = await lake.run(keyless);
  const { how, rowsRead, inserted, updated, deleted, note } = tables['e'] ?? {};
  assert.deepEqual([how, rowsRead, inserted, updated, deleted, note], ['sweep', 2, 2, 0, 0, undefined]);
  assert.deepEqual(await bronzeRows(lake, 'e'), await sourceRows(lake.client, 'e'));
  assert.equal((await lake.table('app', 'e')).replacedAt, 0);
});

test('without a key rows of transactions in flight, subtransactions and prepared ones come once each, when they are committed', async () => {
  const observer = await lake.connect();
  const [long, sub, prepared] = [await lake.connect(), await lake.connect(), await lake.connect()];
  await long.query(`begin; insert into app.e values (1, 'long')`);
  await sub.query(`begin; insert into app.e values (2, 'top'); savepoint a; insert into app.e values (3, 'released'); release a;
    savepoint b; insert into app.e values (4, 'undone'); rollback to b; savepoint c; insert into app.e values (5, 'open')`);
  await prepared.query(
    `begin; savepoint a; insert into app.e values (6, 'prepared'); prepare transaction 'append-${process.pid}'`,
  );
  await lake.client.query(`insert into app.e values (7, 'committed above those in flight')`);
  await runAndCompare(lake, observer, keyless);
  await lake.client.query(`insert into app.e values (8, 'next')`);
  assert.equal((await runAndCompare(lake, observer, keyless)).tables['e']?.rowsRead, 1);
  await sub.query('commit');
  assert.equal((await runAndCompare(lake, observer, keyless)).tables['e']?.rowsRead, 3);
  await lake.client.query(`commit prepared 'append-${process.pid}'`);
  assert.equal((await runAndCompare(lake, observer, keyless)).tables['e']?.rowsRead, 1);
  await long.query('commit');
  const last = (await runAndCompare(lake, observer, keyless)).tables['e'];
  assert.deepEqual([last?.how, last?.rowsRead], ['sweep', 1]);
  assert.equal((await lake.run(keyless)).batch.drafts.length, 0);
});

test('without a key an update or a delete is noticed, and the table is replaced whole, also while a transaction elsewhere stays open', async () => {
  const open = await lake.connect();
  await open.query('begin; select txid_current()');
  await lake.run(keyless);
  for (const change of [
    `update app.e set v = 'changed' where ctid = '(0,1)'`,
    `delete from app.e where ctid = '(0,2)'; insert into app.e values (1, 'as many as before')`,
    `update app.e set v = v`,
    'truncate app.e',
  ]) {
    await lake.client.query(change);
    const { tables } = await lake.run(keyless);
    assert.equal(tables['e']?.how, 'whole', change);
    assert.match(tables['e']?.note ?? '', /whole table: rows were updated or deleted/);
    assert.deepEqual(await bronzeRows(lake, 'e'), await sourceRows(lake.client, 'e'));
    await lake.client.query(`insert into app.e values (9, 'after')`);
    assert.deepEqual([(await lake.run(keyless)).tables['e']?.rowsRead], [1], 'and then only new rows again');
  }
});

test('without a key a table rewritten by VACUUM FULL goes on as before, and one copied row by row is read whole', async () => {
  await lake.run(keyless);
  await lake.client.query(`insert into app.e values (1, 'before')`);
  await lake.client.query('vacuum (full, freeze) app.e');
  assert.deepEqual([(await lake.run(keyless)).tables['e']?.rowsRead], [1]);
  await lake.client.query(`create table app.copy as table app.e; truncate app.e; insert into app.e table app.copy`);
  const { how, inserted, rowsRead } = (await lake.run(keyless)).tables['e'] ?? {};
  assert.deepEqual([how, inserted, rowsRead], ['whole', 0, 501], 'the same rows are not committed again');
});

test('with a key new rows are swept and compared; an update that is seen is carried and named, a delete is not carried', async () => {
  await lake.client.query(
    'delete from app.e where ctid not in (select min(ctid) from app.e group by id); alter table app.e add primary key (id)',
  );
  await lake.run(keyed);
  await lake.client.query(`insert into app.e values (500, 'new')`);
  const added = (await lake.run(keyed)).tables['e'];
  assert.deepEqual([added?.how, added?.inserted, added?.note], ['sweep', 1, undefined]);
  await lake.client.query(`update app.e set v = 'changed' where id = 3; delete from app.e where id = 4`);
  const changed = (await lake.run(keyed)).tables['e'];
  assert.deepEqual([changed?.inserted, changed?.updated, changed?.deleted], [0, 1, 0]);
  assert.match(changed?.note ?? '', /append table were updated/);
  assert.equal((await lake.rows('e')).length, 101);
});

test('with a key and an insert trigger only the end of the cursor is read; a default alone is no proof', async () => {
  const definition = { mode: 'append', key: ['id'], columns, cursor: { column: 'updated_at' } } as const;
  await lake.client.query(`create table app.d (id int primary key, v text, updated_at timestamptz not null default now());
    create table app.p (like app.d including all);
    create function app.stamp() returns trigger language plpgsql as $$ begin new.updated_at := now(); return new; end $$;
    create trigger stamp before insert on app.p for each row execute function app.stamp();
    insert into app.d values (1, 'a', '2001-01-01'); insert into app.p values (1, 'a')`);
  const source = sourceOf({ d: definition, p: definition });
  await lake.run(source);
  const late = await lake.connect();
  await late.query(`begin; insert into app.d values (2, 'late'); insert into app.p values (2, 'late')`);
  await lake.client.query(
    `insert into app.d values (3, 'set by hand', '1999-01-01'); insert into app.p values (3, 'on time', '1999-01-01')`,
  );
  await lake.run(source);
  await late.query('commit');
  const { tables } = await lake.run(source);
  assert.deepEqual([tables['d']?.how, tables['p']?.how], ['sweep', 'cursor']);
  assert.match(tables['d']?.note ?? '', /no trigger sets updated_at from now\(\) before every insert/);
  for (const table of ['d', 'p']) assert.deepEqual(await bronzeRows(lake, table), await sourceRows(lake.client, table));
});

test('a backfill of a table without a key leaves nothing double: the runs after it begin where it read', async () => {
  const observer = await lake.connect();
  const open = await lake.connect();
  await lake.run(keyless);
  await lake.client.query(`insert into app.e values (1, 'new')`);
  await open.query(`begin; savepoint s; insert into app.e values (2, 'in flight')`);
  await lake.client.query(`insert into app.e values (3, 'above it')`);
  await lake.run(keyless, { backfill: { table: 'e', maxRows: 10, range: {} } });
  assert.deepEqual(await bronzeRows(lake, 'e'), await sourceRows(lake.client, 'e'));
  await open.query('commit');
  await lake.client.query(`insert into app.e values (4, 'after')`);
  assert.equal((await runAndCompare(lake, observer, keyless)).tables['e']?.rowsRead, 2);
});
