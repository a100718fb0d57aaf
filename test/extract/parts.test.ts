import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { currentRowsSql } from '../../warehouse/core/bronze-sql.ts';
import { firstSeqOf } from '../../warehouse/core/bronze-table.ts';
import { isSluiceError } from '../../warehouse/core/errors.ts';
import { type ExtractOptions, type TableDefinition } from '../../warehouse/extract/index.ts';
import { openReaders } from '../../warehouse/extract/snapshot-readers.ts';
import { openSession, type SourceSession } from '../../warehouse/extract/source-session.ts';
import { planParts } from '../../warehouse/extract/table-parts.ts';
import { query, sourceOf, type TestLake, testLake } from './lake.ts';

/** Attacks on tables read in parts over several connections: whatever the parts are, bronze must be what one SELECT of the snapshot shows. */

const limits = { partBytes: 65_536, connections: 3, fileBytes: 32_768 } as const;
const id: TableDefinition = { mode: 'full', key: ['id'], columns: ['id', 'v'] };
const bag: TableDefinition = { mode: 'full', key: [], columns: ['id', 'v'] };
const source = sourceOf({
  heirs: bag,
  holes: id,
  leaves: id,
  loose: bag,
  none: id,
  one_page: id,
  plain: id,
  seen: bag,
  wide: id,
});
const TABLES = Object.keys(source.tables);

let lake: TestLake;
let observer: pg.Client;
before(async () => {
  lake = await testLake();
  observer = await lake.connect();
  await lake.client.query(`
    create table app.plain (id int primary key, v text) with (fillfactor = 100);
    insert into app.plain select i, repeat(md5(i::text), 3) from generate_series(1, 8000) i;
    create view app.seen as select id, v from app.plain where id % 3 = 0;
    create table app.one_page (id int primary key, v text);
    insert into app.one_page values (1, 'a'), (2, null), (3, '');
    create table app.none (like app.one_page including all);
    create table app.wide (like app.one_page including all);
    alter table app.wide alter column v set storage external;
    insert into app.wide select i, repeat(md5(i::text), 100) from generate_series(1, 3000) i;
    create table app.holes (id int primary key, v text) with (autovacuum_enabled = off);
    insert into app.holes select i, repeat('h', 100) from generate_series(1, 6000) i;
    delete from app.holes where id between 1 and 3000 or id > 5900;
    create table app.loose (id int, v text);
    insert into app.loose select i % 50, repeat('x', i % 3 * 100) from generate_series(1, 4000) i;
    create table app.heirs (id int, v text);
    insert into app.heirs select i, repeat('parent', 20) from generate_series(1, 700) i;
    create table app.heir_large (extra int) inherits (app.heirs);
    insert into app.heir_large select i, repeat('child', 20), i from generate_series(1, 5000) i;
    create table app.heir_empty () inherits (app.heirs);
    create table app.leaves (id int primary key, v text) partition by range (id);
    create table app.leaf_small partition of app.leaves for values from (0) to (200);
    create table app.leaf_large (v text, id int not null);
    alter table app.leaves attach partition app.leaf_large for values from (200) to (8000);
    create table app.leaf_empty partition of app.leaves for values from (8000) to (9000);
    create table app.leaf_split partition of app.leaves for values from (9000) to (12000) partition by range (id);
    create table app.leaf_split_a partition of app.leaf_split for values from (9000) to (9001);
    create table app.leaf_split_b partition of app.leaf_split for values from (9001) to (12000);
    insert into app.leaves select i, md5(i::text) from generate_series(0, 7999) i;
    insert into app.leaves select i, md5(i::text) from generate_series(9000, 11000) i`);
});
after(() => lake[Symbol.asyncDispose]());

async function sourceRows(client: pg.Client, table: string): Promise<string[]> {
  const { rows } = await client.query<{ row: string }>(
    `select concat_ws('|', id, coalesce(md5(v), 'NULL')) as row from app.${table}`,
  );
  return rows.map(({ row }) => row).sort();
}

async function bronzeRows(table: string): Promise<string[]> {
  const rows = await query(
    `select concat_ws('|', id, coalesce(md5(v), 'NULL')) as row from (${currentRowsSql(await lake.table('app', table))})`,
  );
  return rows.map((row) => String(row['row'])).sort();
}

