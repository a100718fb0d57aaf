import type { Extent, ScalarType } from '../core/parquet/index.ts';
import { isoInstant } from './instant.ts';

/** What the encoder knows of a column's least and greatest values, said as DuckDB would say it after reading them all again. */
export interface ColumnRange {
  readonly type: ScalarType;
  readonly extent: Extent;
}

/** Both bounds as DuckDB prints them, null where there is no value; undefined where only DuckDB can tell. */
export function printRange(
  range: ColumnRange | undefined,
): { readonly low: string | null; readonly high: string | null } | undefined {
  if (range === undefined || range.extent === 'unbounded') return undefined;
  const { type, extent } = range;
  const print = PRINTS[type.kind];
  if (print === undefined) return undefined;
  if (extent === 'nothing') return { low: null, high: null };
  if (!extent.minExact || !extent.maxExact) return undefined;
  return { low: print(asBuffer(extent.min)), high: print(asBuffer(extent.max)) };
}

/** Types of keys. Floating point is left out for good: extents know nothing of NaN. */
const PRINTS: Readonly<Partial<Record<ScalarType['kind'], (value: Buffer) => string>>> = {
  int16: (value) => String(value.readInt32LE()),
  int32: (value) => String(value.readInt32LE()),
  int64: (value) => String(value.readBigInt64LE()),
  uint32: (value) => String(value.readUInt32LE()),
  uint64: (value) => String(value.readBigUInt64LE()),
  uuid: (value) => value.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-'),
  string: (value) => value.toString('utf8'),
};

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** The latest instant of all ranges, ISO with microseconds and Z, null where there is none; undefined where one of them is no range of instants or the latest has no such text. */
export function latestInstant(ranges: readonly (ColumnRange | undefined)[]): string | null | undefined {
  let latest: bigint | null = null;
  for (const range of ranges) {
    if (range === undefined || range.type.kind !== 'timestamp' || range.extent === 'unbounded') return undefined;
    if (range.extent === 'nothing') continue;
    const micros = asBuffer(range.extent.max).readBigInt64LE();
    if (latest === null || micros > latest) latest = micros;
  }
  return latest === null ? null : isoInstant(latest);
}
