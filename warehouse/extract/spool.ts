import { createWriteStream, type WriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { to as copyTo } from 'pg-copy-streams';
import { mapSystemError } from '../core/errors.ts';
import type { SourceSession } from './source-session.ts';

/** COPY … TO STDOUT (CSV) into files on local disk, cut between two rows, so that neither memory nor disk grows with the table. */

export interface SpoolFile {
  readonly path: string;
  readonly rows: number;
  readonly bytes: number;
  /** Bytes of its longest row: what DuckDB's CSV reader must be told. */
  readonly longestRow: number;
}

/**
 * Yields finished files one after another; the next one fills while the caller works on the last (it is the caller's to delete).
 * A first column of ones keeps a row of NULLs from being an empty line, which CSV readers skip.
 */
export async function* spoolQuery(
  session: SourceSession,
  selectSql: string,
  options: {
    readonly dir: string;
    readonly maxFileBytes: number;
    readonly onRows?: (rows: number, bytes: number) => void;
  },
): AsyncGenerator<SpoolFile> {
  const stream = session.client.query(
    copyTo(`copy (${selectSql}) to stdout (format csv, force_quote *, encoding 'UTF8')`),
  );
  const scanner = createScanner();
  let file: { path: string; out: WriteStream; bytes: number } | undefined;
  let count = 0;
  let total = 0;

  const open = (): { path: string; out: WriteStream; bytes: number } => {
    const path = join(options.dir, `spool-${String(count++).padStart(5, '0')}.csv`);
    const out = createWriteStream(path, { flags: 'wx' });
    out.on('error', () => undefined); // seen by the next write, or by finished() at the end
    return { path, out, bytes: 0 };
  };
  const close = async (current: { path: string; out: WriteStream; bytes: number }): Promise<SpoolFile> => {
    current.out.end();
    await finished(current.out);
    return { path: current.path, bytes: current.bytes, ...scanner.take() };
  };

  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      let rest = chunk;
      total += chunk.length;
      while (rest.length > 0) {
        file ??= open();
        // Beyond its size a file ends with the row it is in.
        const wanted = file.bytes + rest.length >= options.maxFileBytes;
        const end = scanner.scan(rest, wanted ? Math.max(0, options.maxFileBytes - file.bytes) : rest.length);
        file.bytes += end;
        if (!file.out.write(rest.subarray(0, end))) await drained(file.out);
        rest = rest.subarray(end);
        if (wanted && scanner.atRowEnd()) {
          const done = file;
          file = undefined;
          yield await close(done);
        }
      }
      options.onRows?.(scanner.totalRows(), total);
    }
    if (file !== undefined) {
      const done = file;
      file = undefined;
      yield await close(done);
    }
    // COPY's own count against ours: a quote or line break misread anywhere would show here.
    const copied = stream.rowCount;
    if (copied !== scanner.totalRows()) {
      throw new Error(`COPY sent ${copied} rows, of which ${scanner.totalRows()} arrived`);
    }
  } catch (error) {
    throw session.mapError(mapSystemError(error, 'the spool of an extraction'));
  } finally {
    if (file !== undefined) {
      file.out.destroy();
      await rm(file.path, { force: true });
    }
  }
}

/** Waits until the stream takes more, or throws what broke it. */
async function drained(out: WriteStream): Promise<void> {
  if (out.errored !== null) throw out.errored;
  await new Promise<void>((resolve, reject) => {
    const settle = (error?: Error): void => {
      out.off('drain', onDrain);
      out.off('error', settle);
      if (error === undefined) resolve();
      else reject(error);
    };
    const onDrain = (): void => settle();
    out.on('drain', onDrain);
    out.on('error', settle);
  });
}

const QUOTE = 0x22;
const NEWLINE = 0x0a;

interface Scanner {
  /** Reads to the end, or to the first row end at or after `softEnd`; returns how many bytes it read. */
  scan(bytes: Uint8Array, softEnd: number): number;
  atRowEnd(): boolean;
  totalRows(): number;
  /** Counts since the last take. */
  take(): { rows: number; longestRow: number };
}

/** Follows CSV's quotes byte by byte: a line break ends a row only outside them (a doubled quote leaves and enters again, which is the same). */
function createScanner(): Scanner {
  let quoted = false;
  let length = 0;
  let rows = 0;
  let total = 0;
  let longest = 0;
  return {
    scan: (bytes, softEnd) => {
      for (let i = 0; i < bytes.length; i++) {
        const byte = bytes[i];
        length++;
        if (byte === QUOTE) quoted = !quoted;
        else if (byte === NEWLINE && !quoted) {
          rows++;
          if (length > longest) longest = length;
          length = 0;
          if (i + 1 >= softEnd) return i + 1;
        }
      }
      return bytes.length;
    },
    atRowEnd: () => length === 0,
    totalRows: () => total + rows,
    take: () => {
      const counts = { rows, longestRow: longest };
      total += rows;
      rows = 0;
      longest = 0;
      return counts;
    },
  };
}
