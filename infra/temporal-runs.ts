import { randomBytes } from 'node:crypto';
import {
  WorkflowExecutionAlreadyStartedError,
  type WorkflowExecutionInfo,
  WorkflowFailedError,
  WorkflowNotFoundError,
} from '@temporalio/client';
import {
  ActivityFailure,
  ApplicationFailure,
  CancelledFailure,
  ChildWorkflowFailure,
  TerminatedFailure,
} from '@temporalio/common';
import { DEFAULT_PIPELINE, TASK_QUEUE } from '../temporal.config.ts';
import { ERROR_CODES, type ErrorCode, SluiceError } from '../warehouse/core/errors.ts';
import type { BackfillResult, BackfillStart } from '../workflows/backfill.ts';
import type { EltResult } from '../workflows/contract.ts';
import type { EltStart } from '../workflows/elt.ts';
import type { FailureDetail } from '../workflows/failures.ts';
import type { RunProgress } from '../workflows/run-state.ts';
import { findGrpcError, GRPC, isUnreachable, type TemporalClient, toTemporalError } from './temporal-connection.ts';

export interface StartedRun {
  readonly workflowId: string;
  readonly runId: string;
  readonly link: string;
}

/** Starts the pipeline; the id holds the instant and a little chance, so that any number may be started by hand. */
export async function startElt(temporal: TemporalClient, input: EltStart, id?: string): Promise<StartedRun> {
  const pipeline = input.pipeline ?? DEFAULT_PIPELINE;
  const workflowId = id ?? `elt:${pipeline}:${new Date().toISOString()}-${randomBytes(2).toString('hex')}`;
  return start(
    temporal,
    'elt',
    workflowId,
    input,
    `${pipeline}${input.asOf === undefined ? '' : `, as of ${input.asOf}`}, started by hand on ${new Date().toISOString().slice(0, 10)}`,
  );
}

/** Starts a backfill; one per table at a time. Throws RUN_CONFLICT. */
export async function startBackfill(temporal: TemporalClient, input: BackfillStart): Promise<StartedRun> {
  const table = `${input.source}.${input.table}`;
  return start(temporal, 'backfill', `backfill:${table.replaceAll('/', '_')}`, input, `backfill ${table}`);
}

async function start(
  temporal: TemporalClient,
  type: 'elt' | 'backfill',
  workflowId: string,
  input: object,
  staticSummary: string,
): Promise<StartedRun> {
  try {
    const handle = await temporal.client.workflow.start(type, {
      taskQueue: TASK_QUEUE,
      workflowId,
      args: [input],
      staticSummary,
      workflowIdConflictPolicy: 'FAIL',
      workflowIdReusePolicy: 'ALLOW_DUPLICATE',
    });
    const runId = handle.firstExecutionRunId;
    return { workflowId, runId, link: temporal.linkTo(workflowId, runId) };
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) {
      throw new SluiceError('RUN_CONFLICT', `The run ${workflowId} is under way already.`, {
        remedy: `Wait for it or cancel it: ${temporal.linkTo(workflowId)}`,
        retryable: true,
        cause: error,
      });
    }
    throw toTemporalError(error, temporal.address);
  }
}

export interface WaitOptions {
  readonly signal: AbortSignal;
  /** Called with each step that is new. */
  readonly onProgress?: (progress: RunProgress) => void;
  /** How long the server may be away; it is asked again until then. */
  readonly patienceMs?: number;
}

const LOOK_INTERVAL_MS = 1_000;
const PATIENCE_MS = 120_000;

/** Waits for a run to end, through outages of the server. When the signal fires the run is asked to stop and waited for. Throws the run's own error. */
export async function waitForRun<Result extends EltResult | BackfillResult>(
  temporal: TemporalClient,
  run: StartedRun,
  options: WaitOptions,
): Promise<Result> {
  const handle = temporal.client.workflow.getHandle(run.workflowId, undefined, { firstExecutionRunId: run.runId });
  const cancel = (): void => void handle.cancel().catch(() => undefined);
  if (options.signal.aborted) cancel();
  options.signal.addEventListener('abort', cancel, { once: true });
  const looking = setInterval(() => {
    if (options.onProgress === undefined) return;
    handle
      .query<RunProgress>('progress')
      .then(options.onProgress)
      .catch(() => undefined); // no worker, or no server just now: the next look tells
  }, LOOK_INTERVAL_MS);
  try {
    let awaySince: number | undefined;
    for (;;) {
      try {
        return (await handle.result()) as Result;
      } catch (error) {
        if (!isUnreachable(error)) throw toRunError(error, temporal.address);
        awaySince ??= Date.now();
        if (Date.now() - awaySince > (options.patienceMs ?? PATIENCE_MS))
          throw toTemporalError(error, temporal.address);
        await new Promise((resolve) => setTimeout(resolve, LOOK_INTERVAL_MS));
      }
    }
  } finally {
    clearInterval(looking);
    options.signal.removeEventListener('abort', cancel);
  }
}

