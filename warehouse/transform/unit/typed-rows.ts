import type { DuckDb } from '../../core/duckdb.ts';
import { nearestOf } from '../../core/nearest.ts';
import { quoteIdentifier, quoteLiteral } from '../../core/quote.ts';
import type { Diagnostics } from '../diagnostics.ts';
import type { SourceLocation } from '../source-location.ts';
import type { Cell, WrittenRows } from './unit-test.ts';

/** Rows as written, cast to the types of the table they stand for. */

export interface TypedColumn {
  readonly name: string;
  readonly type: string;
}

/** The table's columns that the rows name, in the table's order; columns it has not, or that are named twice, are reported. */
export function namedColumns(
  table: string,
  rows: WrittenRows,
  columns: readonly TypedColumn[],
  diagnostics: Diagnostics,
): readonly TypedColumn[] {
  const report = (at: SourceLocation, message: string, remedy: string) =>
    diagnostics.add({ code: 'UNIT_TEST_INVALID', message, at, remedy });
  const named = new Set<string>();
  for (const { name, type, at } of rows.columns) {
    const known = columns.find((column) => sameName(column.name, name));
    if (known === undefined) {
      const near = nearestOf(
        name,
        columns.map((column) => column.name),
      );
      const hint = near === undefined ? '' : `; did you mean ${near}?`;
      report(at, `${table} has no column ${name}${hint}`, `${table} has ${columns.map((c) => c.name).join(', ')}.`);
      continue;
    }
    if (named.has(known.name)) report(at, `the column ${name} stands twice`, 'Name each column once.');
    named.add(known.name);
    if (type !== undefined && canonical(type) !== canonical(known.type)) {
      report(at, `${name} is ${known.type} in ${table}, not ${type}`, `Write ${known.type}, or change the model.`);
    }
  }
  return columns.filter(({ name }) => named.has(name));
}

function canonical(type: string): string {
  const text = type.toUpperCase().replaceAll(/\s+/g, '');
  return text === 'TIMESTAMPTZ' ? 'TIMESTAMPWITHTIMEZONE' : text === 'TEXT' || text === 'STRING' ? 'VARCHAR' : text;
}

/** Reports every value that is not one of its column's type: text that does not read as it, and numbers that would lose digits. */
export async function checkValues(
  db: DuckDb,
  rows: WrittenRows,
  columns: readonly TypedColumn[],
  diagnostics: Diagnostics,
): Promise<void> {
  for (const column of columns) {
    const cells = rows.rows.flatMap(({ at, cells }) => {
      const cell = cellOf(cells, column.name);
      return cell === null ? [] : [{ at, cell }];
    });
    if (cells.length === 0) continue;
    const tried = cells.map(({ cell }, i) => `(${i}, try_cast(${literalOf(cell)} as ${column.type}) is null)`);
    const bad = await db.rows<{ i: number }>(`select i from (values ${tried.join(', ')}) as t(i, bad) where bad`);
    const refused = new Set(bad.map(({ i }) => i));
    for (const [i, { at, cell }] of cells.entries()) {
      const text = typeof cell === 'string' ? cell : cell.json;
      const fits = !refused.has(i) && (typeof cell !== 'string' || keepsDigits(text, column.type));
      if (fits) continue;
      const message = `${column.name}: ${JSON.stringify(text)} is not a ${column.type}`;
      const remedy = 'Write a value of that type; an empty value without quotes is NULL.';
      diagnostics.add({ code: 'UNIT_TEST_INVALID', message, at, remedy });
    }
  }
}

/** DuckDB rounds '1.5' to the integer 2 and cuts the time off a date: a test must not pass by that. */
function keepsDigits(text: string, type: string): boolean {
  const trimmed = text.trim();
  if (/^U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?$/.test(type)) return /^[+-]?\d+$/.test(trimmed);
  const scale = /^DECIMAL\(\d+,(\d+)\)$/.exec(type)?.[1];
  if (scale !== undefined) {
    const fraction = /^[+-]?(?:\d+(?:\.(\d*))?|\.(\d+))$/.exec(trimmed);
    return fraction !== null && (fraction[1] ?? fraction[2] ?? '').replace(/0+$/, '').length <= Number(scale);
  }
  if (type === 'DATE') return /^(\d{4,6}-\d\d-\d\d( \(BC\))?|-?infinity)$/.test(trimmed);
  if (type === 'BOOLEAN') return /^(true|false)$/i.test(trimmed);
  return true;
}

/** A query of the rows in the columns' types and order; a column that a row does not name is NULL. */
export function typedRowsSql(rows: WrittenRows, columns: readonly TypedColumn[]): string {
  const list = columns.map(({ name }) => quoteIdentifier(name)).join(', ');
  const values = rows.rows.map(
    ({ cells }) =>
      `(${columns.map(({ name, type }) => `cast(${literalOf(cellOf(cells, name))} as ${type})`).join(', ')})`,
  );
  const none = `select ${columns.map(({ name, type }) => `cast(null as ${type}) as ${quoteIdentifier(name)}`).join(', ')} where false`;
  return values.length === 0 ? none : `select * from (values ${values.join(', ')}) as given(${list})`;
}

function literalOf(cell: Cell): string {
  if (cell === null) return 'null';
  return typeof cell === 'string' ? quoteLiteral(cell) : `cast(${quoteLiteral(cell.json)} as json)`;
}

function cellOf(cells: ReadonlyMap<string, Cell>, column: string): Cell {
  const exact = cells.get(column);
  if (exact !== undefined) return exact;
  for (const [name, cell] of cells) if (sameName(name, column)) return cell;
  return null;
}

function sameName(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase();
}

/** Text that tells any two values of a type apart. */
export function textSql(column: string, type: string): string {
  return /[[(]/.test(type) && !type.startsWith('DECIMAL') ? `to_json(${column})::varchar` : `${column}::varchar`;
}
