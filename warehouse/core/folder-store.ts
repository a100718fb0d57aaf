import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import {
  copyFile,
  type FileHandle,
  link,
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  rm,
  stat,
  unlink,
} from 'node:fs/promises';
import { dirname, join, resolve, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import { mapSystemError, SluiceError } from './errors.ts';
import type { ListedObject, ObjectStore } from './object-store.ts';

/**
 * The lake in a folder. An object appears whole or not at all: it is written beside the tree, flushed, and gets its name by link(2),
 * which fails when the name is taken (rename would overwrite). Then the directory is flushed, so that a power cut cannot take the name back.
 */
export function createFolderStore(dir: string): ObjectStore {
  const root = resolve(dir);
  const staging = join(root, STAGING);
  let swept: Promise<void> | undefined;

  /** Creates `staging`, and clears it once of what killed processes left there more than a day ago. */
  const openStaging = async (): Promise<string> => {
    await makeDirectory(staging);
    swept ??= sweep(staging);
    await swept;
    return join(staging, `${process.pid}-${randomUUID()}`);
  };

  const pathOf = (key: string): string => join(root, ...checkKey(key).split('/'));

  /** Gives a finished, flushed file its key; false when the key is taken. The file's own name goes away in either case. */
  const adopt = async (file: string, key: string): Promise<boolean> => {
    const target = pathOf(key);
    await makeDirectory(dirname(target));
    const taken = await link(file, target).then(
      () => false,
      (error: unknown) => {
        if (codeOf(error) === 'EEXIST') return true;
        throw error;
      },
    );
    if (!taken) await flushDirectory(dirname(target));
    await rm(file, { force: true });
    return !taken;
  };

  const guard = async <T>(doing: string, work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      throw mapFolderError(error, doing, root);
    }
  };

  return {
    url: pathToFileURL(root).href,

    get: (key) => guard(`reading ${key}`, () => readFile(pathOf(key)).catch(notFound(key, root))),

    putIfAbsent: (key, bytes) =>
      guard(`writing ${key}`, async () => {
        checkKey(key);
        const temporary = await openStaging();
        try {
          await writeFlushed(temporary, bytes);
          return await adopt(temporary, key);
        } finally {
          await rm(temporary, { force: true });
        }
      }),

    putFile: (key, localPath) =>
      guard(`writing ${key}`, async () => {
        checkKey(key);
        const temporary = await openStaging();
        try {
          // A link costs nothing and leaves the caller's file in place until the object stands; across disks it must be a copy.
          await link(localPath, temporary).catch(async (error: unknown) => {
            if (codeOf(error) !== 'EXDEV' && codeOf(error) !== 'EPERM') throw error;
            await copyFile(localPath, temporary, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
          });
          await flushFile(temporary);
          if (!(await adopt(temporary, key))) {
            throw new SluiceError(
              'LAKE_CORRUPT',
              `The lake already holds an object named ${key}, which is written once only.`,
              {
                remedy: 'Remove the object if no commit names it, or give the lake its own folder.',
              },
            );
          }
          await rm(localPath, { force: true });
        } finally {
          await rm(temporary, { force: true });
        }
      }),

    toLocalFile: (key) =>
      guard(`reading ${key}`, async () => {
        const path = pathOf(key);
        await stat(path).catch(notFound(key, root));
        return path;
      }),

    list: (prefix, options = {}) => walk(root, prefix, options.startAfter),

    head: (key) =>
      guard(`reading ${key}`, async () => {
        const found = await stat(pathOf(key)).catch((error: unknown) => {
          if (isAbsent(error)) return undefined;
          throw error;
        });
        return found?.isFile() === true ? { key, bytes: found.size } : undefined;
      }),

    delete: (key) =>
      guard(`deleting ${key}`, async () => {
        await unlink(pathOf(key)).catch((error: unknown) => {
          if (!isAbsent(error)) throw error;
        });
      }),
  };
}

/** Where objects are written before they have a name; never listed. */
const STAGING = '.staging';
const STAGING_LIFETIME_MS = 24 * 3600 * 1000;

function checkKey(key: string): string {
  const segments = key.split('/');
  const bad = segments.some(
    (segment) => segment === '' || segment === '.' || segment === '..' || segment.includes('\0'),
  );
  if (bad || segments[0] === STAGING || (sep === '\\' && key.includes(sep))) {
    throw new SluiceError('INTERNAL', `The object key ${JSON.stringify(key)} is not a relative path of plain names.`);
  }
  return key;
}

async function writeFlushed(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'wx');
  await whileOpen(file, async () => {
    await file.writeFile(bytes);
    await file.sync();
  });
}

