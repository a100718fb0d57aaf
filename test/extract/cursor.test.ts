import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TableDefinition } from '../../warehouse/extract/index.ts';
import { openLakePerTest, sourceOf, type TestLake, touchedTableSql } from './lake.ts';

/** Attacks on the promise "gap-free": rows that a watermark is tempted to skip. */

const definition: TableDefinition = {
  mode: 'cursor',
  key: ['id'],
  columns: ['id', 'v', 'updated_at'],
  cursor: { column: 'updated_at', setBy: 'database' },
};
const source = sourceOf({ t: definition });

let lake: TestLake;
openLakePerTest(async (made) => {
  lake = made;
  await lake.client.query(touchedTableSql('t', 'id int primary key, v text'));
});

/** Bronze and Postgres hold the same rows: asked of Postgres itself, row by row. */
async function assertEqual(): Promise<void> {
  const bronze = (await lake.rows('t', 'id')).map((row) => [row['id'], row['v'], row['updated_at']]);
  const { rows } = await lake.client.query<{ id: number; v: string; u: string }>({
    text: `select id, v, updated_at::text as u from app.t order by id`,
  });
  assert.deepEqual(
    bronze.map(([id, v, u]) => [id, v, new Date(String(u)).toISOString()]),
    rows.map((row) => [row.id, row.v, new Date(row.u).toISOString()]),
  );
}

test('only rows that moved are read, and an idle run commits nothing', async () => {
  // History long ago, so that the margin does not cover it.
  await lake.client.query(`alter table app.t disable trigger touch;
    insert into app.t select i, 'old', now() - interval '1 day' from generate_series(1, 500) i;
    insert into app.t values (501, 'newest', now() - interval '1 hour');
    alter table app.t enable trigger touch`);
  const first = await lake.run(source);
  assert.deepEqual([first.tables['t']?.inserted, first.tables['t']?.how], [501, 'whole']);
  const idle = await lake.run(source);
  assert.deepEqual([idle.tables['t']?.how, idle.tables['t']?.rowsRead, idle.batch.drafts.length], ['cursor', 1, 0]);
  await lake.client.query(
    `update app.t set v = 'changed' where id in (3, 4); insert into app.t values (1000, 'added')`,
  );
  const second = await lake.run(source);
  const { how, rowsRead, inserted, updated, deleted } = second.tables['t'] ?? {};
  assert.deepEqual([how, rowsRead, inserted, updated, deleted], ['cursor', 4, 1, 2, 0]);
  await assertEqual();
  assert.equal((await lake.run(source)).batch.drafts.length > 1, false);
  const log = await lake.log('t');
  assert.equal(log.length, 504, 'nothing is written twice');
});

test('B1: a row committed late, with a cursor older than rows already carried, arrives', async () => {
  await lake.client.query(`insert into app.t values (1, 'first')`);
  await lake.run(source);
  const late = await lake.connect();
  await late.query(
    `begin; insert into app.t values (2, 'late'); savepoint s; insert into app.t values (4, 'late too')`,
  );
  await lake.client.query('select pg_sleep(6.5)'); // longer than the margin, which alone must not be what saves it
  await lake.client.query(`insert into app.t values (3, 'overtakes')`);
  await lake.run(source);
  assert.equal((await lake.rows('t')).length, 2);
  await late.query('release s; commit');
  const { tables } = await lake.run(source);
  assert.equal(tables['t']?.how, 'cursor', 'found by the guard, not by reading everything');
  await assertEqual();
});

test('B1: an open transaction holds the watermark back to its start, however many runs pass', async () => {
  const watermark = async (): Promise<string | undefined> =>
    (await lake.bronze.state(['app'])).sources[0]?.tables.get('t')?.watermark?.value;
  await lake.client.query(`insert into app.t values (1, 'first')`);
  await lake.run(source);
  const late = await lake.connect();
  await late.query('begin');
  await late.query(`insert into app.t values (2, 'held open')`);
  const { rows } = await late.query<{ start: string }>('select now()::text as start');
  const start = new Date(rows[0]?.start ?? '');
  for (let i = 10; i < 14; i++) {
    await lake.client.query('select pg_sleep(0.3)');
    await lake.client.query(`insert into app.t values (${i}, 'overtakes')`);
    await lake.run(source);
    assert.ok(
      new Date((await watermark()) ?? '') <= new Date(start.getTime() - 4_900),
      'never beyond the open transaction less the margin',
    );
  }
  await late.query('commit');
  await lake.run(source);
  await assertEqual();
});

