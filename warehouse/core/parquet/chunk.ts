import type { Compressor } from './compression.ts';
import { ENCODING, type LeafPages, type Page } from './pages.ts';
import type { Leaf } from './parquet-type.ts';
import { type Extent, mergeExtents } from './statistics.ts';
import { ThriftWriter } from './thrift-compact.ts';

/** One leaf of one row group as it lies in the file: page headers, compressed bodies, and what the footer says of it. */

export const CODEC = { none: 0, zstd: 6 } as const;
export const PAGE_TYPE = { dictionary: 2, dataV2: 3 } as const;

export interface StoredPage {
  readonly page: Page;
  /** Bytes in the file, header included. */
  readonly size: number;
}

export interface Chunk {
  readonly leaf: Leaf;
  readonly codec: (typeof CODEC)[keyof typeof CODEC];
  readonly parts: readonly Uint8Array[];
  /** Bytes in the file, and before compression; headers included. */
  readonly size: number;
  readonly rawSize: number;
  /** Bytes of the dictionary page in front; 0: none. */
  readonly dictionarySize: number;
  readonly pages: readonly StoredPage[];
  readonly entries: number;
  readonly nulls: number;
  readonly extent: Extent;
}

interface Body {
  readonly stored: Uint8Array;
  readonly isCompressed: boolean;
}

/** Compresses the pages of a leaf where that is worth it (`tries`: whether to try) and puts headers before them. */
export async function makeChunk(
  leaf: Leaf,
  encoded: LeafPages,
  tries: boolean,
  compress: Compressor['compress'],
): Promise<Chunk> {
  const { dictionary, pages } = encoded;
  const raw = (bytes: Uint8Array): Body => ({ stored: bytes, isCompressed: false });
  const press = async (bytes: Uint8Array): Promise<Body> => {
    if (!tries || bytes.length === 0) return raw(bytes);
    const { bytes: stored, isWorth } = await compress(bytes);
    return isWorth ? { stored, isCompressed: true } : raw(bytes);
  };
  const [pressedDictionary, ...bodies] = await Promise.all([
    dictionary === undefined || !tries ? undefined : compress(dictionary.body),
    ...pages.map((page) => press(page.body)),
  ]);
  const isZstd = pressedDictionary?.isWorth === true || bodies.some((body) => body.isCompressed);
  const parts: Uint8Array[] = [];
  const thrift = new ThriftWriter();
  let size = 0;
  let rawSize = 0;
  const put = (header: Uint8Array, body: readonly Uint8Array[], rawBytes: number): number => {
    parts.push(header, ...body);
    const bytes = header.length + body.reduce((sum, part) => sum + part.length, 0);
    size += bytes;
    rawSize += header.length + rawBytes;
    return bytes;
  };
  let dictionarySize = 0;
  if (dictionary !== undefined) {
    // A dictionary page cannot say that it is not compressed: it follows the chunk.
    const stored = isZstd && pressedDictionary !== undefined ? pressedDictionary.bytes : dictionary.body;
    const header = dictionaryHeader(thrift, dictionary.entries, dictionary.body.length, stored.length);
    dictionarySize = put(header, [stored], dictionary.body.length);
  }
  const storedPages = pages.map((page, index): StoredPage => {
    const { stored, isCompressed } = bodies[index] as Body;
    const header = pageHeader(thrift, page, stored.length, isCompressed);
    return { page, size: put(header, [page.levels, stored], page.levels.length + page.body.length) };
  });
  return {
    leaf,
    codec: isZstd ? CODEC.zstd : CODEC.none,
    parts,
    size,
    rawSize,
    dictionarySize,
    pages: storedPages,
    entries: pages.reduce((sum, page) => sum + page.entries, 0),
    nulls: pages.reduce((sum, page) => sum + page.nulls, 0),
    extent: mergeExtents(
      leaf.type,
      pages.map((page) => page.extent),
    ),
  };
}

function dictionaryHeader(thrift: ThriftWriter, entries: number, raw: number, stored: number): Uint8Array {
  return thrift
    .i32(1, PAGE_TYPE.dictionary)
    .i32(2, raw)
    .i32(3, stored)
    .struct(7, (header) => header.i32(1, entries).i32(2, ENCODING.plain))
    .finish();
}

function pageHeader(thrift: ThriftWriter, page: Page, stored: number, isCompressed: boolean): Uint8Array {
  const { levels } = page;
  return thrift
    .i32(1, PAGE_TYPE.dataV2)
    .i32(2, levels.length + page.body.length)
    .i32(3, levels.length + stored)
    .struct(8, (header) =>
      header
        .i32(1, page.entries)
        .i32(2, page.nulls)
        .i32(3, page.rows)
        .i32(4, page.encoding)
        .i32(5, levels.length - page.repetitionBytes)
        .i32(6, page.repetitionBytes)
        .bool(7, isCompressed),
    )
    .finish();
}
