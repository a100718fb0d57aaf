import { isIsoDate } from '../core/clock.ts';
import { quoteIdentifier } from '../core/quote.ts';

/**
 * DuckDB's column types as serving sees them: how a caller's text becomes a value of the column, and how a value leaves as JSON.
 * A type not listed leaves as DuckDB's own text and cannot be filtered.
 */
export type ColumnType =
  | { readonly kind: 'boolean' }
  | { readonly kind: 'integer'; readonly sql: string; readonly min: bigint; readonly max: bigint }
  | { readonly kind: 'decimal'; readonly precision: number; readonly scale: number }
  | { readonly kind: 'float'; readonly sql: 'DOUBLE' | 'FLOAT' }
  | { readonly kind: 'uuid' }
  | { readonly kind: 'text' }
  | { readonly kind: 'date' }
  | { readonly kind: 'timestamp'; readonly zoned: boolean }
  | { readonly kind: 'time' }
  | { readonly kind: 'blob' }
  | { readonly kind: 'struct'; readonly fields: readonly StructField[] }
  | { readonly kind: 'list'; readonly of: ColumnType }
  | { readonly kind: 'other' };

export interface StructField {
  readonly name: string;
  readonly type: ColumnType;
}

const INTEGERS: Readonly<Record<string, readonly [min: bigint, max: bigint]>> = {
  TINYINT: [-(2n ** 7n), 2n ** 7n - 1n],
  SMALLINT: [-(2n ** 15n), 2n ** 15n - 1n],
  INTEGER: [-(2n ** 31n), 2n ** 31n - 1n],
  BIGINT: [-(2n ** 63n), 2n ** 63n - 1n],
  HUGEINT: [-(2n ** 127n), 2n ** 127n - 1n],
  UTINYINT: [0n, 2n ** 8n - 1n],
  USMALLINT: [0n, 2n ** 16n - 1n],
  UINTEGER: [0n, 2n ** 32n - 1n],
  UBIGINT: [0n, 2n ** 64n - 1n],
  UHUGEINT: [0n, 2n ** 128n - 1n],
};

/** Reads a type as DuckDB prints it, e.g. DECIMAL(18,2) or UUID[]. */
export function parseColumnType(printed: string): ColumnType {
  const text = printed.trim();
  const type = text.toUpperCase();
  if (type.endsWith('[]')) {
    const of = parseColumnType(text.slice(0, -2));
    return of.kind === 'other' ? { kind: 'other' } : { kind: 'list', of };
  }
  if (type.startsWith('STRUCT(') && type.endsWith(')')) return parseStruct(text.slice(7, -1));
  const range = INTEGERS[type];
  if (range !== undefined) return { kind: 'integer', sql: type, min: range[0], max: range[1] };
  const decimal = /^DECIMAL\((\d{1,2}), ?(\d{1,2})\)$/.exec(type);
  if (decimal !== null) return { kind: 'decimal', precision: Number(decimal[1]), scale: Number(decimal[2]) };
  switch (type) {
    case 'BOOLEAN':
      return { kind: 'boolean' };
    case 'DOUBLE':
    case 'FLOAT':
      return { kind: 'float', sql: type };
    case 'UUID':
      return { kind: 'uuid' };
    case 'VARCHAR':
      return { kind: 'text' };
    case 'DATE':
      return { kind: 'date' };
    case 'TIMESTAMP':
      return { kind: 'timestamp', zoned: false };
    case 'TIMESTAMPTZ':
    case 'TIMESTAMP WITH TIME ZONE':
      return { kind: 'timestamp', zoned: true };
    case 'TIME':
      return { kind: 'time' };
    case 'BLOB':
      return { kind: 'blob' };
    default:
      return { kind: 'other' };
  }
}

/** The fields between the parentheses: `"months" INTEGER, b STRUCT(c VARCHAR)`. One field of another type, and the whole leaves as text. */
function parseStruct(text: string): ColumnType {
  const fields: StructField[] = [];
  let rest = text;
  while (rest !== '') {
    const name = /^(?:"((?:[^"]|"")*)"|(\w+)) /.exec(rest);
    if (name === null) return { kind: 'other' };
    const end = endOfType(rest, name[0].length);
    const type = parseColumnType(rest.slice(name[0].length, end));
    if (type.kind === 'other') return type;
    fields.push({ name: name[1]?.replaceAll('""', '"') ?? name[2] ?? '', type });
    rest = rest.slice(end + 2);
  }
  return { kind: 'struct', fields };
}

/** Where the comma stands that ends a field's type. */
function endOfType(text: string, from: number): number {
  let depth = 0;
  let quoted = false;
  for (let at = from; at < text.length; at += 1) {
    const char = text[at];
    if (char === '"') quoted = !quoted;
    if (quoted) continue;
    if (char === '(') depth += 1;
    if (char === ')') depth -= 1;
    if (char === ',' && depth === 0) return at;
  }
  return text.length;
}

