import { StatementType } from '@duckdb/node-api';
import { type DuckDb, type RowValue, toRowValue } from '../warehouse/core/duckdb.ts';
import { isSluiceError, messageOf, SluiceError } from '../warehouse/core/errors.ts';
import { toJson } from './output.ts';
import { formatCount, formatTable } from './table.ts';

/** The answer to one SQL statement. `more` says that the query has further rows beyond the limit. */
export interface SqlAnswer {
  readonly columns: readonly { readonly name: string; readonly type: string }[];
  /** Rows by position, so that two columns of one name both stay. */
  readonly rows: readonly (readonly RowValue[])[];
  readonly more: boolean;
}

/** Runs one statement and reads at most `limit` rows, one more to know whether there are more. Throws QUERY_INVALID with DuckDB's words. */
export async function readAnswer(db: DuckDb, sql: string, limit: number): Promise<SqlAnswer> {
  const text = sql.trim().replace(/(;\s*)+$/, '');
  try {
    const statements = await db.connection.extractStatements(text);
    if (statements.count !== 1) {
      throw new SluiceError('QUERY_INVALID', `One statement is wanted, not ${statements.count}.`, {
        remedy: 'Send them one by one.',
      });
    }
    // Binding the text as it was typed gives errors with its own positions; the limit then goes around it.
    const prepared = await statements.prepare(0);
    const isSelect = prepared.statementType === StatementType.SELECT;
    prepared.destroySync();
    const reader = await db.connection.runAndReadAll(
      isSelect ? `select * from (\n${text}\n) limit ${limit + 1}` : text,
    );
    const types = reader.columnTypes();
    const rows = reader.convertRows<RowValue>(toRowValue) as RowValue[][];
    return {
      columns: reader.columnNames().map((name, index) => ({ name, type: String(types[index]) })),
      rows: rows.slice(0, limit),
      more: rows.length > limit,
    };
  } catch (error) {
    if (isSluiceError(error)) throw error;
    throw new SluiceError('QUERY_INVALID', messageOf(error).trim(), {
      remedy: 'Tables are bronze.<source>.<table>, silver.<table> and gold.<table>; as_of() is the logical date.',
      cause: error,
    });
  }
}

export function formatAnswer({ columns, rows, more }: SqlAnswer): string {
  const table = formatTable(
    rows,
    columns.map((column, index) => ({
      title: column.name,
      value: (row: readonly RowValue[]) => showValue(row[index] ?? null),
      align: /^(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT|U\w+INT|FLOAT|DOUBLE|DECIMAL)/.test(column.type)
        ? ('right' as const)
        : ('left' as const),
    })),
  );
  return `${table}\n${more ? `the first ${formatCount(rows.length)} rows; there are more (--limit)` : `${formatCount(rows.length)} rows`}`;
}

/** RFC 4180, with a heading; NULL is empty, the empty text is quoted. */
export function formatCsv({ columns, rows }: SqlAnswer): string {
  const field = (value: RowValue): string => {
    if (value === null) return '';
    const text = showValue(value);
    return text === '' || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [columns.map((column) => field(column.name)).join(','), ...rows.map((row) => row.map(field).join(','))].join(
    '\r\n',
  );
}

function showValue(value: RowValue): string {
  if (value === null) return 'NULL';
  return typeof value === 'object' ? toJson(value) : String(value);
}
