import { changedRowsSql, currentRowsOfSql } from '../../core/bronze-sql.ts';
import type { BronzeSnapshot, BronzeTable } from '../../core/bronze-table.ts';
import type { DuckDb } from '../../core/duckdb.ts';
import { quoteIdentifier } from '../../core/quote.ts';
import { SIGN_COLUMN } from '../delta/derivation.ts';
import type { CompiledProject } from '../model.ts';

/**
 * The changed rows of every input during one build, old versions and new ones: what an incremental model derives its touched partitions from.
 *
 *   bronze          rows of the log after the consumed commit, and what stood under their keys before (with a negative sign)
 *   bronze_log      rows of the log after the consumed commit
 *   silver, gold    the rows this build took out and put in
 */
export interface ChangedRows {
  /** True when the rows that changed since `consumed` are known one by one. */
  knows(input: string, consumed: number): boolean;
  /** How many rows of an input changed, as far as the log and this build know without reading any. */
  countOf(input: string, consumed: number): ChangeCount | undefined;
  /** Name of a temporary table of every changed row: at least the columns that refresh rules read, and SIGN_COLUMN. */
  relationOf(input: string, consumed: number): Promise<string>;
  /** Tells of a model's change in this build; without the name of such a table its rows are not known one by one. */
  record(model: string, change: ModelChange): void;
}

export interface ChangeCount {
  readonly changed: number;
  /** Of so many; of bronze all versions that are kept. */
  readonly rows: number;
}

export interface ModelChange {
  readonly before: number;
  readonly relation: string | undefined;
  readonly rows: number;
  readonly changedRows: number;
}

export function createChangedRows(db: DuckDb, project: CompiledProject, bronze: BronzeSnapshot): ChangedRows {
  const needed = readColumnsByInput(project);
  const models = new Map<string, ModelChange>();
  const tables = new Map(bronze.tables.map((table) => [`${table.source}.${table.table}`, table]));
  const made = new Map<string, Promise<string>>();

  const bronzeOf = (input: string): { catalog: string; table: BronzeTable } | undefined => {
    const [catalog = '', ...name] = input.split('.');
    const table = tables.get(name.join('.'));
    return table === undefined ? undefined : { catalog, table };
  };

  const makeBronze = async (input: string, consumed: number): Promise<string> => {
    const found = bronzeOf(input);
    if (found === undefined) throw new RangeError(`no changed rows of ${input} were recorded`);
    const { catalog, table } = found;
    const key = catalog === 'bronze' ? table.contract.key : [];
    const columns = [...new Set([...key, ...(needed.get(input) ?? [])])].map(quoteIdentifier);
    const raw = `_sluice_changed_${made.size}`;
    const name = quoteIdentifier(raw);
    const list = (sign: number) => [...columns, `${sign} as ${quoteIdentifier(SIGN_COLUMN)}`].join(', ');
    // A key stands at most once in a commit: with it there is next to nothing for DISTINCT to find.
    const select = key.length === 0 ? 'select distinct' : 'select';
    await db.run(`create temp table ${name} as ${select} ${list(1)} from (${changedRowsSql(table, consumed)})`);
    // Without a key a commit replaces the whole table, which knows() rules out: what is left is new rows only.
    if (key.length === 0) return raw;
    const before = { ...table, files: table.files.filter((file) => file.commit <= consumed) };
    const keys = `(select distinct ${key.map(quoteIdentifier).join(', ')} from ${name})`;
    await db.run(`insert into ${name} select ${list(-1)} from (${currentRowsOfSql(before, keys)})`);
    return raw;
  };

  return {
    knows(input, consumed) {
      const found = bronzeOf(input);
      if (found !== undefined) return consumed >= found.table.replacedAt && consumed <= found.table.lastCommit;
      const change = models.get(input);
      return change !== undefined && change.relation !== undefined && change.before === consumed;
    },
    countOf(input, consumed) {
      const change = models.get(input);
      if (change === undefined) return countBronzeChanges(bronzeOf(input)?.table, consumed);
      const { changedRows, rows } = change;
      return { changed: changedRows, rows: Math.max(rows, changedRows) };
    },
    relationOf(input, consumed) {
      const change = models.get(input);
      if (change?.relation !== undefined) return Promise.resolve(change.relation);
      const id = `${input}@${consumed}`;
      const relation = made.get(id) ?? makeBronze(input, consumed);
      made.set(id, relation);
      return relation;
    },
    record(model, change) {
      models.set(model, change);
    },
  };
}

/** From the commits alone. */
export function countBronzeChanges(table: BronzeTable | undefined, consumed: number): ChangeCount | undefined {
  if (table === undefined) return undefined;
  const sum = (files: BronzeTable['files']) => files.reduce((rows, file) => rows + file.rows, 0);
  return { changed: sum(table.files.filter((file) => file.commit > consumed)), rows: sum(table.files) };
}

/** Input → the columns that any refresh rule reads of it. */
function readColumnsByInput(project: CompiledProject): Map<string, string[]> {
  const columns = new Map<string, Set<string>>();
  for (const { refresh } of project.models) {
    if (refresh.kind === 'rebuild') continue;
    for (const [input, names] of Object.entries(refresh.reads)) {
      const known = columns.get(input) ?? new Set<string>();
      for (const name of names) known.add(name);
      columns.set(input, known);
    }
  }
  return new Map([...columns].map(([input, names]) => [input, [...names]]));
}
