import { join } from 'node:path';
import { createBackfillActivity } from '../activities/backfill.ts';
import { createBuildActivities, type OpenBuild } from '../activities/build.ts';
import type { EltActivities, ServerActivities } from '../activities/contract.ts';
import { createExtractActivity } from '../activities/extract.ts';
import { TURNS } from '../temporal.config.ts';
import type { OnProgress } from '../warehouse/core/progress.ts';
import { loadSources, type SourceDefinition } from '../warehouse/extract/index.ts';
import { compileProject } from '../warehouse/transform/index.ts';
import { createProjectLoader } from './compile-project.ts';
import { createEventSender } from './openlineage/sender.ts';
import { type CompiledBuild, createStepWatch } from './openlineage/watch-steps.ts';
import type { Project } from './project.ts';
import { isRunning, THIS_PROCESS } from './this-process.ts';
import { SLUICE_VERSION } from './version.ts';

/** What one attempt of a step brings along. */
export interface StepScope {
  readonly signal: AbortSignal;
  readonly onProgress: OnProgress;
  /** Postgres to read; empty for steps that read none. */
  readonly sourceUrl: string;
}

export interface ProjectSteps {
  readonly sources: readonly SourceDefinition[];
  /** Builds that are open in this process. */
  readonly builds: ReadonlyMap<string, OpenBuild>;
  /** Waits, a few seconds at most, until the events of what was done are carried. */
  settle(): Promise<void>;
  forScope(scope: StepScope): EltActivities & Pick<ServerActivities, 'backfillSlice'>;
}

/** The steps of a project's runs, wired to its stores; the same for both ways to run. Clones and spools go to `workDir`. */
export async function openProjectSteps(
  project: Project,
  workDir: string,
  /** Called for each build, so that a worker that runs for weeks builds the models as they are now. */
  loadFiles: ReturnType<typeof createProjectLoader> = createProjectLoader(project.config),
): Promise<ProjectSteps> {
  const { config, bronze, releases, log } = project;
  const sources = await loadSources(config.projectDir);
  const builds = new Map<string, OpenBuild>();
  const { url, namespace } = config.openLineage;
  const sender = url === undefined ? undefined : createEventSender(url, log);
  const watch = sender && createStepWatch(sender, { namespace, lake: config.lake.url });
  const limits = { threads: config.threads, memoryMb: config.memoryMb };
  return {
    sources,
    builds,
    settle: async () => sender?.settle(),
    forScope: (scope) => {
      let compiled: CompiledBuild | undefined;
      const create = (onProgress: OnProgress) => createSteps({ ...scope, onProgress }, (build) => (compiled = build));
      return watch?.watch(create, { ...scope, compiled: () => compiled }) ?? create(scope.onProgress);
    },
  };

  function createSteps(scope: StepScope, onCompiled: (build: CompiledBuild) => void) {
    const extraction = {
      bronze,
      sources,
      sourceUrl: scope.sourceUrl,
      workDir,
      loadsDir: join(config.cacheDir, 'loads'),
      version: SLUICE_VERSION,
      maskSecret: config.maskSecret,
      limits: {
        ...limits,
        connections: config.sourceConnections,
        statementTimeoutMs: config.statementTimeoutMs,
        lockTimeoutMs: config.lockTimeoutMs,
      },
      log,
      onProgress: scope.onProgress,
      signal: scope.signal,
    };
    return {
      extract: createExtractActivity(extraction),
      backfillSlice: createBackfillActivity(extraction),
      ...createBuildActivities({
        bronze,
        releases,
        sources: sources.map((source) => source.name),
        compile: async (snapshot, previous) => {
          const standing = new Set(previous?.models.map(({ name }) => name));
          const project = await compileProject({
            ...(await loadFiles()),
            bronzeTables: snapshot.tables,
            needsRule: (name) => standing.has(name),
          });
          onCompiled({ project, bronzeTables: snapshot.tables });
          return project;
        },
        workDir,
        failuresDir: join(config.stateDir, 'failures'),
        limits: { threads: config.threads, memoryLimitMb: config.memoryMb },
        log,
        onProgress: scope.onProgress,
        signal: scope.signal,
        builds,
        turns: {
          holder: THIS_PROCESS,
          isGone: (name) => isRunning(name, (each) => each === THIS_PROCESS) === false,
          signEveryMs: TURNS.signEveryMs,
          idleMs: TURNS.idleMs,
        },
      }),
    };
  }
}
