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

/**
 * Encodes the pages of a leaf that holds `rows` (one or more) rows. What runs per value are functions of their own and no closures: V8 optimises
 * those once, closures again and again for as long as they come and go.
 */
export function encodeLeaf(buffer: LeafBuffer, rows: number, limit: PageLimit): LeafPages {
  // No entry: every value is NULL, and nothing has to be numbered.
  const numbered = buffer.isDictionary && buffer.entries > 0 ? numberedLeaf(buffer) : undefined;
  const pages: Page[] = [];
  let place = 0;
  for (const slice of cutSlices(buffer, rows, limit)) {
    const encoded = numbered === undefined ? plainValues(buffer, slice, place) : numberedValues(numbered, slice);
    place += encoded.body.length;
    pages.push(makePage(buffer, slice, numbered, encoded));
  }
  if (numbered === undefined) return { dictionary: undefined, pages };
  return {
    dictionary: { entries: buffer.entries, body: numbered.memory.u8.subarray(0, dictionaryBytes(buffer)) },
    pages,
  };
}

function makePage(
  buffer: LeafBuffer,
  slice: Slice,
  numbered: NumberedLeaf | undefined,
  { body, bounds }: EncodedValues,
): Page {
  const { leaf } = buffer;
  const repetition = leaf.repeated ? repetitionLevels(buffer, slice) : new Uint8Array(0);
  const definition = leaf.repeated ? definitionLevels(buffer, slice) : validityLevels(buffer, slice);
  return {
    firstRow: slice.firstRow,
    rows: slice.rows,
    entries: slice.entries,
    nulls: slice.entries - slice.values,
    levels: Buffer.concat([repetition, definition]),
    repetitionBytes: repetition.length,
    encoding: numbered === undefined ? ENCODING.plain : ENCODING.dictionary,
    body,
    extent: extentOf(leaf.type, (numbered?.memory ?? buffer).view, bounds),
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

/** Values of any length begin at `place`. */
function plainValues(buffer: LeafBuffer, { firstValue, values }: Slice, place: number): EncodedValues {
  const { leaf, u8, view } = buffer;
  if (values === 0) return { body: new Uint8Array(0), bounds: undefined };
  const { find } = orderOf(leaf.type);
  if (find === undefined) {
    const { min, max, end } = walkBytes(view, place, values);
    return { body: u8.subarray(place, end), bounds: { min, max } };
  }
  const bounds = find(buffer, firstValue, firstValue + values);
  if (leaf.type.kind === 'boolean') return { body: packBits(buffer.i32, firstValue, values), bounds };
  const bytes = leaf.words * 4;
  return { body: u8.subarray(firstValue * bytes, (firstValue + values) * bytes), bounds };
}

function packBits(i32: Int32Array, from: number, count: number): Uint8Array {
  const bits = new Uint8Array((count + 7) >> 3);
  for (let i = 0; i < count; i++) {
    if (i32[from + i] !== 0) bits[i >> 3] = (bits[i >> 3] as number) | (1 << (i & 7));
  }
  return bits;
}

/** What the pages of a numbered leaf have in common. */
interface NumberedLeaf {
  readonly buffer: LeafBuffer;
  readonly memory: Memory;
  /** Bits of a number. */
  readonly width: number;
  readonly places: Int32Array;
  /** Per entry the page that used it last; the entries of a page. */
  readonly seen: Int32Array;
  readonly picked: Int32Array;
  page: number;
}

function numberedLeaf(buffer: LeafBuffer): NumberedLeaf {
  const { entries } = buffer;
  return {
    buffer,
    memory: dictionaryMemory(buffer),
    width: Math.max(1, 32 - Math.clz32(entries - 1)),
    places: entryPlaces(buffer),
    seen: new Int32Array(entries),
    picked: new Int32Array(entries),
    page: 0,
  };
}

function numberedValues(numbered: NumberedLeaf, { firstValue, values }: Slice): EncodedValues {
  const { width, memory, places, picked } = numbered;
  const { indexes, entries, leaf } = numbered.buffer;
  const { compare } = orderOf(leaf.type);
  if (values === 0) return { body: Uint8Array.of(width), bounds: undefined };
  if (entries === 1) {
    const body = Buffer.concat([Uint8Array.of(width), encodeRun(0, values, width)]);
    return { body, bounds: findPicked(compare, memory.view, places, picked, 1) };
  }
  numbered.page++;
  const end = firstValue + values;
  const used = pickEntries(indexes, firstValue, end, numbered.seen, numbered.page, picked);
  const body = Buffer.allocUnsafe(8 + ((values + 7) >> 3) * width);
  const packed = packIndexes(indexes, firstValue, end, width, body, 0);
  return { body: body.subarray(0, packed), bounds: findPicked(compare, memory.view, places, picked, used) };
}

/** The entries that values from..to have, each once; returns how many. */
function pickEntries(
  indexes: Int32Array,
  from: number,
  to: number,
  seen: Int32Array,
  page: number,
  picked: Int32Array,
): number {
  let used = 0;
  for (let i = from; i < to && used < picked.length; i++) {
    const entry = indexes[i] as number;
    if (seen[entry] === page) continue;
    seen[entry] = page;
    picked[used++] = entry;
  }
  return used;
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
