import { once } from 'node:events';
import type pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { type IsoDate, isIsoDate } from '../warehouse/core/clock.ts';
import { mapSystemError, SluiceError } from '../warehouse/core/errors.ts';
import { ignoreProgress, type OnProgress } from '../warehouse/core/progress.ts';
import { quoteIdentifier, quotePath } from '../warehouse/core/quote.ts';
import type { CopyChunk } from './copy-text.ts';
import { generateChunks } from './generator.ts';
import { TABLE_NAMES, TABLES, type TableName } from './rows.ts';
import { schemaParts } from './schema.ts';
import { type DemoState, readState, withClient, worldOf, writeState } from './state.ts';

/** A Monday well in the past, so that no row is dated after the clock. */
export const DEFAULT_AS_OF: IsoDate = '2025-06-30';

export interface LoadDemoOptions {
  readonly url: string;
  /** 1 is about 20,000 rows, 100 about 2 million. Default 1. */
  readonly scale?: number;
  /** Default 1. */
  readonly seed?: number;
  /** Last day of the life that is loaded. Default 2025-06-30. */
  readonly asOf?: IsoDate;
  readonly onProgress?: OnProgress;
}

export interface LoadedDemo extends DemoState {
  readonly rows: Readonly<Record<TableName, number>>;
  readonly rowsTotal: number;
  readonly ms: number;
}

/**
 * Drops schema app and makes it anew with the life of the demo's users, in one transaction: an interrupted load leaves what
 * was there before. Throws USAGE for a schema app that is not the demo's.
 */
export async function loadDemo(options: LoadDemoOptions): Promise<LoadedDemo> {
  const { scale = 1, seed = 1, asOf = DEFAULT_AS_OF, onProgress = ignoreProgress } = options;
  checkOptions(scale, seed, asOf);
  const begin = performance.now();
  const state: DemoState = { scale, seed, asOf, loadedAsOf: asOf };
  const rows = await withClient(options.url, async (client) => {
    await refuseForeignSchema(client);
    await client.query('begin');
    try {
      const written = await writeTables(client, state, onProgress);
      await writeState(client, state);
      await client.query('commit');
      await client.query('analyze');
      return written;
    } catch (error) {
      await client.query('rollback').catch(() => undefined);
      throw mapSystemError(error, 'Postgres');
    }
  });
  const rowsTotal = Object.values(rows).reduce((sum, count) => sum + count, 0);
  return { ...state, rows, rowsTotal, ms: Math.round(performance.now() - begin) };
}

function checkOptions(scale: number, seed: number, asOf: IsoDate): void {
  if (!(scale > 0 && scale <= 1000))
    refuse(`The scale of the demo is ${scale}.`, 'Give a number above 0, at most 1000.');
  if (!Number.isSafeInteger(seed)) refuse(`The seed of the demo is ${seed}.`, 'Give a whole number.');
  if (!isIsoDate(asOf)) refuse(`The last day of the demo is ${asOf}.`, 'Give a calendar date, YYYY-MM-DD.');
}

function refuse(what: string, remedy: string): never {
  throw new SluiceError('USAGE', what, { remedy });
}

async function refuseForeignSchema(client: pg.ClientBase): Promise<void> {
  const found = await client.query<{ app: boolean }>(`select to_regnamespace('app') is not null as app`);
  if (found.rows[0]?.app !== true || (await readState(client)) !== undefined) return;
  refuse(
    'The database already has a schema app that the demo did not make.',
    'Give the demo a database of its own: loading it would drop that schema.',
  );
}

type RowCounts = Readonly<Record<TableName, number>>;

async function writeTables(client: pg.ClientBase, state: DemoState, onProgress: OnProgress): Promise<RowCounts> {
  const { tables, rest } = await schemaParts();
  const begin = performance.now();
  const rows = Object.fromEntries(TABLE_NAMES.map((table) => [table, 0])) as Record<TableName, number>;
  await client.query('drop schema if exists app cascade');
  await client.query(tables);
  for await (const chunk of generateChunks(worldOf(state))) {
    await copyChunk(client, chunk);
    rows[chunk.table] += chunk.rows;
    const ms = Math.round(performance.now() - begin);
    onProgress({ stage: 'load', item: chunk.table, state: 'running', rows: rows[chunk.table], ms });
  }
  for (const item of TABLE_NAMES) {
    onProgress({ stage: 'load', item, state: 'finished', rows: rows[item], ms: Math.round(performance.now() - begin) });
  }
  onProgress({ stage: 'load', item: 'indexes', state: 'started' });
  const indexing = performance.now();
  await client.query(`set local maintenance_work_mem = '256MB'`);
  await client.query(rest);
  onProgress({ stage: 'load', item: 'indexes', state: 'finished', ms: Math.round(performance.now() - indexing) });
  return rows;
}

async function copyChunk(client: pg.ClientBase, { table, bytes }: CopyChunk): Promise<void> {
  const columns = TABLES[table].map(quoteIdentifier).join(', ');
  // freeze: the table is made in this very transaction, so its rows need no later vacuum.
  const stream = client.query(copyFrom(`copy ${quotePath('app', table)} (${columns}) from stdin with (freeze)`));
  stream.end(bytes);
  await once(stream, 'finish');
}
