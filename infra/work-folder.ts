import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { mapSystemError, messageOf, SluiceError } from '../warehouse/core/errors.ts';
import type { Config } from './config.ts';
import { isRunning, nameProcess } from './this-process.ts';

/** A folder of one process for clones, spools and spills: <cache>/work/<host>-<pid>-<random>. What a killed process left goes with the next one. */
export interface WorkFolder {
  readonly dir: string;
  readonly remove: () => Promise<void>;
}

const HOUR_MS = 3_600_000;
/** A process of another machine or container cannot be looked for: its folder goes when nothing was added to it for so long. */
const STRANGER_LIFETIME_MS = 7 * 24 * HOUR_MS;

/** Folders of this very process. */
const own = new Set<string>();

/** Makes the folder and removes those of processes that are gone. Throws DISK_FULL, LAKE_UNREACHABLE. */
export async function openWorkFolder(config: Pick<Config, 'cacheDir'>): Promise<WorkFolder> {
  const parent = join(config.cacheDir, 'work');
  const name = nameProcess();
  const dir = join(parent, name);
  own.add(name);
  try {
    for (const path of await listAbandonedWork(config)) await rm(path, { recursive: true, force: true });
    await mkdir(dir, { recursive: true });
  } catch (error) {
    own.delete(name);
    throw mapCacheError(error, parent);
  }
  return {
    dir,
    remove: async () => {
      await rm(dir, { recursive: true, force: true });
      own.delete(name);
    },
  };
}

/** Work folders of processes that are gone. */
export async function listAbandonedWork(config: Pick<Config, 'cacheDir'>): Promise<readonly string[]> {
  const parent = join(config.cacheDir, 'work');
  const found: string[] = [];
  for (const name of await readdir(parent).catch(() => []))
    if (await isAbandoned(parent, name)) found.push(join(parent, name));
  return found;
}

async function isAbandoned(parent: string, name: string): Promise<boolean> {
  const running = isRunning(name, (each) => own.has(each));
  if (running !== undefined) return !running;
  const found = await stat(join(parent, name)).catch(() => undefined);
  return found !== undefined && Date.now() - found.mtimeMs > STRANGER_LIFETIME_MS;
}

function mapCacheError(error: unknown, parent: string): unknown {
  const mapped = mapSystemError(error, `the cache ${parent}`);
  if (mapped !== error) return mapped;
  return new SluiceError('LAKE_UNREACHABLE', `The cache ${parent} cannot be used: ${messageOf(error)}.`, {
    remedy: 'Give this user the right to write there, or point SLUICE_CACHE at another folder.',
    cause: error,
  });
}