/** The type as SQL, printed from what was parsed and never from what was read. */
export function sqlOfType(type: ColumnType): string {
  switch (type.kind) {
    case 'boolean':
      return 'BOOLEAN';
    case 'integer':
    case 'float':
      return type.sql;
    case 'decimal':
      return `DECIMAL(${type.precision},${type.scale})`;
    case 'uuid':
      return 'UUID';
    case 'text':
    case 'other':
      return 'VARCHAR';
    case 'date':
      return 'DATE';
    case 'timestamp':
      return type.zoned ? 'TIMESTAMPTZ' : 'TIMESTAMP';
    case 'time':
      return 'TIME';
    case 'blob':
      return 'BLOB';
    case 'struct':
      return `STRUCT(${type.fields.map((field) => `${quoteIdentifier(field.name)} ${sqlOfType(field.type)}`).join(', ')})`;
    case 'list':
      return `${sqlOfType(type.of)}[]`;
    default:
      return type satisfies never;
  }
}

/** True when values have no bound on their width, so that an answer's size must be measured before it is materialized. */
export function isWide(type: ColumnType): boolean {
  return ['text', 'list', 'struct', 'blob', 'other'].includes(type.kind);
}

const MAX_TEXT = 4_096;
const UUID_TEXT = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const INSTANT_TEXT = /^(\d{4}-\d{2}-\d{2})T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?(Z|[+-](?:0\d|1[0-4]):[0-5]\d)?$/;

const TIME_TEXT = /^(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?$/;

/**
 * The text to bind for a value of this type, or undefined when the text is not exactly such a value:
 * no spaces, signs, leading zeros or roundings are forgiven, because the same rule converts the claims that decide who owns a row.
 */
export function fitValue(type: ColumnType, text: string): string | undefined {
  switch (type.kind) {
    case 'boolean':
      return text === 'true' || text === 'false' ? text : undefined;
    case 'integer': {
      if (!/^(?:0|-?[1-9]\d{0,38})$/.test(text)) return undefined;
      const value = BigInt(text);
      return value >= type.min && value <= type.max ? text : undefined;
    }
    case 'decimal': {
      const digits = /^-?(0|[1-9]\d{0,37})(?:\.(\d{1,38}))?$/.exec(text);
      if (digits === null) return undefined;
      const whole = digits[1] === '0' ? 0 : (digits[1]?.length ?? 0);
      return whole <= type.precision - type.scale && (digits[2]?.length ?? 0) <= type.scale ? text : undefined;
    }
    case 'float':
      return /^-?\d{1,400}(?:\.\d{1,400})?(?:e[+-]?\d{1,3})?$/i.test(text) && Number.isFinite(Number(text))
        ? text
        : undefined;
    case 'uuid':
      return UUID_TEXT.test(text) ? text.toLowerCase() : undefined;
    case 'text':
      return text.length <= MAX_TEXT && text.isWellFormed() && !text.includes('\0') ? text : undefined;
    case 'date':
      return isIsoDate(text) && !text.startsWith('0000') ? text : undefined;
    case 'timestamp': {
      const parts = INSTANT_TEXT.exec(text);
      if (parts === null || !isIsoDate(parts[1] ?? '') || text.startsWith('0000')) return undefined;
      return (parts[4] !== undefined) === type.zoned ? text : undefined;
    }
    case 'time':
      return TIME_TEXT.test(text) ? text : undefined;
    case 'list':
    case 'struct':
    case 'blob':
    case 'other':
      return undefined;
    default:
      return type satisfies never;
  }
}

/** JSON Schema of a value as it leaves. */
export function jsonSchemaOf(type: ColumnType): Readonly<Record<string, unknown>> {
  switch (type.kind) {
    case 'boolean':
      return { type: ['boolean', 'null'] };
    case 'integer':
      return isSafeInteger(type)
        ? { type: ['integer', 'null'], minimum: Number(type.min), maximum: Number(type.max) }
        : { type: ['string', 'null'], pattern: '^-?[0-9]+$' };
    case 'decimal':
      return {
        type: ['string', 'null'],
        pattern: type.scale === 0 ? '^-?[0-9]+$' : `^-?[0-9]+\\.[0-9]{${type.scale}}$`,
      };
    case 'float':
      return { type: ['number', 'null'] };
    case 'uuid':
      return { type: ['string', 'null'], format: 'uuid' };
    case 'date':
      return { type: ['string', 'null'], format: 'date' };
    case 'timestamp':
      return type.zoned ? { type: ['string', 'null'], format: 'date-time' } : { type: ['string', 'null'] };
    case 'list':
      return { type: ['array', 'null'], items: jsonSchemaOf(type.of) };
    case 'struct':
      return {
        type: ['object', 'null'],
        properties: Object.fromEntries(type.fields.map((field) => [field.name, jsonSchemaOf(field.type)])),
        required: type.fields.map((field) => field.name),
        additionalProperties: false,
      };
    case 'blob':
      return { type: ['string', 'null'], contentEncoding: 'base64' };
    case 'time':
    case 'text':
    case 'other':
      return { type: ['string', 'null'] };
    default:
      return type satisfies never;
  }
}

/** True when every value of the type is exact as a JSON number. */
function isSafeInteger(type: { readonly min: bigint; readonly max: bigint }): boolean {
  return type.min >= BigInt(Number.MIN_SAFE_INTEGER) && type.max <= BigInt(Number.MAX_SAFE_INTEGER);
}
