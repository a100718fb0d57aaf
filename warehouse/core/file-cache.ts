import { createHash, randomUUID } from 'node:crypto';
import { constants, createReadStream, rmSync } from 'node:fs';
import { chmod, copyFile, link, mkdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { SluiceError } from './errors.ts';
import { evict, startOf, sweep } from './file-cache-eviction.ts';
import type { Log } from './log.ts';

/**
 * Local copies of immutable contents, shared by all processes of one machine and bounded in bytes.
 *
 *   <dir>/contents/<2 hex>/<name>      one file per content; appears whole, by rename
 *   <dir>/lent/<host>-<pid>-…/<path>   hard links that a live process handed out; they keep the content whatever is evicted
 *   <dir>/incoming/                    downloads under way
 *
 * Eviction takes the least recently used contents that nobody has lent: those with one link only.
 */
export interface FileCache {
  /** A read-only local file with the content, under a path ending in `as`. `download` is called when there is no good copy yet; it writes the file it is given. */
  obtain(content: Content, as: string, download: (path: string) => Promise<void>): Promise<string>;
  /** The file handed out earlier by this handle as `as`. */
  lentAs(as: string): string | undefined;
  /** Takes a finished local file as a copy of the content: its own name goes away. */
  adopt(content: Content, localPath: string): Promise<void>;
  /** Forgets one file handed out, or all: eviction may take their contents. */
  release(as?: string): Promise<void>;
}

/** What a content is known by. */
export interface Content {
  /** Safe as a file name, at least 8 characters, unique to the content. */
  readonly name: string;
  readonly bytes: number;
  /** Hex; undefined when nobody ever told. */
  readonly sha256: string | undefined;
}

export interface FileCacheOptions {
  readonly dir: string;
  readonly maxBytes: number;
  readonly log: Log;
}

export function createFileCache({ dir, maxBytes, log }: FileCacheOptions): FileCache {
  const contents = join(dir, 'contents');
  const incoming = join(dir, 'incoming');
  const lease = join(dir, 'lent', `${hostname()}-${process.pid}-${startOf(process.pid)}-${randomUUID().slice(0, 8)}`);
  const lent = new Map<string, string>();
  const verified = new Set<string>();
  const downloads = new Map<string, Promise<void>>();
  /** Bytes in the cache as far as this handle knows; others add to it too, so it is counted anew before anything is evicted. */
  let known: number | undefined;

  const pathOf = (content: Content): string => join(contents, content.name.slice(0, 2), content.name);

  /** Links the copy for this process, then looks at it: once linked, nobody can take it away. */
  const lend = async (content: Content, as: string): Promise<string | undefined> => {
    const entry = pathOf(content);
    const path = join(lease, as);
    const draft = join(lease, `.${randomUUID()}`);
    removeAtExit.add(lease);
    await mkdir(dirname(path), { recursive: true });
    if (!(await linkOrCopy(entry, draft))) return undefined;
    try {
      if (!(await isWhole(draft, content, verified))) {
        log.warn({ entry, expected: content.bytes }, 'a cached copy is damaged and is fetched again');
        await rm(entry, { force: true });
        return undefined;
      }
      const { mtime } = await stat(draft);
      // The time of last access is the time of last use; explicit, since disks are mounted without it.
      await utimes(draft, new Date(), mtime).catch(() => undefined);
      await rename(draft, path);
    } finally {
      // rename leaves both names when they are links of one file already
      await rm(draft, { force: true });
    }
    lent.set(as, path);
    return path;
  };

  const place = async (content: Content, fill: (path: string) => Promise<void>): Promise<void> => {
    await makeRoom(content.bytes);
    await mkdir(incoming, { recursive: true });
    const temporary = join(incoming, `${process.pid}-${randomUUID()}`);
    try {
      await fill(temporary);
      const entry = pathOf(content);
      await mkdir(dirname(entry), { recursive: true });
      await chmod(temporary, 0o444);
      await rename(temporary, entry);
      known = (known ?? 0) + content.bytes;
    } finally {
      await rm(temporary, { force: true });
    }
  };

  const makeRoom = async (bytes: number): Promise<void> => {
    if (known !== undefined && known + bytes <= maxBytes) return;
    await sweep(dir);
    known = await evict(contents, maxBytes - bytes);
    if (known + bytes > maxBytes) {
      log.warn({ dir, bytes: known + bytes, maxBytes }, 'the local cache exceeds its bound: all of it is in use');
    }
  };

  return {
    lentAs: (as) => lent.get(as),

    async obtain(content, as, download) {
      // A copy may be evicted between its arrival and the link, by a process with a smaller bound.
      for (let attempt = 1; attempt <= 5; attempt++) {
        const path = await lend(content, as);
        if (path !== undefined) return path;
        let running = downloads.get(content.name);
        if (running === undefined) {
          running = place(content, download).finally(() => downloads.delete(content.name));
          downloads.set(content.name, running);
        }
        await running;
      }
      throw new SluiceError('LAKE_UNREACHABLE', `The local cache ${dir} loses ${as} again and again.`, {
        remedy: 'Raise SLUICE_CACHE_MB, or give each project a cache folder of its own.',
        retryable: true,
      });
    },

    async adopt(content, localPath) {
      try {
        await place(content, async (path) => {
          await link(localPath, path);
          await rm(localPath, { force: true });
        });
      } catch (error) {
        // A courtesy only: the object stands in the store either way.
        log.debug({ error }, 'the uploaded file was not taken into the cache');
      }
      await rm(localPath, { force: true });
    },

    async release(as) {
      const gone = as === undefined ? [...lent.keys()] : [as];
      for (const name of gone) {
        const path = lent.get(name);
        lent.delete(name);
        if (path !== undefined) await rm(path, { force: true });
      }
      if (as === undefined) await rm(lease, { recursive: true, force: true });
    },
  };
}

const removeAtExit = new Set<string>();
process.on('exit', () => {
  for (const lease of removeAtExit) rmSync(lease, { recursive: true, force: true });
});

/** False when there is no such entry. */
async function linkOrCopy(entry: string, path: string): Promise<boolean> {
  try {
    await link(entry, path);
    return true;
  } catch (error) {
    const code = codeOf(error);
    if (code === 'ENOENT') return false;
    if (code !== 'EPERM' && code !== 'ENOTSUP' && code !== 'EMLINK' && code !== 'EXDEV') throw error;
    await copyFile(entry, path, constants.COPYFILE_FICLONE);
    return true;
  }
}

/** Size always; the hash once per file and process. */
async function isWhole(path: string, content: Content, verified: Set<string>): Promise<boolean> {
  const found = await stat(path);
  if (found.size !== content.bytes) return false;
  if (content.sha256 === undefined) return true;
  const identity = `${found.ino}:${found.size}:${found.mtime.getTime()}:${content.sha256}`;
  if (verified.has(identity)) return true;
  if ((await hashFile(path)) !== content.sha256) return false;
  verified.add(identity);
  return true;
}

async function hashFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
