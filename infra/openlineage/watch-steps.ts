import { randomUUID } from 'node:crypto';
import type { EltActivities, ExtractReport } from '../../activities/contract.ts';
import { isSluiceError, messageOf } from '../../warehouse/core/errors.ts';
import type { OnProgress } from '../../warehouse/core/progress.ts';
import type { TestResult } from '../../warehouse/core/release.ts';
import {
  type BronzeTableFacts,
  type CompiledProject,
  type ModelLineage,
  traceLineage,
} from '../../warehouse/transform/index.ts';
import {
  createRunEvent,
  type LineageDataset,
  modelDataset,
  type RunFacts,
  rowsFacet,
  testedDataset,
} from './events.ts';
import type { EventSender } from './sender.ts';

/** The steps of a run with an OpenLineage event at each turn. Both runners take their steps from the same place, so both tell. */

/** What a build was compiled to. */
export interface CompiledBuild {
  readonly project: CompiledProject;
  readonly bronzeTables: readonly BronzeTableFacts[];
}

interface WatchedBuild extends CompiledBuild {
  readonly runId: string;
  readonly asOf: string;
  readonly lineage: () => Promise<ReadonlyMap<string, ModelLineage>>;
  readonly modelRuns: Map<string, string>;
  error?: unknown;
}

export interface StepWatch {
  /** The steps of one attempt; `compiled` gives what its openBuild compiled. */
  watch<Steps extends EltActivities>(
    create: (onProgress: OnProgress) => Steps,
    scope: {
      readonly onProgress: OnProgress;
      readonly sourceUrl: string;
      readonly compiled: () => CompiledBuild | undefined;
    },
  ): Steps;
}

const BUILD_JOB = 'build';

