import { type Chunk, type CODEC, PAGE_TYPE } from './chunk.ts';
import { ENCODING, type Encoding } from './pages.ts';
import type { Leaf, ParquetColumn } from './parquet-type.ts';
import { physicalOf, writeSchema } from './schema.ts';
import { boundaryOrder, type Extent } from './statistics.ts';
import { ThriftWriter } from './thrift-compact.ts';

/** What stands behind the row groups: the page index, and the footer that names everything. */

/** What is kept of a chunk once it is written. */
export interface ChunkEntry {
  readonly leaf: Leaf;
  readonly offset: number;
  readonly size: number;
  readonly rawSize: number;
  readonly codec: (typeof CODEC)[keyof typeof CODEC];
  readonly dictionarySize: number;
  readonly entries: number;
  readonly nulls: number;
  readonly extent: Extent;
  readonly encoding: Encoding;
  readonly pages: number;
  readonly columnIndex: Uint8Array | undefined;
  readonly offsetIndex: Uint8Array;
}

export interface RowGroupEntry {
  readonly rows: number;
  readonly chunks: readonly ChunkEntry[];
}

interface IndexPlace {
  readonly offset: number;
  readonly length: number;
}

const VERSION = 1;
const CREATED_BY = 'sluice';

/** What the footer will say of a chunk that lies at `offset`. */
export function entryOf(chunk: Chunk, offset: number): ChunkEntry {
  const { leaf, codec, size, rawSize, dictionarySize, entries, nulls, extent, pages } = chunk;
  return {
    leaf,
    offset,
    size,
    rawSize,
    codec,
    dictionarySize,
    entries,
    nulls,
    extent,
    encoding: pages[0]?.page.encoding ?? ENCODING.plain,
    pages: pages.length,
    columnIndex: columnIndexOf(chunk),
    offsetIndex: offsetIndexOf(chunk, offset + dictionarySize),
  };
}

/** The page index, the footer, its length and the closing magic, for a file whose row groups end at `position`. */
export function makeFooter(
  columns: readonly ParquetColumn[],
  leaves: readonly Leaf[],
  groups: readonly RowGroupEntry[],
  position: number,
): readonly Uint8Array[] {
  const parts: Uint8Array[] = [];
  const columnIndexes = new Map<ChunkEntry, IndexPlace>();
  const offsetIndexes = new Map<ChunkEntry, IndexPlace>();
  let at = position;
  const place = (places: Map<ChunkEntry, IndexPlace>, chunk: ChunkEntry, bytes: Uint8Array | undefined): void => {
    if (bytes === undefined) return;
    places.set(chunk, { offset: at, length: bytes.length });
    parts.push(bytes);
    at += bytes.length;
  };
  for (const { chunks } of groups) for (const chunk of chunks) place(columnIndexes, chunk, chunk.columnIndex);
  for (const { chunks } of groups) for (const chunk of chunks) place(offsetIndexes, chunk, chunk.offsetIndex);

  const thrift = new ThriftWriter().i32(1, VERSION);
  writeSchema(thrift, 2, columns);
  thrift.i64(
    3,
    groups.reduce((sum, group) => sum + group.rows, 0),
  );
  thrift.structs(
    4,
    groups.map((group, ordinal) => ({ group, ordinal })),
    (writer, { group, ordinal }) => {
      writer.structs(1, group.chunks, (column, chunk) => {
        writeChunk(column, chunk, offsetIndexes.get(chunk), columnIndexes.get(chunk));
      });
      writer
        .i64(
          2,
          sumOf(group, (chunk) => chunk.rawSize),
        )
        .i64(3, group.rows);
      const [first] = group.chunks;
      if (first !== undefined) writer.i64(5, first.offset);
      writer.i64(
        6,
        sumOf(group, (chunk) => chunk.size),
      );
      if (ordinal < 0x8000) writer.i16(7, ordinal);
    },
  );
  thrift.binary(6, CREATED_BY);
  // TYPE_ORDER: without it readers take no notice of least and greatest values.
  thrift.structs(7, leaves, (order) => order.struct(1, () => undefined));
  const footer = thrift.finish();
  const end = Buffer.alloc(8);
  end.writeUInt32LE(footer.length, 0);
  end.write('PAR1', 4, 'latin1');
  return [...parts, footer, end];
}

function sumOf(group: RowGroupEntry, size: (chunk: ChunkEntry) => number): number {
  return group.chunks.reduce((sum, chunk) => sum + size(chunk), 0);
}

function writeChunk(
  column: ThriftWriter,
  chunk: ChunkEntry,
  offsetIndex: IndexPlace | undefined,
  columnIndex: IndexPlace | undefined,
): void {
  const isNumbered = chunk.encoding === ENCODING.dictionary;
  const encodings = [chunk.encoding, ENCODING.rle, ...(isNumbered ? [ENCODING.plain] : [])];
  column.i64(2, 0).struct(3, (meta) => {
    meta
      .i32(1, physicalOf(chunk.leaf.type))
      .i32s(2, encodings)
      .binaries(3, chunk.leaf.path)
      .i32(4, chunk.codec)
      .i64(5, chunk.entries)
      .i64(6, chunk.rawSize)
      .i64(7, chunk.size)
      .i64(9, chunk.offset + chunk.dictionarySize);
    if (isNumbered) meta.i64(11, chunk.offset);
    meta.struct(12, (statistics) => writeStatistics(statistics, chunk));
    const counts = [
      ...(isNumbered ? [{ type: PAGE_TYPE.dictionary, encoding: ENCODING.plain as Encoding, count: 1 }] : []),
      { type: PAGE_TYPE.dataV2, encoding: chunk.encoding, count: chunk.pages },
    ];
    meta.structs(13, counts, (writer, { type, encoding, count }) => writer.i32(1, type).i32(2, encoding).i32(3, count));
  });
  if (offsetIndex !== undefined) column.i64(4, offsetIndex.offset).i32(5, offsetIndex.length);
  if (columnIndex !== undefined) column.i64(6, columnIndex.offset).i32(7, columnIndex.length);
}

function writeStatistics(statistics: ThriftWriter, { nulls, extent }: ChunkEntry): void {
  statistics.i64(3, nulls);
  if (typeof extent === 'string') return;
  statistics.binary(5, extent.max).binary(6, extent.min).bool(7, extent.maxExact).bool(8, extent.minExact);
}

/** None where a page with values has no bounds (NaN only, or no short upper bound): the format has no word for that. */
function columnIndexOf({ leaf, pages }: Chunk): Uint8Array | undefined {
  const extents = pages.map(({ page }) => page.extent);
  if (pages.some(({ page }) => typeof page.extent === 'string' && page.nulls < page.entries)) return undefined;
  const none = new Uint8Array(0);
  return new ThriftWriter()
    .bools(
      1,
      extents.map((extent) => typeof extent === 'string'),
    )
    .binaries(
      2,
      extents.map((extent) => (typeof extent === 'string' ? none : extent.min)),
    )
    .binaries(
      3,
      extents.map((extent) => (typeof extent === 'string' ? none : extent.max)),
    )
    .i32(4, boundaryOrder(leaf.type, extents))
    .i64s(
      5,
      pages.map(({ page }) => page.nulls),
    )
    .finish();
}

function offsetIndexOf({ pages }: Chunk, offset: number): Uint8Array {
  let at = offset;
  return new ThriftWriter()
    .structs(1, pages, (location, { page, size }) => {
      location.i64(1, at).i32(2, size).i64(3, page.firstRow);
      at += size;
    })
    .finish();
}
