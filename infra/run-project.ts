import { createBuildActivities, type OpenBuild } from '../activities/build.ts';
import { createExtractActivity } from '../activities/extract.ts';
import { demoState } from '../demo/index.ts';
import { isIsoDate, systemClock, toIsoDate } from '../warehouse/core/clock.ts';
import { SluiceError } from '../warehouse/core/errors.ts';
import { ignoreProgress, type OnProgress } from '../warehouse/core/progress.ts';
import { loadSources } from '../warehouse/extract/index.ts';
import { compileProject, loadProject } from '../warehouse/transform/index.ts';
import type { EltResult } from '../workflows/contract.ts';
import { runEmbedded } from './embedded-runner.ts';
import { type Project, withSource } from './project.ts';
import { SLUICE_VERSION } from './version.ts';
import { openWorkFolder } from './work-folder.ts';

export interface RunRequest {
  readonly steps: 'all' | 'extract' | 'build';
  /** Logical date; resolved when absent. */
  readonly asOf?: string | undefined;
  readonly select?: readonly string[] | undefined;
  readonly source?: readonly string[] | undefined;
  readonly fullRefresh?: boolean | undefined;
}

export interface RunHooks {
  readonly onProgress?: OnProgress;
  readonly signal?: AbortSignal;
}

/** Runs the pipeline of a project in this process. */
export async function runProject(project: Project, request: RunRequest, hooks: RunHooks = {}): Promise<EltResult> {
  if (request.asOf !== undefined) assertDate(request.asOf);
  if (request.steps === 'build') return runSteps(project, request, hooks, undefined);
  return withSource(project.config, project.log, (url) => runSteps(project, request, hooks, url), hooks.onProgress);
}

async function runSteps(
  project: Project,
  request: RunRequest,
  hooks: RunHooks,
  sourceUrl: string | undefined,
): Promise<EltResult> {
  const { config, bronze, releases, log } = project;
  const onProgress = hooks.onProgress ?? ignoreProgress;
  const sources = await loadSources(config.projectDir);
  const files = await loadProject(config.projectDir);
  const asOf = request.asOf ?? (await resolveAsOf(project, sourceUrl));
  const work = await openWorkFolder(config);
  const builds = new Map<string, OpenBuild>();
  const limits = { threads: config.threads, memoryMb: config.memoryMb };
  const run = runEmbedded(
    {
      pipeline: 'elt',
      asOf,
      steps: request.steps,
      ...(request.source && { sources: request.source }),
      ...(request.select && { select: request.select }),
      ...(request.fullRefresh && { fullRefresh: true }),
    },
    {
      log,
      ...(hooks.signal && { signal: hooks.signal }),
      createActivities: (signal) => ({
        extract: createExtractActivity({
          bronze,
          sources,
          sourceUrl: sourceUrl ?? '',
          workDir: work.dir,
          version: SLUICE_VERSION,
          limits: { ...limits, statementTimeoutMs: config.statementTimeoutMs, lockTimeoutMs: config.lockTimeoutMs },
          log,
          onProgress,
          signal,
        }),
        ...createBuildActivities({
          bronze,
          releases,
          sources: sources.map((source) => source.name),
          compile: (snapshot) => compileProject({ files, bronzeTables: snapshot.tables }),
          workDir: work.dir,
          limits: { threads: config.threads, memoryLimitMb: config.memoryMb },
          log,
          onProgress,
          signal,
          builds,
        }),
      }),
    },
  );
  return run.finally(work.remove);
}

/** A build keeps the date of the current release; demo data has a calendar of its own; everything else is today in UTC. */
export async function resolveAsOf(project: Project, sourceUrl: string | undefined): Promise<string> {
  if (sourceUrl === undefined) return (await project.releases.current())?.asOf ?? toIsoDate(systemClock.now());
  return (await demoState(sourceUrl))?.asOf ?? toIsoDate(systemClock.now());
}

/** Throws USAGE unless the text is a calendar date. */
export function assertDate(asOf: string): void {
  if (isIsoDate(asOf)) return;
  throw new SluiceError('USAGE', `--as-of ${JSON.stringify(asOf)} is not a calendar date.`, {
    remedy: 'Write it as YYYY-MM-DD, e.g. --as-of 2026-06-30.',
  });
}
