import {
  ScheduleAlreadyRunning,
  type ScheduleOptions,
  ScheduleOverlapPolicy,
  type ScheduleUpdateOptions,
} from '@temporalio/client';
import { SCHEDULES, type ScheduleDefinition, TASK_QUEUE } from '../temporal.config.ts';
import type { TemporalClient } from './temporal-connection.ts';
import { toTemporalError } from './temporal-connection.ts';

export interface AppliedSchedule {
  readonly id: string;
  readonly created: boolean;
  readonly cron: string;
  readonly timeZone: string;
  readonly paused: boolean;
  readonly note: string | null;
  /** ISO instant; null when none comes. */
  readonly next: string | null;
}

/** Brings the server's schedules to what temporal.config.ts says. Safe to repeat; a pause that an operator set stays. */
export async function applySchedules(
  temporal: TemporalClient,
  definitions: readonly ScheduleDefinition[] = SCHEDULES,
): Promise<readonly AppliedSchedule[]> {
  const applied: AppliedSchedule[] = [];
  try {
    for (const definition of definitions) applied.push(await applySchedule(temporal, definition));
  } catch (error) {
    throw toTemporalError(error, temporal.address);
  }
  return applied;
}

async function applySchedule(temporal: TemporalClient, definition: ScheduleDefinition): Promise<AppliedSchedule> {
  const wanted = toOptions(definition);
  let created = true;
  try {
    await temporal.client.schedule.create(wanted);
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error;
    created = false;
    const { spec, action, policies } = wanted;
    await temporal.client.schedule
      .getHandle(definition.id)
      .update(({ state }) => ({ spec, action, policies, state }) as ScheduleUpdateOptions);
  }
  const { state, info } = await temporal.client.schedule.getHandle(definition.id).describe();
  return {
    id: definition.id,
    created,
    cron: definition.cron,
    timeZone: definition.timeZone,
    paused: state.paused,
    note: state.note ?? null,
    next: info.nextActionTimes[0]?.toISOString() ?? null,
  };
}

/** BUFFER_ONE: a run that takes longer than a night is followed by one more, not by a heap. */
function toOptions({ id, pipeline, cron, timeZone, catchupWindowMs }: ScheduleDefinition): ScheduleOptions {
  return {
    scheduleId: id,
    spec: { cronExpressions: [cron], timezone: timeZone },
    action: {
      type: 'startWorkflow',
      workflowType: 'elt',
      workflowId: `elt:${pipeline}`,
      taskQueue: TASK_QUEUE,
      args: [{ pipeline, kind: 'nightly', timeZone }],
      staticSummary: `${pipeline}, by the schedule ${id} (${cron} ${timeZone})`,
    },
    policies: { overlap: ScheduleOverlapPolicy.BUFFER_ONE, catchupWindow: catchupWindowMs },
  };
}
