import type { LeafBuffer } from './leaf-buffer.ts';
import { countOnes, encodeBitmap, encodeLevels, encodeRun, packIndexes } from './levels.ts';
import { type Extent, extentOf } from './statistics.ts';
import { type Bounds, findPicked, type Memory, orderOf, walkBytes } from './value-order.ts';

/** One leaf of one row group as pages, cut at rows: levels, values and extent of each. Values of plain pages are not copied. */

/** A page ends at these many rows or, by the average, these many bytes. */
export interface PageLimit {
  readonly rows: number;
  readonly bytes: number;
}

export const ENCODING = { plain: 0, rle: 3, deltaBinaryPacked: 5, dictionary: 8 } as const;
export type Encoding = (typeof ENCODING)[keyof typeof ENCODING];

export interface Page {
  readonly firstRow: number;
  readonly rows: number;
  readonly entries: number;
  readonly nulls: number;
  /** Repetition levels, then definition levels. */
  readonly levels: Uint8Array;
  readonly repetitionBytes: number;
  readonly encoding: Encoding;
  readonly body: Uint8Array;
  readonly extent: Extent;
}

export interface LeafPages {
  readonly dictionary: { readonly entries: number; readonly body: Uint8Array } | undefined;
  readonly pages: readonly Page[];
}

interface Slice {
  readonly firstRow: number;
  readonly rows: number;
  readonly firstEntry: number;
  readonly entries: number;
  readonly firstValue: number;
  readonly values: number;
}

interface EncodedValues {
  readonly body: Uint8Array;
  readonly bounds: Bounds | undefined;
}

/** Encodes the pages of a leaf that holds `rows` (one or more) rows. */
export function encodeLeaf(buffer: LeafBuffer, rows: number, limit: PageLimit): LeafPages {
  const { leaf } = buffer;
  // No entry: every value is NULL, and nothing has to be numbered.
  const numbered = buffer.isDictionary && buffer.entries > 0;
  const memory = numbered ? dictionaryMemory(buffer) : buffer;
  const encode = numbered ? numberedValues(buffer, memory) : plainValues(buffer);
  const pages = cutSlices(buffer, rows, limit).map((slice): Page => {
    const { body, bounds } = encode(slice);
    const repetition = leaf.repeated ? repetitionLevels(buffer, slice) : new Uint8Array(0);
    const definition = leaf.repeated ? definitionLevels(buffer, slice) : validityLevels(buffer, slice);
    return {
      firstRow: slice.firstRow,
      rows: slice.rows,
      entries: slice.entries,
      nulls: slice.entries - slice.values,
      levels: Buffer.concat([repetition, definition]),
      repetitionBytes: repetition.length,
      encoding: numbered ? ENCODING.dictionary : ENCODING.plain,
      body,
      extent: extentOf(leaf.type, memory.view, bounds),
    };
  });
  return {
    dictionary: numbered
      ? { entries: buffer.entries, body: memory.u8.subarray(0, dictionaryBytes(buffer)) }
      : undefined,
    pages,
  };
}

function dictionaryMemory(buffer: LeafBuffer): Memory {
  return { u8: buffer.dictionaryU8, i32: buffer.dictionaryI32, view: buffer.dictionaryView };
}

function dictionaryBytes({ leaf, entries, dictionaryUsed }: LeafBuffer): number {
  return leaf.words === 0 ? dictionaryUsed : entries * leaf.words * 4;
}

function cutSlices(buffer: LeafBuffer, rows: number, limit: PageLimit): Slice[] {
  const { leaf, count } = buffer;
  let bytes = count * leaf.words * 4;
  if (buffer.isDictionary) bytes = count * 2;
  else if (leaf.words === 0) bytes = buffer.used;
  bytes = Math.max(bytes, buffer.levelCount, 1);
  const most = Math.max(1, Math.min(limit.rows, Math.floor((limit.bytes * rows) / bytes)));
  // Bitmaps are cut at whole bytes where it can be.
  const step = most >= 8 ? most & ~7 : most;
  return leaf.repeated ? cutRepeated(buffer, step) : cutFlat(buffer, rows, step);
}

function cutFlat({ count, valid }: LeafBuffer, rows: number, step: number): Slice[] {
  const slices: Slice[] = [];
  let firstValue = 0;
  for (let firstRow = 0; firstRow < rows; firstRow += step) {
    const length = Math.min(step, rows - firstRow);
    const values = count === rows ? length : countOnes(valid, firstRow, length);
    slices.push({ firstRow, rows: length, firstEntry: firstRow, entries: length, firstValue, values });
    firstValue += values;
  }
  if (firstValue !== count) throw new Error(`a leaf says ${count} values, its bitmap ${firstValue}`);
  return slices;
}