export function createStepWatch(
  sender: EventSender,
  names: { readonly namespace: string; readonly lake: string },
): StepWatch {
  const builds = new Map<string, WatchedBuild>();
  const emit = (facts: () => Omit<RunFacts, 'namespace'> | Promise<Omit<RunFacts, 'namespace'>>) =>
    sender.send(async () => createRunEvent({ ...(await facts()), namespace: names.namespace }));
  const tell = (facts: Omit<RunFacts, 'namespace' | 'at'>) => {
    const at = new Date();
    emit(() => ({ ...facts, at }));
  };
  const datasetsOf = (tables: readonly string[]): readonly LineageDataset[] =>
    tables.map((name) => ({ namespace: names.lake, name }));

  const tellModel = (build: WatchedBuild, event: Parameters<OnProgress>[0]) => {
    const model = build.project.models.find((one) => one.name === event.item);
    if (model === undefined || (event.stage !== 'silver' && event.stage !== 'gold') || event.state === 'running')
      return;
    const isStart = event.state === 'started';
    const runId = (isStart ? undefined : build.modelRuns.get(model.name)) ?? randomUUID();
    build.modelRuns.set(model.name, runId);
    const at = new Date();
    emit(async () => ({
      type: isStart ? 'START' : event.state === 'failed' ? 'FAIL' : 'COMPLETE',
      at,
      runId,
      job: model.name,
      jobType: 'MODEL',
      parent: { runId: build.runId, job: BUILD_JOB },
      asOf: build.asOf,
      sql: model.sql,
      inputs: datasetsOf(model.dependencies),
      outputs: [modelDataset(names.lake, model, (await build.lineage()).get(model.name), event.rows)],
      ...(event.state === 'failed' && { error: event.note ?? 'the model failed' }),
    }));
  };

  const tellTests = (build: WatchedBuild, layer: string, results: readonly TestResult[], error?: unknown) => {
    const byModel = Map.groupBy(results, (result) => result.model);
    const inputs = [...byModel].flatMap(([name, list]) => {
      const model = build.project.models.find((one) => one.name === name);
      const read = build.project.sqlTests.find((one) => one.name === name)?.dependencies ?? [];
      return model === undefined
        ? read.map((table) => testedDataset(names.lake, table, list, []))
        : [testedDataset(names.lake, name, list, model.tests)];
    });
    const facts = {
      runId: randomUUID(),
      job: `test.${layer}`,
      jobType: 'TEST',
      asOf: build.asOf,
      parent: { runId: build.runId, job: BUILD_JOB },
    } as const;
    tell({ ...facts, type: 'START', inputs: datasetsOf(inputs.map(({ name }) => name)) });
    tell({
      ...facts,
      type: error === undefined ? 'COMPLETE' : 'FAIL',
      inputs,
      ...(error !== undefined && { error: messageOf(error) }),
    });
  };

  const end = (buildId: string, type: 'COMPLETE' | 'FAIL' | 'ABORT', error?: unknown) => {
    const build = builds.get(buildId);
    if (build === undefined) return;
    builds.delete(buildId);
    tell({
      type,
      runId: build.runId,
      job: BUILD_JOB,
      jobType: 'PIPELINE',
      asOf: build.asOf,
      ...(type === 'COMPLETE' && { outputs: datasetsOf(build.project.models.map(({ name }) => name)) }),
      ...(error !== undefined && { error: messageOf(error) }),
    });
  };

  return {
    watch: (create, { onProgress, sourceUrl, compiled }) => {
      let current: WatchedBuild | undefined;
      const steps = create((event) => {
        if (current !== undefined) tellModel(current, event);
        onProgress(event);
      });
      const during = async <Result>(buildId: string, work: () => Promise<Result>): Promise<Result> => {
        const build = builds.get(buildId);
        current = build;
        try {
          return await work();
        } catch (error) {
          if (build !== undefined) build.error = error;
          throw error;
        }
      };
      return {
        ...steps,
        extract: async (request) => {
          const facts = { runId: randomUUID(), job: 'extract', jobType: 'EXTRACT' } as const;
          tell({ ...facts, type: 'START' });
          try {
            const report = await steps.extract(request);
            tell({ ...facts, type: 'COMPLETE', ...extractedDatasets(report, sourceUrl, names.lake) });
            return report;
          } catch (error) {
            tell({ ...facts, type: typeOfEnd(error), error: messageOf(error) });
            throw error;
          }
        },
        openBuild: async (request) => {
          const at = new Date();
          const handle = await steps.openBuild(request);
          const built = compiled();
          if (!handle.needed || built === undefined) return handle;
          let lineage: Promise<ReadonlyMap<string, ModelLineage>> | undefined;
          builds.set(handle.buildId, {
            ...built,
            runId: handle.buildId,
            asOf: request.asOf,
            lineage: () => (lineage ??= traceLineage(built.project, built.bronzeTables)),
            modelRuns: new Map(),
          });
          emit(() => ({
            type: 'START',
            at,
            runId: handle.buildId,
            job: BUILD_JOB,
            jobType: 'PIPELINE',
            asOf: request.asOf,
          }));
          return handle;
        },
        runModels: (request) => during(request.buildId, () => steps.runModels(request)),
        runTests: async (request) => {
          const build = builds.get(request.buildId);
          try {
            const results = await during(request.buildId, () => steps.runTests(request));
            if (build !== undefined) tellTests(build, request.layer, results);
            return results;
          } catch (error) {
            const failed = isSluiceError(error) ? error.details['tests'] : undefined;
            if (build !== undefined && Array.isArray(failed))
              tellTests(build, request.layer, failed as readonly TestResult[], error);
            throw error;
          }
        },
        publish: async (request) => {
          const release = await during(request.buildId, () => steps.publish(request));
          end(request.buildId, 'COMPLETE');
          return release;
        },
        abortBuild: async (request) => {
          const error = builds.get(request.buildId)?.error;
          end(request.buildId, error === undefined ? 'ABORT' : typeOfEnd(error), error);
          await steps.abortBuild(request);
        },
      };
    },
  };
}

function typeOfEnd(error: unknown): 'FAIL' | 'ABORT' {
  return isSluiceError(error) && error.code === 'CANCELLED' ? 'ABORT' : 'FAIL';
}

/** Tables of Postgres in, tables of bronze out; the URL's user and password stay here. */
function extractedDatasets(
  report: ExtractReport,
  sourceUrl: string,
  lake: string,
): { readonly inputs: readonly LineageDataset[]; readonly outputs: readonly LineageDataset[] } {
  const url = URL.canParse(sourceUrl) ? new URL(sourceUrl) : undefined;
  const namespace = url === undefined ? 'postgres' : `postgres://${url.hostname || 'localhost'}:${url.port || '5432'}`;
  const database = url === undefined ? '' : `${decodeURIComponent(url.pathname.slice(1))}.`;
  return {
    inputs: report.tables.map(({ source, table }) => ({ namespace, name: `${database}${source}.${table}` })),
    outputs: report.tables.map(({ source, table, rowsRead }) => ({
      namespace: lake,
      name: `bronze.${source}.${table}`.toLowerCase(),
      outputFacets: rowsFacet(rowsRead),
    })),
  };
}
