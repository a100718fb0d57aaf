import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach } from 'node:test';
import pg from 'pg';
import { type Bronze, openBronze } from '../../warehouse/bronze/index.ts';
import { currentRowsSql, logRowsSql } from '../../warehouse/core/bronze-sql.ts';
import type { BronzeTable } from '../../warehouse/core/bronze-table.ts';
import { openDuckDb } from '../../warehouse/core/duckdb.ts';
import { createFolderStore } from '../../warehouse/core/folder-store.ts';
import { createLog } from '../../warehouse/core/log.ts';
import type { ObjectStore } from '../../warehouse/core/object-store.ts';
import {
  type ExtractedBatch,
  type ExtractOptions,
  extractBatch,
  type SourceDefinition,
  type TableDefinition,
  type TableOutcome,
  type VerifyOptions,
  type VerifyReport,
  verifySource,
} from '../../warehouse/extract/index.ts';
import { eventually } from '../support/eventually.ts';
import { type TestDatabase, testDatabase } from '../support/postgres.ts';

/** A database, a lake and the way from one to the other: what most tests of extraction need. */
export interface TestLake extends AsyncDisposable {
  readonly url: string;
  readonly dir: string;
  readonly store: ObjectStore;
  readonly bronze: Bronze;
  readonly client: pg.Client;
  /** Extracts and commits; outcomes by table. */
  run(source: SourceDefinition, options?: Partial<ExtractOptions>): Promise<RunResult>;
  /** Waits until every transaction begun before has ended, in all databases of the server: none holds back the marks of a run begun after it. */
  settle(): Promise<void>;
  /** A run that reads and writes nothing; the last of ten when none does. Other tests' transactions, open while it looks, hold a run's marks back. */
  idle(source: SourceDefinition): Promise<RunResult>;
  extract(source: SourceDefinition, options?: Partial<ExtractOptions>): Promise<ExtractedBatch>;
  /** Compares bronze with the database. */
  verify(source: SourceDefinition, options?: Partial<VerifyOptions>): Promise<VerifyReport>;
  /** Another session on the same database, or on another of its server, closed at the end. */
  connect(database?: string): Promise<pg.Client>;
  table(source: string, table: string): Promise<BronzeTable>;
  /** Current rows as texts, ordered. */
  rows(table: string, order?: string): Promise<Record<string, unknown>[]>;
  log(table: string): Promise<Record<string, unknown>[]>;
}

export interface RunResult {
  readonly tables: Readonly<Record<string, TableOutcome>>;
  readonly batch: ExtractedBatch;
}

export const log = createLog({ level: 'silent' });

/** On a database of its own, or on the one given, which is dropped at the end all the same. */
export async function testLake(given?: Pick<TestDatabase, 'url' | 'drop'>): Promise<TestLake> {
  const database = given ?? (await testDatabase());
  const dir = await mkdtemp(join(tmpdir(), 'sluice-extract-'));
  const clients: pg.Client[] = [];
  const connect = async (name?: string): Promise<pg.Client> => {
    const url = new URL(database.url);
    if (name !== undefined) url.pathname = `/${name}`;
    const client = new pg.Client({ connectionString: url.href });
    client.on('error', () => undefined);
    await client.connect();
    clients.push(client);
    return client;
  };
  const client = await connect();
  await client.query('create schema if not exists app');
  const store = createFolderStore(join(dir, 'lake'));
  const bronze = openBronze({ store, log });
  const extract: TestLake['extract'] = async (source, options = {}) =>
    extractBatch({
      url: database.url,
      sources: [source],
      state: await bronze.state([source.name]),
      workDir: join(dir, 'work'),
      version: '0.0.0',
      log,
      ...options,
    });
  const table: TestLake['table'] = async (source, name) => {
    const snapshot = await bronze.snapshot([source]);
    const found = snapshot.tables.find((candidate) => candidate.table === name);
    if (found === undefined) throw new Error(`bronze.${source}.${name} does not exist`);
    return found;
  };
  const run: TestLake['run'] = async (source, options) => {
    const batch = await extract(source, options);
    for (const draft of batch.drafts) await bronze.commit(draft.source, draft);
    await rm(batch.dir, { recursive: true, force: true });
    return { batch, tables: Object.fromEntries(batch.tables.map((outcome) => [outcome.table, outcome])) };
  };
  return {
    url: database.url,
    dir,
    store,
    bronze,
    client,
    connect,
    extract,
    table,
    run,
    verify: async (source, options = {}) =>
      verifySource({
        url: database.url,
        sources: [source],
        state: await bronze.state([source.name]),
        workDir: join(dir, 'verify'),
        version: '0.0.0',
        log,
        ...options,
      }),
    settle: () => settle(client),
    idle: async (source) => {
      for (let tries = 1; ; tries++) {
        await settle(client);
        const result = await run(source);
        const isIdle = Object.values(result.tables).every((each) => each.rowsRead === 0);
        if ((isIdle && result.batch.drafts.length === 0) || tries === 10) return result;
      }
    },
    rows: async (name, order = 'all') =>
      query(
        `select columns(c -> c not in ('_seq', '_extracted_at')) from (${currentRowsSql(await table('app', name))}) order by ${order}`,
      ),
    log: async (name) =>
      query(`select * exclude (_extracted_at) from (${logRowsSql(await table('app', name))}) order by _seq`),
    [Symbol.asyncDispose]: async () => {
      for (const open of clients) await open.end().catch(() => undefined);
      await database.drop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** A lake of its own for each test of a file, handed over before the test begins; all are removed after the last. */
export function openLakePerTest(receive: (lake: TestLake) => void | Promise<void>): void {
  const lakes: TestLake[] = [];
  beforeEach(async () => {
    const lake = await testLake();
    lakes.push(lake);
    await receive(lake);
  });
  after(async () => {
    for (const lake of lakes) await lake[Symbol.asyncDispose]();
  });
}

async function settle(client: pg.Client): Promise<void> {
  const begun = await client.query<{ xid: string; at: string }>(
    'select pg_current_xact_id()::text as xid, clock_timestamp()::text as at',
  );
  const { xid, at } = begun.rows[0] ?? {};
  await eventually('no older transaction is open', async () => {
    const { rows } = await client.query<{ settled: boolean }>(
      `select pg_snapshot_xmin(pg_current_snapshot()) > $1::xid8 and not exists (
                select from pg_stat_activity where datname = current_database() and xact_start < $2::timestamptz) as settled`,
      [xid, at],
    );
    return rows[0]?.settled === true;
  });
}

/** A source `app` of the schema app. */
export function sourceOf(tables: Readonly<Record<string, TableDefinition>>): SourceDefinition {
  return { kind: 'postgres', name: 'app', schema: 'app', tables };
}

/** DDL of a table whose updated_at a trigger sets, as the guard of cursor mode wants it. */
export function touchedTableSql(table: string, columns: string): string {
  return `create table app.${table} (${columns}, updated_at timestamptz not null default now());
    create or replace function app.touch() returns trigger language plpgsql as $$
    begin
      new.updated_at := now();
      return new;
    end $$;
    create trigger touch before insert or update on app.${table} for each row execute function app.touch();`;
}

/** One query on a DuckDB of its own. */
export async function query(sql: string): Promise<Record<string, unknown>[]> {
  const db = await openDuckDb();
  try {
    return await db.rows(sql);
  } finally {
    db.close();
  }
}
