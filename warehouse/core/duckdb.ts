import { availableParallelism } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DuckDBConnection, DuckDBResultReader, DuckDBValue } from '@duckdb/node-api';
import { DuckDBDateValue, DuckDBInstance, DuckDBTimestampTZValue, DuckDBTimestampValue } from './duckdb-bindings.ts';
import { mapSystemError, messageOf, SluiceError } from './errors.ts';
import { quoteLiteral } from './quote.ts';

/** A list as a bound value; DuckDB's version. */
export { listValue, version } from './duckdb-bindings.ts';

/** The only place that opens DuckDB inside this process. Extensions are never downloaded; what the engine needs is built in. */

export interface DuckDbOptions {
  /** Database file; in memory when absent. */
  readonly path?: string;
  /** Worker threads; all cores when absent. */
  readonly threads?: number;
  /** Cap of the buffer manager in MB; beyond it operators spill to `tempDirectory`. */
  readonly memoryLimitMb?: number;
  /** Where operators spill. Without it an in-memory database cannot spill and stops at its memory limit. */
  readonly tempDirectory?: string;
  readonly readOnly?: boolean;
}

/** A bound value: what DuckDB's own bindings take. */
export type SqlValue = DuckDBValue;

/** A value of a result row, exact: BIGINT and HUGEINT as bigint, DECIMAL, DATE, TIMESTAMP, UUID ... as text, lists as arrays. */
export type RowValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | readonly RowValue[]
  | { readonly [field: string]: RowValue };

export interface DuckDb {
  readonly connection: DuckDBConnection;
  /** Runs one or more statements; parameters ($1 …) only with a single one. */
  run(sql: string, params?: readonly SqlValue[]): Promise<void>;
  /** All rows of a query as objects: for results known to be small. */
  rows<T = Record<string, RowValue>>(sql: string, params?: readonly SqlValue[]): Promise<T[]>;
  /** Rows by a connection of its own, which does not wait for what the first one runs; it closes with the database. */
  connectReader(): Promise<Pick<DuckDb, 'rows'>>;
  /** Bars every file and the network but the directories given, then locks the configuration, for good. */
  lock(options: { readonly allowedDirectories: readonly string[] }): Promise<void>;
  /** Waits for nothing; afterwards the file may be opened by others. */
  close(): void;
}

/** What asks DuckDB, and no more. */
export type DuckDbQueries = Pick<DuckDb, 'run' | 'rows'>;

/** A database that opens with the first statement: starting DuckDB takes some 40 ms of CPU. */
export interface DuckDbOnDemand extends DuckDbQueries {
  /** Ends the statement that runs. */
  readonly interrupt: () => void;
  /** True where there was something to close. */
  close(): Promise<boolean>;
}

export function openDuckDbOnDemand(options: DuckDbOptions): DuckDbOnDemand {
  let opening: Promise<DuckDb> | undefined;
  const open = (): Promise<DuckDb> => (opening ??= openDuckDb(options));
  const opened = async (): Promise<DuckDb | undefined> => opening?.catch(() => undefined);
  return {
    run: async (sql, params) => (await open()).run(sql, params),
    rows: async <T>(sql: string, params?: readonly SqlValue[]) => (await open()).rows<T>(sql, params),
    interrupt: () => void opened().then((db) => db?.connection.interrupt()),
    close: async () => {
      const db = await opened();
      db?.close();
      return opening !== undefined;
    },
  };
}

