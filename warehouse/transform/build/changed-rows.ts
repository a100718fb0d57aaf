import { changedRowsSql, currentRowsSql } from '../../core/bronze-sql.ts';
import type { BronzeSnapshot, BronzeTable } from '../../core/bronze-table.ts';
import type { DuckDb } from '../../core/duckdb.ts';
import { quoteIdentifier } from '../../core/quote.ts';
import type { CompiledProject } from '../model.ts';

/**
 * The changed rows of every input during one build, old versions and new ones: what an incremental model derives its touched partitions from.
 *
 *   bronze          rows of the log after the consumed commit, and what stood under their keys before
 *   bronze_log      rows of the log after the consumed commit
 *   silver, gold    the rows this build took out and put in
 */
export interface ChangedRows {
  /** True when the rows that changed since `consumed` are known one by one. */
  knows(input: string, consumed: number): boolean;
  /** A table or subquery that holds every changed row, at least with the columns that refresh rules read. */
  relationOf(input: string, consumed: number): Promise<string>;
  /** Tells of a model's change in this build; without a relation its rows are not known one by one. */
  record(model: string, change: { readonly before: number; readonly relation: string | undefined }): void;
}

export function createChangedRows(db: DuckDb, project: CompiledProject, bronze: BronzeSnapshot): ChangedRows {
  const needed = readColumnsByInput(project);
  const models = new Map<string, { before: number; relation: string | undefined }>();
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
    const columns = (needed.get(input) ?? []).map(quoteIdentifier).join(', ');
    const name = quoteIdentifier(`_sluice_changed_${made.size}`);
    const sql =
      found.catalog === 'bronze' ? stateChangesSql(found.table, consumed) : changedRowsSql(found.table, consumed);
    await db.run(`create temp table ${name} as select distinct ${columns} from (${sql})`);
    return name;
  };

  return {
    knows(input, consumed) {
      const found = bronzeOf(input);
      if (found !== undefined) return consumed >= found.table.replacedAt && consumed <= found.table.lastCommit;
      const change = models.get(input);
      return change !== undefined && change.relation !== undefined && change.before === consumed;
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

/** What changed in the current state since a commit: the new versions, and the old ones of the same keys. */
function stateChangesSql(table: BronzeTable, consumed: number): string {
  const columns = table.contract.columns.map((column) => quoteIdentifier(column.name)).join(', ');
  const before = { ...table, files: table.files.filter((file) => file.commit <= consumed) };
  const sameKey = table.contract.key.map((name) => {
    const column = quoteIdentifier(name);
    return `changed.${column} is not distinct from old.${column}`;
  });
  // Without a key a commit replaces the whole table, which knows() rules out: what is left is new rows only.
  if (sameKey.length === 0) return `select ${columns} from (${changedRowsSql(table, consumed)})`;
  return `with changed as (select ${columns} from (${changedRowsSql(table, consumed)}))
select ${columns} from changed
union all
select ${columns} from (${currentRowsSql(before)}) as old where exists (select 1 from changed where ${sameKey.join(' and ')})`;
}

/** Input → the columns that any refresh rule reads of it. */
function readColumnsByInput(project: CompiledProject): Map<string, string[]> {
  const columns = new Map<string, Set<string>>();
  for (const { refresh } of project.models) {
    if (refresh.kind !== 'partition') continue;
    for (const [input, occurrences] of Object.entries(refresh.leaves)) {
      const known = columns.get(input) ?? new Set<string>();
      for (const name of occurrences.flat()) known.add(name);
      columns.set(input, known);
    }
  }
  return new Map([...columns].map(([input, names]) => [input, [...names]]));
}
