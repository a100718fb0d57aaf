import type { ColumnContract } from '../core/bronze-table.ts';
import type { DuckDbQueries } from '../core/duckdb.ts';
import { SluiceError } from '../core/errors.ts';
import { COMPRESSION_LEVEL, type Compressor, createCompressor, type RowGroup } from '../core/parquet/index.ts';
import { quoteIdentifier, quoteLiteral } from '../core/quote.ts';
import type { CatalogTable } from './catalog.ts';
import { COPY_LIMITS } from './copy/copy-decoder.ts';
import type { QuarantinedRow } from './copy/misfit.ts';
import { readCopy } from './copy/read-copy.ts';
import { createRowGroupMemory, type RowGroupMemory } from './copy/row-groups.ts';
import { createRowFiles, type RowFile, type RowNumbers } from './row-files.ts';
import type { SourceSession } from './source-session.ts';

/** One SELECT of a table by binary COPY into Parquet files on this machine. */

/** Rows of one table. More than this is no stray value: the column is of another type than its contract says. */
export const SET_ASIDE_MOST = 100_000;

/** Memory for reads of the same columns, one after another or several at once: row groups' buffers and zstd's contexts. */
export interface ReadMemory {
  readonly groups: RowGroupMemory;
  readonly compressor: Compressor;
  close(): void;
}

export function createReadMemory(table: Pick<CatalogTable, 'columns'>): ReadMemory {
  const groups = createRowGroupMemory(table.columns, COPY_LIMITS);
  const compressor = createCompressor(COMPRESSION_LEVEL, groups.rows);
  return { groups, compressor, close: () => compressor.close() };
}

export interface ReadRowsOptions {
  readonly session: SourceSession;
  readonly table: CatalogTable;
  readonly selectSql: string;
  readonly dir: string;
  readonly prefix: string;
  /** The engine's own columns: for rows that go to bronze as they are. */
  readonly meta: { readonly numbers: RowNumbers; readonly extractedAt: string } | null;
  readonly fileBytes?: number | undefined;
  readonly memory?: ReadMemory | undefined;
  readonly signal?: AbortSignal | undefined;
  /** May throw: the read ends then. */
  readonly onSetAside?: ((row: QuarantinedRow) => void) | undefined;
  /** Called once all rows have arrived: the session may take another statement while the files are ended. */
  readonly onArrived?: (() => void) | undefined;
  /** Rows and bytes so far. */
  readonly onProgress?: ((rows: number, bytes: number) => void) | undefined;
}

export interface ReadRows {
  readonly rows: number;
  /** Of the COPY. */
  readonly bytes: number;
  readonly files: readonly RowFile[];
  readonly quarantined: readonly QuarantinedRow[];
}

/** Throws SOURCE_VALUE_UNREPRESENTABLE, SOURCE_QUERY_FAILED, DISK_FULL. After an error the session is to be closed. */
export async function readRows(options: ReadRowsOptions): Promise<ReadRows> {
  const { table, dir, prefix, meta, fileBytes } = options;
  const name = `${table.schema}.${table.table}`;
  const quarantined: QuarantinedRow[] = [];
  const columns = table.columns.map((column) => ({ name: column.name, type: column.parquet }));
  const compressor = options.memory?.compressor;
  const files = createRowFiles({
    dir,
    prefix,
    columns,
    meta,
    compressor,
    ...(fileBytes !== undefined && { fileBytes }),
  });
  try {
    const read = await readCopy({
      session: options.session,
      selectSql: options.selectSql,
      table: name,
      key: table.contract.key,
      columns: table.columns,
      sink: (group: RowGroup) => files.write(group),
      signal: options.signal,
      memory: options.memory?.groups,
      onArrived: options.onArrived,
      onProgress: options.onProgress,
      onQuarantine: (row) => {
        quarantined.push(row);
        options.onSetAside?.(row);
      },
    });
    const written = await files.close();
    const inFiles = written.reduce((sum, file) => sum + file.rows, 0);
    if (inFiles !== read.rows) throw new Error(`${name}: ${read.rows} rows were read and ${inFiles} written`);
    return { rows: read.rows, bytes: read.bytes, files: written, quarantined };
  } catch (error) {
    await files.abort().catch(() => undefined);
    throw error;
  }
}

/** Counts the rows of a table that are set aside, over all its parts; throws SOURCE_VALUE_UNREPRESENTABLE after so many. */
export function createSetAsideLimit(table: string, most: number): (row: QuarantinedRow) => void {
  let count = 0;
  return (row) => {
    count += 1;
    if (count > most) throw tooMany(table, row, most);
  };
}

function tooMany(name: string, row: QuarantinedRow, most: number): SluiceError {
  return new SluiceError(
    'SOURCE_VALUE_UNREPRESENTABLE',
    `More than ${most} rows of the table ${name} would be set aside, the last for its column ${row.column}: ${row.reason}.`,
    {
      remedy: `Carry the column as text: unrepresentable: { ${row.column}: 'text' } in models/sources.`,
      details: { table: name, column: row.column },
    },
  );
}

/** Makes the files a relation `incoming` of the contract's columns. */
export async function createIncoming(
  db: DuckDbQueries,
  columns: readonly ColumnContract[],
  files: readonly { readonly path: string }[],
): Promise<void> {
  const empty = columns.map((column) => `null::${column.duckdbType} as ${quoteIdentifier(column.name)}`).join(', ');
  const paths = files.map((file) => quoteLiteral(file.path)).join(', ');
  const rows =
    files.length === 0
      ? `select ${empty} where false`
      : `select * from read_parquet([${paths}], hive_partitioning = false)`;
  await db.run(`create or replace view incoming as ${rows}`);
}
