import type { DuckDb } from '../../core/duckdb.ts';
import { quoteIdentifier } from '../../core/quote.ts';
import { type TypedColumn, textSql, typedRowsSql } from './typed-rows.ts';
import type { WrittenRows } from './unit-test.ts';

/** What stands in a table against what should: bags of rows, compared as the exact text of each value, NULL apart from the empty text. */

export type RowText = Readonly<Record<string, string | null>>;

export interface RowDifferences {
  /** Columns by which rows are matched; empty: whole rows are compared. */
  readonly key: readonly string[];
  /** Expected and not there. */
  readonly missing: readonly RowText[];
  /** There and not expected. */
  readonly extra: readonly RowText[];
  /** Same key, other values. */
  readonly changed: readonly {
    readonly key: RowText;
    readonly columns: Readonly<Record<string, { readonly expected: string | null; readonly found: string | null }>>;
  }[];
}

/** Compares the columns that the expectation names; undefined when the rows are the same. `relation` is SQL of the table. */
export async function compareRows(
  db: DuckDb,
  relation: string,
  expected: WrittenRows,
  columns: readonly TypedColumn[],
  key: readonly string[],
): Promise<RowDifferences | undefined> {
  const texts = columns.map(({ name, type }) => `${textSql(quoteIdentifier(name), type)} as ${quoteIdentifier(name)}`);
  const read = (from: string) => db.rows<RowText>(`select ${texts.join(', ')} from ${from}`);
  const [should, stands] = [await read(`(${typedRowsSql(expected, columns)})`), await read(relation)];
  return differRowTexts(
    should,
    stands,
    columns.map(({ name }) => name),
    key,
  );
}

/** The same on rows that are text already. */
export function differRowTexts(
  should: readonly RowText[],
  stands: readonly RowText[],
  columns: readonly string[],
  key: readonly string[],
): RowDifferences | undefined {
  const idOf = (row: RowText, names: readonly string[]) => JSON.stringify(names.map((name) => row[name] ?? null));
  const extra = new Map<string, RowText[]>();
  for (const row of stands) extra.set(idOf(row, columns), [...(extra.get(idOf(row, columns)) ?? []), row]);
  const missing = should.filter((row) => extra.get(idOf(row, columns))?.pop() === undefined);
  const left = [...extra.values()].flat();
  if (missing.length === 0 && left.length === 0) return undefined;
  // Without the whole key among the columns no row can be told to be the other's.
  const by = key.length > 0 && key.every((name) => columns.includes(name)) ? key : [];
  const partners = new Map<string, RowText[]>();
  if (by.length > 0) for (const row of left) partners.set(idOf(row, by), [...(partners.get(idOf(row, by)) ?? []), row]);
  const matched = new Set<RowText>();
  const changed = missing.flatMap((row) => {
    const partner = partners.get(idOf(row, by))?.pop();
    if (partner === undefined) return [];
    matched.add(row).add(partner);
    const differing = columns.filter((name) => (row[name] ?? null) !== (partner[name] ?? null));
    return [
      {
        key: pick(row, by),
        columns: Object.fromEntries(
          differing.map((name) => [name, { expected: row[name] ?? null, found: partner[name] ?? null }]),
        ),
      },
    ];
  });
  const unmatched = (rows: readonly RowText[]) =>
    rows.filter((row) => !matched.has(row)).toSorted((a, b) => (idOf(a, columns) < idOf(b, columns) ? -1 : 1));
  return { key: by, missing: unmatched(missing), extra: unmatched(left), changed };
}

function pick(row: RowText, names: readonly string[]): RowText {
  return Object.fromEntries(names.map((name) => [name, row[name] ?? null]));
}
