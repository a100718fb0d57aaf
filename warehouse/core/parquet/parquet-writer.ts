import { type Chunk, CODEC, makeChunk } from './chunk.ts';
import { type Compressor, createCompressor } from './compression.ts';
import { createFileOutput } from './file-output.ts';
import { type ChunkEntry, entryOf, makeFooter, type RowGroupEntry } from './footer.ts';
import { columnOf, createGenerator } from './generated.ts';
import type { LeafBuffer, RowGroup } from './leaf-buffer.ts';
import { giveUpDictionary } from './leaf-buffer-memory.ts';
import { encodeLeaf, type LeafPages, type PageLimit } from './pages.ts';
import { type GeneratedColumn, type Leaf, leavesOf, type ParquetColumn } from './parquet-type.ts';
import { type Extent, mergeExtents } from './statistics.ts';

/**
 * Writes one Parquet file: row groups as they come, then the page index and the footer.
 *
 *   writeRowGroup ── pages, levels, statistics (at once) ── zstd (libuv's pool) ── in their order ── file, SHA-256
 */
export interface ParquetWriter {
  /** Writes a row group behind those given before; resolves when its buffers may be reused. Groups of no rows are left out. */
  writeRowGroup(group: RowGroup): Promise<void>;
  /** Bytes written so far. */
  bytes(): number;
  /** Ends the file once all row groups are written. */
  close(): Promise<ParquetFile>;
  /** Gives the file up: closes and removes it. */
  abort(): Promise<void>;
}

export interface ParquetFile {
  readonly rows: number;
  readonly bytes: number;
  /** Of the whole file, in hex. */
  readonly sha256: string;
  /** Least and greatest values of the columns given, of each leaf in the order of leavesOf(). */
  readonly extents: readonly Extent[];
}

export interface ParquetWriterOptions {
  readonly path: string;
  readonly columns: readonly ParquetColumn[];
  /** Columns behind the others whose values nobody sends. */
  readonly generated: readonly GeneratedColumn[];
  /** Of zstd; default 1. */
  readonly compressionLevel?: number;
  /** Shared with other writers and not closed with this one; default: its own. */
  readonly compressor?: Compressor | undefined;
  /** The file, once closed, stays through a power cut: for one that is kept. */
  readonly flush?: boolean;
  /** Where pages end; default 40,960 rows or about 1 MB. */
  readonly pageLimit?: PageLimit;
}

const PAGE_LIMIT: PageLimit = { rows: 40_960, bytes: 1 << 20 };
export const COMPRESSION_LEVEL = 1;
/** Row groups for which a leaf is stored as it is after one that zstd could not make smaller: random values stay random. */
const UNTRIED_GROUPS = 16;
/** A chunk smaller than this says nothing of what comes. */
const TELLING_BYTES = 1 << 12;

/** Opens a file for writing (an old one is replaced). Errors, from every method: DISK_FULL, or the system's own. */
export function createParquetWriter(options: ParquetWriterOptions): ParquetWriter {
  const limit = options.pageLimit ?? PAGE_LIMIT;
  const columns = [...options.columns, ...options.generated.map(columnOf)];
  const leaves = leavesOf(columns);
  const given = leavesOf(options.columns).length;
  const generators = options.generated.map((generated, index) =>
    createGenerator(generated, options.columns.length + index, limit),
  );
  const level = options.compressionLevel ?? COMPRESSION_LEVEL;
  let own: Compressor | undefined;
  const output = createFileOutput(options.path, { flush: options.flush ?? false });
  const untried = new Int32Array(leaves.length);
  const groups: RowGroupEntry[] = [];
  let rows = 0;
  let tail: Promise<void> = output.write([Buffer.from('PAR1', 'latin1')]);
  tail.catch(() => undefined);

  /** A group that cannot be encoded spoils the file. */
  function encodeGroup(group: RowGroup): LeafPages[] {
    try {
      return [
        ...group.leaves.map((buffer) => encodeGiven(buffer, group.rows, limit)),
        ...generators.map((generator) => generator.next(group.rows)),
      ];
    } catch (error) {
      tail = Promise.all([tail, Promise.reject(error)]).then(() => undefined);
      tail.catch(() => undefined);
      throw error;
    }
  }

  async function compressLeaf(leaf: Leaf, index: number, pages: LeafPages, { compress }: Compressor): Promise<Chunk> {
    const tries = (untried[index] as number) === 0;
    if (!tries) untried[index] = (untried[index] as number) - 1;
    const chunk = await makeChunk(leaf, pages, tries, compress);
    if (tries && chunk.codec === CODEC.none && chunk.rawSize > TELLING_BYTES) untried[index] = UNTRIED_GROUPS;
    return chunk;
  }

  async function writeChunks(groupRows: number, chunks: readonly Chunk[]): Promise<void> {
    let at = output.position;
    const entries = chunks.map((chunk) => {
      const entry = entryOf(chunk, at);
      at += chunk.size;
      return entry;
    });
    groups.push({ rows: groupRows, chunks: entries });
    await output.write(chunks.flatMap((chunk) => chunk.parts));
  }

  return {
    async writeRowGroup(group) {
      if (group.rows === 0) return;
      if (group.leaves.length !== given) {
        throw new Error(`a row group of ${group.leaves.length} leaves for a file of ${given}`);
      }
      const groupRows = group.rows;
      const pages = encodeGroup(group);
      rows += groupRows;
      const used = options.compressor ?? (own ??= createCompressor(level, groupRows));
      const chunks = Promise.all(
        pages.map((leafPages, index) => compressLeaf(leaves[index] as Leaf, index, leafPages, used)),
      );
      const written = Promise.all([chunks, tail]).then(([made]) => writeChunks(groupRows, made));
      written.catch(() => undefined);
      tail = written;
      await written;
    },
    bytes: () => output.position,
    async close() {
      try {
        await tail;
        own?.close();
        await output.write(makeFooter(columns, leaves, groups, output.position));
      } catch (error) {
        await output.close().catch(() => undefined);
        throw error;
      }
      const extents = leaves.slice(0, given).map((leaf, index) =>
        mergeExtents(
          leaf.type,
          groups.map(({ chunks }) => (chunks[index] as ChunkEntry).extent),
        ),
      );
      return { rows, extents, ...(await output.close()) };
    },
    async abort() {
      await tail.catch(() => undefined);
      own?.close();
      await output.abort();
    },
  };
}

/** Booleans have no dictionaries in Parquet. */
function encodeGiven(buffer: LeafBuffer, rows: number, limit: PageLimit): LeafPages {
  if (buffer.leaf.type.kind === 'boolean') giveUpDictionary(buffer);
  return encodeLeaf(buffer, rows, limit);
}
