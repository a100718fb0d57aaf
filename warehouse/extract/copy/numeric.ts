/** Postgres' numeric on the wire: digits, weight, sign, scale shown (2 bytes each), then digits of base 10,000. Read without a BigInt per value. */

export const NEGATIVE = 0x4000;
/** Both bits: NaN or an infinity. */
export const SPECIAL = 0xc000;
export const HEADER_BYTES = 8;
/** Up to here a double holds every scaled value and every step towards it. */
export const DOUBLE_DIGITS = 15;

const BASE = 10_000;
const WORD = 4_294_967_296;

/** The value last read: two's complement, least significant word first. */
export const limbs = new Int32Array(4);

/** Reads the numeric of `length` bytes at `p`, times 10^scale, into `limbs`; false where it has no such value of at most `precision` digits. */
export type ReadNumeric = (view: DataView, p: number, length: number) => boolean;

/** For any precision up to 38: four words of 32 bits, multiplied by 10,000 per digit. */
export function createReadNumeric(precision: number, scale: number): ReadNumeric {
  const whole = scale >> 2;
  const rest = scale & 3;
  const lastFactor = 10 ** rest;
  const lastDivisor = 10 ** (4 - rest);
  const [end0, end1, end2, end3] = wordsOf(10n ** BigInt(precision));
  return (view, p, length) => {
    const digits = view.getInt16(p);
    const sign = view.getUint16(p + 4);
    const last = view.getInt16(p + 2) + 1 + whole;
    if ((sign & SPECIAL) === SPECIAL || length !== HEADER_BYTES + 2 * digits) return false;
    if (digits > last + (rest === 0 ? 0 : 1)) return false;
    let a = 0;
    let b = 0;
    let c = 0;
    let d = 0;
    for (let i = 0; i <= last; i++) {
      let digit = i < digits ? view.getInt16(p + HEADER_BYTES + 2 * i) : 0;
      let factor = BASE;
      if (i === last) {
        if (rest === 0) break;
        factor = lastFactor;
        digit /= lastDivisor;
        if (digit !== (digit | 0)) return false;
      }
      let t = a * factor + digit;
      let carry = Math.floor(t / WORD);
      a = t - carry * WORD;
      t = b * factor + carry;
      carry = Math.floor(t / WORD);
      b = t - carry * WORD;
      t = c * factor + carry;
      carry = Math.floor(t / WORD);
      c = t - carry * WORD;
      d = d * factor + carry;
      if (d >= WORD) return false;
    }
    // Not below 10^precision, compared from the top.
    if (d > end3 || (d === end3 && (c > end2 || (c === end2 && (b > end1 || (b === end1 && a >= end0)))))) return false;
    limbs[0] = a;
    limbs[1] = b;
    limbs[2] = c;
    limbs[3] = d;
    if (sign === NEGATIVE) negate();
    return true;
  };
}

function negate(): void {
  let carry = 1;
  for (let i = 0; i < 4; i++) {
    const t = (~(limbs[i] as number) >>> 0) + carry;
    limbs[i] = t;
    carry = t >= WORD ? 1 : 0;
  }
}

function wordsOf(value: bigint): readonly [number, number, number, number] {
  const word = (index: number): number => Number((value >> BigInt(32 * index)) & 0xffff_ffffn);
  return [word(0), word(1), word(2), word(3)];
}

/** The numeric as Postgres prints it. */
export function numericText(view: DataView, p: number): string {
  const digits = view.getInt16(p);
  const weight = view.getInt16(p + 2);
  const sign = view.getUint16(p + 4);
  const shown = view.getInt16(p + 6);
  if ((sign & SPECIAL) === SPECIAL) return sign === SPECIAL ? 'NaN' : sign === 0xd000 ? 'Infinity' : '-Infinity';
  const digit = (i: number): string =>
    String(i >= 0 && i < digits ? view.getInt16(p + HEADER_BYTES + 2 * i) : 0).padStart(4, '0');
  let before = '';
  for (let i = 0; i <= weight; i++) before += digit(i);
  let behind = '';
  for (let i = weight + 1; behind.length < shown; i++) behind += digit(i);
  const text = `${before.replace(/^0+/, '') || '0'}${shown > 0 ? `.${behind.slice(0, shown)}` : ''}`;
  return sign === NEGATIVE ? `-${text}` : text;
}
