import type { DuckDb } from '../../core/duckdb.ts';
import { quoteIdentifier } from '../../core/quote.ts';
import { SIGN_COLUMN } from '../delta/derivation.ts';
import type { StoredColumn } from './warehouse-engine.ts';

/** What differs between two bags of rows of the same columns, and the NULL-safe filters that go with it. */

export interface RowDifference {
  /** Temporary table of the rows whose count differs, with the columns compared. */
  readonly table: string;
  /** Rows that came or went; a changed row counts once. */
  readonly rows: number;
}

/** Column of a difference: how many times more often a row stands in the new bag. */
const SIGN = quoteIdentifier(SIGN_COLUMN);

/**
 * Compares two queries as bags, into a temporary table. Grouping, not EXCEPT: five times faster on 5 million rows, and duplicates count.
 * FLOAT and DOUBLE, in lists and structs too, are compared by their text as well, for 0.0 and -0.0 group as one.
 */
export async function differRows(
  db: DuckDb,
  table: string,
  {
    before,
    after,
    columns,
  }: { readonly before: string; readonly after: string; readonly columns: readonly StoredColumn[] },
): Promise<RowDifference> {
  const names = columns.map(({ name }) => quoteIdentifier(name));
  const floats = columns.filter(({ type }) => /\b(?:DOUBLE|FLOAT)\b/.test(type));
  const groups = [...names, ...floats.map(({ name }) => `${quoteIdentifier(name)}::varchar`)].join(', ');
  const list = names.join(', ');
  await db.run(
    `create or replace temp table ${table} as
     select ${list}, sum(${SIGN})::bigint as ${SIGN} from (
       select ${list}, -1 as ${SIGN} from (${before}) union all select ${list}, 1 as ${SIGN} from (${after})
     ) group by ${groups} having sum(${SIGN}) <> 0`,
  );
  const [row] = await db.rows<{ n: bigint }>(
    `select greatest(
       coalesce(sum(${SIGN}) filter (where ${SIGN} > 0), 0),
       coalesce(-sum(${SIGN}) filter (where ${SIGN} < 0), 0)
     )::bigint as n from ${table}`,
  );
  return { table, rows: Number(row?.n ?? 0) };
}

/**
 * True when two tables of the same columns surely differ: equal rows have equal hashes, so bags with other sums of them are not equal. False says
 * nothing. A fifth of what comparing them row by row takes.
 */
export async function haveOtherSums(
  db: DuckDb,
  one: string,
  other: string,
  columns: readonly StoredColumn[],
): Promise<boolean> {
  const list = columns.map(({ name }) => quoteIdentifier(name)).join(', ');
  const sums = (table: string) => `select count(*) as n, sum(hash(${list})) as h from ${table}`;
  const [row] = await db.rows<{ same: boolean }>(
    `select one.n = other.n and one.h is not distinct from other.h as same from (${sums(one)}) as one, (${sums(other)}) as other`,
  );
  return row?.same === false;
}

/**
 * Makes predicates: the row of `alias` agrees in the columns with some row of the table as it stands now, NULL with NULL. Columns that hold no
 * NULL there also get a plain IN, the one form that DuckDB pushes down into scans.
 */
export async function createMatcher(
  db: DuckDb,
  columns: readonly string[],
  table: string,
): Promise<(alias: string) => string> {
  const [nulls = {}] = await db.rows<Record<string, boolean | null>>(
    `select ${columns.map((name, i) => `bool_or(${quoteIdentifier(name)} is null) as c${i}`).join(', ')} from ${table}`,
  );
  const plain = columns.filter((_, i) => nulls[`c${i}`] === false);
  return (alias) => {
    const terms = plain.map((name) => {
      const column = quoteIdentifier(name);
      return `${alias}.${column} in (select ${column} from ${table})`;
    });
    if (columns.length === 1 && plain.length === 1) return terms.join('');
    const equal = columns.map((name) => {
      const column = quoteIdentifier(name);
      return `hit.${column} is not distinct from ${alias}.${column}`;
    });
    return [...terms, `exists (select 1 from ${table} as hit where ${equal.join(' and ')})`].join(' and ');
  };
}
