import { rm } from 'node:fs/promises';
import type { ColumnContract, TableContract } from '../core/bronze-table.ts';
import type { DuckDb } from '../core/duckdb.ts';
import { mapSystemError, messageOf, SluiceError } from '../core/errors.ts';
import { quoteIdentifier, quoteLiteral } from '../core/quote.ts';
import { parseSql, tryParseSql } from './column-type.ts';
import type { SpoolFile } from './spool.ts';

/** From spooled CSV to typed rows in DuckDB. A value that does not fit stops the run and is named with its key. */

/** SELECT of the contract's columns, typed, over one spool file. */
export function spoolRowsSql(contract: TableContract, file: SpoolFile): string {
  const columns = contract.columns.map(
    (column, i) => `${parseSql(`c${i}`, column.duckdbType)} as ${quoteIdentifier(column.name)}`,
  );
  return `select ${columns.join(', ')} from ${readCsvSql(contract, file)}`;
}

/** Loads a spool file into the table `incoming`, which has the contract's columns, and deletes the file. */
export async function loadSpool(db: DuckDb, table: string, contract: TableContract, file: SpoolFile): Promise<void> {
  await parseOrName(db, table, contract, file, async () => {
    await db.run(`insert into incoming ${spoolRowsSql(contract, file)}`);
  });
  await rm(file.path, { force: true });
}

export async function createIncoming(db: DuckDb, contract: TableContract): Promise<void> {
  const columns = contract.columns.map((column) => `${quoteIdentifier(column.name)} ${column.duckdbType}`);
  await db.run(`create or replace table incoming (${columns.join(', ')})`);
}

/** Runs work that parses a spool file; when a value does not parse, finds it and says which. */
export async function parseOrName(
  db: DuckDb,
  table: string,
  contract: TableContract,
  file: SpoolFile,
  work: () => Promise<void>,
): Promise<void> {
  try {
    await work();
  } catch (error) {
    const mapped = mapSystemError(error, `reading ${table}`);
    if (mapped !== error || !/Conversion Error|Invalid Input|Invalid unicode|out of range/i.test(messageOf(error)))
      throw mapped;
    throw (
      (await findMisfit(db, table, contract, file)) ?? misfit(table, messageOf(error).split('\n')[0] ?? '', {}, error)
    );
  }
}

async function findMisfit(
  db: DuckDb,
  table: string,
  contract: TableContract,
  file: SpoolFile,
): Promise<SluiceError | undefined> {
  for (const [i, column] of contract.columns.entries()) {
    if (column.duckdbType === 'VARCHAR') continue;
    const key = contract.key.map((name) => `c${contract.columns.findIndex((other) => other.name === name)}`);
    const [row] = await db.rows<{ value: string; key: string[] }>(
      `select left(c${i}, 100) as value, [${key.join(', ')}]::varchar[] as key from ${readCsvSql(contract, file)}
        where c${i} is not null and ${tryParseSql(`c${i}`, column.duckdbType)} is null order by ${key.length > 0 ? 'key' : 'value'} limit 1`,
    );
    if (row === undefined) continue;
    const values = contract.key.map((name, k) => `${name} = ${row.key[k]}`).join(', ');
    const where = values === '' ? 'a row' : `the row ${values}`;
    const what = `${column.name} of ${where} is ${row.value} (${column.postgresType}), which ${column.duckdbType} cannot hold`;
    return misfit(table, what, { column: column.name, key: row.key, value: row.value });
  }
  return undefined;
}

function misfit(table: string, what: string, details: Readonly<Record<string, unknown>>, cause?: unknown): SluiceError {
  return new SluiceError(
    'SOURCE_VALUE_UNREPRESENTABLE',
    `The table ${table} holds a value that cannot be carried unchanged: ${what}.`,
    {
      remedy:
        'Correct the value in Postgres, change the column’s type there (to text, or numeric without precision: both arrive as text), or leave the column out.',
      details: { table, ...details },
      ...(cause === undefined ? {} : { cause }),
    },
  );
}

/** DuckDB reads every field as text: nothing is guessed, an unquoted empty field is NULL and a quoted one is ''. */
function readCsvSql(contract: TableContract, file: SpoolFile): string {
  const names = ['_one', ...contract.columns.map((_: ColumnContract, i) => `c${i}`)];
  const columns = names.map((name) => `${quoteLiteral(name)}: 'VARCHAR'`).join(', ');
  const longest = Math.max(file.longestRow, 1 << 16);
  return `read_csv(${quoteLiteral(file.path)}, auto_detect = false, header = false, columns = {${columns}},
    delim = ',', quote = '"', escape = '"', new_line = '\\n', comment = '', nullstr = '', allow_quoted_nulls = false,
    strict_mode = true, null_padding = false, parallel = false, max_line_size = ${longest + 16}, buffer_size = ${Math.max(4 * longest, 1 << 25)})`;
}
