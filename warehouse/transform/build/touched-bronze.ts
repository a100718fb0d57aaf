import { currentRowsOfSql } from '../../core/bronze-sql.ts';
import type { BronzeSnapshot, BronzeTable } from '../../core/bronze-table.ts';
import type { DuckDb } from '../../core/duckdb.ts';
import { SluiceError } from '../../core/errors.ts';
import { quoteIdentifier, quotePath } from '../../core/quote.ts';
import { type RefreshRule, TOUCHED_TABLE } from '../model.ts';

type PartitionRule = RefreshRule & { readonly kind: 'partition' };

/**
 * Runs `work` while every bronze table that a rule cuts by its whole key shows the rows of the touched keys alone. A cut asks for those rows
 * and for no others, wherever the query names the table, so the answer is the same; but the newest version of each key is looked for among
 * the touched keys' versions only, where a filter over the current state would first find the newest of all.
 */
export async function withTouchedBronze<T>(
  db: DuckDb,
  bronze: Pick<BronzeSnapshot, 'tables'>,
  rule: PartitionRule,
  work: () => Promise<T>,
): Promise<T> {
  const narrowed = bronze.tables.flatMap((table) => {
    const keys = touchedKeysSql(table, rule);
    return keys === undefined ? [] : [{ table, sql: currentRowsOfSql(table, keys) }];
  });
  const set: BronzeTable[] = [];
  try {
    for (const { table, sql } of narrowed) {
      await db.run(`alter view ${viewOf(table)} rename to ${quoteIdentifier(asideName(table))}`);
      set.push(table);
      await db.run(`create view ${viewOf(table)} as ${sql}`);
    }
    return await work();
  } finally {
    await restore(db, set);
  }
}

/** Whoever reads a narrowed table next would be wrong without knowing it, so nothing may go on when this fails. */
async function restore(db: DuckDb, tables: readonly BronzeTable[]): Promise<void> {
  for (const table of tables) {
    const aside = quotePath('bronze', table.source, asideName(table));
    try {
      await db.run(
        `drop view if exists ${viewOf(table)}; alter view ${aside} rename to ${quoteIdentifier(table.table)}`,
      );
    } catch (cause) {
      throw new SluiceError('BUILD_FAILED', `bronze.${table.source}.${table.table} cannot be shown whole again.`, {
        remedy: 'Run the build again; the last release stands.',
        cause,
      });
    }
  }
}

function asideName({ table }: BronzeTable): string {
  return `_sluice_all_${table}`;
}

function viewOf({ source, table }: BronzeTable): string {
  return quotePath('bronze', source, table);
}

/** The touched keys of a table, named like its key; undefined where a cut does not decide the whole key, or a key may be NULL. */
function touchedKeysSql(
  { source, table, contract, files }: BronzeTable,
  { by, cut }: PartitionRule,
): string | undefined {
  const lists = cut[`bronze.${source}.${table}`.toLowerCase()] ?? [];
  const isNeverNull = contract.key.every((name) =>
    contract.columns.some((column) => column.name === name && !column.nullable),
  );
  if (lists.length === 0 || contract.key.length === 0 || files.length === 0 || !isNeverNull) return undefined;
  const selects = lists.map((carriers) => {
    const places = contract.key.map((name) =>
      carriers.findIndex((carrier) => carrier.toLowerCase() === name.toLowerCase()),
    );
    if (places.some((place) => place < 0)) return undefined;
    const columns = contract.key.map(
      (name, i) => `${quoteIdentifier(by[places[i] ?? 0] ?? '')} as ${quoteIdentifier(name)}`,
    );
    return `select distinct ${columns.join(', ')} from temp.${quoteIdentifier(TOUCHED_TABLE)}`;
  });
  return selects.includes(undefined) ? undefined : `(${selects.join(' union ')})`;
}
