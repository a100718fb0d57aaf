import type { ParquetColumn, ScalarType } from '../../../warehouse/core/parquet/index.ts';
import { createRandom as createStream } from '../../support/random.ts';
import type { Row, Scalar, Value } from './fill.ts';

/** Values of every type by a seeded generator: extremes, repeats, sorted stretches, NULLs. */

export type Random = (below: number) => number;

/** Whole numbers from 0 up to `below`. */
export function createRandom(seed: number): Random {
  return createStream(seed).below;
}

export const SCALARS: readonly ScalarType[] = [
  { kind: 'boolean' },
  { kind: 'int16' },
  { kind: 'int32' },
  { kind: 'int64' },
  { kind: 'uint32' },
  { kind: 'uint64' },
  { kind: 'float' },
  { kind: 'double' },
  { kind: 'date' },
  { kind: 'time' },
  { kind: 'timestamp', utc: false },
  { kind: 'timestamp', utc: true },
  { kind: 'uuid' },
  { kind: 'decimal', precision: 7, scale: 2 },
  { kind: 'decimal', precision: 18, scale: 4 },
  { kind: 'decimal', precision: 38, scale: 10 },
  { kind: 'string' },
  { kind: 'json' },
  { kind: 'bytes' },
];

export const ALL_COLUMNS: readonly ParquetColumn[] = [
  ...SCALARS.map((type, index) => ({ name: `c${index} ${type.kind}`, type })),
  ...SCALARS.map((element, index) => ({ name: `l${index}`, type: { kind: 'list' as const, element } })),
  {
    name: 'struct "é" 日本',
    type: { kind: 'struct', fields: SCALARS.map((type, index) => ({ name: `f${index}`, type })) },
  },
];

/** Rows of the columns; `nullsIn100`: how often a column's value is NULL; `distinct`: of how many values a scalar is drawn. */
export function randomRows(
  random: Random,
  columns: readonly ParquetColumn[],
  count: number,
  options: { readonly nullsIn100: number; readonly distinct: number },
): Row[] {
  const draw = columns.map(({ type }): (() => Value) => {
    if (type.kind === 'list') {
      const element = drawScalar(random, type.element, options.distinct);
      return () => Array.from({ length: random(5) }, () => (random(6) === 0 ? null : element()));
    }
    if (type.kind === 'struct') {
      const fields = type.fields.map(
        (field) => [field.name, drawScalar(random, field.type, options.distinct)] as const,
      );
      return () => Object.fromEntries(fields.map(([name, next]) => [name, next()]));
    }
    return drawScalar(random, type, options.distinct);
  });
  return Array.from({ length: count }, () =>
    draw.map((next): Value => (random(100) < options.nullsIn100 ? null : next())),
  );
}

function drawScalar(random: Random, type: ScalarType, distinct: number): () => Scalar {
  const pool = Array.from({ length: distinct }, () => randomScalar(random, type));
  return () => pool[random(distinct)] as Scalar;
}

function bits(random: Random, count: number): bigint {
  let value = 0n;
  for (let i = 0; i < count; i += 16) value = (value << 16n) | BigInt(random(65536));
  return BigInt.asUintN(count, value);
}

/** Of all lengths alike, so that small and large numbers come up. */
function signed(random: Random, width: number): bigint {
  const value = BigInt.asIntN(width, bits(random, width)) >> BigInt(random(width));
  return random(12) === 0 ? BigInt.asIntN(width, 1n << BigInt(width - 1)) : value;
}

const CHARACTERS = ['a', 'b', 'z', ' ', '0', '\u007f', 'é', '߿', '日', '\ud7ff', '\uffff', '😀', '\u{10ffff}'];

function text(random: Random): string {
  const length = random(8) === 0 ? 40 + random(60) : random(12);
  const prefix = random(3) === 0 ? 'https://example.org/shared/beginning/' : '';
  return prefix + Array.from({ length }, () => CHARACTERS[random(CHARACTERS.length)]).join('');
}

const FLOATS = [0, -0, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1, -1.5, 2 ** 100, -(2 ** -100)];

function randomScalar(random: Random, type: ScalarType): Scalar {
  switch (type.kind) {
    case 'boolean':
      return random(2) === 1;
    case 'int16':
      return signed(random, 16);
    case 'int32':
      return signed(random, 32);
    case 'int64':
      return signed(random, 64);
    case 'uint32':
      return bits(random, 32) >> BigInt(random(32));
    case 'uint64':
      return bits(random, 64) >> BigInt(random(64));
    case 'float':
    case 'double': {
      const value =
        random(4) === 0 ? (FLOATS[random(FLOATS.length)] as number) : (random(2000) - 1000) / (1 + random(9));
      return type.kind === 'float' ? Math.fround(value) : value;
    }
    case 'date':
      return BigInt(random(80_000) - 40_000);
    case 'time':
      return BigInt(random(86_400)) * 1_000_000n + BigInt(random(1_000_000));
    case 'timestamp':
      return (BigInt(random(4_000_000)) - 2_000_000n) * 1_000_000_007n;
    case 'uuid':
      return bits(random, 128)
        .toString(16)
        .padStart(32, '0')
        .replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, '$1-$2-$3-$4-$5');
    case 'decimal': {
      const most = 10n ** BigInt(type.precision) - 1n;
      const value = (bits(random, 128) % (most + 1n)) >> BigInt(random(type.precision * 3));
      if (random(10) === 0) return random(2) === 0 ? most : -most;
      return random(2) === 0 ? value : -value;
    }
    case 'string':
      return text(random);
    case 'json':
      return JSON.stringify({ a: text(random), n: random(100) });
    case 'bytes':
      return Buffer.from(
        Array.from({ length: random(8) === 0 ? 60 + random(20) : random(10) }, () =>
          random(3) === 0 ? 255 : random(256),
        ),
      );
    default:
      throw new Error(`no such type: ${JSON.stringify(type satisfies never)}`);
  }
}
