import { currentRowsOfSql, currentRowsSql } from '../../core/bronze-sql.ts';
import type { BronzeSnapshot, BronzeTable } from '../../core/bronze-table.ts';
import type { DuckDb } from '../../core/duckdb.ts';
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
  try {
    for (const { table, sql } of narrowed) await db.run(`create or replace view ${viewOf(table)} as ${sql}`);
    return await work();
  } finally {
    for (const { table } of narrowed) {
      await db.run(`create or replace view ${viewOf(table)} as ${currentRowsSql(table)}`);
    }
  }
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
