import {
  DICTIONARY_MAX_BYTES,
  DICTIONARY_MAX_ENTRIES,
  type LeafBuffer,
  type RowGroup,
} from '../../core/parquet/leaf-buffer.ts';
import {
  ensureBytes,
  ensureCount,
  ensureLevels,
  giveUpDictionary,
  makeRowGroup,
  reset,
} from '../../core/parquet/leaf-buffer-memory.ts';
import { type Leaf, leavesOf } from '../../core/parquet/parquet-type.ts';
import type { CarriedColumn } from './carried-as.ts';
import { type DecodeColumn, decoderFor } from './generate-decoder.ts';

/** Tuples decoded at a time: a dictionary must take as many entries more than it may have, and room is made once for all of them. */
export const PASS_ROWS = 1_024;
/** A column whose dictionary overflowed stays plain for this many row groups. */
const PLAIN_GROUPS = 16;
/** A dictionary costs half a megabyte. */
const DICTIONARIES = 100;
/** Spare room per pass, over all leaves of varying length; beyond it each leaf's bytes are counted first. */
const ROOM_BYTES = 16 << 20;

/** Buffers of row groups and what is known of their columns, for one read after another of the same columns, or several at once. */
export interface RowGroupMemory {
  /** An empty group; its buffers are made anew when all others are out. */
  take(): RowGroup;
  /** Gives a group's buffers back. */
  recycle(group: RowGroup): void;
  /** Leaves whose values may be numbered. */
  readonly candidates: ReadonlySet<number>;
  /** A leaf's dictionary overflowed: it stays plain for some groups. */
  overflowed(leaf: number): void;
  /** Rows of a group. */
  readonly rows: number;
  readonly leaves: readonly Leaf[];
}

export interface RowGroups {
  /** Rows that still fit the present group. */
  room(): number;
  /** Decodes whole tuples, at most room() and PASS_ROWS of them, `passBytes` altogether. places[r]: first field of tuple r, changed. Throws a WireFault. */
  decode(bytes: Uint8Array, view: DataView, places: Int32Array, n: number, passBytes: number): void;
  /** The present group, if it has rows; the next one begins. Give it back to the memory when its buffers may be used again. */
  take(): RowGroup | undefined;
}

export interface RowGroupLimits {
  readonly rows: number;
  readonly bytes: number;
}

/** Memory for row groups of at most `rows` rows; buffers are made as often as groups are out at the same time. */
export function createRowGroupMemory(columns: readonly CarriedColumn[], limits: RowGroupLimits): RowGroupMemory {
  const leaves = leavesOf(columns.map(({ name, parquet }) => ({ name, type: parquet })));
  const candidates = dictionaryLeaves(leaves);
  const rows = rowsPerGroup(leaves, limits);
  const plainUntil = new Map<number, number>();
  const free: RowGroup[] = [];
  let number = 0;
  const isNumbered = (i: number): boolean => candidates.has(i) && (plainUntil.get(i) ?? 0) <= number;
  return {
    candidates,
    rows,
    leaves,
    take: () => {
      const group = free.pop();
      if (group !== undefined) {
        group.rows = 0;
        group.leaves.forEach((leaf, i) => reset(leaf, isNumbered(i)));
      }
      const taken =
        group ??
        makeRowGroup(
          leaves,
          rows,
          leaves.map((_, i) => isNumbered(i)),
        );
      number++;
      return taken;
    },
    recycle: (group) => {
      free.push(group);
    },
    overflowed: (leaf) => {
      plainUntil.set(leaf, number + PLAIN_GROUPS);
    },
  };
}