/** Double rows count twice. */
async function expectSnapshot(
  tables: readonly string[],
  run: (options: Partial<ExtractOptions>) => Promise<unknown>,
  disturb: () => Promise<unknown> = () => Promise.resolve(),
): Promise<void> {
  const expected: string[][] = [];
  await run({
    limits,
    onSnapshot: async (exported) => {
      await observer.query(`begin isolation level repeatable read; set transaction snapshot '${exported}'`);
      for (const table of tables) expected.push(await sourceRows(observer, table));
      await observer.query('commit');
      await disturb();
    },
  });
  for (const [i, table] of tables.entries()) assert.deepEqual(await bronzeRows(table), expected[i], table);
}

async function assertVerified(): Promise<void> {
  const report = await lake.verify(source);
  assert.deepEqual(
    report.tables.filter((table) => !table.equal),
    [],
  );
}

/** Extracts and commits; the commit's numbers must be single over all its files, and each file's as it says. */
async function runNumbered(options: Partial<ExtractOptions>): Promise<void> {
  const batch = await lake.extract(source, options);
  const [draft] = batch.drafts;
  assert.ok(draft !== undefined);
  const seen = new Set<bigint>();
  for (const file of Object.values(draft.tables).flatMap((table) => table.files)) {
    const rows = await query(`select _seq from read_parquet('${file.localPath}') order by _seq`);
    const numbers = rows.map((row) => row['_seq'] as bigint);
    assert.equal(numbers.length, file.rows);
    assert.deepEqual([String(numbers.at(0)), String(numbers.at(-1))], [file.firstSeq, file.lastSeq]);
    for (const number of numbers) {
      assert.ok(number >= firstSeqOf(draft.number) && !seen.has(number), `${number} stands twice`);
      seen.add(number);
    }
  }
  assert.ok(seen.size > 0);
  await lake.bronze.commit(draft.source, draft);
  await rm(batch.dir, { recursive: true, force: true });
}

/** Sessions of extraction, once those that are about to go have gone. */
async function assertNoSessions(): Promise<void> {
  for (let i = 0; ; i++) {
    const { rows } = await observer.query(
      `select pid, state, query from pg_stat_activity where datname = current_database() and application_name like 'sluice/%'`,
    );
    if (rows.length === 0) return;
    assert.ok(i < 200, JSON.stringify(rows));
    await sleep(50);
  }
}

test('parts are disjoint and complete, whatever their size', async () => {
  const session = await openSession({
    url: lake.url,
    applicationName: 'parts',
    statementTimeoutMs: 60_000,
    lockTimeoutMs: 1_000,
  });
  try {
    for (const name of TABLES) {
      const [table] = await session.rows<{ oid: string; kind: string }>(
        `select oid::text as oid, relkind::text as kind from pg_class where oid = $1::regclass`,
        [`app.${name}`],
      );
      const [whole] = await session.rows<{ n: number }>(`select count(*)::int as n from app.${name}`);
      for (const partBytes of [1, 8_192, 50_000, 2 ** 28]) {
        const parts = await planParts(session, table!, partBytes);
        assert.ok(parts.length >= 1 && parts.every((part) => part.where !== ''));
        if (parts.length === 1) assert.equal(parts[0]?.where, null);
        const counts: number[] = [];
        for (const { where } of parts) {
          const [found] = await session.rows<{ n: number }>(
            `select count(*)::int as n from app.${name}${where === null ? '' : ` where ${where}`}`,
          );
          counts.push(found?.n ?? 0);
        }
        assert.equal(
          counts.reduce((a, b) => a + b, 0),
          whole?.n,
          `${name} in parts of ${partBytes} bytes`,
        );
        const twice = parts.map(({ where }) => `select tableoid, ctid from app.${name} where ${where ?? 'true'}`);
        if (name === 'seen' || parts.length > 300) continue;
        const [double] = await session.rows<{ n: number }>(
          `select count(*)::int as n from (${twice.join(' union ')}) as every_row`,
        );
        assert.equal(double?.n, whole?.n, `${name} in parts of ${partBytes} bytes`);
      }
      const many = await planParts(session, table!, limits.partBytes);
      assert.equal(many.length > 1, ['heirs', 'holes', 'leaves', 'loose', 'plain', 'wide'].includes(name), name);
    }
  } finally {
    await session.close();
  }
});

