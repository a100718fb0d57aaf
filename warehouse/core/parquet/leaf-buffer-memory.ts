import { DICTIONARY_MAX_ENTRIES, DICTIONARY_SLOTS, type LeafBuffer, type RowGroup, SLACK } from './leaf-buffer.ts';
import type { Leaf } from './parquet-type.ts';

/**
 * The memory of leaf buffers: made once, used for many row groups. Only what a leaf's present mode needs is there, and the system gives pages
 * of it only where they are written, so that a table of 1,600 columns does not cost 1,600 full buffers.
 */

/** Bytes of variable-length data a buffer starts with. */
const FIRST_BYTES = 1 << 14;
const NO_WORDS = new Int32Array(0);
const NO_BYTES = new Uint8Array(0);
const NO_VIEW = new DataView(new ArrayBuffer(0));

/** A buffer for up to `rows` rows of a leaf (a repeated leaf grows with ensureLevels and ensureCount); `dictionary`: number its values at first. */
export function createLeafBuffer(
  leaf: Leaf,
  options: { readonly rows: number; readonly dictionary: boolean },
): LeafBuffer {
  const buffer: LeafBuffer = {
    leaf,
    count: 0,
    valid: leaf.repeated ? NO_BYTES : new Uint8Array(((options.rows + 7) >> 3) + 8),
    levels: NO_BYTES,
    levelCount: 0,
    isDictionary: false,
    u8: NO_BYTES,
    i32: NO_WORDS,
    view: NO_VIEW,
    used: 0,
    indexes: NO_WORDS,
    dictionaryU8: NO_BYTES,
    dictionaryI32: NO_WORDS,
    dictionaryView: NO_VIEW,
    dictionaryUsed: 0,
    entries: 0,
    slots: NO_WORDS,
    hashes: NO_WORDS,
    places: NO_WORDS,
  };
  reset(buffer, options.dictionary);
  return buffer;
}

/** Buffers for row groups of up to `rows` rows; `dictionaries`: per leaf, whether its values are numbered at first. */
export function makeRowGroup(leaves: readonly Leaf[], rows: number, dictionaries: readonly boolean[]): RowGroup {
  return {
    rows: 0,
    leaves: leaves.map((leaf, index) => createLeafBuffer(leaf, { rows, dictionary: dictionaries[index] === true })),
  };
}

/** Empties a buffer for the next row group; `dictionary`: number its values. */
export function reset(buffer: LeafBuffer, dictionary: boolean): void {
  buffer.valid.fill(0);
  buffer.count = 0;
  buffer.levelCount = 0;
  buffer.used = 0;
  emptyDictionary(buffer);
  buffer.isDictionary = dictionary;
  if (dictionary) prepareDictionary(buffer);
  else ensureCount(buffer, capacityOf(buffer));
}

/**
 * Makes room for `bytes` more of variable-length data, each value's length (4 bytes) counted, in the memory of the present mode: a decoder
 * then needs no check per value. Views held over the call are stale. Nothing to do for leaves of fixed length.
 */
export function ensureBytes(buffer: LeafBuffer, bytes: number): void {
  if (buffer.leaf.words !== 0) return;
  if (buffer.isDictionary) growDictionary(buffer, buffer.dictionaryUsed + bytes + SLACK);
  else growPlain(buffer, buffer.used + bytes + SLACK);
}

/** Makes room for `n` more entries of a repeated leaf. The array held over the call is stale. */
export function ensureLevels(buffer: LeafBuffer, n: number): void {
  const need = buffer.levelCount + n + SLACK;
  if (need <= buffer.levels.length) return;
  const levels = new Uint8Array(grown(buffer.levels.length, need));
  levels.set(buffer.levels.subarray(0, buffer.levelCount));
  buffer.levels = levels;
}

/** Makes room for `n` more values in the memory of the present mode (of variable length: for their numbers, when there is a dictionary). */
export function ensureCount(buffer: LeafBuffer, n: number): void {
  const need = buffer.count + n;
  if (!buffer.isDictionary) {
    growPlain(buffer, need * buffer.leaf.words * 4 + SLACK);
    return;
  }
  if (need <= buffer.indexes.length) return;
  const indexes = new Int32Array(grown(buffer.indexes.length * 4, need * 4) >> 2);
  indexes.set(buffer.indexes.subarray(0, buffer.count));
  buffer.indexes = indexes;
}

