import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { BronzeSnapshot } from '../../core/bronze-table.ts';
import type { Log } from '../../core/log.ts';
import type { OnProgress } from '../../core/progress.ts';
import type { Release, WarehousePaths } from '../../core/release.ts';
import { openBuild } from '../build/build.ts';
import { bronzeVersions, decideModel } from '../build/decide-model.ts';
import type { BuildLimits } from '../build/warehouse-engine.ts';
import { reach } from '../graph.ts';
import { type CompiledProject, LAYERS } from '../model.ts';
import { diffWarehouses, type ModelDifference } from './diff-warehouses.ts';

/** Promise 8 on a real lake: everything built anew from bronze, beside the release, and compared with it row for row. Nothing is published. */

export interface RebuildVerification {
  readonly equal: boolean;
  readonly models: readonly ModelDifference[];
  /** Models that the release holds in another definition or, left out by a selection, as of older inputs, and all that read them: nothing is said about these. */
  readonly notCompared: readonly string[];
}

export interface VerifyRebuildOptions {
  readonly project: CompiledProject;
  readonly release: Release;
  /** Local read-only copies of the release's files. */
  readonly paths: WarehousePaths;
  /** Bronze at the release's commits. */
  readonly bronze: BronzeSnapshot;
  readonly sample: number;
  /** Folder of this run alone: it takes about the size of the warehouse, and what the queries spill. */
  readonly workDir: string;
  readonly limits: BuildLimits;
  readonly log: Log;
  readonly onProgress: OnProgress;
  readonly signal: AbortSignal;
}

/** Differences read from the release (before) to the rebuild (after). Errors: BUILD_FAILED, CANCELLED, DISK_FULL. */
export async function verifyRebuild(options: VerifyRebuildOptions): Promise<RebuildVerification> {
  const { project, release, bronze, workDir, limits, log, onProgress, signal } = options;
  const known = new Map(release.models.map((state) => [state.name, state]));
  const versions = bronzeVersions(bronze);
  for (const state of known.values()) versions.set(state.name, state.dataVersion);
  const changed = project.models.filter((model) => {
    const facts = { model, state: known.get(model.name), versions, asOf: release.asOf, fullRefresh: false };
    return decideModel({ ...facts, knowsChanges: () => false, countChanges: () => undefined }).kind !== 'unchanged';
  });
  const gone = release.models.filter(({ name }) => !project.models.some((model) => model.name === name));
  const readersOf = (name: string): readonly string[] =>
    project.models.filter(({ dependencies }) => dependencies.includes(name)).map((model) => model.name);
  const starts = changed.map(({ name }) => name);
  const left = new Set([...starts, ...reach(starts, readersOf), ...gone.map(({ name }) => name)]);
  const dir = join(workDir, 'rebuild');
  await mkdir(dir, { recursive: true });
  const paths = { silver: join(dir, 'silver.duckdb'), gold: join(dir, 'gold.duckdb') };
  const build = await openBuild({
    project,
    paths,
    previous: undefined,
    bronze,
    asOf: release.asOf,
    workDir: dir,
    limits,
    log,
    onProgress,
    signal,
  });
  try {
    for (const layer of LAYERS) await build.runModels(layer);
    await build.closeFiles();
    const rebuilt = { paths, models: release.models };
    const names = project.models.map(({ name }) => name).filter((name) => !left.has(name));
    const models = await diffWarehouses({
      before: { paths: options.paths, models: release.models },
      after: rebuilt,
      keys: new Map(project.models.map(({ name, key }) => [name, key])),
      only: names,
      sample: options.sample,
      workDir,
      limits,
      onProgress,
      signal,
    });
    return { equal: models.every(({ kind }) => kind === 'same'), models, notCompared: [...left].sort() };
  } finally {
    await build.abort();
  }
}
