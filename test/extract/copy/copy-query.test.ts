import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { isSluiceError } from '../../../warehouse/core/errors.ts';
import { type ReadCopyOptions, type ReadCopyResult, readCopy } from '../../../warehouse/extract/copy/read-copy.ts';
import type { SourceSession } from '../../../warehouse/extract/source-session.ts';
import { type TestDatabase, testDatabase } from '../../support/postgres.ts';
import { startPostgresProxy } from '../../support/postgres-proxy.ts';
import { makeCertificates } from '../../support/tls-proxy.ts';
import { carriedColumns, roundTrip, selectOf, sessionOn } from './round-trip.ts';

/** The bytes of the connection taken over for a COPY and given back: over a line that cuts, breaks, encrypts, stalls or has more to say. */

let database: TestDatabase;
let client: pg.Client;
before(async () => {
  database = await testDatabase();
  client = new pg.Client({ connectionString: database.url });
  await client.connect();
  await client.query(`create table few (id int primary key, t text, n numeric(20,3), at timestamptz);
    insert into few select k, nullif(repeat('é', k % 30), ''), k * 1000.125, timestamptz '2024-01-01' + k * interval '1 s' from generate_series(1, 700) k;
    create table many (id int primary key, t text);
    insert into many select k, repeat(md5(k::text), 4) from generate_series(1, 60000) k;
    create function chatty(k int) returns int language plpgsql as $$ begin raise notice 'row %', k; return k; end $$`);
});
after(async () => {
  await client.end();
  await database.drop();
});

async function readOn(
  session: SourceSession,
  table: string,
  options: Partial<ReadCopyOptions> = {},
): Promise<ReadCopyResult> {
  const columns = await carriedColumns(session, table);
  const selectSql = selectOf(columns, table);
  return await readCopy({ session, table, key: ['id'], columns, selectSql, sink: async () => undefined, ...options });
}

test('rows come whole through a line that hands on a few bytes at a time, and the connection serves on', async () => {
  for (const pieceOf of [(): number => 1, (): number => 7, (): number => 1 + Math.floor(Math.random() * 3_000)]) {
    const proxy = await startPostgresProxy(database.url, { pieceOf });
    try {
      const { ours, theirs } = await roundTrip(proxy.url, 'few', { limits: { rows: 100, windowBytes: 64 } });
      assert.equal(ours.length, 700);
      assert.deepEqual(ours, theirs);
    } finally {
      await proxy.close();
    }
  }
});

test('rows come whole through TLS, with a slow sink, and the connection serves on', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'sluice-copy-tls-'));
  const proxy = await startPostgresProxy(database.url, { tls: makeCertificates(dir) });
  const session = await sessionOn(proxy.url);
  try {
    const [line] = await session.rows<{ answer: number }>('select 41 + 1 as answer');
    assert.equal(line?.answer, 42);
    let groups = 0;
    for (let round = 0; round < 2; round++) {
      const sink = async (): Promise<void> => sleep(groups++ % 10);
      assert.equal((await readOn(session, 'many', { limits: { rows: 2_000 }, sink })).rows, 60_000);
    }
    assert.equal(groups, 60);
    assert.deepEqual(await session.rows('select 1 as one'), [{ one: 1 }]);
    const { ours, theirs } = await roundTrip(proxy.url, 'few');
    assert.deepEqual(ours, theirs);
  } finally {
    await session.close();
    await proxy.close();
    await rm(dir, { recursive: true, force: true });
  }
});

test('notices between rows reach the driver, each once, and take no row with them', async () => {
  for (const pieceOf of [undefined, (): number => 3]) {
    const proxy = await startPostgresProxy(database.url, pieceOf === undefined ? {} : { pieceOf });
    const session = await sessionOn(proxy.url);
    try {
      const notices: (string | undefined)[] = [];
      session.client.on('notice', (notice) => notices.push(notice.message));
      const selectSql =
        'select case when id % 3 = 0 then public.chatty(id) else id end as chat, t, n, at from public.few order by id';
      const result = await readOn(session, 'few', { selectSql, limits: { rows: 50 } });
      assert.equal(result.rows, 700);
      assert.deepEqual(
        notices,
        Array.from({ length: 233 }, (_, i) => `row ${(i + 1) * 3}`),
      );
    } finally {
      await session.close();
      await proxy.close();
    }
  }
});

test('an error in the middle of rows, cut into single bytes, is the server’s, and the connection serves on', async () => {
  const proxy = await startPostgresProxy(database.url, { pieceOf: () => 1 });
  const session = await sessionOn(proxy.url);
  try {
    for (const at of [1, 2, 350, 700]) {
      const selectSql = `select id, (1 / (id - ${at}))::text, n, at from public.few order by id`;
      await assert.rejects(
        readOn(session, 'few', { selectSql }),
        (error) => isSluiceError(error, 'SOURCE_QUERY_FAILED') && /division by zero/.test(error.message),
      );
      assert.deepEqual(await session.rows('select 1 as one'), [{ one: 1 }]);
    }
  } finally {
    await session.close();
    await proxy.close();
  }
});

test('a line that breaks is an error wherever it breaks, never fewer rows', async () => {
  const session = await sessionOn(database.url);
  const { bytes } = await readOn(session, 'few').finally(() => session.close());
  // CopyOutResponse has 16 bytes here, each row and the trailer 5 more than in the COPY; CopyDone follows.
  const all = 16 + bytes + 5 * 701;
  for (const breakAfter of [
    1,
    16,
    21,
    40,
    60,
    Math.floor(all / 2),
    all - 7,
    all - 1,
    all,
    all + 3,
    all + 5,
    all + 12,
  ]) {
    const proxy = await startPostgresProxy(database.url, { breakAfter });
    const broken = await sessionOn(proxy.url);
    try {
      await assert.rejects(
        readOn(broken, 'few'),
        (error) => isSluiceError(error) && error.retryable,
        `after ${breakAfter} of ${all} bytes`,
      );
    } finally {
      await broken.close();
      await proxy.close();
    }
  }
});

test('while the sink is busy nothing is read', async () => {
  const session = await sessionOn(database.url);
  try {
    const socket = (session.client as unknown as { connection: { stream: { bytesRead: number } } }).connection.stream;
    const seen: number[] = [];
    const result = await readOn(session, 'many', {
      limits: { rows: 2_000, inFlight: 1 },
      sink: async () => {
        if (seen.length > 0) return;
        for (let look = 0; look < 5; look++) {
          seen.push(socket.bytesRead);
          await sleep(60);
        }
      },
    });
    assert.equal(result.rows, 60_000);
    // A group and what the socket takes at a time, of more than eight megabytes.
    assert.ok(result.bytes > 8e6 && (seen.at(-1) ?? 0) < 1.5e6, `${seen.join(', ')} of ${result.bytes}`);
  } finally {
    await session.close();
  }
});

test('a connection that somebody else reads is refused', async () => {
  const session = await sessionOn(database.url);
  try {
    const { stream } = (session.client as unknown as { connection: { stream: NodeJS.ReadableStream } }).connection;
    stream.on('data', () => undefined);
    await assert.rejects(readOn(session, 'few'), /read by more than its driver/);
  } finally {
    await session.close();
  }
});
