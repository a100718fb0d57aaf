import { setTimeout as delay } from 'node:timers/promises';
import type { EltActivities } from '../activities/contract.ts';
import { ACTIVITY_POLICIES, type ActivityPolicy } from '../temporal.config.ts';
import { isSluiceError, SluiceError } from '../warehouse/core/errors.ts';
import type { Log } from '../warehouse/core/log.ts';
import type { EltInput, EltResult } from '../workflows/contract.ts';
import { runElt } from '../workflows/run-elt.ts';

/** The pipeline bound in-process: no server, the same retries, and requests and results cross the same JSON boundary as they would on Temporal. */

export interface EmbeddedOptions {
  /** Built per call, so that each attempt gets its own signal. */
  readonly createActivities: (signal: AbortSignal) => EltActivities;
  readonly log: Log;
  readonly signal?: AbortSignal;
  /** Time-outs and retries per step; those of temporal.config.ts when absent. */
  readonly policies?: Readonly<Record<keyof EltActivities, ActivityPolicy>>;
}

/** Runs one pipeline to its end. Throws the first activity's error; CANCELLED when the signal fired. */
export async function runEmbedded(input: EltInput, options: EmbeddedOptions): Promise<EltResult> {
  const signal = options.signal ?? new AbortController().signal;
  const scope = { signal };
  const activities = bindActivities(options, scope);
  return runElt(
    {
      activities,
      log: (message, facts) => options.log.info(facts ?? {}, message),
      wait: async (ms) => {
        await delay(ms, undefined, { signal }).catch(() => undefined);
      },
      cleanup: async (work) => {
        scope.signal = new AbortController().signal;
        try {
          await work();
        } finally {
          scope.signal = signal;
        }
      },
      codeOf: (error) => (isSluiceError(error) ? error.code : 'INTERNAL'),
    },
    crossBoundary(input),
  );
}

function bindActivities(options: EmbeddedOptions, scope: { signal: AbortSignal }): EltActivities {
  const call = async <Name extends keyof EltActivities>(
    name: Name,
    request: Parameters<EltActivities[Name]>[0],
  ): Promise<Awaited<ReturnType<EltActivities[Name]>>> => {
    const policy = (options.policies ?? ACTIVITY_POLICIES)[name];
    const { signal } = scope;
    for (let attempt = 1; ; attempt++) {
      if (signal.aborted) throw cancelled(name);
      const deadline = AbortSignal.timeout(policy.startToCloseTimeoutMs);
      const implementation = options.createActivities(AbortSignal.any([signal, deadline]));
      try {
        const method = implementation[name] as (argument: unknown) => Promise<unknown>;
        return crossBoundary(await method.call(implementation, crossBoundary(request))) as Awaited<
          ReturnType<EltActivities[Name]>
        >;
      } catch (thrown) {
        if (signal.aborted) throw cancelled(name);
        const error = deadline.aborted ? timedOut(name, policy, thrown) : thrown;
        if (!isSluiceError(error) || !error.retryable || attempt >= policy.retry.maximumAttempts) throw error;
        options.log.warn({ activity: name, attempt, code: error.code }, error.message);
        await delay(
          Math.min(
            policy.retry.initialIntervalMs * policy.retry.backoffCoefficient ** (attempt - 1),
            policy.retry.maximumIntervalMs,
          ),
          undefined,
          { signal },
        ).catch(() => undefined);
      }
    }
  };
  return {
    extract: (request) => call('extract', request),
    openBuild: (request) => call('openBuild', request),
    runModels: (request) => call('runModels', request),
    runTests: (request) => call('runTests', request),
    publish: (request) => call('publish', request),
    abortBuild: (request) => call('abortBuild', request),
  };
}

function cancelled(activity: string): SluiceError {
  return new SluiceError('CANCELLED', `The run was cancelled during ${activity}.`, {
    remedy: 'Nothing was published; run the same command again to continue from the last commit.',
  });
}

/** The step's own word for it would be CANCELLED, which nobody asked for. */
function timedOut(activity: string, policy: ActivityPolicy, cause: unknown): SluiceError {
  return new SluiceError(
    'STEP_TIMEOUT',
    `The step ${activity} took longer than the ${policy.startToCloseTimeoutMs / 1000} s it may take.`,
    {
      remedy:
        'Nothing was published. Raise startToCloseTimeoutMs of the step in temporal.config.ts if it needs longer.',
      retryable: true,
      cause,
    },
  );
}

/** What JSON would carry: keeps embedded runs honest about what Temporal can transport. */
function crossBoundary<T>(value: T): T {
  return value === undefined ? value : (JSON.parse(JSON.stringify(value)) as T);
}
