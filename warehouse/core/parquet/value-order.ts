import type { ScalarType } from './parquet-type.ts';

/** The order of values that statistics state, over values as they lie in memory: places are bytes, nothing is made per value. */

/** Three views of one memory. */
export interface Memory {
  readonly u8: Uint8Array;
  readonly i32: Int32Array;
  readonly view: DataView;
}

/** Places of a least and a greatest value. */
export interface Bounds {
  readonly min: number;
  readonly max: number;
}

/** Negative: the value at `x` of `a` comes first. NaN stands nowhere: the result is then NaN. */
export type CompareValues = (a: DataView, x: number, b: DataView, y: number) => number;

type FindBounds = (memory: Memory, from: number, to: number) => Bounds | undefined;

interface ValueOrder {
  readonly compare: CompareValues;
  /** Bounds of the values number from..to; undefined where there is none (or only NaN). Values of fixed length. */
  readonly find: FindBounds;
}

const SIGN = -0x8000_0000;

const compareInt32: CompareValues = (a, x, b, y) => a.getInt32(x, true) - b.getInt32(y, true);
const compareUint32: CompareValues = (a, x, b, y) => a.getUint32(x, true) - b.getUint32(y, true);
const compareInt64: CompareValues = (a, x, b, y) => compareInt32(a, x + 4, b, y + 4) || compareUint32(a, x, b, y);
const compareUint64: CompareValues = (a, x, b, y) => compareUint32(a, x + 4, b, y + 4) || compareUint32(a, x, b, y);
const compareFloat: CompareValues = (a, x, b, y) => compareFloats(a.getFloat32(x, true), b.getFloat32(y, true));
const compareDouble: CompareValues = (a, x, b, y) => compareFloats(a.getFloat64(x, true), b.getFloat64(y, true));
const compareUuid: CompareValues = (a, x, b, y) => a.getUint32(x) - b.getUint32(y) || compareBelow(a, x, b, y);
const compareDecimal16: CompareValues = (a, x, b, y) => a.getInt32(x) - b.getInt32(y) || compareBelow(a, x, b, y);

/** Values of any length, each behind its length; unsigned bytes, the shorter first. */
const compareBytes: CompareValues = (a, x, b, y) => compareBytesFrom(0, a, x, b, y);

/** The same for values whose first `from` bytes are known to be equal. */
function compareBytesFrom(from: number, a: DataView, x: number, b: DataView, y: number): number {
  const m = a.getInt32(x, true);
  const n = b.getInt32(y, true);
  const end = Math.min(m, n) + 4;
  let k = from + 4;
  for (; k + 4 <= end; k += 4) {
    const difference = a.getUint32(x + k) - b.getUint32(y + k);
    if (difference !== 0) return difference;
  }
  for (; k < end; k++) {
    const difference = a.getUint8(x + k) - b.getUint8(y + k);
    if (difference !== 0) return difference;
  }
  return m - n;
}

/** The order of a type's values, or of values of any length where there is no `find`. */
export function orderOf(type: ScalarType): ValueOrder | { readonly compare: CompareValues; readonly find: undefined } {
  switch (type.kind) {
    case 'boolean':
    case 'int16':
    case 'int32':
    case 'date':
      return { compare: compareInt32, find: findInt32 };
    case 'uint32':
      return { compare: compareUint32, find: findUint32 };
    case 'int64':
    case 'time':
    case 'timestamp':
      return { compare: compareInt64, find: findInt64 };
    case 'uint64':
      return { compare: compareUint64, find: findUint64 };
    case 'float':
      return { compare: compareFloat, find: findFloat };
    case 'double':
      return { compare: compareDouble, find: findDouble };
    case 'uuid':
      return { compare: compareUuid, find: findUuid };
    case 'decimal':
      if (type.precision <= 9) return { compare: compareInt32, find: findInt32 };
      if (type.precision <= 18) return { compare: compareInt64, find: findInt64 };
      return { compare: compareDecimal16, find: findDecimal16 };
    case 'string':
    case 'json':
    case 'bytes':
      return { compare: compareBytes, find: undefined };
    default:
      throw new Error(`no such type: ${JSON.stringify(type satisfies never)}`);
  }
}