function cutRepeated({ count, levels, levelCount }: LeafBuffer, step: number): Slice[] {
  const slices: Slice[] = [];
  let firstRow = 0;
  let firstValue = 0;
  let entry = 0;
  while (entry < levelCount) {
    const firstEntry = entry;
    let rows = 0;
    let values = 0;
    for (; entry < levelCount; entry++) {
      const level = levels[entry] as number;
      if (level < 4) {
        if (rows === step) break;
        rows++;
      }
      if ((level & 3) === 3) values++;
    }
    slices.push({ firstRow, rows, firstEntry, entries: entry - firstEntry, firstValue, values });
    firstRow += rows;
    firstValue += values;
  }
  if (firstValue !== count) throw new Error(`a leaf says ${count} values, its levels ${firstValue}`);
  return slices;
}

function validityLevels(buffer: LeafBuffer, { firstRow, rows, values }: Slice): Uint8Array {
  if (values === rows) return encodeRun(1, rows, 1);
  if (values === 0) return encodeRun(0, rows, 1);
  return encodeBitmap(buffer.valid, firstRow, rows);
}

function repetitionLevels({ levels }: LeafBuffer, { firstEntry, entries }: Slice): Uint8Array {
  const repetition = new Uint8Array(entries);
  for (let i = 0; i < entries; i++) repetition[i] = (levels[firstEntry + i] as number) >> 2;
  return encodeLevels(repetition, entries, 1);
}

function definitionLevels({ levels }: LeafBuffer, { firstEntry, entries }: Slice): Uint8Array {
  const definition = new Uint8Array(entries);
  for (let i = 0; i < entries; i++) definition[i] = (levels[firstEntry + i] as number) & 3;
  return encodeLevels(definition, entries, 2);
}

function plainValues(buffer: LeafBuffer): (slice: Slice) => EncodedValues {
  const { leaf, u8, view } = buffer;
  const { find } = orderOf(leaf.type);
  let place = 0;
  return ({ firstValue, values }) => {
    if (values === 0) return { body: new Uint8Array(0), bounds: undefined };
    if (find === undefined) {
      const { min, max, end } = walkBytes(view, place, values);
      const body = u8.subarray(place, end);
      place = end;
      return { body, bounds: { min, max } };
    }
    const bounds = find(buffer, firstValue, firstValue + values);
    if (leaf.type.kind === 'boolean') return { body: packBits(buffer.i32, firstValue, values), bounds };
    const bytes = leaf.words * 4;
    return { body: u8.subarray(firstValue * bytes, (firstValue + values) * bytes), bounds };
  };
}

function packBits(i32: Int32Array, from: number, count: number): Uint8Array {
  const bits = new Uint8Array((count + 7) >> 3);
  for (let i = 0; i < count; i++) {
    if (i32[from + i] !== 0) bits[i >> 3] = (bits[i >> 3] as number) | (1 << (i & 7));
  }
  return bits;
}

function numberedValues(buffer: LeafBuffer, memory: Memory): (slice: Slice) => EncodedValues {
  const { entries, indexes, leaf } = buffer;
  const { compare } = orderOf(leaf.type);
  const width = Math.max(1, 32 - Math.clz32(entries - 1));
  const places = entryPlaces(buffer);
  const seen = new Int32Array(entries);
  const picked = new Int32Array(entries);
  let round = 0;
  return ({ firstValue, values }) => {
    if (values === 0) return { body: Uint8Array.of(width), bounds: undefined };
    if (entries === 1) {
      const run = encodeRun(0, values, width);
      return {
        body: Buffer.concat([Uint8Array.of(width), run]),
        bounds: findPicked(compare, memory.view, places, picked, 1),
      };
    }
    round++;
    let used = 0;
    const end = firstValue + values;
    for (let i = firstValue; i < end && used < entries; i++) {
      const entry = indexes[i] as number;
      if (seen[entry] !== round) {
        seen[entry] = round;
        picked[used++] = entry;
      }
    }
    const body = Buffer.allocUnsafe(8 + ((values + 7) >> 3) * width);
    return {
      body: body.subarray(0, packIndexes(indexes, firstValue, end, width, body, 0)),
      bounds: findPicked(compare, memory.view, places, picked, used),
    };
  };
}

/** Where each entry begins. */
function entryPlaces({ entries, leaf, dictionaryView }: LeafBuffer): Int32Array {
  const places = new Int32Array(entries);
  let at = 0;
  for (let entry = 0; entry < entries; entry++) {
    places[entry] = at;
    at += leaf.words === 0 ? 4 + dictionaryView.getInt32(at, true) : leaf.words * 4;
  }
  return places;
}
