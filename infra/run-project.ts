import { demoState } from '../demo/index.ts';
import { DEFAULT_PIPELINE } from '../temporal.config.ts';
import { isIsoDate, systemClock, toIsoDate } from '../warehouse/core/clock.ts';
import { SluiceError } from '../warehouse/core/errors.ts';
import { ignoreProgress, type OnProgress } from '../warehouse/core/progress.ts';
import type { SourceDefinition } from '../warehouse/extract/index.ts';
import type { EltResult } from '../workflows/contract.ts';
import { loadProjectFiles } from './compile-project.ts';
import { runEmbedded } from './embedded-runner.ts';
import { type Project, withSource } from './project.ts';
import { openProjectSteps } from './project-steps.ts';
import { openWorkFolder } from './work-folder.ts';

export interface RunRequest {
  readonly steps: 'all' | 'extract' | 'build';
  /** Logical date; resolved when absent. */
  readonly asOf?: string | undefined;
  readonly select?: readonly string[] | undefined;
  readonly exclude?: readonly string[] | undefined;
  /** Do what the plan of this id said, or nothing. */
  readonly planId?: string | undefined;
  /** Keep the result as a private release of this name instead of publishing it. */
  readonly privateName?: string | undefined;
  readonly source?: readonly string[] | undefined;
  readonly fullRefresh?: boolean | undefined;
  readonly fullTests?: boolean | undefined;
  /** Snapshots whose history may go. */
  readonly dropHistory?: readonly string[] | undefined;
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
  const onProgress = hooks.onProgress ?? ignoreProgress;
  const work = await openWorkFolder(project.config);
  try {
    // Read before anything is carried: a model that cannot be read is no reason to burden the source.
    const files = await loadProjectFiles(project.config);
    const steps = await openProjectSteps(project, work.dir, async () => files);
    if (request.steps === 'build') await assertExtracted(project, steps.sources);
    const result = runEmbedded(
      {
        pipeline: DEFAULT_PIPELINE,
        asOf: request.asOf ?? (await resolveAsOf(project, sourceUrl)),
        steps: request.steps,
        ...(request.source && { sources: request.source }),
        ...(request.select && { select: request.select }),
        ...(request.exclude && { exclude: request.exclude }),
        ...(request.planId !== undefined && { planId: request.planId }),
        ...(request.privateName !== undefined && { privateName: request.privateName }),
        ...(request.fullRefresh && { fullRefresh: true }),
        ...(request.fullTests && { fullTests: true }),
        ...(request.dropHistory && { dropHistory: request.dropHistory }),
      },
      {
        log: project.log,
        ...(hooks.signal && { signal: hooks.signal }),
        createActivities: (signal) => steps.forScope({ signal, onProgress, sourceUrl: sourceUrl ?? '' }),
      },
    );
    return await result.finally(() => steps.settle());
  } finally {
    await work.remove();
  }
}

/** Throws USAGE when no source was ever extracted. */
export async function assertExtracted(
  { bronze, config }: Project,
  sources: readonly SourceDefinition[],
): Promise<void> {
  const heads = await Promise.all(sources.map(({ name }) => bronze.head(name)));
  if (heads.some((head) => head > 0)) return;
  throw new SluiceError('USAGE', `There is nothing to build from: bronze in ${config.lake.url} is empty.`, {
    remedy: 'sluice extract carries the sources to bronze first; sluice run does both.',
  });
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