/** Bounds of `count` values that lie at `places[picked[i]]`, in a dictionary's memory. */
export function findPicked(
  compare: CompareValues,
  view: DataView,
  places: Int32Array,
  picked: Int32Array,
  count: number,
): Bounds | undefined {
  let min = -1;
  let max = -1;
  for (let i = 0; i < count; i++) {
    const at = places[picked[i] as number] as number;
    // A NaN differs from itself.
    if (compare(view, at, view, at) !== 0) continue;
    if (min < 0 || compare(view, at, view, min) < 0) min = at;
    if (max < 0 || compare(view, at, view, max) > 0) max = at;
  }
  return min < 0 ? undefined : { min, max };
}

/** Texts of a column often begin alike: so many words of that are compared once for both bounds. */
const SHARED_WORDS = 16;

/** Where `count` (one or more) values of any length end that begin at `from`, and their bounds. */
export function walkBytes(view: DataView, from: number, count: number): Bounds & { readonly end: number } {
  // All values so far begin with the first `shared` words of `prefix`; the word behind those orders most of them.
  const prefix = new Uint32Array(SHARED_WORDS);
  let shared = Math.min(view.getInt32(from, true) >> 2, SHARED_WORDS);
  for (let k = 0; k < shared; k++) prefix[k] = view.getUint32(from + 4 + k * 4);
  let at = from;
  let min = from;
  let max = from;
  let least = wordAt(view, from, shared);
  let greatest = least;
  for (let i = 0; i < count; i++) {
    const length = view.getInt32(at, true);
    const full = length >> 2;
    let k = 0;
    while (k < shared && k < full && view.getUint32(at + 4 + k * 4) === prefix[k]) k++;
    if (k < shared) {
      shared = k;
      least = wordAt(view, min, k);
      greatest = wordAt(view, max, k);
    }
    const word = k < full ? view.getUint32(at + 4 + k * 4) : tailWord(view, at, length);
    if (word < least || (word === least && compareBytesFrom(k * 4, view, at, view, min) < 0)) {
      min = at;
      least = word;
    }
    if (word > greatest || (word === greatest && compareBytesFrom(k * 4, view, at, view, max) > 0)) {
      max = at;
      greatest = word;
    }
    at += 4 + length;
  }
  return { min, max, end: at };
}

/** The value's word number `k`, of which it has at least the words before. */
function wordAt(view: DataView, at: number, k: number): number {
  const length = view.getInt32(at, true);
  return k < length >> 2 ? view.getUint32(at + 4 + k * 4) : tailWord(view, at, length);
}

/** The last bytes of a value that fill no word, as a word with zeros behind them. */
function tailWord(view: DataView, at: number, length: number): number {
  const rest = length & 3;
  if (rest === 0) return 0;
  return (view.getUint32(at + 4 + length - rest) & (-1 << (32 - rest * 8))) >>> 0;
}

function compareFloats(a: number, b: number): number {
  if (a < b) return -1;
  if (a > b) return 1;
  return a === b ? 0 : Number.NaN;
}

/** The last three words of 16 bytes, big endian and without a sign. */
function compareBelow(a: DataView, x: number, b: DataView, y: number): number {
  return (
    a.getUint32(x + 4) - b.getUint32(y + 4) ||
    a.getUint32(x + 8) - b.getUint32(y + 8) ||
    a.getUint32(x + 12) - b.getUint32(y + 12)
  );
}

function findInt32({ i32 }: Memory, from: number, to: number): Bounds | undefined {
  if (from === to) return undefined;
  let min = from;
  let max = from;
  let least = i32[from] as number;
  let greatest = least;
  for (let i = from + 1; i < to; i++) {
    const value = i32[i] as number;
    if (value < least) {
      least = value;
      min = i;
    } else if (value > greatest) {
      greatest = value;
      max = i;
    }
  }
  return { min: min * 4, max: max * 4 };
}

