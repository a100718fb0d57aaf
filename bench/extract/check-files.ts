import { createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { to as copyTo } from 'pg-copy-streams';
import { type DuckDb, openDuckDb } from '../../warehouse/core/duckdb.ts';
import { quoteIdentifier, quoteLiteral } from '../../warehouse/core/quote.ts';
import { withClient } from './dataset.ts';
import { selectSql } from './table.ts';

/** Whether what was measured is also what was asked for. DuckDB reads every file. */

/** Throws unless the files hold so many rows. */
export async function checkCount(name: string, files: readonly string[], rows: number): Promise<void> {
  await withDuckDb(undefined, async (db) => {
    const [found] = await db.rows<{ n: bigint }>(`select count(*) as n from ${parquetSql(files)}`);
    if (found?.n !== BigInt(rows)) throw new Error(`${name} wrote ${found?.n} rows of ${rows}`);
  });
}

/** Throws unless the files hold exactly the rows that a CSV COPY of the table gives: every column, both ways. */
export async function checkRows(url: string, table: string, files: readonly string[], dir: string): Promise<void> {
  const csv = join(dir, 'all.csv');
  await withClient(url, async (client) => {
    const copy = `copy (${selectSql(table)}) to stdout (format csv, force_quote *)`;
    await client.query("set timezone = 'UTC'");
    await pipeline(client.query(copyTo(copy)), createWriteStream(csv));
  });
  try {
    await withDuckDb(dir, async (db) => {
      const columns = await db.rows<{ column_name: string; column_type: string }>(
        `describe select * exclude (_op, _seq, _extracted_at) from ${parquetSql(files)}`,
      );
      const texts = columns.map((column) => `${quoteLiteral(column.column_name)}: 'VARCHAR'`).join(', ');
      const typed = columns.map((column) => `${quoteIdentifier(column.column_name)}::${column.column_type}`).join(', ');
      const names = columns.map((column) => quoteIdentifier(column.column_name)).join(', ');
      const expected = `select ${typed} from read_csv(${quoteLiteral(csv)}, auto_detect = false, header = false, columns = {${texts}}, quote = '"', escape = '"', nullstr = '', allow_quoted_nulls = false)`;
      const actual = `select ${names} from ${parquetSql(files)}`;
      const [row] = await db.rows<{ missing: bigint; wrong: bigint }>(
        `select (select count(*) from (${expected} except all ${actual})) as missing,
                (select count(*) from (${actual} except all ${expected})) as wrong`,
      );
      if (row?.missing !== 0n || row.wrong !== 0n)
        throw new Error(
          `${table}: ${row?.missing} rows of the source are missing, ${row?.wrong} are not in the source`,
        );
    });
  } finally {
    await rm(csv);
  }
}

function parquetSql(files: readonly string[]): string {
  return `read_parquet([${files.map(quoteLiteral).join(', ')}], hive_partitioning = false)`;
}

async function withDuckDb<T>(dir: string | undefined, work: (db: DuckDb) => Promise<T>): Promise<T> {
  const db = await openDuckDb(dir === undefined ? {} : { memoryLimitMb: 4096, tempDirectory: join(dir, 'spill') });
  try {
    return await work(db);
  } finally {
    db.close();
  }
}
