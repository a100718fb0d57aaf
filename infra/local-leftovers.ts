import { readdir, readlink, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { sweep as sweepFileCache } from '../warehouse/core/file-cache-eviction.ts';
import type { Garbage } from '../warehouse/core/garbage.ts';
import type { Config } from './config.ts';
import { listAbandonedWork } from './work-folder.ts';

/** What this machine's cache folder keeps for nobody: clones of killed builds, parts of first loads, fetches that never ended, copies of releases that no one reads any more. */

export interface LocalSweepOptions {
  readonly config: Pick<Config, 'cacheDir'>;
  readonly olderThanMs: number;
  readonly dryRun: boolean;
  /** SHA-256 of the files that stay: those of the current release. */
  readonly kept: ReadonlySet<string>;
}

export async function* sweepLocalLeftovers(options: LocalSweepOptions): AsyncGenerator<Garbage> {
  const { config, dryRun } = options;
  for (const path of await listAbandonedWork(config))
    yield* remove(options, path, 'a killed process left it', { whateverAge: true });
  yield* sweepLoads(options);
  yield* sweepReleaseCopies(options);
  if (!dryRun) await sweepFileCache(join(config.cacheDir, 'lake'));
}

/** <cache>/loads/<table>.<owner>: parts of a first load that the next run would go on with. One that is read noted a part within the age of a run. */
async function* sweepLoads(options: LocalSweepOptions): AsyncGenerator<Garbage> {
  const parent = join(options.config.cacheDir, 'loads');
  for (const name of await names(parent)) {
    const path = join(parent, name);
    // A file is begun or ended far more often than the folder's oldest allowed age.
    const touched = [path, ...(await names(path)).map((file) => join(path, file))];
    const ages = await Promise.all(
      touched.map((each) =>
        stat(each).then(
          (found) => found.mtimeMs,
          () => 0,
        ),
      ),
    );
    if (Date.now() - Math.max(...ages) < options.olderThanMs) continue;
    yield* remove(options, path, 'a first load that nobody went on with', { whateverAge: true });
  }
}

/** <cache>/releases/<sha256>/gold.duckdb, and .gold-<pid>-….tmp beside it while it is fetched. */
async function* sweepReleaseCopies(options: LocalSweepOptions): AsyncGenerator<Garbage> {
  const parent = join(options.config.cacheDir, 'releases');
  const open = await openFiles();
  for (const name of await names(parent)) {
    if (!/^[0-9a-f]{64}$/.test(name)) continue;
    const dir = join(parent, name);
    for (const file of await names(dir)) {
      const path = join(dir, file);
      if (open.has(path)) continue;
      if (file.endsWith('.tmp')) yield* remove(options, path, 'its fetch was never finished');
      else if (!options.kept.has(name)) yield* remove(options, path, 'a copy of a release that is not current');
    }
    if (!options.dryRun && (await names(dir)).length === 0) await rm(dir, { recursive: true, force: true });
  }
}

async function* remove(
  { olderThanMs, dryRun }: LocalSweepOptions,
  path: string,
  why: string,
  { whateverAge = false }: { readonly whateverAge?: boolean } = {},
): AsyncGenerator<Garbage> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) return;
  // Read last counts too: a service that was started from it a moment ago will want it again.
  const ageMs = Date.now() - Math.max(found.mtimeMs, found.ctimeMs, found.atimeMs);
  if (ageMs < olderThanMs && !whateverAge) return;
  const bytes = found.isDirectory() ? await bytesIn(path) : found.size;
  if (!dryRun) await rm(path, { recursive: true, force: true });
  yield { kind: 'local', place: path, bytes, ageMs, why };
}

/** Paths that processes of this user hold open, where the system tells (Linux). */
async function openFiles(): Promise<ReadonlySet<string>> {
  const open = new Set<string>();
  for (const pid of (await names('/proc')).filter((name) => /^\d+$/.test(name)))
    for (const handle of await names(`/proc/${pid}/fd`))
      open.add(await readlink(`/proc/${pid}/fd/${handle}`).catch(() => ''));
  return open;
}

async function bytesIn(dir: string): Promise<number> {
  let sum = 0;
  for (const entry of await readdir(dir, { withFileTypes: true, recursive: true }).catch(() => []))
    if (entry.isFile()) sum += (await stat(join(entry.parentPath, entry.name)).catch(() => undefined))?.size ?? 0;
  return sum;
}

async function names(dir: string): Promise<string[]> {
  return readdir(dir).catch(() => []);
}
