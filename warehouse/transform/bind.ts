import { BRONZE_META_COLUMNS, type BronzeTable } from '../core/bronze-table.ts';
import { nearestOf } from '../core/nearest.ts';
import { quoteIdentifier, quotePath } from '../core/quote.ts';
import type { Diagnostics } from './diagnostics.ts';
import type { SourceLocation } from './source-location.ts';
import { locate } from './source-text.ts';
import type { BoundColumn, SqlEngine, SqlProblem } from './sql-engine.ts';

/** Empty tables for DuckDB to bind models against, and DuckDB's refusals as diagnostics at their place in the file. */

/** What the compiler must know of a bronze table. A BronzeSnapshot's tables fit. */
export type BronzeTableFacts = Pick<BronzeTable, 'source' | 'table' | 'contract'>;

export interface BronzeNames {
  /** Columns of each table by its name in SQL. */
  readonly columns: ReadonlyMap<string, readonly BoundColumn[]>;
  /** <table>.<column> of those that are never NULL. */
  readonly neverNull: ReadonlySet<string>;
}

/** What models may name of bronze: bronze.* and bronze_log.*. */
export function nameBronze(tables: readonly BronzeTableFacts[]): BronzeNames {
  const neverNull = new Set<string>();
  const columns = new Map<string, readonly BoundColumn[]>();
  for (const facts of tables) {
    const { source, table, contract } = facts;
    for (const [catalog, list] of Object.entries(bronzeColumns(facts))) {
      const name = `${catalog}.${source}.${table}`.toLowerCase();
      columns.set(name, list);
      for (const column of contract.columns)
        if (!column.nullable) neverNull.add(`${name}.${column.name.toLowerCase()}`);
    }
  }
  return { columns, neverNull };
}

/** What the two faces of a bronze table give, in order. */
export function bronzeColumns({ contract }: Pick<BronzeTable, 'contract'>): {
  readonly bronze: readonly BoundColumn[];
  readonly bronze_log: readonly BoundColumn[];
} {
  const own = contract.columns.map(({ name, duckdbType }) => ({ name, type: canonicalType(duckdbType) }));
  const meta = BRONZE_META_COLUMNS.map(({ name, duckdbType }) => ({ name, type: canonicalType(duckdbType) }));
  return { bronze: [...own, ...meta.filter((column) => column.name !== '_op')], bronze_log: [...own, ...meta] };
}

/** A call costs more than creating a table. */
const STATEMENTS_PER_CALL = 500;

/** Creates tables for DuckDB to bind against, each once. `columns` names them as SQL does: silver.x, bronze.<source>.<table>. */
export function createTableMaker(
  engine: Pick<SqlEngine, 'run'>,
  columns: ReadonlyMap<string, readonly BoundColumn[]>,
): (names: Iterable<string>) => Promise<void> {
  const made = new Set<string>();
  const schemas = new Set<string>();
  let last: Promise<void> = Promise.resolve();
  const make = async (names: Iterable<string>): Promise<void> => {
    const statements: string[] = [];
    for (const name of names) {
      const list = columns.get(name);
      if (list === undefined || made.has(name)) continue;
      made.add(name);
      const { catalog, schema, table } = partsOf(name);
      if (schema !== 'main' && !schemas.has(`${catalog}.${schema}`)) {
        schemas.add(`${catalog}.${schema}`);
        statements.push(`create schema ${quotePath(catalog, schema)}`);
      }
      const fields = list.map((column) => `${quoteIdentifier(column.name)} ${column.type}`).join(', ');
      statements.push(`create table ${quotePath(catalog, schema, table)} (${fields})`);
    }
    for (let from = 0; from < statements.length; from += STATEMENTS_PER_CALL)
      await engine.run(statements.slice(from, from + STATEMENTS_PER_CALL).join(';\n'));
  };
  // A table that another call creates is there when this one returns.
  return (names) => {
    const made = last.then(() => make(names));
    last = made.catch(() => undefined);
    return made;
  };
}

/** silver.<table>, bronze.<source>.<table>; the table's own name may hold a dot. */
function partsOf(name: string): { readonly catalog: string; readonly schema: string; readonly table: string } {
  const [catalog = '', first = '', ...rest] = name.split('.');
  if (!catalog.startsWith('bronze')) return { catalog, schema: 'main', table: [first, ...rest].join('.') };
  return { catalog, schema: first, table: rest.join('.') };
}

