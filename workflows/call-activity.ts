import {
  ActivityCancellationType,
  ActivityFailure,
  CancellationScope,
  CancelledFailure,
  proxyActivities,
  TimeoutFailure,
} from '@temporalio/workflow';
import { type ActivityPolicy, STEP_SIGNS, TASK_QUEUE } from '../temporal.config.ts';
import { createFailure } from './failures.ts';

export interface ActivityCall {
  readonly policy: ActivityPolicy;
  /** What the Web UI says of the step. */
  readonly summary: string;
  /** Queue of the one host that can do the step; any worker's when absent. */
  readonly hostQueue?: string;
}

/** One step on a worker. A run that is being cancelled ends as cancelled, whatever the step says in its last words. */
export async function callActivity<Result>(name: string, request: object, call: ActivityCall): Promise<Result> {
  const { policy, hostQueue } = call;
  const { [name]: step } = proxyActivities<Record<string, (request: object) => Promise<Result>>>({
    summary: call.summary,
    taskQueue: hostQueue ?? TASK_QUEUE,
    startToCloseTimeout: policy.startToCloseTimeoutMs,
    heartbeatTimeout: STEP_SIGNS.heartbeatTimeoutMs,
    ...(hostQueue !== undefined && { scheduleToStartTimeout: STEP_SIGNS.hostPickupTimeoutMs }),
    retry: {
      initialInterval: policy.retry.initialIntervalMs,
      backoffCoefficient: policy.retry.backoffCoefficient,
      maximumInterval: policy.retry.maximumIntervalMs,
      maximumAttempts: policy.retry.maximumAttempts,
    },
    cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
  });
  if (step === undefined) throw new Error(`there is no activity ${name}`);
  try {
    return await step(request);
  } catch (error) {
    if (CancellationScope.current().consideredCancelled)
      throw new CancelledFailure(`The run was cancelled during ${name}.`);
    throw explain(error, name, call);
  }
}

/** Silence has reasons: the step took too long, or its worker is gone. */
function explain(error: unknown, name: string, { policy, hostQueue }: ActivityCall): unknown {
  const cause = error instanceof ActivityFailure ? error.cause : undefined;
  if (cause instanceof TimeoutFailure && cause.timeoutType === 'START_TO_CLOSE') {
    return createFailure(
      'STEP_TIMEOUT',
      `The step ${name} took longer than the ${policy.startToCloseTimeoutMs / 1000} s it may take.`,
      'Nothing was published. Raise startToCloseTimeoutMs of the step in temporal.config.ts if it needs longer.',
    );
  }
  if (!(cause instanceof TimeoutFailure || cause instanceof CancelledFailure)) return error;
  return createFailure(
    'BUILD_HOST_LOST',
    hostQueue === undefined
      ? `The workers that did the step ${name} died or fell silent, ${policy.retry.maximumAttempts} times in a row.`
      : `The worker ${hostQueue}, which holds the build, died or fell silent at the step ${name}.`,
    'Nothing was published. Look at the memory and the logs of the workers, then run again.',
  );
}
