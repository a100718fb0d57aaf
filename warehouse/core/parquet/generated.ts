import type { LeafBuffer } from './leaf-buffer.ts';
import { createLeafBuffer, ensureBytes, ensureCount } from './leaf-buffer-memory.ts';
import { encodeRun } from './levels.ts';
import { ENCODING, encodeLeaf, type LeafPages, type Page, type PageLimit } from './pages.ts';
import { type GeneratedColumn, type Leaf, leavesOf, type ParquetColumn, type ScalarType } from './parquet-type.ts';

/** Columns nobody sends. A constant is a dictionary of one entry, a sequence a first value and differences of one: a few bytes per page. */

export interface Generator {
  readonly leaf: Leaf;
  /** The pages of the next `rows` (one or more) rows. */
  next(rows: number): LeafPages;
}

const BLOCK = 128;
const MINIBLOCKS = 4;

/** The column that the file has for a generated one. */
export function columnOf(generated: GeneratedColumn): ParquetColumn {
  return { name: generated.name, type: generated.kind === 'constant' ? generated.type : { kind: 'int64' } };
}

/** What makes a generated column's pages; `column` is its number in the file. */
export function createGenerator(generated: GeneratedColumn, column: number, limit: PageLimit): Generator {
  const [flat] = leavesOf([columnOf(generated)]);
  const leaf = { ...(flat as Leaf), column };
  if (generated.kind === 'sequence') return sequence(leaf, generated.first, limit);
  return constant(leaf, generated.type, generated.value, limit);
}

function constant(leaf: Leaf, type: ScalarType, value: string | bigint, limit: PageLimit): Generator {
  const dictionary = type.kind !== 'boolean';
  const buffer = createLeafBuffer(leaf, { rows: 0, dictionary });
  const bytes = encodeValue(type, value);
  if (dictionary) {
    ensureBytes(buffer, bytes.length);
    buffer.dictionaryU8.set(bytes);
    buffer.dictionaryUsed = bytes.length;
    buffer.entries = 1;
  }
  return {
    leaf,
    next(rows) {
      if (!dictionary) fillWords(buffer, rows, bytes[0] === 0 ? 0 : 1);
      buffer.count = rows;
      return encodeLeaf(buffer, rows, { ...limit, rows });
    },
  };
}

function fillWords(buffer: LeafBuffer, rows: number, word: number): void {
  buffer.count = 0;
  ensureCount(buffer, rows);
  buffer.i32.fill(word, 0, rows);
}

/** A value as it lies in a leaf buffer. */
function encodeValue(type: ScalarType, value: string | bigint): Uint8Array {
  const out = Buffer.alloc(16);
  switch (type.kind) {
    case 'boolean':
      return out.fill(value === 'true' || value === 1n ? 1 : 0, 0, 1).subarray(0, 4);
    case 'int16':
    case 'int32':
    case 'uint32':
    case 'date':
      out.writeInt32LE(Number(BigInt.asIntN(32, BigInt(value))));
      return out.subarray(0, 4);
    case 'int64':
    case 'uint64':
    case 'time':
    case 'timestamp':
      out.writeBigInt64LE(BigInt.asIntN(64, BigInt(value)));
      return out.subarray(0, 8);
    case 'float':
      out.writeFloatLE(Number(value));
      return out.subarray(0, 4);
    case 'double':
      out.writeDoubleLE(Number(value));
      return out.subarray(0, 8);
    case 'uuid':
      return Buffer.from(String(value).replaceAll('-', ''), 'hex');
    case 'decimal':
      if (type.precision <= 9) return encodeValue({ kind: 'int32' }, value);
      if (type.precision <= 18) return encodeValue({ kind: 'int64' }, value);
      out.writeBigInt64BE(BigInt.asIntN(64, BigInt(value) >> 64n));
      out.writeBigUInt64BE(BigInt.asUintN(64, BigInt(value)), 8);
      return out;
    case 'string':
    case 'json':
    case 'bytes': {
      const bytes = Buffer.from(String(value));
      const length = Buffer.alloc(4);
      length.writeInt32LE(bytes.length);
      return Buffer.concat([length, bytes]);
    }
    default:
      throw new Error(`no such type: ${JSON.stringify(type satisfies never)}`);
  }
}

function sequence(leaf: Leaf, first: bigint, limit: PageLimit): Generator {
  let next = first;
  return {
    leaf,
    next(rows) {
      const pages: Page[] = [];
      for (let firstRow = 0; firstRow < rows; firstRow += limit.rows) {
        const count = Math.min(limit.rows, rows - firstRow);
        pages.push(sequencePage(next, firstRow, count));
        next += BigInt(count);
      }
      return { dictionary: undefined, pages };
    },
  };
}

function sequencePage(first: bigint, firstRow: number, rows: number): Page {
  return {
    firstRow,
    rows,
    entries: rows,
    nulls: 0,
    levels: encodeRun(1, rows, 1),
    repetitionBytes: 0,
    encoding: ENCODING.deltaBinaryPacked,
    body: encodeSequence(first, rows),
    extent: {
      min: encodeValue({ kind: 'int64' }, first),
      max: encodeValue({ kind: 'int64' }, first + BigInt(rows - 1)),
      minExact: true,
      maxExact: true,
    },
  };
}

/** DELTA_BINARY_PACKED: blocks of the usual size (readers know no other for sure), each with a least difference of 1 and nothing above it. */
function encodeSequence(first: bigint, rows: number): Uint8Array {
  const zigzag = BigInt.asUintN(64, (first << 1n) ^ (first >> 63n));
  const head = [BLOCK, MINIBLOCKS, rows].flatMap((value) => varint(BigInt(value)));
  const blocks = Math.ceil((rows - 1) / BLOCK);
  const block = [2, ...Array.from({ length: MINIBLOCKS }, () => 0)];
  const body = Buffer.alloc(blocks * block.length, Uint8Array.from(block));
  return Buffer.concat([Uint8Array.from([...head, ...varint(zigzag)]), body]);
}

function varint(value: bigint): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return [...bytes, Number(rest)];
}
