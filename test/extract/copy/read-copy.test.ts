import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { isSluiceError } from '../../../warehouse/core/errors.ts';
import type { RowGroup } from '../../../warehouse/core/parquet/index.ts';
import { type ReadCopyOptions, type ReadCopyResult, readCopy } from '../../../warehouse/extract/copy/read-copy.ts';
import { type TestDatabase, testDatabase } from '../../support/postgres.ts';
import { carriedColumns, roundTrip, selectOf, sessionOn } from './round-trip.ts';

/** The COPY as a whole: pace, ends of every kind, and tables of unusual shape. */

let database: TestDatabase;
let client: pg.Client;
const unhandled: unknown[] = [];
const note = (error: unknown): void => void unhandled.push(error);
before(async () => {
  process.on('unhandledRejection', note);
  process.on('uncaughtException', note);
  database = await testDatabase();
  client = new pg.Client({ connectionString: database.url });
  await client.connect();
  await client.query(`create table big (id int primary key, t text);
    insert into big select k, md5(k::text) from generate_series(1, 100000) k`);
});
after(async () => {
  await client.end();
  await database.drop();
  process.off('unhandledRejection', note);
  process.off('uncaughtException', note);
  assert.deepEqual(unhandled, []);
});

async function read(
  table: string,
  options: Partial<ReadCopyOptions>,
  sessionSignal?: AbortSignal,
): Promise<ReadCopyResult> {
  const session = await sessionOn(database.url, sessionSignal);
  try {
    const columns = await carriedColumns(session, table);
    return await readCopy({
      session,
      table,
      key: ['id'],
      columns,
      selectSql: selectOf(columns, table),
      sink: async () => undefined,
      ...options,
    });
  } finally {
    await session.close();
  }
}

/** Sum of the first leaf, an int4. */
function sumOf(group: RowGroup): number {
  const leaf = group.leaves[0];
  let sum = 0;
  for (let i = 0; i < (leaf?.count ?? 0); i++) sum += leaf?.i32[i] ?? 0;
  return sum;
}

test('row groups of any size and a sink of any pace give every row once, in order, at most two calls at a time', async () => {
  let seed = 7;
  const random = (): number => (seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648) / 2_147_483_648;
  for (let round = 0; round < 12; round++) {
    let underWay = 0;
    let most = 0;
    let total = 0;
    let rows = 0;
    const firsts: number[] = [];
    const result = await read('big', {
      limits: { rows: 1 + Math.floor(random() * 30_000) + 500, windowBytes: 64 + Math.floor(random() * 100_000) },
      sink: async (group) => {
        most = Math.max(most, ++underWay);
        firsts.push(group.leaves[0]?.i32[0] ?? 0);
        const before = sumOf(group);
        if (random() < 0.5) await sleep(random() * 20);
        assert.equal(sumOf(group), before, 'the buffers are the sink’s until it is done');
        total += before;
        rows += group.rows;
        underWay--;
      },
    });
    assert.deepEqual([rows, result.rows, total], [100_000, 100_000, (100_000 * 100_001) / 2]);
    assert.ok(most <= 2, `${most} calls`);
    assert.deepEqual(
      firsts,
      [...firsts].sort((a, b) => a - b),
    );
  }
});

test('an error of the sink stops the COPY at once and is what is thrown', async () => {
  const groups: number[] = [];
  const broken = new Error('the disk is gone');
  for (const delay of [0, 30]) {
    groups.length = 0;
    await assert.rejects(
      read('big', {
        limits: { rows: 1_000 },
        sink: async (group) => {
          groups.push(group.rows);
          if (groups.length < 3) return;
          await sleep(delay);
          throw broken;
        },
      }),
      (error) => error === broken,
    );
    assert.ok(groups.length <= 4, `${groups.length} groups`);
  }
});

test('a sink that fails while the server sends nothing stops the COPY without waiting for it', async () => {
  await assert.rejects(
    read('big', {
      limits: { rows: 10_000 },
      selectSql: 'select id, t || pg_sleep(case when id = 15000 then 600 else 0 end)::text from public.big',
      sink: async () => {
        throw new Error('no more');
      },
    }),
    /no more/,
  );
});