test('B1: rows of a subtransaction, released or rolled back, are carried as they ended', async () => {
  await lake.client.query(`insert into app.t values (1, 'a'), (2, 'b')`);
  await lake.run(source);
  const late = await lake.connect();
  await late.query(`begin; savepoint one; update app.t set v = 'kept' where id = 1; release one;
    savepoint two; update app.t set v = 'undone' where id = 2; rollback to two; savepoint three; insert into app.t values (3, 'late')`);
  await lake.client.query(`insert into app.t values (4, 'overtakes')`);
  await lake.run(source);
  await late.query('release three; commit');
  assert.equal((await lake.run(source)).tables['t']?.how, 'cursor');
  await assertEqual();
});

test('B1: while a prepared transaction, whose start nobody knows, is open, rows are found by who wrote them', async () => {
  const { rows } = await lake.client.query<{ max: string }>(
    `select current_setting('max_prepared_transactions') as max`,
  );
  assert.notEqual(rows[0]?.max, '0', 'the test cluster must allow prepared transactions');
  await lake.client.query(`insert into app.t values (1, 'a')`);
  await lake.run(source);
  const other = await lake.connect();
  await other.query(
    `begin; insert into app.t values (2, 'prepared'); prepare transaction 'sluice-test-${process.pid}'`,
  );
  try {
    await lake.client.query(`insert into app.t values (3, 'overtakes')`);
    const during = await lake.run(source);
    assert.equal(during.tables['t']?.how, 'sweep');
    assert.match(during.tables['t']?.note ?? '', /prepared transaction.*deletes are not seen/);
    assert.equal((await lake.rows('t')).length, 2);
  } finally {
    await other.query(`commit prepared 'sluice-test-${process.pid}'`);
  }
  const { tables } = await lake.run(source);
  assert.equal(tables['t']?.how, 'cursor', 'the guard’s older watermark stayed valid');
  await assertEqual();
});

test('B2: ties on the cursor: rows of one instant committed after the run arrive', async () => {
  await lake.client.query(`alter table app.t disable trigger touch`);
  const at = `'2026-01-01 00:00:00+00'`;
  await lake.client.query(
    `insert into app.t values (1, 'a', ${at}), (2, 'b', ${at}); alter table app.t enable trigger touch`,
  );
  await lake.run(source);
  const [one, two] = [await lake.connect(), await lake.connect()];
  await one.query('begin');
  await one.query(`insert into app.t values (3, 'tie'), (4, 'tie')`);
  await two.query(`insert into app.t values (5, 'between')`);
  await lake.run(source);
  await one.query(`insert into app.t values (6, 'the same now(), after the run')`);
  await one.query('commit');
  await lake.run(source);
  await assertEqual();
});

test('B3: rows without a cursor are looked at every time and sent when they were written', async () => {
  await lake.client.query(`create table app.n (id int primary key, v text, updated_at timestamptz);
    create function app.touch_new() returns trigger language plpgsql as $$ begin new.updated_at := now(); return new; end $$;
    insert into app.n select i, 'old', now() - interval '1 day' from generate_series(1, 100) i; insert into app.n values (200, 'null', null);
    create trigger touch before insert or update on app.n for each row execute function app.touch_new()`);
  const nullable = sourceOf({ t: definition, n: definition });
  await lake.run(nullable);
  await lake.client.query(`alter table app.n disable trigger touch; update app.n set v = 'changed' where id = 200`);
  // So that the next run's sweep has none of the first rows, after whose cursors, all the same, it would read from then on.
  await lake.settle();
  await lake.run(nullable);
  assert.deepEqual((await lake.rows('n', 'id')).at(-1), { id: 200, v: 'changed', updated_at: null });
  await lake.client.query(`alter table app.n enable trigger touch`);
  await lake.run(nullable);
  await lake.client.query(`set session_replication_role = replica;
    insert into app.n select i, 'null too', null from generate_series(300, 349) i; set session_replication_role = origin`);
  await lake.settle();
  const { how, inserted } = (await lake.run(nullable)).tables['n'] ?? {};
  assert.deepEqual([how, inserted], ['cursor', 50]);
  const idle = (await lake.idle(nullable)).tables['n'];
  assert.deepEqual([idle?.how, idle?.rowsRead], ['cursor', 0]);
});

