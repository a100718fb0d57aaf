import { type DuckDb, type RowValue, toRowValue } from '../warehouse/core/duckdb.ts';
import { StatementType } from '../warehouse/core/duckdb-bindings.ts';
import { isSluiceError, messageOf, SluiceError } from '../warehouse/core/errors.ts';
import { toJson } from './output.ts';
import { formatCounted, formatTable } from './table.ts';

/** The answer to one SQL statement. `more` says that the query has further rows beyond the limit. */
export interface SqlAnswer {
  readonly columns: readonly { readonly name: string; readonly type: string }[];
  /** Rows by position, so that two columns of one name both stay. */
  readonly rows: readonly (readonly RowValue[])[];
  readonly more: boolean;
}

/**
 * Runs one reading statement and takes at most `limit` rows, one more to know whether there are more. Throws QUERY_INVALID with DuckDB's
 * words, CANCELLED when the signal fires.
 */
export async function readAnswer(db: DuckDb, sql: string, limit: number, signal?: AbortSignal): Promise<SqlAnswer> {
  const text = sql.trim().replace(/(;\s*)+$/, '');
  const stop = interruptOnAbort(db, signal);
  try {
    signal?.throwIfAborted();
    if (stripComments(text).trim() === '') throw notOne(0);
    const statements = await db.connection.extractStatements(text);
    if (statements.count !== 1) throw notOne(statements.count);
    // Binding the text as it was typed gives errors with its own positions; the limit then goes around it.
    const prepared = await statements.prepare(0);
    const type = prepared.statementType;
    prepared.destroySync();
    if (type !== StatementType.SELECT && type !== StatementType.EXPLAIN) throw notReading(type);
    const reader = await db.connection.runAndReadAll(
      type === StatementType.SELECT ? `select * from (\n${text}\n) limit ${limit + 1}` : text,
    );
    const types = reader.columnTypes();
    const rows = reader.convertRows<RowValue>(toRowValue);
    return {
      columns: reader.columnNames().map((name, index) => ({ name, type: String(types[index]) })),
      rows: rows.slice(0, limit),
      more: rows.length > limit,
    };
  } catch (error) {
    if (signal?.aborted === true) throw new SluiceError('CANCELLED', 'The query was cancelled.', { cause: error });
    if (isSluiceError(error)) throw error;
    // A statement that writes fails where it is bound: the release is attached for reading.
    if (/read-only mode/.test(messageOf(error))) throw notReading(StatementType.INVALID, error);
    throw new SluiceError('QUERY_INVALID', wordsOf(error), {
      remedy: 'Tables are bronze.<source>.<table>, silver.<table> and gold.<table>; as_of() is the logical date.',
      cause: error,
    });
  } finally {
    stop();
  }
}

/** DuckDB's message without what the bindings put before it. */
function wordsOf(error: unknown): string {
  return messageOf(error)
    .replace(/^Failed to extract statements: /, '')
    .replaceAll(/\n{2,}/g, '\n')
    .trim();
}

function notOne(count: number): SluiceError {
  return new SluiceError('QUERY_INVALID', `One statement is wanted, not ${count}.`, {
    remedy: count === 0 ? 'Try: sluice query "show all tables"' : 'Send them one by one.',
  });
}

/** The text without its comments; good enough to see whether there is anything else. */
export function stripComments(text: string): string {
  return text.replaceAll(/--[^\n]*|\/\*[\s\S]*?\*\//g, ' ');
}

function notReading(type: StatementType, cause?: unknown): SluiceError {
  const what = type === StatementType.INVALID ? 'This statement' : `A statement of type ${StatementType[type]}`;
  return new SluiceError('QUERY_INVALID', `${what} does not only read; here only queries run.`, {
    remedy: 'Write a query (select, from, with, describe, summarize, explain); tables are made by models in sql/.',
    cause,
  });
}

/** Interrupts until told to stop: DuckDB forgets an interrupt that comes just before a query begins. */
function interruptOnAbort(db: DuckDb, signal: AbortSignal | undefined): () => void {
  let timer: NodeJS.Timeout | undefined;
  const interrupt = (): void => {
    db.connection.interrupt();
    timer ??= setInterval(() => db.connection.interrupt(), 50);
  };
  signal?.addEventListener('abort', interrupt, { once: true });
  return () => {
    signal?.removeEventListener('abort', interrupt);
    clearInterval(timer);
  };
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
  const counted = formatCounted(rows.length, 'row');
  return `${table}\n${more ? `the first ${counted}; there are more (--limit)` : counted}`;
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
