import { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import type { EltActivities, ServerActivities } from '../activities/contract.ts';
import { STEP_SIGNS, WORKER } from '../temporal.config.ts';
import { isSluiceError, messageOf, SluiceError } from '../warehouse/core/errors.ts';
import type { Log } from '../warehouse/core/log.ts';
import type { OnProgress } from '../warehouse/core/progress.ts';
import type { FailureDetail } from '../workflows/failures.ts';
import type { HostedBuild } from '../workflows/temporal-runtime.ts';
import { createRest, type NextStep } from './temporal-rest.ts';

/** The steps as a worker registers them: with heartbeats, the signal of the server's cancellation, and errors that keep their code. */

export type WorkerSteps = EltActivities & ServerActivities;

export interface AttemptScope {
  readonly signal: AbortSignal;
  readonly onProgress: OnProgress;
}

export interface WorkerActivitiesOptions {
  /** Built per attempt, so that each has its own signal. */
  readonly createSteps: (scope: AttemptScope) => WorkerSteps;
  /** Queue on which this process alone listens. */
  readonly hostQueue: string;
  readonly log: Log;
  /** Fires when the worker begins to stop. */
  readonly stopping: AbortSignal;
  /** Called when no step is under way and no build is open here; steps that come meanwhile wait for it. */
  readonly onIdle?: () => Promise<void>;
}

type Activity = (request: never) => Promise<unknown>;

export interface WorkerActivities {
  /** What any worker can do. */
  readonly shared: Readonly<Record<string, Activity>>;
  /** What only the host of the build can do. */
  readonly host: Readonly<Record<string, Activity>>;
  /** Throws away builds whose run did not come back; returns how many. */
  sweep(now: number): Promise<number>;
  /** Builds that are open here. */
  openBuilds(): number;
}

export function createWorkerActivities(options: WorkerActivitiesOptions): WorkerActivities {
  const inTurn = createTurns();
  /** When the last step of each open build ended; infinite while one is under way. */
  const lastUsed = new Map<string, number>();

  const using = async <Result>(buildId: string, work: () => Promise<Result>): Promise<Result> => {
    if (!lastUsed.has(buildId)) return work();
    lastUsed.set(buildId, Number.POSITIVE_INFINITY);
    try {
      return await work();
    } finally {
      // Unless the step was the last one.
      if (lastUsed.has(buildId)) lastUsed.set(buildId, Date.now());
    }
  };
  const restAfter = createRest({
    rest: async () => options.onIdle?.(),
    isBusy: () => lastUsed.size > 0,
    onError: (error) => options.log.warn({ err: error }, 'the local files of runs were not given back'),
  });
  const attempt = <Request, Result>(
    work: (steps: WorkerSteps, request: Request, signal: AbortSignal) => Promise<Result>,
    { ending, next }: StepManner,
  ) => {
    return async (request: Request): Promise<Result> =>
      restAfter(next, () =>
        runAttempt(options, ending, (scope) => work(options.createSteps(scope), request, scope.signal)),
      );
  };
  const hostStep = <Request extends { readonly buildId: string }, Result>(
    work: (steps: WorkerSteps, request: Request) => Promise<Result>,
    ending: StepManner['ending'],
  ) =>
    attempt<Request, Result>(
      (steps, request, signal) =>
        using(request.buildId, () =>
          inTurn(async () => {
            signal.throwIfAborted();
            return work(steps, request);
          }),
        ).catch((error: unknown) => {
          // The run is told that this host is lost and will not ask for this build again.
          if (options.stopping.aborted) lastUsed.delete(request.buildId);
          throw error;
        }),
      { ending, next: 'none' },
    );

  return {
    shared: {
      prepare: attempt<Parameters<WorkerSteps['prepare']>[0], unknown>(
        (steps, request) => steps.prepare(request),
        SHARED_MANNER,
      ),
      extract: attempt<Parameters<WorkerSteps['extract']>[0], unknown>(
        (steps, request) => steps.extract(request),
        SHARED_MANNER,
      ),
      backfillSlice: attempt<Parameters<WorkerSteps['backfillSlice']>[0], unknown>(
        (steps, request) => steps.backfillSlice(request),
        SHARED_MANNER,
      ),
      openBuild: attempt<Parameters<WorkerSteps['openBuild']>[0], HostedBuild>(
        (steps, request, signal) =>
          inTurn(async () => {
            signal.throwIfAborted();
            const build = await steps.openBuild(request);
            // The server gave this attempt up, or nobody will be here to go on: nobody will ever name this build.
            if (signal.aborted) {
              await steps.abortBuild({ buildId: build.buildId });
              signal.throwIfAborted();
            }
            if (build.needed) lastUsed.set(build.buildId, Date.now());
            return { ...build, queue: options.hostQueue };
          }),
        { ending: 'atOnce', next: 'none' },
      ),
    },
    host: {
      runModels: hostStep<Parameters<WorkerSteps['runModels']>[0], unknown>(
        (steps, request) => steps.runModels(request),
        'atOnce',
      ),
      // Samples of failing rows stay in the release's own record: a history is no place for rows.
      runTests: hostStep<Parameters<WorkerSteps['runTests']>[0], unknown>(
        async (steps, request) => (await steps.runTests(request)).map((result) => ({ ...result, sample: [] })),
        'atOnce',
      ),
      publish: hostStep<Parameters<WorkerSteps['publish']>[0], unknown>(async (steps, request) => {
        const release = await steps.publish(request);
        lastUsed.delete(request.buildId);
        return release;
      }, 'inGraceTime'),
      abortBuild: attempt<Parameters<WorkerSteps['abortBuild']>[0], void>(
        (steps, request) => {
          lastUsed.delete(request.buildId);
          return steps.abortBuild(request);
        },
        { ending: 'inGraceTime', next: 'none' },
      ),
    },
    sweep: async (now) => {
      const gone = [...lastUsed].filter(([, at]) => now - at > WORKER.abandonedBuildMs).map(([buildId]) => buildId);
      for (const buildId of gone) {
        lastUsed.delete(buildId);
        options.log.warn({ buildId }, 'the run of this build never came back; its clones are thrown away');
        const steps = options.createSteps({ signal: new AbortController().signal, onProgress: () => undefined });
        await steps.abortBuild({ buildId });
      }
      return gone.length;
    },
    openBuilds: () => lastUsed.size,
  };
}

/** Heavy steps of one host run one after another: each may use all the memory that is configured. Waiting, they go on giving signs of life. */
function createTurns(): <Result>(work: () => Promise<Result>) => Promise<Result> {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const turn = last.then(work, work);
    last = turn.catch(() => undefined);
    return turn;
  };
}