test('B4: a cursor in the future does not blind the stream', async () => {
  await lake.client.query(`alter table app.t disable trigger touch;
    insert into app.t values (1, 'future', now() + interval '10 years'), (2, 'forever', 'infinity'), (3, 'past', now() - interval '1 day');
    alter table app.t enable trigger touch`);
  await lake.run(source);
  const value = (await lake.bronze.state(['app'])).sources[0]?.tables.get('t')?.watermark?.value ?? '';
  assert.ok(new Date(value) < new Date(), 'the watermark stays behind the clock');
  await lake.client.query(`insert into app.t values (4, 'now'); update app.t set v = 'again' where id = 3`);
  const { tables } = await lake.run(source);
  assert.deepEqual([tables['t']?.how, tables['t']?.inserted, tables['t']?.updated], ['cursor', 1, 1]);
  const { rows } = await lake.client.query<{ n: string }>(`select count(*) as n from app.t`);
  assert.equal(String((await lake.rows('t')).length), rows[0]?.n);
});

test('B6: a trigger switched off and on between two runs is noticed, and a cursor set backward in between is carried', async () => {
  await lake.client.query(`insert into app.t values (1, 'a'), (2, 'b')`);
  await lake.run(source);
  assert.equal((await lake.run(source)).tables['t']?.how, 'cursor');
  await lake.client.query(`alter table app.t disable trigger touch; update app.t set v = 'backward', updated_at = '2001-01-01' where id = 1;
    alter table app.t enable trigger touch`);
  const { tables } = await lake.run(source);
  assert.deepEqual([tables['t']?.how, tables['t']?.updated], ['sweep', 1]);
  assert.match(tables['t']?.note ?? '', /trigger or the server changed/);
  await assertEqual();
  assert.equal((await lake.run(source)).tables['t']?.how, 'cursor');
});

const UNPROVABLE: readonly (readonly [string, string, RegExp])[] = [
  ['no trigger', 'drop trigger touch on app.t', /no trigger sets/],
  ['a disabled trigger', 'alter table app.t disable trigger touch', /no trigger sets/],
  ['a trigger for replicas only', 'alter table app.t enable replica trigger touch', /no trigger sets/],
  [
    'a trigger on update only',
    'drop trigger touch on app.t; create trigger touch before update on app.t for each row execute function app.touch()',
    /before every insert/,
  ],
  [
    'a trigger with a condition',
    'drop trigger touch on app.t; create trigger touch before insert or update on app.t for each row when (new.v is not null) execute function app.touch()',
    /no trigger sets/,
  ],
  [
    'a trigger for one column',
    'drop trigger touch on app.t; create trigger touch before insert or update of v on app.t for each row execute function app.touch()',
    /no trigger sets/,
  ],
  [
    'a function that decides',
    `create or replace function app.touch() returns trigger language plpgsql as $$ begin if new.v <> old.v then new.updated_at := now(); end if; return new; end $$`,
    /no trigger sets/,
  ],
  [
    'a function that keeps the old value',
    `create or replace function app.touch() returns trigger language plpgsql as $$ begin new.updated_at := now(); new.updated_at := coalesce(old.updated_at, now()); return new; end $$`,
    /no trigger sets/,
  ],
  [
    'a comment that only looks like it',
    `create or replace function app.touch() returns trigger language plpgsql as $$ begin /* new.updated_at := now(); */ return new; end $$`,
    /no trigger sets/,
  ],
  [
    'a later trigger that overrides it',
    `create function app.zz() returns trigger language plpgsql as $$ begin new.updated_at := '2001-01-01'; return new; end $$; create trigger zz before insert or update on app.t for each row execute function app.zz()`,
    /zz may set updated_at after touch/,
  ],
  ['a child table', 'create table app.child () inherits (app.t)', /inherit/],
];
for (const [what, sql, why] of UNPROVABLE) {
  test(`${what} does not count as proof: rows are found by who wrote them (B6: a cursor set backward, too)`, async () => {
    await lake.client.query(sql);
    await lake.client.query(`insert into app.t (id, v, updated_at) values (1, 'a', now()), (2, 'b', now())`);
    assert.match((await lake.run(source)).tables['t']?.note ?? '', why);
    await lake.client.query(
      `alter table app.t disable trigger all; update app.t set v = 'c', updated_at = '2001-01-01' where id = 1`,
    );
    await lake.settle();
    const { tables } = await lake.run(source);
    const { how, updated } = tables['t'] ?? {};
    assert.deepEqual([how, updated], ['sweep', 1]);
    assert.match(tables['t']?.note ?? '', /no trigger sets|inherit/);
    await assertEqual();
    assert.deepEqual((await lake.idle(source)).batch.drafts, []);
  });
}