test('an abort stops the COPY, also while the server sends nothing or the sink is slow', async () => {
  const slow = 'select id, t || pg_sleep(case when id = 15000 then 600 else 0 end)::text from public.big';
  for (const selectSql of [slow, 'select id, t from public.big']) {
    const stop = new AbortController();
    let ended = 0;
    const reading = read('big', {
      limits: { rows: 10_000 },
      selectSql,
      signal: stop.signal,
      sink: async () => {
        stop.abort(new Error('enough'));
        await sleep(20);
        ended++;
      },
    });
    await assert.rejects(reading, /enough/);
    assert.equal(ended, 1, 'the call under way has ended');
  }
  await assert.rejects(read('big', { signal: AbortSignal.abort(new Error('before')) }), /before/);
});

test('what happened on this side is told as it is, not as an error of the server', async () => {
  const own = Object.assign(new Error('ENOENT: no such file or directory'), { code: 'ENOENT' });
  const isOwn = (error: unknown): boolean => error === own;
  const stop = new AbortController();
  await assert.rejects(read('big', { signal: stop.signal, onProgress: () => stop.abort(own) }), isOwn);
  const fail = (): never => {
    throw own;
  };
  await assert.rejects(read('big', { onProgress: fail }), isOwn);
  await assert.rejects(read('big', { onArrived: fail }), isOwn);
  await assert.rejects(read('big', { sink: async () => fail() }), isOwn);
});

test('a disk that is full on the server is not this machine’s', async () => {
  await client.query(`create or replace function public.no_room() returns text language plpgsql as $$
    begin raise exception 'could not extend file: No space left on device' using errcode = 'disk_full'; end $$`);
  await assert.rejects(
    read('big', { selectSql: 'select id, public.no_room() from public.big' }),
    (error) => isSluiceError(error, 'SOURCE_QUERY_FAILED') && error.retryable && /No space left/.test(error.message),
  );
});

test('a cancelled session ends the COPY as cancelled', async () => {
  const stop = new AbortController();
  const selectSql = 'select id, t || pg_sleep(case when id = 15000 then 600 else 0 end)::text from public.big';
  const reading = read('big', { limits: { rows: 1_000 }, selectSql, sink: async () => stop.abort() }, stop.signal);
  await assert.rejects(reading, (error) => isSluiceError(error, 'CANCELLED'));
});

test('an error of the server in the middle of the COPY is thrown, and the session goes on', async () => {
  const session = await sessionOn(database.url);
  try {
    const columns = await carriedColumns(session, 'big');
    let rows = 0;
    const selectSql = 'select id, (1 / (50000 - id))::text || t from public.big';
    await assert.rejects(
      readCopy({
        session,
        table: 'big',
        key: ['id'],
        columns,
        selectSql,
        limits: { rows: 1_000 },
        sink: async (group) => void (rows += group.rows),
      }),
      (error) => isSluiceError(error, 'SOURCE_QUERY_FAILED') && /division by zero/.test(error.message),
    );
    assert.ok(rows > 0 && rows < 50_000, `${rows} rows`);
    assert.deepEqual(await session.rows('select 1 as one'), [{ one: 1 }]);
  } finally {
    await session.close();
  }
});

test('a statement that Postgres refuses and a server that goes away are errors', async () => {
  await assert.rejects(read('big', { selectSql: 'select nothing' }), (error) =>
    isSluiceError(error, 'SOURCE_QUERY_FAILED'),
  );
  await assert.rejects(
    read('big', { selectSql: 'select id from public.big' }),
    /a row of 1 fields, where 2 are selected/,
  );
  const session = await sessionOn(database.url);
  const columns = await carriedColumns(session, 'big');
  const [own] = await session.rows<{ pid: number }>('select pg_backend_pid() as pid');
  let groups = 0;
  await assert.rejects(
    readCopy({
      session,
      table: 'big',
      key: ['id'],
      columns,
      selectSql: selectOf(columns, 'big'),
      limits: { rows: 1_000 },
      sink: async () => {
        if (groups++ === 0) await client.query('select pg_terminate_backend($1)', [own?.pid]);
      },
    }),
    (error) => isSluiceError(error, 'SOURCE_QUERY_FAILED') && error.retryable,
  );
  await session.close();
});

test('a table without rows calls no sink', async () => {
  await client.query('create table empty (id int, t text)');
  let calls = 0;
  const result = await read('empty', { sink: async () => void calls++ });
  assert.deepEqual([result.rows, result.quarantined, calls], [0, 0, 0]);
});