/** Opens a database, in memory or a file. Errors: DISK_FULL, or DuckDB's own. */
export async function openDuckDb(options: DuckDbOptions = {}): Promise<DuckDb> {
  const instance = await createInstance(options.path ?? ':memory:', configOf(options));
  const connection = await instance.connect();
  const readers: DuckDBConnection[] = [];
  const readBy =
    (by: DuckDBConnection) =>
    async (sql: string, params?: readonly SqlValue[]): Promise<DuckDBResultReader> => {
      try {
        return await by.runAndReadAll(sql, params === undefined ? undefined : [...params]);
      } catch (error) {
        throw mapSystemError(error, 'DuckDB');
      }
    };
  const rowsBy =
    (by: DuckDBConnection) =>
    async <T>(sql: string, params?: readonly SqlValue[]): Promise<T[]> => {
      const reader = await readBy(by)(sql, params);
      return reader.convertRowObjects<RowValue>(toRowValue) as T[];
    };
  const read = readBy(connection);
  // Values leave as UTC whatever the machine's zone is: casts between TIMESTAMPTZ and text or date depend on it.
  await read("set TimeZone = 'UTC'");
  return {
    connection,
    run: async (sql, params) => void (await read(sql, params)),
    rows: rowsBy(connection),
    connectReader: async () => {
      const reader = await instance.connect();
      readers.push(reader);
      await readBy(reader)("set TimeZone = 'UTC'");
      return { rows: rowsBy(reader) };
    },
    lock: async ({ allowedDirectories }) => {
      const list = allowedDirectories.map((dir) => quoteLiteral(dir.endsWith('/') ? dir : `${dir}/`)).join(', ');
      await read(`set allowed_directories = [${list}]`);
      await read('set enable_external_access = false');
      await read('set lock_configuration = true');
    },
    close: () => {
      for (const reader of readers) reader.closeSync();
      connection.closeSync();
      instance.closeSync();
    },
  };
}

function configOf(options: DuckDbOptions): Record<string, string> {
  return {
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
    threads: String(options.threads ?? availableParallelism()),
    ...(options.memoryLimitMb === undefined ? {} : { memory_limit: `${options.memoryLimitMb}MB` }),
    ...(options.tempDirectory === undefined ? {} : { temp_directory: options.tempDirectory }),
    ...(options.readOnly === true ? { access_mode: 'READ_ONLY' } : {}),
  };
}

/** A file just closed by this process is released a few milliseconds later (its threads end in the background): such a lock is waited for. */
async function createInstance(path: string, config: Record<string, string>): Promise<DuckDBInstance> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await DuckDBInstance.create(path, config);
    } catch (error) {
      const locked = /Could not set lock|Conflicting lock/i.test(messageOf(error));
      if (!locked) throw mapSystemError(error, `opening ${path}`);
      if (attempt === 20) {
        throw new SluiceError('BUILD_FAILED', `The database ${path} is in use by another process.`, {
          remedy: 'Wait until the other run has ended, or stop it.',
          retryable: true,
          cause: error,
        });
      }
      await sleep(50);
    }
  }
}

/** What JavaScript holds exactly stays a value, everything else becomes the text DuckDB prints. */
export function toRowValue(value: DuckDBValue): RowValue {
  if (value === null || typeof value === 'boolean' || typeof value === 'number') return value;
  if (typeof value === 'bigint' || typeof value === 'string') return value;
  if ('items' in value) return value.items.map(toRowValue);
  if ('entries' in value) {
    if (Array.isArray(value.entries))
      return value.entries.map((entry) => [toRowValue(entry.key), toRowValue(entry.value)]);
    return Object.fromEntries(Object.entries(value.entries).map(([field, inner]) => [field, toRowValue(inner)]));
  }
  // The bindings print infinite dates as the calendar day of their bits (1.5.6: 5881580-07-11).
  if (value instanceof DuckDBDateValue && Math.abs(value.days) === INFINITE_DAYS) {
    return value.days > 0 ? 'infinity' : '-infinity';
  }
  const text = value.toString();
  // ... and the year 1 BC as year 0, which DuckDB itself neither prints nor reads.
  return isTemporal(value) && ZERO_YEAR.test(text) ? `0001${text.slice(4, 10)} (BC)${text.slice(10)}` : text;
}

function isTemporal(value: DuckDBValue): boolean {
  return (
    value instanceof DuckDBDateValue || value instanceof DuckDBTimestampValue || value instanceof DuckDBTimestampTZValue
  );
}

const ZERO_YEAR = /^0000-\d\d-\d\d/;
const INFINITE_DAYS = 2 ** 31 - 1;