/** Row groups of at most `rows` rows and about `bytes` bytes. */
export function createRowGroups(
  columns: readonly CarriedColumn[],
  limits: RowGroupLimits,
  memory: RowGroupMemory,
): RowGroups {
  const { leaves, rows, candidates } = memory;
  const varying = leaves.flatMap((leaf, i) => (leaf.words === 0 || leaf.repeated ? [i] : []));
  const firstLeaves = columns.map((_, index) => leaves.findIndex((leaf) => leaf.column === index));
  let group: RowGroup | undefined;
  const decodersOf = (of: RowGroup): DecodeColumn[] =>
    columns.map(({ wire }, i) => decoderFor(wire, of.leaves[firstLeaves[i] as number]?.isDictionary === true));
  let decoders: DecodeColumn[] = [];

  const begin = (): RowGroup => {
    const begun = memory.take();
    decoders = decodersOf(begun);
    return begun;
  };
  const makePlain = (of: RowGroup): void => {
    let changed = false;
    for (const i of candidates) {
      const leaf = of.leaves[i] as LeafBuffer;
      if (!leaf.isDictionary) continue;
      if (leaf.entries <= DICTIONARY_MAX_ENTRIES - PASS_ROWS && leaf.dictionaryUsed < DICTIONARY_MAX_BYTES) continue;
      giveUpDictionary(leaf);
      memory.overflowed(i);
      changed = true;
    }
    if (changed) decoders = decodersOf(of);
  };

  return {
    room: () => {
      if (group === undefined) return rows;
      return bytesOf(group) >= limits.bytes ? 0 : rows - group.rows;
    },
    decode: (bytes, view, places, n, passBytes) => {
      group ??= begin();
      const sums = passBytes * varying.length <= ROOM_BYTES ? undefined : fieldBytes(view, places, n, columns.length);
      for (const i of varying) {
        const leaf = group.leaves[i] as LeafBuffer;
        makeRoom(leaf, sums === undefined ? passBytes : (sums[leaf.leaf.column] as number), n);
      }
      decodeColumns(group, decoders, firstLeaves, bytes, view, places, n);
      group.rows += n;
      makePlain(group);
    },
    take: () => {
      const done = group;
      group = undefined;
      // A dictionary that most values add to only makes the file longer.
      for (const leaf of done?.leaves ?? [])
        if (leaf.isDictionary && leaf.entries * 2 > leaf.count) giveUpDictionary(leaf);
      return done;
    },
  };
}

/** Texts, the first ones of a very wide table: values that repeat are read faster by their numbers. */
function dictionaryLeaves(leaves: readonly Leaf[]): ReadonlySet<number> {
  const texts = leaves.flatMap((leaf, i) => (!leaf.repeated && leaf.type.kind === 'string' ? [i] : []));
  return new Set(texts.slice(0, DICTIONARIES));
}

/** Fewer rows where the fixed part of many columns alone would pass the limit of bytes. */
function rowsPerGroup(leaves: readonly Leaf[], limits: { readonly rows: number; readonly bytes: number }): number {
  const rowBytes = leaves.reduce((sum, leaf) => sum + Math.max(1, leaf.words) * 4, 0);
  const affordable = Math.max(1, Math.floor(limits.bytes / rowBytes));
  // DuckDB works in steps of 2,048 rows.
  return Math.min(limits.rows, affordable > 2_048 ? affordable - (affordable % 2_048) : affordable);
}

/** A function of its own for all reads of the process: V8 would optimise a closure of each read anew. */
function decodeColumns(
  group: RowGroup,
  decoders: readonly DecodeColumn[],
  firstLeaves: readonly number[],
  bytes: Uint8Array,
  view: DataView,
  places: Int32Array,
  n: number,
): void {
  for (let i = 0; i < decoders.length; i++) {
    const decode = decoders[i] as DecodeColumn;
    decode(group.leaves, firstLeaves[i] as number, i, bytes, view, places, group.rows, n);
  }
}

function bytesOf(group: RowGroup): number {
  let bytes = 0;
  for (const leaf of group.leaves) {
    bytes += leaf.isDictionary ? leaf.dictionaryUsed + 4 * leaf.count : leaf.used;
    bytes += leaf.levelCount;
  }
  return bytes;
}

/** Room for `n` rows' fields of `bytes` bytes, their lengths counted or not. */
function makeRoom(leaf: LeafBuffer, bytes: number, n: number): void {
  if (leaf.leaf.repeated) {
    const entries = Math.ceil(bytes / 4) + n;
    ensureLevels(leaf, entries);
    ensureCount(leaf, entries);
  }
  ensureBytes(leaf, bytes + 4 * n);
}

/** Bytes of each column's fields in these tuples. */
function fieldBytes(view: DataView, places: Int32Array, n: number, columns: number): Float64Array {
  const sums = new Float64Array(columns);
  for (let r = 0; r < n; r++) {
    let p = places[r] as number;
    for (let k = 0; k < columns; k++) {
      const length = Math.max(0, view.getInt32(p));
      sums[k] = (sums[k] as number) + length;
      p += 4 + length;
    }
  }
  return sums;
}
