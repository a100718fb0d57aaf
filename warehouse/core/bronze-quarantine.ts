import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import type { DraftQuarantineFile } from './bronze-commit.ts';
import { quoteLiteral } from './quote.ts';

/** Rows that a column could not hold, set aside beside their table: one JSON object per line, so that any tool reads what Postgres said. */

export interface QuarantinedRow {
  /** Key columns as Postgres prints them; of a table without a key, all columns that could be read. */
  readonly key: Readonly<Record<string, string | null>>;
  readonly column: string;
  /** The value as Postgres prints it. */
  readonly value: string;
  readonly reason: string;
}

/** Writes rows as a local file that waits for its commit; undefined when there are none. Holds one row at a time. */
export async function writeQuarantine(
  path: string,
  rows: AsyncIterable<QuarantinedRow> | Iterable<QuarantinedRow>,
): Promise<DraftQuarantineFile | undefined> {
  const hash = createHash('sha256');
  let count = 0;
  let bytes = 0;
  let file: Awaited<ReturnType<typeof open>> | undefined;
  try {
    for await (const { key, column, value, reason } of rows) {
      file ??= await open(path, 'w');
      const line = Buffer.from(`${JSON.stringify({ key, column, value, reason })}\n`);
      await file.writeFile(line);
      hash.update(line);
      bytes += line.length;
      count += 1;
    }
  } finally {
    await file?.close();
  }
  return count === 0 ? undefined : { localPath: path, rows: count, bytes, sha256: hash.digest('hex') };
}

/** SELECT over quarantine files: key (a map of texts), column, value, reason and filename. */
export function quarantineRowsSql(files: readonly { readonly path: string; readonly bytes: number }[]): string {
  const list = files.map(({ path }) => quoteLiteral(path)).join(', ');
  // DuckDB sets aside memory for the longest line it is told of: no line is longer than its file.
  const longest = Math.max(1 << 16, ...files.map(({ bytes }) => bytes + 1));
  return `select key, "column", value, reason, filename from read_json([${list}], format = 'newline_delimited', filename = true, maximum_object_size = ${longest},
    columns = {key: 'map(varchar, varchar)', "column": 'varchar', value: 'varchar', reason: 'varchar'})`;
}
