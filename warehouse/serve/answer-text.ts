import type { DuckDBDataChunk, DuckDBValue } from '@duckdb/node-api';
import {
  DuckDBArrayValue,
  DuckDBBlobValue,
  DuckDBListValue,
  DuckDBStructValue,
  DuckDBTimestampTZValue,
  DuckDBTimestampValue,
} from '../core/duckdb-bindings.ts';
import type { ColumnType } from './column-type.ts';
import { csvField, type Json } from './csv-field.ts';
import type { AnswerFormat } from './engine-protocol.ts';

/** Rows of DuckDB as the text that leaves: exact values, no binding types. */

/** Collects rows as text and counts its bytes; says `false` when a row would pass the cap. */
export interface AnswerWriter {
  row(values: readonly Json[]): boolean;
  finish(): { readonly text: string; readonly rows: number; readonly bytes: number };
}

export function createAnswerWriter(
  format: AnswerFormat,
  columns: readonly { readonly name: string }[],
  maxBytes: number,
): AnswerWriter {
  const names = columns.map((column) => `${JSON.stringify(column.name)}:`);
  const parts: string[] = [];
  const separator = { json: ',', ndjson: '\n', csv: '\r\n' }[format];
  let bytes = 0;
  return {
    row: (values) => {
      const text =
        format === 'csv'
          ? values.map(csvField).join(',')
          : `{${values.map((value, at) => names[at] + JSON.stringify(value)).join(',')}}`;
      bytes += Buffer.byteLength(text) + 1;
      if (bytes > maxBytes) return false;
      parts.push(text);
      return true;
    },
    finish: () => ({ text: parts.join(separator), rows: parts.length, bytes }),
  };
}

/** The values of one chunk, column by column, as JSON. */
export function jsonColumns(chunk: DuckDBDataChunk, columns: readonly { readonly type: ColumnType }[]): Json[][] {
  return columns.map(({ type }, at) => chunk.getColumnValues(at).map((value) => jsonValue(value, type)));
}

/** BIGINT, DECIMAL, dates, times and UUIDs as exact text, bytes in base64, smaller integers and finite doubles as numbers. JSON has no NaN or infinity: null. */
function jsonValue(value: DuckDBValue, type: ColumnType): Json {
  if (value === null) return null;
  switch (type.kind) {
    case 'boolean':
      return value === true;
    case 'integer':
      return typeof value === 'bigint' ? value.toString() : Number(value);
    case 'float':
      return typeof value === 'number' && Number.isFinite(value) ? value : null;
    case 'timestamp':
      return isoInstant(value);
    case 'list': {
      const items = value instanceof DuckDBListValue || value instanceof DuckDBArrayValue ? value.items : [];
      return items.map((item) => jsonValue(item, type.of));
    }
    case 'struct': {
      const entries = value instanceof DuckDBStructValue ? value.entries : {};
      return Object.fromEntries(
        type.fields.map((field) => [field.name, jsonValue(entries[field.name] ?? null, field.type)]),
      );
    }
    case 'blob':
      return value instanceof DuckDBBlobValue ? Buffer.from(value.bytes).toString('base64') : null;
    case 'time':
    case 'decimal':
    case 'uuid':
    case 'text':
    case 'date':
    case 'other':
      return String(value);
    default:
      return type satisfies never;
  }
}

/** Microseconds since 1970 as ISO 8601, with Z for instants. Dates out of ISO's four-digit years keep DuckDB's own text. */
function isoInstant(value: DuckDBValue): string {
  if (!(value instanceof DuckDBTimestampTZValue) && !(value instanceof DuckDBTimestampValue)) return String(value);
  const micros = value.micros;
  const fraction = ((micros % 1_000_000n) + 1_000_000n) % 1_000_000n;
  const seconds = (micros - fraction) / 1_000_000n;
  const zone = value instanceof DuckDBTimestampTZValue ? 'Z' : '';
  if (seconds < -62_135_596_800n || seconds > 253_402_300_799n) return String(value);
  const whole = new Date(Number(seconds) * 1_000).toISOString().slice(0, 19);
  return fraction === 0n ? `${whole}${zone}` : `${whole}.${fraction.toString().padStart(6, '0')}${zone}`;
}
