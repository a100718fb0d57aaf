import { mkdir, rm } from 'node:fs/promises';
import { dirname, join, sep } from 'node:path';
import { currentRowsSql, logRowsSql } from '../../core/bronze-sql.ts';
import type { AsOf, BronzeSnapshot, BronzeTable } from '../../core/bronze-table.ts';
import { type DuckDb, openDuckDb } from '../../core/duckdb.ts';
import { quoteIdentifier, quoteLiteral, quotePath } from '../../core/quote.ts';
import { WAREHOUSE_FILES, type WarehousePaths } from '../../core/release.ts';
import { asOfMacro, createMacroSql } from '../macros.ts';
import type { CompiledProject, Layer } from '../model.ts';

/**
 * The DuckDB a build runs in: `silver` and `gold` are the clones, `bronze` and `bronze_log` views over the snapshot's Parquet files,
 * macros are the connection's own. Locked before the first line of a project's SQL runs: no network, no file outside the run's folders.
 */

export interface BuildLimits {
  /** DuckDB's worker threads; all cores when absent. */
  readonly threads?: number;
  /** Memory of DuckDB in MB; beyond it operators spill into the work folder. */
  readonly memoryLimitMb?: number;
  /** An incremental model is rebuilt when more than this share of its rows is touched, instead of beyond where a rebuild was measured to be quicker. */
  readonly maxTouchedShare?: number;
}

export interface EngineOptions {
  readonly paths: WarehousePaths;
  readonly bronze: BronzeSnapshot;
  readonly project: CompiledProject;
  readonly asOf: AsOf;
  /** Folder of this run, for spilling. */
  readonly workDir: string;
  readonly limits: BuildLimits;
  /** Attach a published release for reading instead of clones for building. */
  readonly readOnly?: boolean;
}

/** Opens the clones. Errors: DISK_FULL, BUILD_FAILED (a clone is in use), or DuckDB's own. */
export async function openEngine(options: EngineOptions): Promise<DuckDb> {
  const { paths, bronze, project, asOf, workDir, limits, readOnly } = options;
  const tempDirectory = join(workDir, 'spill');
  await rm(tempDirectory, { recursive: true, force: true });
  await mkdir(tempDirectory, { recursive: true });
  const db = await openDuckDb({
    tempDirectory,
    ...(limits.threads === undefined ? {} : { threads: limits.threads }),
    ...(limits.memoryLimitMb === undefined ? {} : { memoryLimitMb: limits.memoryLimitMb }),
  });
  try {
    for (const file of WAREHOUSE_FILES) {
      await db.run(
        `attach ${quoteLiteral(paths[file])} as ${quoteIdentifier(file)} (${readOnly === true ? 'read_only' : STORAGE})`,
      );
    }
    await mountBronze(db, bronze);
    await db.lock({ allowedDirectories: allowedDirectories(bronze) });
    for (const macro of [asOfMacro(asOf), ...project.macros]) await db.run(createMacroSql(macro, 'temp'));
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/** Pinned, so that a newer DuckDB does not write files that the readers of yesterday's release cannot open. */
const STORAGE = "storage_version 'v1.4.0'";

async function mountBronze(db: DuckDb, bronze: BronzeSnapshot): Promise<void> {
  const catalogs = [
    { name: 'bronze', sql: currentRowsSql },
    { name: 'bronze_log', sql: logRowsSql },
  ];
  for (const { name, sql } of catalogs) {
    await db.run(`attach ':memory:' as ${quoteIdentifier(name)}`);
    for (const source of new Set(bronze.tables.map((table) => table.source))) {
      await db.run(`create schema ${quotePath(name, source)}`);
    }
    for (const table of bronze.tables) {
      await db.run(`create view ${quotePath(name, table.source, table.table)} as ${sql(table)}`);
    }
  }
}

/** Bronze only: attached files, their logs and what spills need no leave, so nothing else can be named in SQL. */
function allowedDirectories(bronze: BronzeSnapshot): string[] {
  return [...new Set(bronze.tables.flatMap((table) => commonFolder(table) ?? []))];
}

/** The deepest folder that holds all of a table's files. */
function commonFolder(table: BronzeTable): string | undefined {
  const [first, ...others] = table.files.map((file) => dirname(file.path).split(sep));
  if (first === undefined) return undefined;
  let length = first.length;
  for (const other of others) {
    while (!first.slice(0, length).every((part, i) => part === other[i])) length -= 1;
  }
  return first.slice(0, length).join(sep);
}

export interface StoredColumn {
  readonly name: string;
  readonly type: string;
}

/** A table or view as it stands in a clone. */
export interface NamedRelation {
  readonly layer: Layer;
  readonly table: string;
  readonly kind: 'table' | 'view';
}

export interface StoredRelation extends NamedRelation {
  readonly columns: readonly StoredColumn[];
}

/** What the clones hold, by model name. */
export async function listRelations(db: DuckDb): Promise<Map<string, NamedRelation>> {
  const rows = await db.rows<NamedRelation>(
    `select database_name as layer, table_name as table, 'table' as kind from duckdb_tables()
     where database_name in ('silver', 'gold') and schema_name = 'main' and not internal
     union all
     select database_name, view_name, 'view' from duckdb_views()
     where database_name in ('silver', 'gold') and schema_name = 'main' and not internal`,
  );
  return new Map(rows.map((relation) => [`${relation.layer}.${relation.table}`, relation]));
}

/** The same with the columns of each, views too. */
export async function readRelations(db: DuckDb): Promise<Map<string, StoredRelation>> {
  const relations = await listRelations(db);
  const columns = await db.rows<{ layer: Layer; name: string; column: string; type: string }>(
    `select database_name as layer, table_name as name, column_name as column, data_type as type from duckdb_columns()
     where database_name in ('silver', 'gold') and schema_name = 'main' and not internal order by column_index`,
  );
  return new Map(
    [...relations].map(([name, relation]) => {
      const own = columns.filter((row) => row.layer === relation.layer && row.name === relation.table);
      return [name, { ...relation, columns: own.map(({ column, type }) => ({ name: column, type })) }];
    }),
  );
}

/** Names and types of what a query yields, in order. */
export async function describeQuery(db: DuckDb, sql: string): Promise<StoredColumn[]> {
  const rows = await db.rows<{ column_name: string; column_type: string }>(`describe ${sql}`);
  return rows.map((row) => ({ name: row.column_name, type: row.column_type }));
}

export function sameColumns(one: readonly StoredColumn[], other: readonly StoredColumn[]): boolean {
  return (
    one.length === other.length && one.every(({ name, type }, i) => name === other[i]?.name && type === other[i]?.type)
  );
}

export async function countRows(db: DuckDb, relation: string): Promise<number> {
  const [row] = await db.rows<{ n: bigint }>(`select count(*) as n from ${relation}`);
  return Number(row?.n ?? 0);
}

/** Runs statements as one transaction; it may write to one of the files only, and to temporary tables. */
export async function inTransaction<T>(db: DuckDb, work: () => Promise<T>): Promise<T> {
  await db.run('begin transaction');
  try {
    const result = await work();
    await db.run('commit');
    return result;
  } catch (error) {
    // DuckDB may have rolled back already; the first error is the one to tell.
    await db.run('rollback').catch(() => undefined);
    throw error;
  }
}