/** What a run failed with, as the error that the same run in this process would have thrown. */
export function toRunError(error: unknown, address: string): unknown {
  if (error instanceof WorkflowNotFoundError)
    return new SluiceError(
      'TEMPORAL_REFUSED',
      `The server at ${address} no longer knows the run ${error.workflowId}.`,
      {
        remedy: 'Runs go when their retention ends; sluice releases shows what was published.',
        cause: error,
      },
    );
  if (!(error instanceof WorkflowFailedError)) return toTemporalError(error, address);
  let root: unknown = error.cause;
  while (root instanceof ActivityFailure || root instanceof ChildWorkflowFailure) root = root.cause;
  if (root instanceof CancelledFailure || root instanceof TerminatedFailure) {
    return new SluiceError(
      'CANCELLED',
      `The run was ${root instanceof CancelledFailure ? 'cancelled' : 'terminated'}.`,
      {
        remedy: 'What was committed stands; start it again to go on from there.',
        cause: error,
      },
    );
  }
  const type = root instanceof ApplicationFailure ? root.type : undefined;
  const detail = root instanceof ApplicationFailure ? (root.details?.[0] as FailureDetail | undefined) : undefined;
  const message = detail?.message ?? (root instanceof Error ? root.message : error.message);
  if (typeof type !== 'string' || !(type in ERROR_CODES)) return new SluiceError('INTERNAL', message, { cause: error });
  return new SluiceError(type as ErrorCode, message, {
    ...(detail?.remedy !== undefined && { remedy: detail.remedy }),
    retryable: detail?.retryable ?? false,
    details: detail?.details ?? {},
    cause: error,
  });
}

export interface RunSummary {
  readonly workflowId: string;
  readonly runId: string;
  readonly type: string;
  readonly state: string;
  readonly kind: string | null;
  readonly asOf: string | null;
  readonly table: string | null;
  readonly rows: number | null;
  readonly startedAt: string;
  readonly closedAt: string | null;
  readonly link: string;
}

/** Runs by their search attributes, newest first. `filter` is a visibility query; children are left out unless it is given. */
export async function listRuns(
  temporal: TemporalClient,
  options: { readonly limit: number; readonly filter?: string },
): Promise<readonly RunSummary[]> {
  const runs: RunSummary[] = [];
  const query = options.filter ?? "WorkflowType in ('elt', 'backfill')";
  try {
    for await (const found of temporal.client.workflow.list({ query, pageSize: Math.min(options.limit, 100) })) {
      runs.push(summarize(temporal, found));
      if (runs.length >= options.limit) break;
    }
  } catch (error) {
    const refused = findGrpcError(error);
    if (refused?.code === GRPC.invalidArgument)
      throw new SluiceError('USAGE', `The filter ${JSON.stringify(query)} is refused: ${refused.details}.`, {
        remedy: `Write a visibility query, e.g. --filter "EltRunKind = 'nightly' and ExecutionStatus = 'Failed'".`,
        cause: error,
      });
    throw toTemporalError(error, temporal.address);
  }
  return runs;
}

function summarize(temporal: TemporalClient, run: WorkflowExecutionInfo): RunSummary {
  const attributes = Object.fromEntries(
    run.typedSearchAttributes.getAll().map(({ key, value }) => [key.name, value] as const),
  );
  const read = (name: string): string | null => (typeof attributes[name] === 'string' ? attributes[name] : null);
  const rows = attributes['EltRows'];
  return {
    workflowId: run.workflowId,
    runId: run.runId,
    type: run.type,
    state: run.status.name.toLowerCase().replaceAll('_', ' '),
    kind: read('EltRunKind'),
    asOf: read('EltLogicalDate'),
    table: read('EltTable') === null ? null : `${read('EltSource')}.${read('EltTable')}`,
    rows: typeof rows === 'number' ? rows : null,
    startedAt: run.startTime.toISOString(),
    closedAt: run.closeTime?.toISOString() ?? null,
    link: temporal.linkTo(run.workflowId, run.runId),
  };
}
