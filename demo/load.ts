import type pg from 'pg';
import { type IsoDate, isIsoDate } from '../warehouse/core/clock.ts';
import { mapSystemError, SluiceError } from '../warehouse/core/errors.ts';
import { ignoreProgress, type OnProgress } from '../warehouse/core/progress.ts';
import { type CopyWriter, createCopyWriter } from './copy.ts';
import { peopleThrough } from './people.ts';
import { TABLE_NAMES, type TableName } from './rows.ts';
import { schemaParts } from './schema.ts';
import { type DemoState, readState, withClient, worldOf, writeState } from './state.ts';
import { orgEntities } from './world.ts';

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
  const refuse = (what: string, remedy: string): never => {
    throw new SluiceError('USAGE', what, { remedy });
  };
  if (!(scale > 0 && scale <= 1000))
    refuse(`The scale of the demo is ${scale}.`, 'Give a number above 0, at most 1000.');
  if (!Number.isSafeInteger(seed)) refuse(`The seed of the demo is ${seed}.`, 'Give a whole number.');
  if (!isIsoDate(asOf)) refuse(`The last day of the demo is ${asOf}.`, 'Give a calendar date, YYYY-MM-DD.');
}

async function refuseForeignSchema(client: pg.ClientBase): Promise<void> {
  const found = await client.query<{ app: boolean }>(`select to_regnamespace('app') is not null as app`);
  if (found.rows[0]?.app !== true || (await readState(client)) !== undefined) return;
  throw new SluiceError('USAGE', 'The database already has a schema app that the demo did not make.', {
    remedy: 'Give the demo a database of its own: loading it would drop that schema.',
  });
}

async function writeTables(
  client: pg.ClientBase,
  state: DemoState,
  onProgress: OnProgress,
): Promise<CopyWriter['rows']> {
  const world = worldOf(state);
  const { tables, rest } = await schemaParts();
  const begin = performance.now();
  const report = (state: 'running' | 'finished', rows: CopyWriter['rows']): void => {
    const ms = Math.round(performance.now() - begin);
    for (const item of TABLE_NAMES) onProgress({ stage: 'load', item, state, rows: rows[item], ms });
  };
  await client.query('drop schema if exists app cascade');
  await client.query(tables);
  const writer = createCopyWriter(client);
  for (const entity of orgEntities(world)) writeEntity(entity);
  let sending: Promise<void> = Promise.resolve();
  for (const { entities } of peopleThrough(world, world.epoch)) {
    let isDue = false;
    for (const entity of entities) isDue = writeEntity(entity) || isDue;
    if (!isDue) continue;
    await sending;
    report('running', writer.rows);
    sending = writer.flush(false);
  }
  await sending;
  await writer.flush(true);
  onProgress({ stage: 'load', item: 'indexes', state: 'started' });
  const indexing = performance.now();
  await client.query(`set local maintenance_work_mem = '256MB'`);
  await client.query(rest);
  onProgress({ stage: 'load', item: 'indexes', state: 'finished', ms: Math.round(performance.now() - indexing) });
  report('finished', writer.rows);
  return writer.rows;

  function writeEntity(entity: ReturnType<typeof orgEntities>[number]): boolean {
    const row = entity.at(world.epoch);
    return row !== undefined && writer.add(entity.table, row);
  }
}
