import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isSluiceError } from '../../warehouse/core/errors.ts';
import type { TableDefinition } from '../../warehouse/extract/index.ts';
import { openLakePerTest, sourceOf, type TestLake, touchedTableSql } from './lake.ts';

let lake: TestLake;
openLakePerTest((made) => {
  lake = made;
});

const full = (...columns: string[]): TableDefinition => ({ mode: 'full', key: ['id'], columns });
const cursor = (...columns: string[]): TableDefinition => ({
  mode: 'cursor',
  key: ['id'],
  columns: [...columns, 'updated_at'],
  cursor: { column: 'updated_at', setBy: 'database' },
});

test('B13: a listed column that Postgres lost or renamed stops the run and is named', async () => {
  await lake.client.query(`create table app.t (id int primary key, v text); insert into app.t values (1, 'a')`);
  await lake.run(sourceOf({ t: full('id', 'v') }));
  await lake.client.query('alter table app.t rename v to w');
  await assert.rejects(
    lake.run(sourceOf({ t: full('id', 'v') })),
    (error: unknown) => isSluiceError(error, 'SOURCE_COLUMN_MISSING') && /app\.t has no column v/.test(error.message),
  );
  assert.deepEqual(await lake.rows('t'), [{ id: 1, v: 'a' }]);
});

test('a table that Postgres lost stops the run and is named', async () => {
  await assert.rejects(
    lake.run(sourceOf({ t: full('id') })),
    (error: unknown) => isSluiceError(error, 'SOURCE_TABLE_MISSING') && /app\.t/.test(error.message),
  );
});

test('B13: a new column is carried for every row whose value is not NULL; history lacks it', async () => {
  for (const [table, definition, ddl] of [
    ['f', full, 'create table app.f (id int primary key, v text)'],
    ['c', cursor, touchedTableSql('c', 'id int primary key, v text')],
  ] as const) {
    await lake.client.query(`${ddl}; insert into app.${table} (id, v) values (1, 'a'), (2, 'b')`);
    await lake.run(sourceOf({ [table]: definition('id', 'v') }));
    await lake.client.query(
      `alter table app.${table} add n int default 7; alter table app.${table} disable trigger all; update app.${table} set n = null where id = 2; alter table app.${table} enable trigger all`,
    );
    const { tables } = await lake.run(sourceOf({ [table]: definition('id', 'v', 'n') }));
    assert.equal(tables[table]?.updated, 1);
    assert.match(tables[table]?.note ?? '', /column n added/);
    assert.deepEqual(
      (await lake.rows(table, 'id')).map((row) => row['n']),
      [7, null],
    );
    assert.equal((await lake.log(table))[0]?.['n'], null);
  }
});

test('a new column that is NULL everywhere is known at once, by a commit without files', async () => {
  await lake.client.query(`create table app.t (id int primary key); insert into app.t values (1)`);
  await lake.run(sourceOf({ t: full('id') }));
  await lake.client.query('alter table app.t add d date');
  const { batch } = await lake.run(sourceOf({ t: full('id', 'd') }));
  assert.deepEqual(batch.drafts[0]?.tables['t']?.files, []);
  assert.deepEqual(await lake.rows('t'), [{ id: 1, d: null }]);
  assert.equal((await lake.run(sourceOf({ t: full('id', 'd') }))).batch.drafts.length, 0);
});

test('a column no longer listed disappears from the current state and its values are not compared', async () => {
  await lake.client.query(`create table app.t (id int primary key, v text); insert into app.t values (1, 'a')`);
  await lake.run(sourceOf({ t: full('id', 'v') }));
  await lake.client.query(`update app.t set v = 'b'`);
  const { tables } = await lake.run(sourceOf({ t: full('id') }));
  assert.equal(tables['t']?.updated, 0);
  assert.deepEqual(await lake.rows('t'), [{ id: 1 }]);
});

const WIDENINGS: readonly (readonly [string, string, string, string])[] = [
  ['int2', 'int4', '32767', '2147483647'],
  ['int4', 'int8', '-2147483648', '9223372036854775807'],
  ['numeric(10,2)', 'numeric(20,4)', '99999999.99', '1234567890123456.1234'],
  ['varchar(3)', 'text', 'abc', 'longer than three'],
  ['char(3)', 'text', 'a', 'ab'],
  ['float4', 'float8', '0.1', '0.1'],
];
for (const [from, to, old, grown] of WIDENINGS) {
  test(`B13: ${from} may become ${to}: old files and new are one column`, async () => {
    await lake.client.query(
      `create table app.t (id int primary key, v ${from}); insert into app.t values (1, '${old}'), (2, '${old}')`,
    );
    const source = sourceOf({ t: full('id', 'v') });
    await lake.run(source);
    await lake.client.query(`alter table app.t alter v type ${to}; update app.t set v = '${grown}' where id = 2`);
    await lake.run(source);
    const theirs = await lake.client
      .query<{ v: string }>(`set extra_float_digits = 3`)
      .then(() => lake.client.query<{ v: string }>(`select v::text as v from app.t order by id`));
    assert.deepEqual(
      (await lake.rows('t', 'id')).map((row) => String(row['v'])),
      theirs.rows.map((row) => row.v),
    );
    assert.equal((await lake.run(source)).batch.drafts.length, 0);
  });
}