/** As DESCRIBE prints it, so that types can be compared as text. */
function canonicalType(type: string): string {
  return type === 'TIMESTAMPTZ' ? 'TIMESTAMP WITH TIME ZONE' : type;
}

/** Reports DuckDB's refusal of a SELECT, at its place in the file. */
export function reportProblem(
  problem: SqlProblem,
  place: { readonly bodyAt: SourceLocation; readonly sql: string },
  engine: SqlEngine,
  diagnostics: Diagnostics,
): void {
  const at = locateInBody(place.bodyAt, place.sql, problem.offset ?? 0);
  diagnostics.add({ ...describeProblem(problem, engine), at });
}

/** Code, message and remedy for DuckDB's refusal. */
export function describeProblem(
  problem: SqlProblem,
  engine: SqlEngine,
): {
  readonly code: 'MODEL_COLUMN_UNKNOWN' | 'MODEL_SQL_INVALID';
  readonly message: string;
  readonly remedy: string;
} {
  const lines = problem.message.split('\n').map((line) => line.trim());
  const listed = lines.filter((line) => /^Candidate (bindings|tables)/.test(line)).join(' ');
  const candidates = [...listed.matchAll(/"([^"]+)"/g)].map((match) => match[1] ?? '');
  const near = problem.name === undefined ? undefined : nearestOf(problem.name, candidates.map(lastPart));
  const hint = near === undefined ? '' : `; did you mean ${near}?`;
  if (problem.subtype === 'COLUMN_NOT_FOUND') {
    const remedy =
      candidates.length === 0 ? 'Name a column of the tables in FROM.' : `Near names: ${candidates.join(', ')}.`;
    return { code: 'MODEL_COLUMN_UNKNOWN', message: `unknown column ${problem.name ?? ''}${hint}`, remedy };
  }
  const [, owner = '', column] = /^Table "(.+)" does not have a column named "(.+)"/.exec(problem.message) ?? [];
  if (column !== undefined) {
    const like = nearestOf(column, candidates.map(lastPart));
    return {
      code: 'MODEL_COLUMN_UNKNOWN',
      message: `unknown column ${owner}.${column}${like === undefined ? '' : `; did you mean ${owner}.${like}?`}`,
      remedy: candidates.length === 0 ? `Name a column of ${owner}.` : `Near names: ${candidates.join(', ')}.`,
    };
  }
  const table = /^Referenced table "(.+)" not found!/.exec(problem.message)?.[1];
  if (table !== undefined) {
    const alias = nearestOf(table, candidates);
    return {
      code: 'MODEL_COLUMN_UNKNOWN',
      message: `no table or alias ${table} in FROM${alias === undefined ? '' : `; did you mean ${alias}?`}`,
      remedy: `FROM has ${candidates.join(', ') || 'no tables'}.`,
    };
  }
  const call = /^(?:Scalar|Aggregate|Table) Function with name (\S+) does not exist/.exec(problem.message)?.[1];
  if (call !== undefined) {
    const like = nearestOf(call, engine.functions);
    return {
      code: 'MODEL_SQL_INVALID',
      message: `unknown function ${call}${like === undefined ? '' : `; did you mean ${like}?`}`,
      remedy: 'Use a function of DuckDB, ratio(), mean(), as_of() or a macro of sql/macros.',
    };
  }
  const [first = problem.message, ...rest] = lines.filter((line) => line !== '');
  const shown = rest.filter((line) => !/^(LINE \d+:|\^)/.test(line)).slice(0, 3);
  return {
    code: 'MODEL_SQL_INVALID',
    message: lowerFirst(first.replace(/[.!]$/, '')),
    remedy: shown.length === 0 ? 'Correct the SQL.' : shown.join(' '),
  };
}

/** Place of an offset into a model's SELECT, given where the SELECT begins. */
export function locateInBody(bodyAt: SourceLocation, sql: string, offset: number): SourceLocation {
  const { line, column } = locate(bodyAt.file, sql, offset);
  return { file: bodyAt.file, line: bodyAt.line + line - 1, column: line === 1 ? bodyAt.column + column - 1 : column };
}

function lastPart(name: string): string {
  return name.slice(name.lastIndexOf('.') + 1);
}

function lowerFirst(text: string): string {
  return text.slice(0, 1).toLowerCase() + text.slice(1);
}
