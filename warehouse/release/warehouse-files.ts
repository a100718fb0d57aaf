import { createHash, randomBytes } from 'node:crypto';
import { constants, createReadStream } from 'node:fs';
import { chmod, copyFile, mkdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isSluiceError, mapSystemError, SluiceError } from '../core/errors.ts';
import type { ObjectStore } from '../core/object-store.ts';
import { WAREHOUSE_FILES, type WarehouseFile, type WarehousePaths } from '../core/release.ts';
import { fileKey, type StoredFile } from './manifest.ts';

/** The bytes of a release: content-addressed files in the store, clones and verified copies on local disk. */

export type StoredFiles = Readonly<Record<WarehouseFile, StoredFile>>;

/** Paths of the two files in a folder. The names matter: DuckDB calls a database after its file. */
function warehousePathsIn(dir: string): WarehousePaths {
  return { silver: join(dir, 'silver.duckdb'), gold: join(dir, 'gold.duckdb') };
}

/** Hashes both files. Throws INTERNAL when one is missing or still has a write-ahead log beside it: it was not closed. */
export async function describeFiles(paths: WarehousePaths): Promise<StoredFiles> {
  for (const file of WAREHOUSE_FILES) {
    if ((await identityOf(`${paths[file]}.wal`)) !== undefined) {
      throw new SluiceError('INTERNAL', `${paths[file]} cannot be published: its write-ahead log is still there.`, {
        remedy: 'Checkpoint and close the file before publishing.',
      });
    }
  }
  const [silver, gold] = await Promise.all([describeFile(paths.silver), describeFile(paths.gold)]);
  return { silver, gold };
}

async function describeFile(path: string): Promise<StoredFile> {
  const sha256 = await hashFile(path);
  return { key: fileKey(sha256), bytes: (await stat(path)).size, sha256 };
}

/** Objects that this process hashed before it stored them: key → what the stored file looked like. Any write since then changes its ctime. */
export type OwnObjects = Map<string, string>;
const REMEMBERED = 16;

/** Uploads what the store does not hold yet; the local files may be moved away. Returns the bytes uploaded. */
export async function uploadFiles(
  store: ObjectStore,
  paths: WarehousePaths,
  files: StoredFiles,
  own: OwnObjects,
): Promise<number> {
  let uploaded = 0;
  for (const file of WAREHOUSE_FILES) {
    const { key, bytes } = files[file];
    if (await isStored(store, key, bytes)) continue;
    try {
      await store.putFile(key, paths[file]);
      // In a folder the object is the file that was hashed; from anywhere else it comes back over a network.
      const identity = store.url.startsWith('file:') ? await identityOf(await store.toLocalFile(key)) : undefined;
      if (identity !== undefined) own.set(key, identity);
      for (const [oldest] of [...own].slice(0, Math.max(0, own.size - REMEMBERED))) own.delete(oldest);
    } catch (error) {
      // Another publisher may have brought the same content in the meantime; then the goal is reached.
      if (!isSluiceError(error, 'LAKE_CORRUPT') || !(await isStored(store, key, bytes))) throw error;
    }
    uploaded += bytes;
  }
  return uploaded;
}

async function isStored(store: ObjectStore, key: string, bytes: number): Promise<boolean> {
  const found = await store.head(key);
  if (found === undefined) return false;
  if (found.bytes === bytes) return true;
  throw new SluiceError('LAKE_CORRUPT', `${store.url}: ${key} has ${found.bytes} bytes instead of ${bytes}.`, {
    remedy: 'Delete the object, or restore it from a backup, and run again.',
  });
}

/** Makes private, writable copies in `dir` (reflinks where the disk can). Whatever an earlier attempt left there goes. */
export async function cloneFiles(
  store: ObjectStore,
  files: StoredFiles | undefined,
  dir: string,
  own: OwnObjects,
): Promise<WarehousePaths> {
  const paths = warehousePathsIn(dir);
  await mkdir(dir, { recursive: true });
  for (const file of WAREHOUSE_FILES) {
    await Promise.all([rm(paths[file], { force: true }), rm(`${paths[file]}.wal`, { force: true })]);
    if (files !== undefined) await copyVerified(store, files[file], paths[file], 0o644, own.get(files[file].key));
  }
  return paths;
}

/** What a verified cache file looked like; any write since then changes its ctime. */
interface VerifiedCopy {
  readonly sha256: string;
  readonly identity: string;
}

/**
 * Read-only copies shared by all processes of one machine: <cache>/<sha256>/gold.duckdb. A copy appears by rename, whole and verified;
 * one that was verified by this process is trusted until its inode, size or change time differ.
 */
export function createFileCache(
  store: ObjectStore,
  cacheDir: string,
): { fetch(files: StoredFiles): Promise<WarehousePaths> } {
  const verified = new Map<string, VerifiedCopy>();

  async function fetchFile(name: WarehouseFile, file: StoredFile): Promise<string> {
    const path = join(cacheDir, file.sha256, `${name}.duckdb`);
    const identity = await identityOf(path);
    if (identity !== undefined) {
      if (verified.get(path)?.identity === identity) return path;
      if ((await hashFile(path)) === file.sha256) {
        verified.set(path, { sha256: file.sha256, identity });
        return path;
      }
    }
    const temporary = join(cacheDir, file.sha256, `.${name}-${process.pid}-${randomBytes(6).toString('hex')}.tmp`);
    await mkdir(dirname(path), { recursive: true });
    try {
      await copyVerified(store, file, temporary, 0o444);
      await rename(temporary, path);
    } catch (error) {
      await rm(temporary, { force: true });
      throw mapSystemError(error, `the copy of ${file.key} in ${cacheDir}`);
    }
    const now = await identityOf(path);
    if (now !== undefined) verified.set(path, { sha256: file.sha256, identity: now });
    return path;
  }

  return {
    async fetch(files) {
      const [silver, gold] = await Promise.all([fetchFile('silver', files.silver), fetchFile('gold', files.gold)]);
      return { silver, gold };
    },
  };
}

/** `trusted`: identity of the object for which its hash is known already. */
async function copyVerified(
  store: ObjectStore,
  file: StoredFile,
  path: string,
  mode: number,
  trusted?: string,
): Promise<void> {
  try {
    const source = await store.toLocalFile(file.key);
    await copyFile(source, path, constants.COPYFILE_FICLONE);
    const isTrusted = trusted !== undefined && (await identityOf(source)) === trusted;
    if (!isTrusted && (await hashFile(path)) !== file.sha256) {
      // The store's own local download may be what is damaged: ask for the object itself once.
      await writeFile(path, await store.get(file.key));
      if ((await hashFile(path)) !== file.sha256) throw damaged(store, file);
    }
    await chmod(path, mode);
  } catch (error) {
    await rm(path, { force: true });
    throw mapSystemError(error, `the copy ${path}`);
  }
}

function damaged(store: ObjectStore, file: StoredFile): SluiceError {
  return new SluiceError('LAKE_CORRUPT', `${store.url}: the content of ${file.key} does not match its SHA-256.`, {
    remedy: 'Restore the object from a backup, or roll back to another release: sluice releases, sluice rollback.',
  });
}

async function hashFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Uint8Array);
  return hash.digest('hex');
}

async function identityOf(path: string): Promise<string | undefined> {
  try {
    const found = await stat(path, { bigint: true });
    return `${found.dev}:${found.ino}:${found.size}:${found.ctimeNs}`;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}
