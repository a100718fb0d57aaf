import type { Leaf } from './parquet-type.ts';

/**
 * The values of one leaf of one row group, as a decoder leaves them and the encoder takes them: no JavaScript value per field.
 *
 *   plain, words > 0   `i32` holds the non-null values one after another, as the file holds them (little endian; a 16-byte decimal big endian)
 *   plain, words = 0   `u8` holds for every non-null value its length (4 bytes, little endian) and its bytes
 *   dictionary         `indexes[0..count)` number the entries; entries lie in `dictionary` like plain values, in the order of their first use
 *
 * A flat leaf has one bit per row in `valid`. A repeated leaf has one byte per entry in `levels`: repetition level * 4 + definition level,
 * where definition is 0 NULL list, 1 empty list, 2 NULL element, 3 a value.
 */

/** A dictionary with more entries or bytes than these is given up: the values so far become plain. */
export const DICTIONARY_MAX_ENTRIES = 16_000;
export const DICTIONARY_MAX_BYTES = 1 << 20;
/** Slots of the hash table; a power of two, at least twice the entries. */
export const DICTIONARY_SLOTS = 1 << 15;
/** Bytes behind the last value that a decoder may overwrite, so that it can copy in words. */
export const SLACK = 64;

export interface LeafBuffer {
  readonly leaf: Leaf;
  /** Non-null values. */
  count: number;
  /** One bit per row, least significant first; unused below a list. */
  valid: Uint8Array;
  /** Below a list: one byte per entry, `levelCount` of them. */
  levels: Uint8Array;
  levelCount: number;

  /** True while the values are numbered by a dictionary. */
  isDictionary: boolean;
  /** Plain values: three views of one memory, `used` bytes of it filled. */
  u8: Uint8Array;
  i32: Int32Array;
  view: DataView;
  used: number;

  /** Dictionary: number of entry per value. */
  indexes: Int32Array;
  /** Entries, as plain values; `dictionaryUsed` bytes of it filled. */
  dictionaryU8: Uint8Array;
  dictionaryI32: Int32Array;
  dictionaryView: DataView;
  dictionaryUsed: number;
  entries: number;
  /** Entry + 1 per slot, 0 where free; hash and place (bytes) per entry. */
  slots: Int32Array;
  hashes: Int32Array;
  places: Int32Array;
}

/** The rows of one row group. */
export interface RowGroup {
  rows: number;
  /** In the order of leavesOf(columns). */
  readonly leaves: readonly LeafBuffer[];
}
