import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import {
  CancellationScope,
  ChildWorkflowCancellationType,
  executeChild,
  log,
  ParentClosePolicy,
  sleep,
} from '@temporalio/workflow';
import type { BuildHandle, EltActivities, ExtractReport } from '../activities/contract.ts';
import { ACTIVITY_POLICIES, CHILD_BUSY_WAIT } from '../temporal.config.ts';
import { callActivity } from './call-activity.ts';
import type { PipelineRuntime } from './contract.ts';
import { formatCounted } from './counted.ts';
import { codeOf } from './failures.ts';
import type { RunState } from './run-state.ts';
import { type RunFacts, searchAttributesOf } from './search-attributes.ts';

/** openBuild as a worker answers it: with the queue of the host that holds the clones. */
export interface HostedBuild extends BuildHandle {
  readonly queue: string;
}

/**
 * The pipeline bound to Temporal: extraction as a child of its own, the steps of a build on the queue of the host that opened it. A host that
 * is gone is reported as BUILD_HOST_LOST, after which the pipeline builds again from openBuild.
 */
export function createTemporalRuntime(run: RunFacts, sources: readonly string[], state: RunState): PipelineRuntime {
  /** Queue per build that is open. */
  const hosts = new Map<string, string>();

  async function hostStep<Result>(
    name: 'runModels' | 'runTests' | 'publish',
    request: { readonly buildId: string },
    summary: string,
  ): Promise<Result> {
    await state.enter(summary);
    const hostQueue = hosts.get(request.buildId);
    if (hostQueue === undefined) throw new Error(`the build ${request.buildId} is not open`);
    try {
      return await callActivity<Result>(name, request, { policy: ACTIVITY_POLICIES[name], summary, hostQueue });
    } catch (error) {
      // Nobody listens on the queue of a dead host; what it held dies with it.
      if (codeOf(error) === 'BUILD_HOST_LOST') hosts.delete(request.buildId);
      throw error;
    }
  }

  const activities: EltActivities = {
    extract: async (request) => {
      const names = sources.join(', ');
      await state.enter(`extract ${names}`);
      const report = await executeExtract(run, sources, request);
      const changed = countRows(report);
      state.leave(
        `extract ${names}: ${changed === 0 ? 'nothing changed' : `${formatCounted(changed, 'row')} changed`}`,
      );
      return report;
    },
    openBuild: async (request) => {
      await state.enter('open the build');
      const { queue, ...build } = await callActivity<HostedBuild>('openBuild', request, {
        policy: ACTIVITY_POLICIES.openBuild,
        summary: `clone the current release and plan the build, as of ${request.asOf}`,
      });
      if (build.needed) hosts.set(build.buildId, queue);
      if (build.busy !== undefined) {
        state.leave(`wait for the build of ${build.busy.holder}`);
        return build;
      }
      state.leave(
        build.needed
          ? `plan: ${build.toRun} of ${formatCounted(build.total, 'model')} to run`
          : 'plan: nothing to build',
      );
      return build;
    },
    runModels: async (request) => {
      const models = await hostStep<Awaited<ReturnType<EltActivities['runModels']>>>(
        'runModels',
        request,
        `build the ${request.layer} models`,
      );
      state.leave(`${request.layer}: ${formatCounted(models.length, 'model')}`);
      return models;
    },
    runTests: async (request) => {
      const results = await hostStep<Awaited<ReturnType<EltActivities['runTests']>>>(
        'runTests',
        request,
        `test ${request.layer}`,
      );
      const warned = results.filter((result) => result.status !== 'pass').length;
      state.leave(
        `${request.layer}: ${formatCounted(results.length, 'test')}${warned === 0 ? '' : `, ${warned} with warnings`}`,
      );
      return results;
    },
    publish: async (request) => {
      const release = await hostStep<Awaited<ReturnType<EltActivities['publish']>>>(
        'publish',
        request,
        'publish the release',
      );
      hosts.delete(request.buildId);
      state.leave(`release ${release.number} (${release.version})`);
      return release;
    },
    abortBuild: async (request) => {
      const hostQueue = hosts.get(request.buildId);
      if (hostQueue === undefined) return;
      hosts.delete(request.buildId);
      await callActivity('abortBuild', request, {
        policy: ACTIVITY_POLICIES.abortBuild,
        summary: 'throw the clones of the build away',
        hostQueue,
      });
    },
  };
  return {
    activities,
    log: (message, facts) => log.info(message, { ...facts }),
    wait: (ms) => sleep(ms),
    cleanup: (work) => CancellationScope.nonCancellable(work),
    codeOf,
  };
}

export function countRows(report: ExtractReport | undefined): number {
  return (report?.tables ?? []).reduce((sum, table) => sum + table.inserted + table.updated + table.deleted, 0);
}

/** The child's id is a mutex per sources and date: while another run extracts the same, this one waits for its turn. */
async function executeExtract(
  run: RunFacts,
  sources: readonly string[],
  request: Parameters<EltActivities['extract']>[0],
): Promise<ExtractReport> {
  const names = sources.join('+');
  for (let waitMs: number = CHILD_BUSY_WAIT.initialMs; ; waitMs = Math.min(waitMs * 2, CHILD_BUSY_WAIT.maximumMs)) {
    try {
      return await executeChild<(input: object) => Promise<ExtractReport>>('extract', {
        workflowId: `elt:${run.pipeline}:${names}:${run.asOf}`,
        args: [{ sources, request }],
        staticSummary: `extract ${sources.join(', ')} at one snapshot, as of ${run.asOf}`,
        parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
        cancellationType: ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
        typedSearchAttributes: searchAttributesOf(run, { EltSource: names }),
      });
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
      log.info('another run extracts the same sources; waiting for it', { sources: names, waitMs });
      await sleep(waitMs);
    }
  }
}
