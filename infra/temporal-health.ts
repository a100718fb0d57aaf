import { ScheduleNotFoundError } from '@temporalio/client';
import { SCHEDULES, TASK_QUEUE } from '../temporal.config.ts';
import { SluiceError } from '../warehouse/core/errors.ts';
import { findGrpcError, GRPC, type TemporalClient, toTemporalError } from './temporal-connection.ts';

/** What a server has of what runs need, asked without changing anything. */

/** Throws TEMPORAL_REFUSED when there is none of the name. */
export async function describeNamespace(temporal: TemporalClient): Promise<{ readonly retentionHours: number }> {
  const { connection, namespace, address } = temporal;
  try {
    const { config } = await connection.workflowService.describeNamespace({ namespace });
    return { retentionHours: Number(config?.workflowExecutionRetentionTtl?.seconds ?? 0) / 3_600 };
  } catch (error) {
    if (findGrpcError(error)?.code !== GRPC.notFound) throw toTemporalError(error, address);
    throw new SluiceError('TEMPORAL_REFUSED', `The Temporal server at ${address} has no namespace ${namespace}.`, {
      remedy: `Name another in TEMPORAL_NAMESPACE, or make it: temporal operator namespace create --address ${address} --namespace ${namespace}`,
      cause: error,
    });
  }
}

export interface ScheduleState {
  readonly id: string;
  /** Undefined when the server has no such schedule. */
  readonly found:
    | { readonly paused: boolean; readonly note: string | undefined; readonly next: Date | undefined }
    | undefined;
}

/** The schedules of temporal.config.ts as the server has them. */
export async function describeSchedules({ client }: TemporalClient): Promise<readonly ScheduleState[]> {
  return Promise.all(
    SCHEDULES.map(async ({ id }) => {
      try {
        const { state, info } = await client.schedule.getHandle(id).describe();
        return { id, found: { paused: state.paused, note: state.note, next: info.nextActionTimes[0] } };
      } catch (error) {
        if (error instanceof ScheduleNotFoundError) return { id, found: undefined };
        throw error;
      }
    }),
  );
}

/** A poll lasts a minute and is then made anew: who has not asked for longer is gone, though the server still lists it for minutes. */
const POLL_LIFETIME_MS = 75_000;

/** Who asks for the tasks of runs, as workers name themselves: workers that do the workflows and the steps. */
export async function findWorkers({ connection, namespace }: TemporalClient): Promise<readonly string[]> {
  const identities = await Promise.all(
    TASK_QUEUE_TYPES.map(async (taskQueueType) => {
      const { pollers } = await connection.workflowService.describeTaskQueue({
        namespace,
        taskQueue: { name: TASK_QUEUE },
        taskQueueType,
      });
      return (pollers ?? [])
        .filter(({ lastAccessTime }) => Date.now() - Number(lastAccessTime?.seconds ?? 0) * 1_000 < POLL_LIFETIME_MS)
        .map(({ identity }) => identity ?? '');
    }),
  );
  const [workflows = [], steps = []] = identities;
  return [...new Set(workflows)].filter((identity) => steps.includes(identity));
}

/** Numbers of the workflow queue and of the activity queue; their names are in a package that is not ours to import. */
const TASK_QUEUE_TYPES: readonly never[] = [1 as never, 2 as never];
