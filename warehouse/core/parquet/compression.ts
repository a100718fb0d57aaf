import { constants, createZstdCompress, type ZstdCompress } from 'node:zlib';

/** zstd in libuv's pool. Few at a time: each holds a context of some megabytes, and the pool has four threads. */

const IN_FLIGHT = 6;
/** Below this there is nothing to gain. */
const LEAST_BYTES = 48;
/** A page is stored compressed where that saves at least 4 %: readers save the decompression otherwise. */
const WORTH = 0.96;
/** Results lie one behind the other in memory of so many bytes per row of a group. A page that does not fit into what is left takes another turn through the pool. */
const RESULT_BYTES_PER_ROW = 32;
const LEAST_RESULT_BYTES = 64 << 10;
const MOST_RESULT_BYTES = 4 << 20;

export interface Compressed {
  readonly bytes: Uint8Array;
  readonly isWorth: boolean;
}

export interface Compressor {
  readonly compress: (bytes: Uint8Array) => Promise<Compressed>;
  /** Frees the contexts that are idle; a later call makes one anew. */
  close(): void;
}

/** A zstd compressor of one level for row groups of about `rows` rows; its calls wait for one another beyond a few at a time. */
export function createCompressor(level: number, rows: number): Compressor {
  const resultBytes = Math.min(Math.max(rows * RESULT_BYTES_PER_ROW, LEAST_RESULT_BYTES), MOST_RESULT_BYTES);
  const idle: Press[] = [];
  const waiting: ((press: Press) => void)[] = [];
  let made = 0;
  const lend = (): Press | Promise<Press> => {
    const press = idle.pop();
    if (press !== undefined) return press;
    if (made === IN_FLIGHT) return new Promise((resolve) => waiting.push(resolve));
    made++;
    return createPress(level, resultBytes);
  };
  const giveBack = (press: Press): void => {
    const next = waiting.shift();
    if (next === undefined) idle.push(press);
    else next(press);
  };
  /** A context that failed is of no more use; those that wait get another. */
  const discard = (press: Press): void => {
    press.close();
    const next = waiting.shift();
    if (next === undefined) made--;
    else next(createPress(level, resultBytes));
  };
  return {
    compress: async (bytes) => {
      const press = await lend();
      let compressed: Uint8Array;
      try {
        compressed = await press.compress(bytes);
      } catch (error) {
        discard(press);
        throw error;
      }
      giveBack(press);
      return { bytes: compressed, isWorth: bytes.length >= LEAST_BYTES && compressed.length < bytes.length * WORTH };
    },
    close: () => {
      made -= idle.length;
      for (const press of idle.splice(0)) press.close();
    },
  };
}

interface Press {
  compress(bytes: Uint8Array): Promise<Uint8Array>;
  close(): void;
}

/**
 * One context for many pages. zlib.zstdCompress() makes a stream, a context and memory for the largest possible result per call, which costs
 * a large COPY a tenth of its CPU, most of it in V8's collector. Here every write is a frame of its own.
 */
function createPress(level: number, resultBytes: number): Press {
  const stream: ZstdCompress = createZstdCompress({
    flush: constants.ZSTD_e_end,
    chunkSize: resultBytes,
    params: { [constants.ZSTD_c_compressionLevel]: level },
  });
  let parts: Buffer[] = [];
  stream.on('data', (part: Buffer) => parts.push(part));
  // Told by the write that failed.
  stream.on('error', () => undefined);
  return {
    compress: (bytes) =>
      new Promise((resolve, reject) => {
        stream.write(bytes, (error) => {
          if (error != null) return reject(error);
          const left: Buffer | null = stream.read();
          if (left !== null) parts.push(left);
          const [first] = parts;
          resolve(parts.length === 1 && first !== undefined ? first : Buffer.concat(parts));
          parts = [];
        });
      }),
    close: () => void stream.destroy(),
  };
}
