import { type Row, TABLES, type TableName, type Value } from './rows.ts';

/** Rows as the text format of COPY, gathered into chunks of about a megabyte. */
export interface CopyChunk {
  readonly table: TableName;
  readonly rows: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

const CHUNK_BYTES = 1 << 20;

/** Bytes and not strings: a megabyte of concatenated text is a tree of a million nodes to the garbage collector. */
interface Draft {
  bytes: Buffer<ArrayBuffer>;
  length: number;
  rows: number;
}

/** Gives each chunk to `emit` when it is full; finish() gives the rest. */
export function createCopyText(emit: (chunk: CopyChunk) => void): {
  add(table: TableName, row: Row): void;
  finish(): void;
} {
  const drafts = new Map<TableName, Draft>();
  const emitDraft = (table: TableName, draft: Draft): void => {
    drafts.delete(table);
    emit({ table, rows: draft.rows, bytes: draft.bytes.subarray(0, draft.length) });
  };
  return {
    add(table, row) {
      let draft = drafts.get(table);
      if (draft === undefined) {
        draft = { bytes: Buffer.from(new ArrayBuffer(CHUNK_BYTES)), length: 0, rows: 0 };
        drafts.set(table, draft);
      }
      const line = copyLine(TABLES[table], row);
      // no character takes more than three bytes per unit of UTF-16
      if (draft.length > 0 && draft.length + line.length * 3 > CHUNK_BYTES) {
        emitDraft(table, draft);
        this.add(table, row);
        return;
      }
      draft.length += draft.bytes.write(line, draft.length);
      draft.rows += 1;
    },
    finish() {
      for (const [table, draft] of drafts) emitDraft(table, draft);
    },
  };
}

function copyLine(columns: readonly string[], row: Row): string {
  let line = '';
  for (const column of columns) {
    if (line !== '') line += '\t';
    line += copyValue(column, row[column]);
  }
  return `${line}\n`;
}

/** Columns whose text may hold a backslash, tab or line break; the others are spared the look. */
const FREE_TEXT = new Set(['name', 'email', 'description', 'merchant', 'category', 'external_id', 'hashed_password']);

function copyValue(column: string, value: Value | undefined): string {
  if (value === null || value === undefined) return '\\N';
  if (typeof value === 'string') return FREE_TEXT.has(column) ? escapeText(value) : value;
  return String(value);
}

const SPECIAL = /[\\\t\n\r]/;
const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' };

function escapeText(text: string): string {
  return SPECIAL.test(text) ? text.replace(/[\\\t\n\r]/g, (character) => ESCAPES[character] ?? character) : text;
}