function findUint32({ i32 }: Memory, from: number, to: number): Bounds | undefined {
  if (from === to) return undefined;
  let min = from;
  let max = from;
  for (let i = from + 1; i < to; i++) {
    const value = (i32[i] as number) ^ SIGN;
    if (value < ((i32[min] as number) ^ SIGN)) min = i;
    else if (value > ((i32[max] as number) ^ SIGN)) max = i;
  }
  return { min: min * 4, max: max * 4 };
}

function findInt64(memory: Memory, from: number, to: number): Bounds | undefined {
  return findWords(memory.i32, from, to, 0);
}

function findUint64(memory: Memory, from: number, to: number): Bounds | undefined {
  return findWords(memory.i32, from, to, SIGN);
}

/** `flip` turns unsigned upper words into signed ones of the same order. */
function findWords(i32: Int32Array, from: number, to: number, flip: number): Bounds | undefined {
  if (from === to) return undefined;
  let min = from * 2;
  let max = min;
  let leastHigh = (i32[min + 1] as number) ^ flip;
  let leastLow = (i32[min] as number) ^ SIGN;
  let greatestHigh = leastHigh;
  let greatestLow = leastLow;
  for (let i = min + 2; i < to * 2; i += 2) {
    const high = (i32[i + 1] as number) ^ flip;
    const low = (i32[i] as number) ^ SIGN;
    if (high < leastHigh || (high === leastHigh && low < leastLow)) {
      leastHigh = high;
      leastLow = low;
      min = i;
    } else if (high > greatestHigh || (high === greatestHigh && low > greatestLow)) {
      greatestHigh = high;
      greatestLow = low;
      max = i;
    }
  }
  return { min: min * 4, max: max * 4 };
}

function findFloat({ u8 }: Memory, from: number, to: number): Bounds | undefined {
  return findFloats(new Float32Array(u8.buffer, 0, to), from, to, 4);
}

function findDouble({ u8 }: Memory, from: number, to: number): Bounds | undefined {
  return findFloats(new Float64Array(u8.buffer, 0, to), from, to, 8);
}

function findFloats(values: Float32Array | Float64Array, from: number, to: number, bytes: number): Bounds | undefined {
  let min = -1;
  let max = -1;
  let least = Number.POSITIVE_INFINITY;
  let greatest = Number.NEGATIVE_INFINITY;
  for (let i = from; i < to; i++) {
    const value = values[i] as number;
    // Also the first value that is a number, for the infinities.
    if (value < least || (min < 0 && value === least)) {
      least = value;
      min = i;
    }
    if (value > greatest || (max < 0 && value === greatest)) {
      greatest = value;
      max = i;
    }
  }
  return min < 0 || max < 0 ? undefined : { min: min * bytes, max: max * bytes };
}

function findUuid({ view }: Memory, from: number, to: number): Bounds | undefined {
  if (from === to) return undefined;
  let min = from * 16;
  let max = min;
  let least = view.getUint32(min);
  let greatest = least;
  for (let at = min + 16; at < to * 16; at += 16) {
    const first = view.getUint32(at);
    if (first <= least && (first < least || compareBelow(view, at, view, min) < 0)) {
      least = first;
      min = at;
    }
    if (first >= greatest && (first > greatest || compareBelow(view, at, view, max) > 0)) {
      greatest = first;
      max = at;
    }
  }
  return { min, max };
}

function findDecimal16({ view }: Memory, from: number, to: number): Bounds | undefined {
  if (from === to) return undefined;
  let min = from * 16;
  let max = min;
  for (let at = min + 16; at < to * 16; at += 16) {
    if (compareDecimal16(view, at, view, min) < 0) min = at;
    else if (compareDecimal16(view, at, view, max) > 0) max = at;
  }
  return { min, max };
}
