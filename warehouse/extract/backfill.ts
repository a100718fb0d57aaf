import type { ColumnContract } from '../core/bronze-table.ts';
import { isSluiceError, SluiceError } from '../core/errors.ts';
import { nearestOf } from '../core/nearest.ts';
import { quoteIdentifier, quoteLiteral, quotePath } from '../core/quote.ts';
import type { CatalogTable } from './catalog.ts';
import { parseSql } from './column-type.ts';
import type { SourceSession } from './source-session.ts';

/**
 * Reading a table again, without moving its watermark: whole, or a range, in slices of a bounded number of rows. A slice is a range of values
 * of one column; where that is the first key column, what the last state has in the range and Postgres has not was deleted.
 */

export interface BackfillOptions {
  readonly table: string;
  /** Rows after which a slice ends; those with the same value as its last row still belong to it. */
  readonly maxRows: number;
  readonly range: {
    /** key: values of the first key column, the default. column: values of `column`, or of the cursor. */
    readonly by?: 'key' | 'column';
    readonly column?: string;
    /** Both inclusive, as Postgres reads them. */
    readonly from?: string;
    readonly to?: string;
    /** `next` of the slice before. */
    readonly after?: string;
  };
}

export interface BackfillSlice {
  /** Condition on the rows to read, for Postgres; null reads all of them. */
  readonly where: string | null;
  /** The same over the last state, for DuckDB; null where a row that is missing may only have moved out of the range. */
  readonly stateWhere: string | null;
  /** Where the next slice begins behind; null when this is the last. */
  readonly next: string | null;
  readonly note: string | null;
}

/** Decides on the next slice, inside the snapshot. Throws USAGE for a range that the table cannot have. */
export async function planSlice(
  session: SourceSession,
  table: CatalogTable,
  { range, maxRows }: BackfillOptions,
): Promise<BackfillSlice> {
  const isBounded = range.from !== undefined || range.to !== undefined;
  // Without a key what is read replaces the table: a range would throw the rest away.
  const column = table.contract.key.length === 0 ? undefined : findColumn(table, range);
  if (column === undefined || !isOrdered(column)) {
    if (!isBounded && range.after === undefined)
      return {
        where: null,
        stateWhere: null,
        next: null,
        note:
          table.contract.key.length === 0
            ? 'whole table at once: it has no key'
            : 'whole table at once: its key has no order that both sides share',
      };
    const what =
      column === undefined
        ? 'has no key'
        : `has the ${column.postgresType} ${column.name}, whose order DuckDB does not share`;
    throw usage(table, what, 'Leave the range out, or name a column of numbers, dates, times, UUIDs or texts.');
  }
  const bounds = await readBounds(session, table, column, range);
  const subject = sortedSql(column);
  const low = bounds.after === null ? bounds.from : bounds.after;
  const lowSign = bounds.after === null ? '>=' : '>';
  const inPostgres = (to: string | null): string[] => [
    ...(low === null ? [] : [`${subject} ${lowSign} ${literalSql(column, low)}`]),
    ...(to === null ? [] : [`${subject} <= ${literalSql(column, to)}`]),
  ];
  const all = inPostgres(bounds.to).join(' and ') || 'true';
  const [last] = await session.rows<{ value: string }>(
    `select ${quoteIdentifier(column.name)}::text as value from ${quotePath(table.schema, table.table)}
      where ${all} and ${quoteIdentifier(column.name)} is not null order by ${subject} offset ${Math.max(1, maxRows) - 1} limit 1`,
  );
  const next = last?.value ?? null;
  const to = next ?? bounds.to;
  const where = inPostgres(to).join(' and ') || null;
  const inState = (value: string): string => stateLiteralSql(column, value);
  const stateWhere = [
    ...(low === null ? [] : [`${quoteIdentifier(column.name)} ${lowSign} ${inState(low)}`]),
    ...(to === null ? [] : [`${quoteIdentifier(column.name)} <= ${inState(to)}`]),
  ].join(' and ');
  const byKey = column.name === table.contract.key[0];
  return {
    where,
    stateWhere: byKey ? stateWhere || 'true' : null,
    next,
    note: byKey ? null : `a range of ${column.name} carries inserts and updates, not deletes`,
  };
}

