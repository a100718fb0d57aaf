import type { ParquetType, ScalarType } from '../../core/parquet/parquet-type.ts';

/** How a value lies in a field of a binary COPY. Whatever is not listed is printed by Postgres and arrives as text. */

export type WireScalar =
  | {
      readonly kind:
        | 'bool'
        | 'int2'
        | 'int4'
        | 'int8'
        | 'uint4'
        | 'uint8'
        | 'float4'
        | 'float8'
        | 'date'
        | 'time'
        | 'uuid'
        | 'bytes'
        | 'jsonb';
    }
  | { readonly kind: 'timestamp'; readonly utc: boolean }
  /** At most 38 digits, `scale` of them behind the point. */
  | { readonly kind: 'numeric'; readonly precision: number; readonly scale: number }
  /** Units of 10^-digits. */
  | { readonly kind: 'money'; readonly digits: number }
  /** checked: the server does not vouch for UTF-8. */
  | { readonly kind: 'text'; readonly checked: boolean };

export type WireType =
  | WireScalar
  | { readonly kind: 'timetz' }
  | { readonly kind: 'interval' }
  | { readonly kind: 'list'; readonly element: WireScalar };

/** Type of the Parquet column that holds the values of a field. */
export function parquetTypeOf(wire: WireType): ParquetType {
  if (wire.kind === 'list') return { kind: 'list', element: scalarTypeOf(wire.element) };
  if (wire.kind === 'timetz') {
    return {
      kind: 'struct',
      fields: [
        { name: 't', type: { kind: 'time' } },
        { name: 'offset_s', type: { kind: 'int32' } },
      ],
    };
  }
  if (wire.kind === 'interval') {
    return {
      kind: 'struct',
      fields: [
        { name: 'months', type: { kind: 'int32' } },
        { name: 'days', type: { kind: 'int32' } },
        { name: 'micros', type: { kind: 'int64' } },
      ],
    };
  }
  return scalarTypeOf(wire);
}

/** Type of a single leaf. */
export function scalarTypeOf(wire: WireScalar): ScalarType {
  switch (wire.kind) {
    case 'bool':
      return { kind: 'boolean' };
    case 'int2':
      return { kind: 'int16' };
    case 'int4':
      return { kind: 'int32' };
    case 'int8':
      return { kind: 'int64' };
    case 'uint4':
      return { kind: 'uint32' };
    case 'uint8':
      return { kind: 'uint64' };
    case 'float4':
      return { kind: 'float' };
    case 'float8':
      return { kind: 'double' };
    case 'date':
    case 'time':
    case 'uuid':
    case 'bytes':
      return { kind: wire.kind };
    case 'timestamp':
      return { kind: 'timestamp', utc: wire.utc };
    case 'numeric':
      return { kind: 'decimal', precision: wire.precision, scale: wire.scale };
    case 'money':
      return { kind: 'decimal', precision: 19, scale: wire.digits };
    case 'text':
    case 'jsonb':
      return { kind: 'string' };
    default:
      throw new Error(`no such field: ${JSON.stringify(wire satisfies never)}`);
  }
}

/** Bytes of a field of fixed length, undefined where lengths vary. */
export function widthOf(wire: WireType): number | undefined {
  switch (wire.kind) {
    case 'bool':
      return 1;
    case 'int2':
      return 2;
    case 'int4':
    case 'uint4':
    case 'float4':
    case 'date':
      return 4;
    case 'int8':
    case 'uint8':
    case 'float8':
    case 'time':
    case 'timestamp':
    case 'money':
      return 8;
    case 'timetz':
      return 12;
    case 'uuid':
    case 'interval':
      return 16;
    case 'numeric':
    case 'bytes':
    case 'text':
    case 'jsonb':
    case 'list':
      return undefined;
    default:
      throw new Error(`no such field: ${JSON.stringify(wire satisfies never)}`);
  }
}

/** True where a value may come that the column's type cannot hold. */
export function canMisfit(wire: WireType): boolean {
  return wire.kind === 'text' ? wire.checked : ['numeric', 'timestamp', 'interval', 'list'].includes(wire.kind);
}

const DUCKDB_NAMES: Readonly<Record<Exclude<ScalarType['kind'], 'decimal' | 'timestamp'>, string>> = {
  boolean: 'BOOLEAN',
  int16: 'SMALLINT',
  int32: 'INTEGER',
  int64: 'BIGINT',
  uint32: 'UINTEGER',
  uint64: 'UBIGINT',
  float: 'FLOAT',
  double: 'DOUBLE',
  date: 'DATE',
  time: 'TIME',
  uuid: 'UUID',
  string: 'VARCHAR',
  json: 'JSON',
  bytes: 'BLOB',
};

/** Field names that are words of DuckDB's SQL, which it prints in quotes. */
const UNITS: ReadonlySet<string> = new Set(['months', 'days']);

/** The type as DuckDB names it when it reads the column (TIMESTAMPTZ in short). */
export function duckdbNameOf(type: ParquetType): string {
  if (type.kind === 'list') return `${duckdbNameOf(type.element)}[]`;
  if (type.kind === 'struct') {
    return `STRUCT(${type.fields.map(({ name, type: field }) => `${UNITS.has(name) ? `"${name}"` : name} ${duckdbNameOf(field)}`).join(', ')})`;
  }
  if (type.kind === 'decimal') return `DECIMAL(${type.precision},${type.scale})`;
  if (type.kind === 'timestamp') return type.utc ? 'TIMESTAMPTZ' : 'TIMESTAMP';
  return DUCKDB_NAMES[type.kind];
}
