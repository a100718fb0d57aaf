import { once } from 'node:events';
import type pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { quoteIdentifier, quotePath } from '../warehouse/core/quote.ts';
import { type Row, TABLE_NAMES, TABLES, type TableName, type Value } from './rows.ts';

/** Columns whose text may hold a backslash, tab or line break; the others are spared the look. */
const FREE_TEXT = new Set(['name', 'email', 'description', 'merchant', 'category', 'external_id', 'hashed_password']);
const FLUSH_CHARACTERS = 1 << 20;

/** Rows on their way into fresh tables by COPY, a megabyte at a time; what waits in memory is bounded by that times the number of tables. */
export interface CopyWriter {
  /** Adds a row; true when a flush is due. */
  add(table: TableName, row: Row): boolean;
  /** Sends what is due; everything with `all`. */
  flush(all: boolean): Promise<void>;
  readonly rows: Readonly<Record<TableName, number>>;
}

export function createCopyWriter(client: pg.ClientBase): CopyWriter {
  const waiting = new Map<TableName, string>();
  const rows = Object.fromEntries(TABLE_NAMES.map((table) => [table, 0])) as Record<TableName, number>;
  return {
    rows,
    add(table, row) {
      rows[table] += 1;
      const text = (waiting.get(table) ?? '') + copyLine(TABLES[table], row);
      waiting.set(table, text);
      return text.length > FLUSH_CHARACTERS;
    },
    async flush(all) {
      for (const [table, text] of waiting) {
        if (text.length === 0 || !(all || text.length > FLUSH_CHARACTERS)) continue;
        waiting.set(table, '');
        await copyText(client, table, text);
      }
    },
  };
}

async function copyText(client: pg.ClientBase, table: TableName, text: string): Promise<void> {
  const columns = TABLES[table].map(quoteIdentifier).join(', ');
  // freeze: the table is made in this very transaction, so its rows need no later vacuum.
  const stream = client.query(copyFrom(`copy ${quotePath('app', table)} (${columns}) from stdin with (freeze)`));
  stream.end(text);
  await once(stream, 'finish');
}

function copyLine(columns: readonly string[], row: Row): string {
  let line = '';
  for (const column of columns) {
    if (line !== '') line += '\t';
    line += copyValue(column, row[column]);
  }
  return `${line}\n`;
}

function copyValue(column: string, value: Value | undefined): string {
  if (value === null || value === undefined) return '\\N';
  if (typeof value === 'string') return FREE_TEXT.has(column) ? escapeText(value) : value;
  return String(value);
}

const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' };

function escapeText(text: string): string {
  return text.replace(/[\\\t\n\r]/g, (character) => ESCAPES[character] ?? character);
}
