import {
  createLeafBuffer,
  DICTIONARY_MAX_ENTRIES,
  ensureBytes,
  ensureCount,
  ensureLevels,
  giveUpDictionary,
  type Leaf,
  type LeafBuffer,
  leavesOf,
  type ParquetColumn,
  type RowGroup,
  type ScalarType,
} from '../../../warehouse/core/parquet/index.ts';

/** Plays the decoder: JavaScript values into leaf buffers, slowly and plainly. */

/** bigint: integers, dates, times, timestamps, decimals (unscaled); number: floats; boolean; string: text and uuid (hex); Buffer: bytes. */
export type Scalar = bigint | number | boolean | string | Buffer;
export type Value = Scalar | null | readonly (Scalar | null)[] | Readonly<Record<string, Scalar>>;
export type Row = readonly Value[];

/** A row group of the rows; `numbered`: leaves (by number) that begin with a dictionary. */
export function fillRowGroup(
  columns: readonly ParquetColumn[],
  rows: readonly Row[],
  numbered: (leaf: Leaf, index: number) => boolean,
): RowGroup {
  const leaves = leavesOf(columns).map((leaf, index) => {
    const buffer = createLeafBuffer(leaf, { rows: rows.length, dictionary: numbered(leaf, index) });
    const field = leaf.repeated ? undefined : leaf.path[1];
    rows.forEach((row, number) => {
      const value = row[leaf.column] ?? null;
      if (leaf.repeated) addList(buffer, value as readonly (Scalar | null)[] | null);
      else if (value !== null) {
        buffer.valid[number >> 3] = (buffer.valid[number >> 3] ?? 0) | (1 << (number & 7));
        addValue(
          buffer,
          field === undefined ? (value as Scalar) : ((value as Record<string, Scalar>)[field] as Scalar),
        );
      }
    });
    return buffer;
  });
  return { rows: rows.length, leaves };
}

function addList(buffer: LeafBuffer, list: readonly (Scalar | null)[] | null): void {
  ensureLevels(buffer, Math.max(1, list?.length ?? 0));
  if (list === null || list.length === 0) {
    buffer.levels[buffer.levelCount++] = list === null ? 0 : 1;
    return;
  }
  list.forEach((element, index) => {
    buffer.levels[buffer.levelCount++] = (index === 0 ? 0 : 4) + (element === null ? 2 : 3);
    if (element !== null) addValue(buffer, element);
  });
}

function addValue(buffer: LeafBuffer, value: Scalar): void {
  const bytes = bytesOf(buffer.leaf.type, value);
  ensureCount(buffer, 1);
  ensureBytes(buffer, bytes.length);
  if (!buffer.isDictionary) {
    buffer.u8.set(bytes, buffer.leaf.words === 0 ? buffer.used : buffer.count * buffer.leaf.words * 4);
    buffer.used += bytes.length;
    buffer.count++;
    return;
  }
  let entry = 0;
  while (entry < buffer.entries) {
    const place = buffer.places[entry] as number;
    if (bytes.equals(buffer.dictionaryU8.subarray(place, place + bytes.length))) break;
    entry++;
  }
  if (entry === buffer.entries) {
    if (entry === DICTIONARY_MAX_ENTRIES) {
      giveUpDictionary(buffer);
      addValue(buffer, value);
      return;
    }
    buffer.places[entry] = buffer.dictionaryUsed;
    buffer.dictionaryU8.set(bytes, buffer.dictionaryUsed);
    buffer.dictionaryUsed += bytes.length;
    buffer.entries++;
  }
  buffer.indexes[buffer.count++] = entry;
}

/** A value as it lies in a leaf buffer. */
export function bytesOf(type: ScalarType, value: Scalar): Buffer {
  const words = Buffer.alloc(16);
  switch (type.kind) {
    case 'boolean':
      words.writeInt32LE(value === true ? 1 : 0);
      return words.subarray(0, 4);
    case 'int16':
    case 'int32':
    case 'uint32':
    case 'date':
      words.writeInt32LE(Number(BigInt.asIntN(32, value as bigint)));
      return words.subarray(0, 4);
    case 'int64':
    case 'uint64':
    case 'time':
    case 'timestamp':
      words.writeBigInt64LE(BigInt.asIntN(64, value as bigint));
      return words.subarray(0, 8);
    case 'float':
      words.writeFloatLE(value as number);
      return words.subarray(0, 4);
    case 'double':
      words.writeDoubleLE(value as number);
      return words.subarray(0, 8);
    case 'uuid':
      return Buffer.from((value as string).replaceAll('-', ''), 'hex');
    case 'decimal':
      if (type.precision <= 9) return bytesOf({ kind: 'int32' }, value);
      if (type.precision <= 18) return bytesOf({ kind: 'int64' }, value);
      words.writeBigInt64BE((value as bigint) >> 64n);
      words.writeBigUInt64BE(BigInt.asUintN(64, value as bigint), 8);
      return words;
    case 'string':
    case 'json':
    case 'bytes': {
      const bytes = Buffer.from(value as string);
      const length = Buffer.alloc(4);
      length.writeInt32LE(bytes.length);
      return Buffer.concat([length, bytes]);
    }
    default:
      throw new Error(`no such type: ${JSON.stringify(type satisfies never)}`);
  }
}
