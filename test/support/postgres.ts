import { randomBytes } from 'node:crypto';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../infra/postgres/index.ts';
import { createLog } from '../../warehouse/core/log.ts';
import { quoteIdentifier } from '../../warehouse/core/quote.ts';

/** A database of its own for one test, dropped at the end. */
export interface TestDatabase extends AsyncDisposable {
  readonly url: string;
  /** The same as disposing of it: `t.after(() => database.drop())`, since Node 22 has no `await using` without a transpiler. */
  drop(): Promise<void>;
}

/** Kept between runs, so that only the first one pays for initdb; servers of parallel test files are one and the same. */
const SHARED_DIR = join(tmpdir(), `sluice-test-postgres-${userInfo().uid}`);

let shared: Promise<EmbeddedPostgres> | undefined;

/** The cluster that tests share, for whoever starts many test processes. Stop it at the end. */
function startTestPostgres(): Promise<EmbeddedPostgres> {
  return startEmbeddedPostgres({ dir: SHARED_DIR, durable: false, log: createLog({ level: 'error' }) });
}

/** A fresh, empty database on the cluster of SLUICE_TEST_POSTGRES_URL, else on one started for this process. */
export async function testDatabase(): Promise<TestDatabase> {
  const base = process.env['SLUICE_TEST_POSTGRES_URL'] ?? (await sharedServer()).url;
  const name = `sluice_test_${process.pid}_${randomBytes(6).toString('hex')}`;
  await onServer(base, `create database ${quoteIdentifier(name)}`);
  const url = new URL(base);
  url.pathname = `/${name}`;
  const drop = (): Promise<void> => onServer(base, `drop database if exists ${quoteIdentifier(name)} with (force)`);
  return { url: url.href, drop, [Symbol.asyncDispose]: drop };
}

async function sharedServer(): Promise<EmbeddedPostgres> {
  shared ??= startOnce();
  return await shared;
}

async function startOnce(): Promise<EmbeddedPostgres> {
  // Not stopped by a hook: the server is left when the process exits, and the last process to leave stops it.
  const server = await startTestPostgres();
  await dropLeftovers(server.url);
  return server;
}

/** Databases of test processes that were killed. */
async function dropLeftovers(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const found = await client.query<{ datname: string }>(
    `select datname from pg_database where datname like 'sluice\\_test\\_%'`,
  );
  for (const { datname } of found.rows) {
    const pid = Number(datname.split('_')[2]);
    if (isProcess(pid)) continue;
    await client.query(`drop database if exists ${quoteIdentifier(datname)} with (force)`);
  }
  await client.end();
}

function isProcess(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

async function onServer(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}
