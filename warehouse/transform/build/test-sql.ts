import { quoteIdentifier, quoteLiteral, quotePath } from '../../core/quote.ts';
import type { CompiledModel, ModelTest } from '../model.ts';

/**
 * A test as SQL over the rows it may see. All of a model's tests are columns of one query, so that its table is read once:
 *
 *   select count(*), count(*) filter (where a is null), count(distinct b), max(c), …
 *   from (select *, d in (select … from parent) as _sluice_found_0 from table)
 */
export type TestSql =
  /** `where` picks failing rows; it may read the column `found`, which says whether the row has a parent. */
  | { readonly kind: 'rows'; readonly where: string; readonly found?: { readonly name: string; readonly sql: string } }
  /** No value twice: the distinct ones are as many as the rows. */
  | { readonly kind: 'unique'; readonly columns: readonly string[] }
  /** One figure of the whole table. */
  | { readonly kind: 'rows-count' }
  | { readonly kind: 'newest'; readonly column: string };

/** NULL passes every test but not_null and unique, as in SQL's own CHECK; in unique NULL is a value like any other. */
export function toTestSql(test: ModelTest, index: number): TestSql {
  switch (test.kind) {
    case 'not_null':
      return { kind: 'rows', where: `${quoteIdentifier(test.column)} is null` };
    case 'accepted_values': {
      const values = test.values.map((value) => (typeof value === 'string' ? quoteLiteral(value) : String(value)));
      return { kind: 'rows', where: `${quoteIdentifier(test.column)} not in (${values.join(', ')})` };
    }
    case 'range': {
      const column = quoteIdentifier(test.column);
      const bounds = [
        ...(test.min === undefined ? [] : [`${column} < ${toBound(test.min)}`]),
        ...(test.max === undefined ? [] : [`${column} > ${toBound(test.max)}`]),
      ];
      return { kind: 'rows', where: bounds.length === 0 ? 'false' : bounds.join(' or ') };
    }
    case 'expression':
      return { kind: 'rows', where: `not (${test.sql}\n)` };
    case 'relationships': {
      const column = quoteIdentifier(test.column);
      const parent = quoteIdentifier(test.toColumn);
      const name = quoteIdentifier(`_sluice_found_${index}`);
      // An uncorrelated IN becomes a mark join within the one scan, as fast as an anti join; NOT EXISTS would group all keys of the child first.
      const sql = `${column} in (select ${parent} from ${pathOf(test.to)} where ${parent} is not null) as ${name}`;
      return { kind: 'rows', where: `${column} is not null and not ${name}`, found: { name, sql } };
    }
    case 'unique':
      return { kind: 'unique', columns: test.columns };
    case 'row_count':
      return { kind: 'rows-count' };
    case 'freshness':
      return { kind: 'newest', column: test.column };
    default:
      return test satisfies never;
  }
}

/** The rows a test is about: all, or those its `where` picks. */
export function rowsOf(test: ModelTest, where = 'true'): string {
  return test.where === undefined ? where : `(${where}) and coalesce((${test.where}\n), false)`;
}

/** Name of a model or bronze table as SQL: silver.x stands in the schema main. */
export function pathOf(name: string): string {
  const parts = name.split('.');
  return parts.length === 2 ? quotePath(parts[0] ?? '', 'main', parts[1] ?? '') : quotePath(...parts);
}

/** Columns that are shown of a failing row, before all others: what identifies it, then what the test is about. */
export function shownColumns(model: CompiledModel, test: ModelTest): readonly string[] {
  if (test.kind === 'expression' || model.key.length === 0) return model.key;
  const own = test.kind === 'unique' ? test.columns : 'column' in test ? [test.column] : [];
  return [...new Set([...model.key, ...own])];
}

/** A query of every failing row of the whole table; figures of the table (row_count, freshness) have no row. */
export function failingRowsSql(model: CompiledModel, test: ModelTest, sql: TestSql): string | undefined {
  const path = pathOf(model.name);
  switch (sql.kind) {
    case 'rows': {
      const list = shownColumns(model, test).map(quoteIdentifier);
      const found = sql.found === undefined ? [] : [sql.found.name];
      const rest = [...list, ...found];
      const exclude = rest.length === 0 ? '*' : `* exclude (${rest.join(', ')})`;
      const everyColumn = list.length === model.boundColumns.length;
      const select = everyColumn ? list.join(', ') : [...list, exclude].join(', ');
      const from = sql.found === undefined ? path : `(select *, ${sql.found.sql} from ${path})`;
      return `select ${select} from ${from} where ${rowsOf(test, sql.where)}`;
    }
    case 'unique': {
      const columns = sql.columns.map(quoteIdentifier).join(', ');
      return `select ${columns}, count(*) as "rows" from ${path} where ${rowsOf(test)} group by ${columns} having count(*) > 1`;
    }
    case 'rows-count':
    case 'newest':
      return undefined;
    default:
      return sql satisfies never;
  }
}

/** A number stays one, so that 0.5 is not rounded to an integer column's type; anything else is text that DuckDB casts. */
function toBound(text: string): string {
  return /^[+-]?\d+(\.\d+)?$/.test(text) ? text : quoteLiteral(text);
}