const CHANGES: readonly (readonly [string, string, string])[] = [
  ['int8', 'int4', 'v::int4'],
  ['text', 'int4', 'v::int4'],
  ['int4', 'text', 'v::text'],
  ['int8', 'text', 'v::text'],
  ['numeric(10,2)', 'numeric(10,4)', 'v'],
  ['numeric(10,2)', 'numeric', 'v'],
  ['timestamp', 'timestamptz', 'v'],
  ['date', 'timestamp', 'v'],
];
for (const [from, to, using] of CHANGES) {
  test(`B13: ${from} that became ${to} stops the run`, async () => {
    await lake.client.query(`create table app.t (id int primary key, v ${from})`);
    const source = sourceOf({ t: full('id', 'v') });
    await lake.run(source);
    await lake.client.query(`alter table app.t alter v type ${to} using ${using}`);
    await assert.rejects(
      lake.run(source),
      (error: unknown) =>
        isSluiceError(error, 'SOURCE_TYPE_CHANGED') && error.message.includes('app.t.v') && error.remedy !== undefined,
    );
  });
}

test('another key replaces the table whole', async () => {
  await lake.client.query(
    `create table app.t (id int primary key, k text); insert into app.t values (1, 'a'), (2, 'b')`,
  );
  await lake.run(sourceOf({ t: full('id', 'k') }));
  await lake.client.query(`update app.t set id = id + 10`);
  await lake.run(sourceOf({ t: { mode: 'full', key: ['k'], columns: ['id', 'k'] } }));
  assert.deepEqual(await lake.rows('t', 'id'), [
    { id: 11, k: 'a' },
    { id: 12, k: 'b' },
  ]);
  assert.equal((await lake.table('app', 't')).replacedAt, 2);
});

test('a table may change its mode and back', async () => {
  await lake.client.query(
    `${touchedTableSql('t', 'id int primary key, v text')}; insert into app.t values (1, 'a'), (2, 'b')`,
  );
  const modes = [
    full('id', 'v', 'updated_at'),
    cursor('id', 'v'),
    cursor('id', 'v'),
    full('id', 'v', 'updated_at'),
    cursor('id', 'v'),
  ];
  const hows = [];
  for (const [i, definition] of modes.entries()) {
    await lake.client.query(`update app.t set v = '${i}' where id = 1`);
    const { tables } = await lake.run(sourceOf({ t: definition }));
    hows.push(tables['t']?.how);
    assert.equal((await lake.rows('t', 'id'))[0]?.['v'], String(i));
  }
  assert.deepEqual(hows, ['whole', 'whole', 'cursor', 'whole', 'whole']);
});

test('B13: a table rewritten, truncated or replaced while the snapshot is taken is never read as empty', async () => {
  await lake.client.query(
    `create table app.t (id int primary key, v int); insert into app.t select i, i from generate_series(1, 100) i`,
  );
  const source = sourceOf({ t: full('id', 'v') });
  await lake.run(source);
  const migration = await lake.connect();
  const load = { running: true };
  // Rewrites of the table, one after another: each shows older snapshots an empty table.
  const rewrites = (async () => {
    for (let i = 0; load.running; i++) {
      await migration.query(
        i % 2 === 0
          ? 'alter table app.t alter v type int using v + 0'
          : `begin; truncate app.t; insert into app.t select i, i from generate_series(1, 100) i; commit`,
      );
      await migration.query('select pg_sleep(0.003)');
    }
  })();
  try {
    for (let run = 0; run < 12; run++) {
      const deleted = await lake.run(source).then(
        ({ tables }) => tables['t']?.deleted,
        (error: unknown) => {
          if (isSluiceError(error, 'SOURCE_QUERY_FAILED') && error.retryable) return 0;
          throw error;
        },
      );
      assert.equal(deleted, 0);
    }
  } finally {
    load.running = false;
    await rewrites;
  }
  assert.equal((await lake.rows('t')).length, 100);
});