test('B7 B8: a first load in parts is the snapshot, although everything is rewritten while it runs', async () => {
  await expectSnapshot(TABLES, runNumbered, () =>
    lake.client.query(`update app.plain set v = v || 'late'; insert into app.plain select i, 'late' from generate_series(100000, 103000) i;
        delete from app.leaves where id % 2 = 0; update app.leaves set id = id + 1 where id = 4001; update app.holes set v = v || 'late';
        insert into app.loose select 1, 'late' from generate_series(1, 3000); update app.wide set v = 'late'; delete from app.heirs`),
  );
  assert.ok((await lake.table('app', 'plain')).files.length > 5, 'read in parts');
  await assertNoSessions();
});

test('a whole comparison in parts finds exactly what changed, also while it changes again', async () => {
  await expectSnapshot(TABLES, runNumbered, () =>
    lake.client.query('update app.plain set v = md5(v); delete from app.wide where id % 3 = 0'),
  );
  await expectSnapshot(TABLES, (options) => lake.run(source, options));
  await assertVerified();
  assert.equal((await lake.run(source, { limits })).batch.drafts.length, 0, 'read again, nothing differs');
});

test('a table that was rewritten or emptied since the last run is read in other parts', async () => {
  for (const sql of ['vacuum (full) app.plain', 'cluster app.wide using wide_pkey', 'vacuum (full) app.leaf_large'])
    await lake.client.query(sql);
  await lake.client.query('truncate app.holes');
  await lake.client.query(`insert into app.holes select i, repeat('n', 50) from generate_series(1, 5000) i`);
  await expectSnapshot(TABLES, (options) => lake.run(source, options));
  await assertVerified();
});

/** The most sessions of extraction at once while `work` runs, and their names. */
async function watchSessions(work: () => Promise<unknown>): Promise<{ most: number; names: readonly string[] }> {
  const watch = { over: false };
  const names = new Set<string>();
  let most = 0;
  const watching = (async () => {
    while (!watch.over) {
      const { rows } = await observer.query<{ name: string }>(
        `select application_name as name from pg_stat_activity where datname = current_database() and application_name like 'sluice/%'`,
      );
      most = Math.max(most, rows.length);
      for (const { name } of rows) names.add(name);
    }
  })();
  await work().finally(() => {
    watch.over = true;
  });
  await watching;
  return { most, names: [...names] };
}

test('as many connections as allowed, and named', async () => {
  await lake.client.query(`create table app.busy (id int primary key, v text);
    insert into app.busy select i, repeat(md5(i::text), 30) from generate_series(1, 10000) i`);
  const table = sourceOf({ busy: id });
  const seen = await watchSessions(() => lake.run(table, { limits }));
  assert.deepEqual(seen, { most: 3, names: ['sluice/0.0.0 extract app'] });
  await assertNoSessions();
  for (const connections of [1, 2]) {
    const { most } = await watchSessions(() => lake.run(table, { limits: { ...limits, connections } }));
    assert.ok(most >= 1 && most <= connections, `${most} connections`);
    await assertNoSessions();
  }
});

test('all readers see the holder’s snapshot and may not write', async () => {
  const options = { url: lake.url, applicationName: 'readers', statementTimeoutMs: 60_000, lockTimeoutMs: 1_000 };
  const holder = await openSession(options);
  await holder.rows('begin transaction isolation level repeatable read, read only');
  const [taken] = await holder.rows<{ exported: string; id: string }>(
    'select pg_export_snapshot() as exported, pg_current_snapshot()::text as id',
  );
  const readers = openReaders(holder, taken?.exported ?? '', options, 3);
  try {
    await lake.client.query('select txid_current()');
    let waiting = 0;
    const all = Promise.withResolvers<void>();
    const seen = await readers.readAll(
      [1, 2, 3].map(() => async (session: SourceSession) => {
        // Each on a session of its own: none goes on before all three are there.
        if (++waiting === 3) all.resolve();
        await all.promise;
        const [facts] = await session.rows<{ id: string; pid: number }>(
          'select pg_current_snapshot()::text as id, pg_backend_pid() as pid',
        );
        await assert.rejects(session.rows('create table app.written (id int)'), /read-only transaction/);
        return facts;
      }),
    );
    assert.equal(new Set(seen.map((facts) => facts?.pid)).size, 3);
    assert.deepEqual([...new Set(seen.map((facts) => facts?.id))], [taken?.id]);
  } finally {
    await readers.close();
    await holder.close();
  }
});

