import type { Dataset } from '../core/dataset.ts';
import { quoteIdentifier, quotePath } from '../core/quote.ts';
import { compileOwner, type OwnerScope } from './caller.ts';
import { type ColumnType, isWide, parseColumnType } from './column-type.ts';
import { type Binder, compileFilter, createBinder, type Filter } from './filter.ts';

/** One SELECT with its bound values: all that ever reaches DuckDB. */
export interface Statement {
  readonly sql: string;
  readonly values: readonly string[];
}

/** A page's statement; its last column says whether an answer over the byte cap was cut. */
export interface PageStatement extends Statement {
  readonly columns: readonly { readonly name: string; readonly type: ColumnType }[];
}

export interface PageBounds {
  /** Rows to fetch: one more than the page, to learn whether there are more. */
  readonly fetch: number;
  readonly offset: number;
  readonly maxBytes: number;
}

const BYTES = quoteIdentifier('_sluice_bytes');

/**
 * The caller's rows that pass the filter. The owner predicate is the innermost WHERE, over the fully qualified table:
 * a page, a count and an ownership check all read this and nothing else.
 */
function ownedRows(dataset: Dataset, columns: string, owner: OwnerScope, filter: Filter, binder: Binder): string {
  const table = quotePath('gold', 'main', dataset.id);
  const owned = `select * from ${table} where ${compileOwner(owner, binder)}`;
  return `select ${columns} from (${owned}) as owned where ${compileFilter(dataset, filter, binder)}`;
}

/** Rows in key order, NULLs last; without a key by every column. Wide values past the byte cap leave as NULL and the row says so. */
export function compilePage(dataset: Dataset, owner: OwnerScope, filter: Filter, bounds: PageBounds): PageStatement {
  const binder = createBinder();
  const columns = dataset.columns.map((column) => ({ name: column.name, type: parseColumnType(column.type) }));
  const projection = columns.map(({ name, type }) => {
    const quoted = quoteIdentifier(name);
    return type.kind === 'other' ? `cast(${quoted} as varchar) as ${quoted}` : quoted;
  });
  const order = (dataset.key.length > 0 ? dataset.key : columns.map((column) => column.name))
    .map((name) => `${quoteIdentifier(name)} asc nulls last`)
    .join(', ');
  const rows = ownedRows(dataset, projection.join(', '), owner, filter, binder);
  const page = `${rows} order by ${order} limit ${wholeNumber(bounds.fetch)} offset ${wholeNumber(bounds.offset)}`;
  const wide = columns.filter((column) => isWide(column.type));
  if (wide.length === 0) return { sql: page, values: binder.values, columns };

  const width = wide
    .map(({ name, type }) => {
      const quoted = quoteIdentifier(name);
      const isText = type.kind === 'text' || type.kind === 'other';
      return `coalesce(strlen(${isText ? quoted : `cast(${quoted} as varchar)`}), 0)`;
    })
    .join(' + ');
  const sized = `select *, sum(${width}) over (rows between unbounded preceding and current row) as ${BYTES} from (${page}) as page`;
  const cap = wholeNumber(bounds.maxBytes);
  const bounded = columns.map(({ name, type }) => {
    const quoted = quoteIdentifier(name);
    return isWide(type) ? `case when ${BYTES} <= ${cap} then ${quoted} end as ${quoted}` : quoted;
  });
  return {
    sql: `select ${bounded.join(', ')}, ${BYTES} > ${cap} as ${quoteIdentifier('_sluice_cut')} from (${sized}) as sized order by ${order}`,
    values: binder.values,
    columns,
  };
}

/** How many of the caller's rows pass the filter. */
export function compileCount(dataset: Dataset, owner: OwnerScope, filter: Filter): Statement {
  const binder = createBinder();
  const rows = ownedRows(dataset, '1', owner, filter, binder);
  return { sql: `select count(*) as total from (${rows}) as counted`, values: binder.values };
}

/** How many of these ids the caller owns, by the dataset that lists their entity. */
export function compileOwnedIds(entity: Dataset, owner: OwnerScope, ids: readonly string[]): Statement {
  const binder = createBinder();
  const id = entity.key[0] ?? '';
  const rows = ownedRows(entity, quoteIdentifier(id), owner, { kind: 'in', column: id, values: ids }, binder);
  return {
    sql: `select count(distinct ${quoteIdentifier(id)}) as total from (${rows}) as mine`,
    values: binder.values,
  };
}

/** Row and byte bounds are ours, whole and checked; they are constants of the plan, so that DuckDB can choose a top-N. */
function wholeNumber(value: number): string {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`not a whole number: ${value}`);
  return String(value);
}
