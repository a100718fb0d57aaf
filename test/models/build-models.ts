import { createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import { app } from '../../models/sources/app.ts';
import type { AsOf } from '../../warehouse/core/bronze-table.ts';
import { type DuckDb, openDuckDb } from '../../warehouse/core/duckdb.ts';
import { quoteIdentifier, quoteLiteral, quotePath } from '../../warehouse/core/quote.ts';
import {
  asOfMacro,
  type BronzeTableFacts,
  type CompiledModel,
  type CompiledProject,
  compileProject,
  createMacroSql,
  loadProject,
} from '../../warehouse/transform/index.ts';

/**
 * The project's models built whole from the source's present rows, by nothing but their SQL: no extract, no bronze files, no increments.
 * Tests of the models themselves use it, and a gold that went through the whole pipeline must equal what it gives.
 */

const PROJECT = fileURLToPath(new URL('../..', import.meta.url));

export interface ModelBuilder {
  readonly project: CompiledProject;
  /** Builds every model into a new gold file. The result names each SQL test that selected rows, with their number. */
  build(request: {
    readonly goldPath: string;
    readonly asOf: AsOf;
    readonly mutation?: Mutation;
  }): Promise<Readonly<Record<string, number>>>;
}

/** A change to one model's SQL, to see whether anyone notices. */
export interface Mutation {
  /** Table name, e.g. int_transfers. */
  readonly table: string;
  readonly from: string;
  readonly to: string;
}

/** Compiles the project against the tables of a database with schema app. */
export async function createModelBuilder(postgresUrl: string): Promise<ModelBuilder> {
  const tables = await describeSource(postgresUrl);
  const project = await compileProject({ files: await loadProject(PROJECT), bronzeTables: tables });
  return {
    project,
    build: async ({ goldPath, asOf, mutation }) => {
      const dir = await mkdtemp(join(tmpdir(), 'sluice-models-'));
      const db = await openDuckDb({ threads: 2 });
      try {
        await db.run(
          `attach ${quoteLiteral(goldPath)} as gold; attach ':memory:' as silver; attach ':memory:' as bronze`,
        );
        for (const macro of [asOfMacro(asOf), ...project.macros]) await db.run(createMacroSql(macro, 'temp'));
        await loadTables(db, postgresUrl, tables, dir);
        for (const model of project.models) {
          await db.run(`create table ${quotePath(model.layer, 'main', model.table)} as ${mutatedSql(model, mutation)}`);
        }
        const failures: Record<string, number> = {};
        for (const test of project.sqlTests) {
          const [row] = await db.rows<{ failures: bigint }>(`select count(*) as failures from (${test.sql})`);
          if (row !== undefined && row.failures > 0n) failures[test.name] = Number(row.failures);
        }
        await db.run('detach gold');
        return failures;
      } finally {
        db.close();
        await rm(dir, { recursive: true, force: true });
      }
    },
  };
}

function mutatedSql(model: CompiledModel, mutation: Mutation | undefined): string {
  if (mutation?.table !== model.table) return model.sql;
  const { from, to } = mutation;
  if (model.sql.split(from).length !== 2) throw new Error(`${model.file} must hold exactly once: ${from}`);
  return model.sql.replace(from, () => to);
}

const DUCKDB_TYPES: Readonly<Record<string, string>> = {
  bigint: 'BIGINT',
  boolean: 'BOOLEAN',
  date: 'DATE',
  uuid: 'UUID',
  'numeric(14,2)': 'DECIMAL(14,2)',
  'timestamp with time zone': 'TIMESTAMP WITH TIME ZONE',
};

async function describeSource(postgresUrl: string): Promise<BronzeTableFacts[]> {
  const client = new pg.Client({ connectionString: postgresUrl });
  await client.connect();
  try {
    const found = await client.query<{ table: string; name: string; type: string; nullable: boolean }>(`
      select attrelid::regclass::text as table, attname as name, format_type(atttypid, atttypmod) as type, not attnotnull as nullable
      from pg_attribute
      where attrelid in (select oid from pg_class where relnamespace = 'app'::regnamespace and relkind = 'r') and attnum > 0`);
    return Object.entries(app.tables).map(([table, definition]) => ({
      source: app.name,
      table,
      contract: {
        key: definition.key,
        columns: definition.columns.map((name) => {
          const column = found.rows.find((row) => row.table === `app.${table}` && row.name === name);
          if (column === undefined) throw new Error(`app.${table} has no column ${name}`);
          const duckdbType = DUCKDB_TYPES[column.type] ?? 'VARCHAR';
          return { name, postgresType: column.type, duckdbType, nullable: column.nullable, policy: 'error' as const };
        }),
      },
    }));
  } finally {
    await client.end();
  }
}

/** Copies each table into bronze.app.<table>, all at one snapshot. */
async function loadTables(
  db: DuckDb,
  postgresUrl: string,
  tables: readonly BronzeTableFacts[],
  dir: string,
): Promise<void> {
  const client = new pg.Client({ connectionString: postgresUrl });
  await client.connect();
  try {
    await client.query('begin isolation level repeatable read read only');
    await client.query(`set local time zone 'UTC'`);
    await db.run('create schema bronze.app');
    for (const { table, contract } of tables) {
      const file = join(dir, `${table}.csv`);
      const names = contract.columns.map(({ name }) => quoteIdentifier(name)).join(', ');
      const copy = `copy (select ${names} from ${quotePath('app', table)}) to stdout with (format csv, force_quote *)`;
      await pipeline(client.query(copyTo(copy)), createWriteStream(file));
      const casts = contract.columns.map(
        ({ name, duckdbType }) => `${quoteIdentifier(name)}::${duckdbType} as ${quoteIdentifier(name)}`,
      );
      await db.run(
        `create table ${quotePath('bronze', 'app', table)} as select ${casts.join(', ')} from ${readCsvSql(
          file,
          contract.columns.map(({ name }) => name),
        )}`,
      );
    }
    await client.query('rollback');
  } finally {
    await client.end();
  }
}

/** A Postgres CSV without header, every value quoted and NULL bare, as text columns. */
export function readCsvSql(file: string, columns: readonly string[]): string {
  const types = columns.map((name) => `${quoteLiteral(name)}: 'VARCHAR'`).join(', ');
  return `read_csv(${quoteLiteral(file)}, auto_detect = false, header = false, columns = {${types}}, delim = ',', quote = '"', escape = '"', nullstr = '', allow_quoted_nulls = false, new_line = '\\n', parallel = false)`;
}
