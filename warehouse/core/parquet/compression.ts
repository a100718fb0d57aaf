import { constants, zstdCompress } from 'node:zlib';

/** zstd in libuv's pool. Few at a time: each holds a context of some megabytes, and the pool has four threads. */

const IN_FLIGHT = 6;
/** Below this there is nothing to gain. */
const LEAST_BYTES = 48;
/** A page is stored compressed where that saves at least 4 %: readers save the decompression otherwise. */
const WORTH = 0.96;

export interface Compressed {
  readonly bytes: Uint8Array;
  readonly isWorth: boolean;
}

export type Compress = (bytes: Uint8Array) => Promise<Compressed>;

/** A zstd compressor of one level; its calls wait for one another beyond a few at a time. */
export function createCompressor(level: number): Compress {
  let running = 0;
  const waiting: (() => void)[] = [];
  return async (bytes) => {
    if (running >= IN_FLIGHT) await new Promise<void>((resolve) => waiting.push(resolve));
    else running++;
    try {
      const compressed = await compressOnce(bytes, level);
      return { bytes: compressed, isWorth: bytes.length >= LEAST_BYTES && compressed.length < bytes.length * WORTH };
    } finally {
      const next = waiting.shift();
      if (next === undefined) running--;
      else next();
    }
  };
}

function compressOnce(bytes: Uint8Array, level: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    zstdCompress(
      bytes,
      // Room for the whole result (zstd's bound), or each 16 KB of it would be a turn of its own through the pool.
      { chunkSize: bytes.length + (bytes.length >> 8) + 512, params: { [constants.ZSTD_c_compressionLevel]: level } },
      (error, compressed) => (error === null ? resolve(compressed) : reject(error)),
    );
  });
}