function findColumn(table: CatalogTable, range: BackfillOptions['range']): ColumnContract | undefined {
  const { contract, definition } = table;
  const name = range.by === 'column' ? (range.column ?? definition.cursor?.column) : contract.key[0];
  if (name === undefined && range.by === 'column')
    throw usage(table, 'has no cursor', 'Name the column of the range: "column": "…".');
  if (name === undefined) return undefined;
  const found = contract.columns.find((column) => column.name === name);
  if (found !== undefined) return found;
  const names = contract.columns.map((column) => column.name);
  const near = nearestOf(name, names);
  throw usage(
    table,
    `carries no column ${JSON.stringify(name)}`,
    `${near === undefined ? '' : `Did you mean ${near}? `}Its columns are: ${names.join(', ')}.`,
  );
}

/** Types whose values Postgres and DuckDB put in the same order; texts by their bytes. */
function isOrdered({ duckdbType, postgresType }: ColumnContract): boolean {
  if (/^(SMALLINT|INTEGER|BIGINT|DECIMAL\(.*\)|UUID|DATE|TIMESTAMP|TIMESTAMPTZ)$/.test(duckdbType)) return true;
  return duckdbType === 'VARCHAR' && isText(postgresType);
}

const isText = (postgresType: string): boolean => /^(text|character varying(\(\d+\))?)$/.test(postgresType);

function sortedSql({ name, postgresType }: ColumnContract): string {
  return isText(postgresType) ? `${quoteIdentifier(name)} collate "C"` : quoteIdentifier(name);
}

/** A bound as Postgres compares it: without the column's own length or scale, which would round it. */
function literalSql({ postgresType }: ColumnContract, value: string): string {
  const type = isText(postgresType) ? 'text' : postgresType.startsWith('numeric') ? 'numeric' : postgresType;
  return `${quoteLiteral(value)}::${type}`;
}

/** A number is not cast to the column's type: rounded, it would draw the line elsewhere than Postgres does. */
function stateLiteralSql({ duckdbType }: ColumnContract, value: string): string {
  return isNumber(duckdbType) ? value : parseSql(quoteLiteral(value), duckdbType);
}

const isNumber = (duckdbType: string): boolean => /^(SMALLINT|INTEGER|BIGINT|DECIMAL\(.*\))$/.test(duckdbType);

/** The bounds as Postgres prints them, so that DuckDB reads what Postgres understood. */
async function readBounds(
  session: SourceSession,
  table: CatalogTable,
  column: ColumnContract,
  range: BackfillOptions['range'],
): Promise<Record<'from' | 'to' | 'after', string | null>> {
  const read = async (value: string | undefined): Promise<string | null> => {
    if (value === undefined) return null;
    try {
      const [row] = await session.rows<{ value: string }>(`select (${literalSql(column, value)})::text as value`);
      if (row !== undefined && (!isNumber(column.duckdbType) || /^-?\d+(\.\d+)?$/.test(row.value))) return row.value;
    } catch (error) {
      if (!isDataError(error)) throw error;
    }
    const what = `has no ${column.name} ${JSON.stringify(value)}: that is not a value of the type ${column.postgresType}`;
    throw usage(table, what, 'Write the ends of the range as Postgres reads them, e.g. 1000 or "2026-06-01".');
  };
  const [from, to, after] = [await read(range.from), await read(range.to), await read(range.after)];
  return { from, to, after };
}

/** SQLSTATE class 22: the value, not the server. */
function isDataError(error: unknown): boolean {
  const cause = isSluiceError(error) ? error.cause : error;
  return cause instanceof Error && 'code' in cause && typeof cause.code === 'string' && cause.code.startsWith('22');
}

function usage(table: CatalogTable, what: string, remedy: string): SluiceError {
  return new SluiceError('USAGE', `The table ${table.source}.${table.table} ${what}.`, { remedy });
}
