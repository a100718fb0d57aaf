import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { systemClock } from '../../warehouse/core/clock.ts';
import { createFolderStore } from '../../warehouse/core/folder-store.ts';
import { createLog } from '../../warehouse/core/log.ts';
import type { ObjectStore } from '../../warehouse/core/object-store.ts';
import type { Release, ReleaseContent, WarehousePaths } from '../../warehouse/core/release.ts';
import { openReleases, type Releases } from '../../warehouse/release/index.ts';

export const silent = createLog({ level: 'silent' });

/** A folder of the test's own, gone when it ends. */
export async function testFolder(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'sluice-release-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

export function openTestReleases(dir: string, store: ObjectStore = createFolderStore(join(dir, 'lake'))): Releases {
  return openReleases({ store, cacheDir: join(dir, 'cache'), log: silent, clock: systemClock });
}

export function contentOf(asOf: string): ReleaseContent {
  return { format: 1, asOf, commits: { app: 1 }, models: [], datasets: [], declarations: '', tests: [] };
}

/** Files whose bytes name the release, both halves of one moment. */
export async function writeDraft(dir: string, mark: string, silver = mark): Promise<WarehousePaths> {
  await mkdir(dir, { recursive: true });
  const paths = { silver: join(dir, 'silver.duckdb'), gold: join(dir, 'gold.duckdb') };
  await writeFile(paths.silver, `silver ${silver}`);
  await writeFile(paths.gold, `gold ${mark}`);
  return paths;
}

/** Publishes files marked `mark` on the current release. */
export async function publishMark(releases: Releases, dir: string, mark: string, silver = mark): Promise<Release> {
  const base = (await releases.current())?.number ?? 0;
  const paths = await writeDraft(join(dir, `draft-${mark}`), mark, silver);
  return releases.publish({
    base,
    paths,
    content: { ...contentOf('2026-01-01'), commits: { app: Number(mark) || 0 } },
  });
}

export async function readMarks(paths: WarehousePaths): Promise<string[]> {
  return Promise.all([readFile(paths.silver, 'utf8'), readFile(paths.gold, 'utf8')]);
}

/** The store, with a hook before each of its writes. */
export function withHook(
  store: ObjectStore,
  before: (operation: string, key: string) => Promise<void> | void,
): ObjectStore {
  return {
    ...store,
    putIfAbsent: async (key, bytes) => {
      await before('putIfAbsent', key);
      return store.putIfAbsent(key, bytes);
    },
    putFile: async (key, path) => {
      await before('putFile', key);
      await store.putFile(key, path);
    },
  };
}
