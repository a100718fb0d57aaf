import { type ScalarType, wordsOf } from './parquet-type.ts';
import { type Bounds, orderOf } from './value-order.ts';

/** Least and greatest values as the file states them, of a page and of a chunk. */

/** Longer values of any length are cut, the upper bound then raised. */
const BOUND_BYTES = 64;

export interface Range {
  readonly min: Uint8Array;
  readonly max: Uint8Array;
  /** False where the value was cut: a bound, not a value. */
  readonly minExact: boolean;
  readonly maxExact: boolean;
}

/** `nothing`: only NULL or NaN; `unbounded`: values, but no upper bound short enough. */
export type Extent = Range | 'nothing' | 'unbounded';

/** The extent of values whose bounds lie in memory. */
export function extentOf(type: ScalarType, view: DataView, bounds: Bounds | undefined): Extent {
  if (bounds === undefined) return 'nothing';
  if (isOfAnyLength(type)) return cutExtent(view, bounds, type.kind !== 'bytes');
  const bytes = type.kind === 'boolean' ? 1 : wordsOf(type) * 4;
  const min = copy(view, bounds.min, bytes);
  const max = copy(view, bounds.max, bytes);
  if (type.kind === 'float' || type.kind === 'double') {
    // Zeros compare equal: the least one has to be the negative one.
    if (isZero(min)) min[bytes - 1] = 0x80;
    if (isZero(max)) max[bytes - 1] = 0;
  }
  return { min, max, minExact: true, maxExact: true };
}

/** The extent of a chunk, from those of its pages. */
export function mergeExtents(type: ScalarType, extents: readonly Extent[]): Extent {
  const compare = encodedOrder(type);
  let merged: Range | undefined;
  for (const extent of extents) {
    if (extent === 'unbounded') return extent;
    if (extent === 'nothing') continue;
    if (merged === undefined) {
      merged = extent;
      continue;
    }
    const low = compare(extent.min, merged.min);
    const high = compare(extent.max, merged.max);
    const min = low < 0 || (low === 0 && extent.minExact) ? extent : merged;
    const max = high > 0 || (high === 0 && extent.maxExact) ? extent : merged;
    merged = { min: min.min, max: max.max, minExact: min.minExact, maxExact: max.maxExact };
  }
  return merged ?? 'nothing';
}

/** Parquet's BoundaryOrder of pages: 1 when both bounds never fall from page to page, 2 when they never rise, 0 otherwise. */
export function boundaryOrder(type: ScalarType, extents: readonly Extent[]): 0 | 1 | 2 {
  const compare = encodedOrder(type);
  const ranges = extents.filter((extent) => typeof extent !== 'string');
  let ascending = true;
  let descending = true;
  for (let i = 1; i < ranges.length; i++) {
    const before = ranges[i - 1] as Range;
    const range = ranges[i] as Range;
    const low = compare(before.min, range.min);
    const high = compare(before.max, range.max);
    if (low > 0 || high > 0) ascending = false;
    if (low < 0 || high < 0) descending = false;
  }
  if (ascending) return 1;
  return descending ? 2 : 0;
}

function encodedOrder(type: ScalarType): (a: Uint8Array, b: Uint8Array) => number {
  const order = orderOf(type);
  if (isOfAnyLength(type) || type.kind === 'boolean') return (a, b) => Buffer.compare(a, b);
  return (a, b) => order.compare(new DataView(a.buffer, a.byteOffset), 0, new DataView(b.buffer, b.byteOffset), 0);
}

function isOfAnyLength(type: ScalarType): boolean {
  return wordsOf(type) === 0;
}

function cutExtent(view: DataView, bounds: Bounds, text: boolean): Extent {
  const min = cutBytes(view, bounds.min, text);
  const max = cutBytes(view, bounds.max, text);
  if (min === undefined || max === undefined) return 'unbounded';
  const upper = max.exact ? max.bytes : raise(max.bytes, text);
  if (upper === undefined) return 'unbounded';
  return { min: min.bytes, max: upper, minExact: min.exact, maxExact: max.exact };
}

function copy(view: DataView, at: number, bytes: number): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset + at, bytes).slice();
}

function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte, index) => byte === 0 || (index === bytes.length - 1 && byte === 0x80));
}

/** A value's first bytes; of a text only whole characters, undefined where it is not UTF-8. */
function cutBytes(
  view: DataView,
  at: number,
  text: boolean,
): { readonly bytes: Uint8Array; readonly exact: boolean } | undefined {
  const length = view.getInt32(at, true);
  if (length <= BOUND_BYTES) return { bytes: copy(view, at + 4, length), exact: true };
  const bytes = copy(view, at + 4, BOUND_BYTES + 1);
  let end = BOUND_BYTES;
  if (text) while (end > 0 && isContinuation(bytes[end] as number)) end--;
  return end === 0 ? undefined : { bytes: bytes.slice(0, end), exact: false };
}

/** The least short bound above everything that begins with these bytes: the last character (byte) that can be raised, raised. */
function raise(bytes: Uint8Array, text: boolean): Uint8Array | undefined {
  if (!text) {
    const at = bytes.findLastIndex((byte) => byte < 0xff);
    if (at === -1) return undefined;
    const raised = bytes.slice(0, at + 1);
    raised[at] = (raised[at] as number) + 1;
    return raised;
  }
  let characters: string[];
  try {
    characters = Array.from(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch {
    return undefined;
  }
  for (let at = characters.length - 1; at >= 0; at--) {
    const code = (characters[at] as string).codePointAt(0) as number;
    if (code === 0x10ffff) continue;
    // Surrogates are no characters.
    const next = code === 0xd7ff ? 0xe000 : code + 1;
    return new TextEncoder().encode(characters.slice(0, at).join('') + String.fromCodePoint(next));
  }
  return undefined;
}

function isContinuation(byte: number): boolean {
  return (byte & 0xc0) === 0x80;
}