test('rows of many megabytes go through a small window, between small ones', async () => {
  await client.query(`create table wide (id int primary key, t text, b bytea, l text[]);
    insert into wide select k, case when k % 3 = 0 then repeat('é' || k, 2500000) else 'small' end,
      case when k % 4 = 0 then decode(repeat('00ff', 1000000), 'hex') end, array[repeat('z', k * 100000), null] from generate_series(1, 9) k`);
  const { ours, theirs } = await roundTrip(database.url, 'wide', { limits: { windowBytes: 4_096, bytes: 1 << 20 } });
  assert.deepEqual(ours, theirs);
});

test('a table of 1,600 columns of changing types comes through, in row groups that memory can hold', async () => {
  const types = ['int4', 'text', 'bool', 'int8', 'numeric(12,3)', 'date', 'numeric(25,2)', 'timestamptz'];
  const columns = Array.from({ length: 1_599 }, (_, i) => ({ name: `c${i}`, type: types[i % types.length] ?? 'int4' }));
  await client.query(`create table widest (id int, ${columns.map(({ name, type }) => `${name} ${type}`).join(', ')})`);
  // Only every 40th column has a value: a row must fit a page.
  const filled = columns.filter((_, i) => i % 41 === 0);
  const valueOf = (type: string): string =>
    type === 'text'
      ? `'t' || k`
      : type === 'bool'
        ? 'k % 2 = 0'
        : type === 'date'
          ? `date '2020-01-01' + k`
          : type === 'timestamptz'
            ? `timestamptz '2020-01-01' + k * interval '1 s'`
            : 'k';
  await client.query(`insert into widest (id, ${filled.map(({ name }) => name).join(', ')})
    select k, ${filled.map(({ type }) => valueOf(type)).join(', ')} from generate_series(1, 3000) k`);
  const sizes: number[] = [];
  let sum = 0;
  const result = await read('widest', {
    limits: { bytes: 8 << 20 },
    sink: async (group) => {
      sizes.push(group.rows);
      sum += sumOf(group);
    },
  });
  assert.deepEqual([result.rows, sum], [3_000, (3_000 * 3_001) / 2]);
  assert.ok(sizes.length > 2, String(sizes));
  await client.query('create table some_of_widest as select * from widest where id <= 20');
  const { ours, theirs } = await roundTrip(database.url, 'some_of_widest');
  assert.deepEqual(ours, theirs);
});

test('dictionaries that overflow, stay plain for a while and are tried again lose nothing', async () => {
  await client.query(`create table labels (id int primary key, unique_text text, few text, later text);
    insert into labels select k, 'u' || k, 'f' || k % 10, case when k > 30000 then 'l' || k % 3 else 'x' || k end from generate_series(1, 80000) k`);
  const modes: string[] = [];
  const session = await sessionOn(database.url);
  try {
    const columns = await carriedColumns(session, 'labels');
    const sums = { rows: 0 };
    await readCopy({
      session,
      table: 'labels',
      key: ['id'],
      columns,
      selectSql: selectOf(columns, 'labels', 'order by id'),
      limits: { rows: 40_000 },
      sink: async (group) => {
        modes.push(group.leaves.map((leaf) => (leaf.isDictionary ? 'd' : 'p')).join(''));
        sums.rows += group.rows;
      },
    });
    assert.equal(sums.rows, 80_000);
  } finally {
    await session.close();
  }
  assert.deepEqual(modes, ['ppdp', 'ppdp']);
  for (const rows of [300, 20_000, 122_880]) {
    const { ours, theirs } = await roundTrip(database.url, 'labels', { limits: { rows } });
    assert.deepEqual(ours, theirs);
  }
});

test('progress tells rows and bytes, up to all of them', async () => {
  const seen: [number, number][] = [];
  const result = await read('big', { onProgress: (rows, bytes) => seen.push([rows, bytes]) });
  assert.deepEqual(seen.at(-1), [100_000, result.bytes]);
  assert.ok(
    seen.every(([rows, bytes], i) => i === 0 || (rows >= (seen[i - 1]?.[0] ?? 0) && bytes > (seen[i - 1]?.[1] ?? 0))),
  );
});

test('the point of money stands where the database’s own lc_monetary puts it', async () => {
  await client.query(
    `create table prices (id int primary key, v money); insert into prices values (1, '12.34'::text::money)`,
  );
  const { ours } = await roundTrip(database.url, 'prices');
  assert.equal(ours[0]?.['v'], '12.34');
  const session = await sessionOn(database.url);
  await session.rows(`select set_config('lc_monetary', 'C', false)`);
  await carriedColumns(session, 'prices');
  assert.deepEqual(await session.rows('show lc_monetary'), [{ lc_monetary: 'C' }]);
  await session.close();
});