/** Turns a numbered buffer into a plain one: same values, and room for the rest of the rows. Call ensureBytes or ensureCount again before adding. */
export function giveUpDictionary(buffer: LeafBuffer): void {
  if (!buffer.isDictionary) return;
  const { count, indexes, leaf } = buffer;
  buffer.isDictionary = false;
  buffer.used = 0;
  if (leaf.words === 0) {
    copyBytes(buffer);
  } else {
    growPlain(buffer, Math.max(count, capacityOf(buffer)) * leaf.words * 4 + SLACK);
    copyWords(buffer.i32, buffer.dictionaryI32, indexes, count, leaf.words);
    buffer.used = count * leaf.words * 4;
  }
  emptyDictionary(buffer);
}

/** Values a flat buffer may have to hold; of a repeated one nothing is known. */
function capacityOf({ leaf, valid }: LeafBuffer): number {
  return leaf.repeated ? 0 : (valid.length - 8) * 8;
}

function copyWords(to: Int32Array, from: Int32Array, indexes: Int32Array, count: number, words: number): void {
  let at = 0;
  for (let i = 0; i < count; i++) {
    let entry = (indexes[i] as number) * words;
    for (const end = entry + words; entry < end; entry++) to[at++] = from[entry] as number;
  }
}

function copyBytes(buffer: LeafBuffer): void {
  const { count, indexes, places, dictionaryU8, dictionaryView } = buffer;
  let bytes = 0;
  for (let i = 0; i < count; i++) {
    bytes += 4 + dictionaryView.getInt32(places[indexes[i] as number] as number, true);
  }
  growPlain(buffer, bytes + SLACK);
  const { u8 } = buffer;
  let at = 0;
  for (let i = 0; i < count; i++) {
    const place = places[indexes[i] as number] as number;
    const length = 4 + dictionaryView.getInt32(place, true);
    if (length > 64) u8.set(dictionaryU8.subarray(place, place + length), at);
    else for (let k = 0; k < length; k++) u8[at + k] = dictionaryU8[place + k] as number;
    at += length;
  }
  buffer.used = at;
}

function prepareDictionary(buffer: LeafBuffer): void {
  if (buffer.slots.length === 0) {
    buffer.slots = new Int32Array(DICTIONARY_SLOTS);
    buffer.hashes = new Int32Array(DICTIONARY_MAX_ENTRIES + 8);
    buffer.places = new Int32Array(DICTIONARY_MAX_ENTRIES + 8);
    const { words } = buffer.leaf;
    growDictionary(buffer, words === 0 ? FIRST_BYTES : (DICTIONARY_MAX_ENTRIES + 8) * words * 4);
  }
  ensureCount(buffer, capacityOf(buffer));
}

/** Slots are wiped only where something was put into them: wiping would make the system give their pages. */
function emptyDictionary(buffer: LeafBuffer): void {
  if (buffer.entries > 0) buffer.slots.fill(0);
  buffer.entries = 0;
  buffer.dictionaryUsed = 0;
}

function growPlain(buffer: LeafBuffer, bytes: number): void {
  if (bytes <= buffer.u8.length) return;
  const u8 = new Uint8Array(grown(buffer.u8.length, bytes));
  u8.set(buffer.u8.subarray(0, buffer.leaf.words === 0 ? buffer.used : buffer.count * buffer.leaf.words * 4));
  buffer.u8 = u8;
  buffer.i32 = new Int32Array(u8.buffer);
  buffer.view = new DataView(u8.buffer);
}

function growDictionary(buffer: LeafBuffer, bytes: number): void {
  if (bytes <= buffer.dictionaryU8.length) return;
  const u8 = new Uint8Array(grown(buffer.dictionaryU8.length, bytes));
  u8.set(buffer.dictionaryU8.subarray(0, buffer.dictionaryUsed));
  buffer.dictionaryU8 = u8;
  buffer.dictionaryI32 = new Int32Array(u8.buffer);
  buffer.dictionaryView = new DataView(u8.buffer);
}

/** A multiple of 8, so that words can lie in it. */
function grown(bytes: number, need: number): number {
  return (Math.max(need, Math.ceil(bytes * 1.5)) + 7) & ~7;
}