async function flushFile(path: string): Promise<void> {
  const file = await open(path, 'r');
  await whileOpen(file, () => file.sync());
}

async function flushDirectory(path: string): Promise<void> {
  if (process.platform === 'win32') return; // a directory cannot be opened there
  const directory = await open(path, 'r');
  await whileOpen(directory, () => directory.sync());
}

async function whileOpen(file: FileHandle, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } finally {
    await file.close();
  }
}

/** mkdir -p whose new entries survive a power cut. */
async function makeDirectory(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true });
  if (first === undefined) return;
  for (let made = path; made.length >= first.length; made = dirname(made)) await flushDirectory(dirname(made));
}

async function sweep(staging: string): Promise<void> {
  const oldest = Date.now() - STAGING_LIFETIME_MS;
  for (const name of await readdir(staging)) {
    const path = join(staging, name);
    const found = await lstat(path).catch(() => undefined);
    if (found !== undefined && found.mtimeMs < oldest) await rm(path, { force: true, recursive: true });
  }
}

/** Objects under a prefix in ascending order of their keys' bytes, as S3 lists them. One directory's names are in memory at a time per level. */
async function* walk(root: string, prefix: string, startAfter: string | undefined): AsyncGenerator<ListedObject> {
  const base = prefix.slice(0, prefix.lastIndexOf('/') + 1);
  // Units of UTF-16 sort as bytes do where one side is ASCII: then a long log need not be turned into bytes to find its end.
  const plain = startAfter !== undefined && /^[\x20-\x7e]*$/.test(startAfter);
  yield* walkDirectory(root, base);

  // Before they are sorted: of a long log only the end is wanted.
  function isWanted({ key, isDirectory }: { readonly key: string; readonly isDirectory: boolean }): boolean {
    if (isDirectory ? !(key.startsWith(prefix) || prefix.startsWith(key)) : !key.startsWith(prefix)) return false;
    if (startAfter === undefined || (plain ? key > startAfter : compareBytes(key, startAfter) > 0)) return true;
    return isDirectory && startAfter.startsWith(key);
  }

  async function* walkDirectory(top: string, at: string): AsyncGenerator<ListedObject> {
    const entries = await readdir(join(top, at), { withFileTypes: true }).catch((error: unknown) => {
      if (isAbsent(error)) return [];
      throw mapFolderError(error, `listing ${at}`, top);
    });
    // A directory sorts by its name with the slash: a-b comes before a/b.
    const keys = entries
      .filter((entry) => (entry.isDirectory() || entry.isFile()) && !(at === '' && entry.name === STAGING))
      .map((entry) => ({ key: at + entry.name + (entry.isDirectory() ? '/' : ''), isDirectory: entry.isDirectory() }))
      .filter(isWanted)
      .sort((a, b) => compareBytes(a.key, b.key));
    for (const { key, isDirectory } of keys) {
      if (isDirectory) yield* walkDirectory(top, key);
      else {
        const found = await stat(join(top, key)).catch(() => undefined);
        // The inode's change time and not the file's: a file that is linked in keeps the time at which it was written elsewhere.
        if (found !== undefined) yield { key, bytes: found.size, modifiedMs: Math.max(found.ctimeMs, found.mtimeMs) };
      }
    }
  }
}

function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

function notFound(key: string, root: string): (error: unknown) => never {
  return (error) => {
    if (!isAbsent(error)) throw error;
    throw new SluiceError('OBJECT_NOT_FOUND', `The lake ${root} holds no object named ${key}.`, { cause: error });
  };
}

function isAbsent(error: unknown): boolean {
  return codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR';
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}

const UNREACHABLE: Readonly<Record<string, string>> = {
  EACCES: 'Give this user the right to read and write the folder.',
  EPERM: 'Put the lake on a file system that allows hard links and give this user the right to write there.',
  EROFS: 'Put the lake on a disk that can be written.',
  ENOTDIR: 'Point SLUICE_LAKE at a folder.',
  ENOTSUP: 'Put the lake on a file system that allows hard links.',
  EIO: 'Check the disk.',
};

function mapFolderError(error: unknown, doing: string, root: string): unknown {
  const mapped = mapSystemError(error, doing);
  const remedy = UNREACHABLE[String(codeOf(error))];
  if (mapped !== error || remedy === undefined) return mapped;
  return new SluiceError('LAKE_UNREACHABLE', `The lake ${root} failed while ${doing}: ${String(codeOf(error))}.`, {
    remedy,
    cause: error,
  });
}
