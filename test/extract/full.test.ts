import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isSluiceError } from '../../warehouse/core/errors.ts';
import type { TableDefinition } from '../../warehouse/extract/index.ts';
import { openLakePerTest, sourceOf, type TestLake } from './lake.ts';

let lake: TestLake;
openLakePerTest((made) => {
  lake = made;
});

const full = (key: string[], ...columns: string[]): TableDefinition => ({ mode: 'full', key, columns });

test('only differences are committed, and a delete carries the last known values', async () => {
  await lake.client.query(
    `create table app.t (a int, b text, v text, primary key (a, b)); insert into app.t select i, 'x', 'v' || i from generate_series(1, 1000) i`,
  );
  const source = sourceOf({ t: full(['a', 'b'], 'a', 'b', 'v') });
  assert.equal((await lake.run(source)).tables['t']?.inserted, 1000);
  await lake.client.query(
    `delete from app.t where a = 1; update app.t set v = null where a = 2; update app.t set b = 'y' where a = 3; insert into app.t values (0, '', '')`,
  );
  const { inserted, updated, deleted } = (await lake.run(source)).tables['t'] ?? {};
  assert.deepEqual([inserted, updated, deleted], [2, 1, 2]);
  const log = await lake.log('t');
  assert.deepEqual(
    log.slice(1000).map(({ a, b, v, _op }) => [a, b, v, _op]),
    [
      [0, '', '', 'insert'],
      [1, 'x', 'v1', 'delete'],
      [2, 'x', null, 'update'],
      [3, 'x', 'v3', 'delete'],
      [3, 'y', 'v3', 'insert'],
    ],
  );
  const seqs = log.map((row) => row['_seq'] as bigint);
  assert.equal(new Set(seqs).size, seqs.length);
  assert.deepEqual([seqs[0], seqs[1000]], [1n << 32n, 2n << 32n]);
  await lake.client.query(`insert into app.t values (1, 'x', 'back')`);
  await lake.run(source);
  assert.deepEqual(
    (await lake.rows('t', 'a, b')).slice(0, 2).map((row) => row['v']),
    ['', 'back'],
  );
  await lake.client.query('truncate app.t');
  assert.equal((await lake.run(source)).tables['t']?.deleted, 1001);
  assert.deepEqual(await lake.rows('t'), []);
});

test('rows of one commit never share a place in the log, over all its tables', async () => {
  await lake.client.query(
    `create table app.a (id int primary key); create table app.b (id int primary key); insert into app.a values (1), (2); insert into app.b values (1), (2)`,
  );
  await lake.run(sourceOf({ a: full(['id'], 'id'), b: full(['id'], 'id') }));
  const seqs = [...(await lake.log('a')), ...(await lake.log('b'))].map((row) => row['_seq']);
  assert.equal(new Set(seqs).size, 4);
});

test('a table without a key is replaced when its bag of rows changed, and only then', async () => {
  await lake.client.query(
    `create table app.t (v text, f float8); insert into app.t values ('a', 1), ('a', 1), (null, null), ('', 'nan')`,
  );
  const source = sourceOf({ t: full([], 'v', 'f') });
  await lake.run(source);
  await lake.client.query(
    `create table app.u as table app.t order by v desc; truncate app.t; insert into app.t table app.u`,
  );
  assert.equal((await lake.run(source)).batch.drafts.length, 0, 'order is no difference');
  await lake.client.query(`delete from app.t where ctid = (select min(ctid) from app.t where v = 'a')`);
  await lake.run(source);
  assert.equal((await lake.rows('t')).length, 3, 'one of two equal rows went');
  const { replacedAt, files } = await lake.table('app', 't');
  assert.deepEqual([replacedAt, files.map((file) => file.commit)], [2, [2]]);
  await lake.client.query('truncate app.t');
  await lake.run(source);
  assert.deepEqual(await lake.rows('t'), []);
  assert.equal((await lake.run(source)).batch.drafts.length, 0);
});