test('statements that leave the proof standing: other triggers, quoted names, current_timestamp', async () => {
  await lake.client.query(`create or replace function app.touch() returns trigger language plpgsql as $$
      -- keeps updated_at
      BEGIN
        NEW."updated_at" = CURRENT_TIMESTAMP;
        NEW.v := upper(new.v);
        RETURN NEW;
      END; $$;
    create function app.harmless() returns trigger language plpgsql as $$ begin new.v := new.v || '!'; return new; end $$;
    create trigger zz before insert or update on app.t for each row execute function app.harmless();
    insert into app.t values (1, 'a')`);
  await lake.run(source);
  assert.equal((await lake.run(source)).tables['t']?.how, 'cursor');
});

test('a partitioned table is proven by its partitions, and one partition without its trigger is enough to doubt', async () => {
  await lake.client.query(`create table app.p (id int, v text, updated_at timestamptz not null default now(), primary key (id)) partition by range (id);
    create table app.p1 partition of app.p for values from (0) to (100); create table app.p2 partition of app.p for values from (100) to (200);
    create trigger touch before insert or update on app.p for each row execute function app.touch();
    insert into app.p values (1, 'a'), (150, 'b')`);
  const parts = sourceOf({ p: definition });
  await lake.run(parts);
  assert.equal((await lake.run(parts)).tables['p']?.how, 'cursor');
  await lake.client.query(`update app.p set v = 'moved', id = 120 where id = 1`);
  await lake.run(parts);
  await lake.client.query('alter table app.p2 disable trigger touch');
  const { tables } = await lake.run(parts);
  assert.equal(tables['p']?.how, 'sweep');
  assert.deepEqual(
    (await lake.rows('p', 'id')).map((row) => row['id']),
    [1, 120, 150],
    'a key that changed leaves the old one behind, as a delete does',
  );
});

test('a role that cannot see other sessions gets no watermark', async () => {
  const role = `sluice_blind_${process.pid}`;
  await lake.client.query(
    `create role ${role} login password 'x'; grant usage on schema app to ${role}; grant select (id, v, updated_at) on app.t to ${role}`,
  );
  try {
    const url = new URL(lake.url);
    url.username = role;
    url.password = 'x';
    await lake.client.query(`insert into app.t values (1, 'a')`);
    await lake.run(source, { url: url.href });
    const blind = await lake.run(source, { url: url.href });
    assert.equal(blind.tables['t']?.how, 'whole', 'the role cannot see who wrote a row either');
    assert.match(blind.tables['t']?.note ?? '', /pg_read_all_stats.*no sweep.*xmin/);
    await lake.client.query(`grant select (xmin) on app.t to ${role}`);
    await lake.run(source, { url: url.href });
    await lake.client.query(`insert into app.t values (2, 'b')`);
    const swept = (await lake.run(source, { url: url.href })).tables['t'];
    assert.deepEqual([swept?.how, swept?.inserted], ['sweep', 1]);
    assert.match(swept?.note ?? '', /pg_read_all_stats/);
    await lake.client.query(`grant pg_read_all_stats to ${role}`);
    await lake.run(source, { url: url.href });
    assert.equal((await lake.run(source, { url: url.href })).tables['t']?.how, 'cursor');
  } finally {
    await lake.client.query(`drop owned by ${role}; drop role ${role}`);
  }
});

test('a session that hides its transaction is found out', async () => {
  await lake.client.query(`insert into app.t values (1, 'a')`);
  await lake.run(source);
  const hidden = await lake.connect();
  await hidden.query('set track_activities = off');
  await hidden.query(`begin; insert into app.t values (2, 'hidden')`);
  await lake.client.query(`insert into app.t values (3, 'overtakes')`);
  const during = await lake.run(source);
  assert.match(during.tables['t']?.note ?? '', /track_activities/);
  await hidden.query('commit');
  await lake.run(source);
  await assertEqual();
});

test('a table dropped and made again under its name is read whole', async () => {
  await lake.client.query(`insert into app.t values (1, 'a'), (2, 'b')`);
  await lake.run(source);
  await lake.client.query(`drop table app.t; ${touchedTableSql('t', 'id int primary key, v text')}
    alter table app.t disable trigger touch; insert into app.t values (2, 'b2', '2001-01-01'), (3, 'c', '2001-01-01'); alter table app.t enable trigger touch`);
  const { tables } = await lake.run(source);
  const { inserted, updated, deleted } = tables['t'] ?? {};
  assert.deepEqual([inserted, updated, deleted], [1, 1, 1]);
  await assertEqual();
});