interface StepManner {
  /** When the worker stops: a build dies with its worker, so that going on with it only delays the next one; the rest may end well. */
  readonly ending: 'atOnce' | 'inGraceTime';
  /** What usually comes next here. */
  readonly next: NextStep;
}

/** The build that follows, or the next slice, reads the same files. */
const SHARED_MANNER: StepManner = { ending: 'inGraceTime', next: 'expected' };

async function runAttempt<Result>(
  options: WorkerActivitiesOptions,
  ending: StepManner['ending'],
  work: (scope: AttemptScope) => Promise<Result>,
): Promise<Result> {
  const context = Context.current();
  const { cancellationSignal } = context;
  const signal = ending === 'atOnce' ? AbortSignal.any([cancellationSignal, options.stopping]) : cancellationSignal;
  let latest: unknown;
  // However short the server's patience is, two signs of life fit into it.
  const everyMs = Math.min(
    STEP_SIGNS.heartbeatIntervalMs,
    (context.info.heartbeatTimeoutMs ?? Number.POSITIVE_INFINITY) / 3,
  );
  const beat = setInterval(() => context.heartbeat(latest), everyMs);
  try {
    const result = await work({
      signal,
      onProgress: (event) => {
        latest = event;
        context.heartbeat(event);
      },
    });
    requireCarriable(context.info.activityType, result);
    return result;
  } catch (error) {
    // Rejects with the server's own word for why.
    if (cancellationSignal.aborted && !isShutdown(cancellationSignal)) await context.cancelled;
    if (signal.aborted) throw toFailure(workerStops());
    const { activityType, attempt } = context.info;
    const code = isSluiceError(error) ? error.code : 'INTERNAL';
    options.log.warn({ activity: activityType, attempt, code }, messageOf(error));
    throw toFailure(error);
  } finally {
    clearInterval(beat);
  }
}

/** Bytes that the server takes in one result, less what frames it. */
const MAX_RESULT_BYTES = 2 * 2 ** 20 - 2 ** 14;

/** The server's own answer to a result that is too large is to lose it. */
function requireCarriable(step: string, result: unknown): void {
  const bytes = Buffer.byteLength(JSON.stringify(result) ?? '');
  if (bytes <= MAX_RESULT_BYTES) return;
  throw new SluiceError(
    'STEP_RESULT_TOO_LARGE',
    `The report of the step ${step} has ${bytes} bytes, more than the ${MAX_RESULT_BYTES} that a server takes.`,
    { remedy: 'Split the project, or run it in one process: sluice run.', details: { step, bytes } },
  );
}

function isShutdown(signal: AbortSignal): boolean {
  return messageOf(signal.reason) === 'WORKER_SHUTDOWN';
}

function workerStops(): SluiceError {
  return new SluiceError('BUILD_HOST_LOST', 'The worker stopped in the middle of the step.', {
    remedy: 'Another worker, or this one when it is back, does the step again.',
    retryable: true,
  });
}

/** An error on its way to the server. What is no error of ours is a defect, which trying again does not mend. */
function toFailure(error: unknown): ApplicationFailure {
  const known = isSluiceError(error);
  const detail: FailureDetail = {
    message: messageOf(error),
    ...(known && error.remedy !== undefined && { remedy: error.remedy }),
    retryable: known && error.retryable,
    details: known ? error.details : {},
  };
  return ApplicationFailure.create({
    type: known ? error.code : 'INTERNAL',
    message: known && error.remedy !== undefined ? `${error.message} ${error.remedy}` : messageOf(error),
    nonRetryable: !detail.retryable,
    details: [
      JSON.parse(JSON.stringify(detail, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value))),
    ],
    ...(error instanceof Error && { cause: error }),
  });
}