test('a key that is double or NULL is refused by name, on the first load and later', async () => {
  await lake.client.query('create table app.t (id int, v text)');
  const source = sourceOf({ t: full(['id'], 'id', 'v') });
  const refuses = (what: RegExp): Promise<void> =>
    assert.rejects(
      lake.run(source),
      (error: unknown) => isSluiceError(error, 'SOURCE_KEY_INVALID') && what.test(error.message),
    );
  await lake.client.query(`insert into app.t values (1, 'a'), (1, 'b')`);
  await refuses(/app\.t has 2 rows with the key id = 1/);
  await lake.client.query(`delete from app.t where v = 'b'`);
  await lake.run(source);
  await lake.client.query(`insert into app.t values (1, 'b')`);
  await refuses(/2 rows with the key id = 1/);
  await lake.client.query(`delete from app.t where v = 'b'; insert into app.t values (null, 'n')`);
  await refuses(/key holds NULL/);
  // A partial, an invalid or an expression index proves nothing.
  await lake.client.query(
    `delete from app.t; insert into app.t values (2, 'x'), (2, 'y'); create unique index on app.t (id) where v = 'x'; create unique index on app.t ((id + length(v)), v)`,
  );
  await refuses(/2 rows with the key id = 2/);
});

test('an empty table is a typed table, and an empty delta commits nothing', async () => {
  await lake.client.query('create table app.t (id int primary key, n numeric(10,2), at timestamptz)');
  const source = sourceOf({ t: full(['id'], 'id', 'n', 'at') });
  assert.equal((await lake.run(source)).batch.drafts.length, 1);
  assert.deepEqual(await lake.rows('t'), []);
  assert.deepEqual(
    (await lake.table('app', 't')).contract.columns.map((column) => column.duckdbType),
    ['INTEGER', 'DECIMAL(10,2)', 'TIMESTAMPTZ'],
  );
  assert.equal((await lake.run(source)).batch.drafts.length, 0);
});

test('columns that are not listed never leave Postgres, not even into a statement', async () => {
  const role = `sluice_narrow_${process.pid}`;
  await lake.client.query(`create table app.users (id int primary key, email text, hashed_password text); insert into app.users values (1, 'a@b.c', 'secret-hash');
    create role ${role} login password 'x'; grant usage on schema app to ${role}; grant select (id) on app.users to ${role}`);
  try {
    const url = Object.assign(new URL(lake.url), { username: role, password: 'x' }).href;
    await lake.run(sourceOf({ users: full(['id'], 'id') }), { url });
    assert.deepEqual(await lake.rows('users'), [{ id: 1 }]);
    await assert.rejects(
      lake.run(sourceOf({ users: full(['id'], 'id', 'hashed_password') }), { url }),
      (error: unknown) =>
        isSluiceError(error, 'SOURCE_QUERY_FAILED') &&
        /permission denied/.test(error.message) &&
        /Grant/.test(error.remedy ?? ''),
    );
  } finally {
    await lake.client.query(`drop owned by ${role}; drop role ${role}`);
  }
});

test('rows hidden by row-level security are an error, not deletes', async () => {
  const role = `sluice_rls_${process.pid}`;
  await lake.client.query(`create table app.t (id int primary key); insert into app.t values (1), (2);
    create role ${role} login password 'x'; grant usage on schema app to ${role}; grant select on app.t to ${role}`);
  try {
    const url = Object.assign(new URL(lake.url), { username: role, password: 'x' }).href;
    const source = sourceOf({ t: full(['id'], 'id') });
    await lake.run(source, { url });
    await lake.client.query('alter table app.t enable row level security; create policy one on app.t using (id = 1)');
    await assert.rejects(
      lake.run(source, { url }),
      (error: unknown) => isSluiceError(error, 'SOURCE_QUERY_FAILED') && /row-level security/.test(error.message),
    );
    assert.equal((await lake.rows('t')).length, 2);
  } finally {
    await lake.client.query(`drop owned by ${role}; drop role ${role}`);
  }
});

test('names that need quotes are carried', async () => {
  await lake.client.query(
    `create table app."Odd ""T'able" ("the Key" int primary key, "select" text, "a.b" text); insert into app."Odd ""T'able" values (1, 'x', null)`,
  );
  const name = `Odd "T'able`;
  const source = sourceOf({ [name]: full(['the Key'], 'the Key', 'select', 'a.b') });
  await lake.run(source);
  await lake.client.query(`update app."Odd ""T'able" set "select" = 'y'`);
  await lake.run(source);
  assert.deepEqual(await lake.rows(name), [{ 'the Key': 1, select: 'y', 'a.b': null }]);
});

test('names that DuckDB cannot tell apart are refused', async () => {
  await lake.client.query(`create table app.t (id int primary key, "Id" int)`);
  await assert.rejects(
    lake.run(sourceOf({ t: full(['id'], 'id', 'Id') })),
    (error: unknown) => isSluiceError(error, 'SOURCE_DEFINITION_INVALID') && /id and Id/.test(error.message),
  );
});
