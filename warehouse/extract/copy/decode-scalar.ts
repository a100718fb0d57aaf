import { DOUBLE_DIGITS, HEADER_BYTES, NEGATIVE, SPECIAL } from './numeric.ts';
import type { WireScalar } from './wire-type.ts';

/**
 * Source of the part of a decoder that reads one value of fixed length into the words w0 … of a Parquet value. Names it meets:
 * b, dv the window and its view; p, L where the field's value lies and how long it is; bad(column, p) throws; readNumeric, limbs from numeric.ts.
 */

const EPOCH_DAYS = 10_957;
const EPOCH_MICROS = 946_684_800_000_000;
const WORD = 4_294_967_296;
/** The last timestamp DuckDB has, in microseconds since 2000: the one after it is its infinity. */
export const LAST_MICROS = 2n ** 63n - 2n - BigInt(EPOCH_MICROS);
export const INFINITY_MICROS = 2n ** 63n - 1n;
const LAST_HIGH = Number(LAST_MICROS >> 32n);
const LAST_LOW = Number(LAST_MICROS & 0xffff_ffffn);

/** Statements that leave the value in w0 … w<words - 1>, which are 32-bit integers. */
export function scalarSource(wire: WireScalar): string {
  switch (wire.kind) {
    case 'bool':
      return 'const w0 = b[p] === 0 ? 0 : 1;';
    case 'int2':
      return 'const w0 = dv.getInt16(p);';
    case 'int4':
    case 'uint4':
    case 'float4':
      return 'const w0 = dv.getInt32(p);';
    case 'int8':
    case 'uint8':
    case 'float8': // as integers: a double in JavaScript may lose which NaN it is
    case 'time':
      return 'const w0 = dv.getInt32(p + 4), w1 = dv.getInt32(p);';
    case 'uuid':
      return [0, 1, 2, 3].map((k) => `const w${k} = dv.getInt32(p + ${4 * k}, true);`).join(' ');
    case 'date':
      // DuckDB's -infinity is one above Postgres'.
      return `let w0 = dv.getInt32(p);
        if (w0 === -2147483648) w0 = -2147483647; else if (w0 !== 2147483647) w0 = (w0 + ${EPOCH_DAYS}) | 0;`;
    case 'timestamp':
      return `let w0 = dv.getInt32(p + 4), w1 = dv.getInt32(p);
        if (w1 === 2147483647 && w0 === -1) { }
        else if (w1 === -2147483648 && w0 === 0) w0 = 1;
        else {
          if (w1 >= ${LAST_HIGH} && (w1 > ${LAST_HIGH} || (w0 >>> 0) > ${LAST_LOW})) bad(column, p);
          const low = (w0 >>> 0) + ${EPOCH_MICROS % WORD};
          w1 = (w1 + ${Math.floor(EPOCH_MICROS / WORD)} + (low >= ${WORD} ? 1 : 0)) | 0;
          w0 = low | 0;
        }`;
    case 'money':
      // A decimal of 19 digits has 16 bytes, big endian.
      return `const w2 = dv.getInt32(p, true), w3 = dv.getInt32(p + 4, true), w0 = dv.getInt32(p) >> 31, w1 = w0;`;
    case 'numeric':
      return wire.precision <= DOUBLE_DIGITS ? doubleSource(wire.precision, wire.scale) : limbSource(wire.precision);
    case 'text':
    case 'bytes':
    case 'jsonb':
      throw new Error(`${wire.kind} has no fixed length`);
    default:
      throw new Error(`no such field: ${JSON.stringify(wire satisfies never)}`);
  }
}

function doubleSource(precision: number, scale: number): string {
  const rest = scale & 3;
  const tail =
    rest === 0
      ? ''
      : `{ const g = n >= 0 && n < nd ? dv.getInt16(p + ${HEADER_BYTES} + 2 * n) / ${10 ** (4 - rest)} : 0;
        if (g !== (g | 0)) bad(column, p);
        a = a * ${10 ** rest} + g; }`;
  const words =
    precision <= 9 ? 'const w0 = a | 0;' : `const w1 = Math.floor(a / ${WORD}) | 0, w0 = (a - w1 * ${WORD}) | 0;`;
  return `const nd = dv.getInt16(p), n = dv.getInt16(p + 2) + ${1 + (scale >> 2)}, sign = dv.getUint16(p + 4);
    if ((sign & ${SPECIAL}) === ${SPECIAL} || L !== ${HEADER_BYTES} + 2 * nd || nd > n${rest === 0 ? '' : ' + 1'}) bad(column, p);
    let a = 0;
    for (let k = 0; k < n; k++) a = a * 10000 + (k < nd ? dv.getInt16(p + ${HEADER_BYTES} + 2 * k) : 0);
    ${tail}
    if (!(a < ${10 ** precision})) bad(column, p);
    if (sign === ${NEGATIVE}) a = -a;
    ${words}`;
}

function limbSource(precision: number): string {
  const read = `if (!readNumeric(dv, p, L)) bad(column, p);`;
  if (precision <= 18) return `${read} const w0 = limbs[0], w1 = limbs[1];`;
  return `${read} const w0 = swap(limbs[3]), w1 = swap(limbs[2]), w2 = swap(limbs[1]), w3 = swap(limbs[0]);`;
}