test('ALTER TABLE in line behind the holder’s lock does not stop the read: the holder reads the rest alone', async () => {
  const other = await lake.connect();
  let altered: Promise<unknown> = Promise.resolve();
  await expectSnapshot(
    ['plain'],
    (options) => lake.run(sourceOf({ ...source.tables }), { ...options, limits: { ...limits, lockTimeoutMs: 300 } }),
    async () => {
      altered = other.query('alter table app.plain add column later int');
      for (;;) {
        const { rows } = await observer.query<{ n: number }>(
          `select count(*)::int as n from pg_locks l join pg_database d on d.oid = l.database
            where not l.granted and d.datname = current_database()`,
        );
        if ((rows[0]?.n ?? 0) > 0) return;
        await sleep(10);
      }
    },
  );
  await altered;
  await assertVerified();
  await assertNoSessions();
});

test('an error in one part ends all of them: nothing is committed, no session stays, and the next run is right', async () => {
  const table = sourceOf({ ends: { mode: 'full', key: ['id'], columns: ['id', 'day'] } });
  await lake.client.query(`create table app.ends (id int primary key, day timestamp);
    insert into app.ends select i, '2020-01-01' from generate_series(1, 30000) i;
    insert into app.ends values (30001, '294276-01-01')`);
  const head = await lake.bronze.head('app');
  for (let i = 0; i < 2; i++) {
    await assert.rejects(
      lake.run(table, { limits }),
      (error: unknown) =>
        isSluiceError(error, 'SOURCE_VALUE_UNREPRESENTABLE') && /day of the row id = 30001/.test(error.message),
    );
    await assertNoSessions();
  }
  assert.equal(await lake.bronze.head('app'), head);
  await lake.client.query(`update app.ends set day = '2021-01-01' where id = 30001 or id < 100`);
  await lake.run(table, { limits });
  const [sums] = await query(
    `select count(*) as n, count(*) filter (where day = timestamp '2021-01-01') as late from (${currentRowsSql(await lake.table('app', 'ends'))})`,
  );
  assert.deepEqual(sums, { n: 30_001n, late: 100n });
});

for (const [what, order] of [
  ['one that reads', 'desc'],
  ['the one that holds the snapshot', 'asc'],
] as const) {
  test(`a connection that is terminated, ${what}, ends the run with an error to retry`, async () => {
    await lake.client.query(`drop table if exists app.cut; create table app.cut (id int primary key, v text);
      insert into app.cut select i, repeat(md5(i::text), 50) from generate_series(1, 20000) i`);
    const table = sourceOf({ cut: id });
    const head = await lake.bronze.head('app');
    let terminating: Promise<unknown> | undefined;
    const terminate = async (): Promise<void> => {
      for (;;) {
        const { rowCount } = await observer.query(
          `select pg_terminate_backend(pid) from (select pid from pg_stat_activity where datname = current_database() and application_name like 'sluice/%' and query like 'copy%' order by backend_start ${order} limit 1) as victim`,
        );
        if ((rowCount ?? 0) > 0) return;
      }
    };
    await assert.rejects(
      lake.run(table, {
        limits: { ...limits, partBytes: 500_000 },
        onProgress: (event) => {
          if (event.state === 'running') terminating ??= terminate();
        },
      }),
      (error: unknown) => isSluiceError(error) && error.retryable,
    );
    await terminating;
    await assertNoSessions();
    assert.equal(await lake.bronze.head('app'), head);
    await expectSnapshot(['cut'], (options) => lake.run(table, options));
  });
}

test('cancelled in the middle, all connections end', async () => {
  await lake.client.query(`create table app.halted (id int primary key, v text);
    insert into app.halted select i, repeat(md5(i::text), 50) from generate_series(1, 8000) i`);
  const table = sourceOf({ halted: id });
  for (const least of [0, 2_000]) {
    const controller = new AbortController();
    await assert.rejects(
      lake.run(table, {
        limits,
        signal: controller.signal,
        onProgress: (event) => {
          if (event.state === 'running' && (event.rows ?? 0) >= least) controller.abort();
        },
      }),
      (error: unknown) => isSluiceError(error, 'CANCELLED'),
    );
    await assertNoSessions();
  }
  await expectSnapshot(['halted'], (options) => lake.run(table, options));
});
