import { createHash } from 'node:crypto';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { mapSystemError } from '../errors.ts';

/** A file written from start to end, its SHA-256 taken on the way. The first failure closes the file and is what every later call rejects with. */
export interface FileOutput {
  /** Bytes given to `write` so far: where the next ones will lie. */
  readonly position: number;
  write(parts: readonly Uint8Array[]): Promise<void>;
  /** Closes the file. */
  close(): Promise<{ readonly bytes: number; readonly sha256: string }>;
  /** Closes and removes the file. */
  abort(): Promise<void>;
}

/** Bytes that are sent to the disk while others are still written, so that the end need not wait for all of them. */
const FLUSH_BYTES = 16 << 20;

/**
 * Creates (or empties) the file at once; whether that worked shows in the first call. flush: once it is closed it stays through a power cut.
 * Errors: DISK_FULL, or the system's own.
 */
export function createFileOutput(path: string, { flush = false }: { readonly flush?: boolean } = {}): FileOutput {
  const hash = createHash('sha256');
  let position = 0;
  let handle: FileHandle | undefined;
  let failure: { readonly error: unknown } | undefined;
  let unflushed = 0;
  let flushing: Promise<void> | undefined;
  let tail: Promise<void> = open(path, 'w').then((opened) => {
    handle = opened;
  });

  async function release(): Promise<void> {
    const opened = handle;
    handle = undefined;
    await flushing;
    await opened?.close();
  }

  /** One call at a time. A failure is told to whoever writes or closes next: the system says it once only. */
  async function flushWritten(opened: FileHandle): Promise<void> {
    unflushed = 0;
    try {
      await opened.datasync();
    } catch (error) {
      failure ??= { error: mapSystemError(error, `writing ${path}`) };
    }
    flushing = undefined;
  }

  async function end(): Promise<void> {
    await flushing;
    if (flush && handle !== undefined) await flushWritten(handle);
    if (failure !== undefined) throw failure.error;
    await release();
  }

  /** Runs after what was asked before. */
  function enqueue(step: () => Promise<void>): Promise<void> {
    const done = tail.then(async () => {
      if (failure !== undefined) throw failure.error;
      await step();
    });
    tail = done.catch(async (error: unknown) => {
      failure ??= { error: mapSystemError(error, `writing ${path}`) };
      await release().catch(() => undefined);
      throw failure.error;
    });
    // Whoever awaits this call sees the failure; so does the next call.
    const seen = tail;
    tail = seen.catch(() => undefined);
    return seen;
  }

  async function writeAll(parts: readonly Uint8Array[]): Promise<void> {
    if (handle === undefined) throw new Error(`${path} is closed`);
    for (const part of parts) hash.update(part);
    let rest = parts.filter((part) => part.length > 0);
    while (rest.length > 0) {
      const { bytesWritten } = await handle.writev(rest);
      // A short write is what a full disk does first: writing the rest then says why.
      if (bytesWritten === 0) throw new Error(`${path} takes no more bytes`);
      rest = skipBytes(rest, bytesWritten);
      unflushed += bytesWritten;
    }
    if (flush && unflushed >= FLUSH_BYTES) flushing ??= flushWritten(handle);
  }

  return {
    get position() {
      return position;
    },
    write(parts) {
      position += parts.reduce((sum, part) => sum + part.length, 0);
      return enqueue(() => writeAll(parts));
    },
    async close() {
      await enqueue(end);
      return { bytes: position, sha256: hash.digest('hex') };
    },
    async abort() {
      await tail.catch(() => undefined);
      failure ??= { error: new Error(`${path} was given up`) };
      await release();
      await rm(path, { force: true });
    },
  };
}

function skipBytes(parts: Uint8Array[], bytes: number): Uint8Array[] {
  let skip = bytes;
  let index = 0;
  while (index < parts.length && skip >= (parts[index] as Uint8Array).length) {
    skip -= (parts[index] as Uint8Array).length;
    index++;
  }
  const rest = parts.slice(index);
  if (skip > 0) rest[0] = (rest[0] as Uint8Array).subarray(skip);
  return rest;
}
