import { allHandlersFinished, condition, continueAsNew, executeChild, workflowInfo } from '@temporalio/workflow';
import type { BackfillReport, BackfillRequest } from '../activities/contract.ts';
import { BACKFILL, BACKFILL_POLICY, DEFAULT_PIPELINE } from '../temporal.config.ts';
import { callActivity } from './call-activity.ts';
import type { EltResult } from './contract.ts';
import { formatChanges, formatCounted } from './counted.ts';
import type { EltStart } from './elt.ts';
import { addToFailure } from './failures.ts';
import { bound, count, flag, name, readInput, refuse, text } from './input.ts';
import { openRunState, type RunState } from './run-state.ts';
import { setSearchAttributes } from './search-attributes.ts';

/** What the workflow `backfill` is started with. Without a range the whole table is read again. */
export interface BackfillStart {
  readonly source: string;
  readonly table: string;
  /** Values of the first key column, both inclusive. */
  readonly keyFrom?: string | number;
  readonly keyTo?: string | number;
  /** Values of `column` (the table's cursor when absent), both inclusive. */
  readonly from?: string | number;
  readonly to?: string | number;
  readonly column?: string;
  /** Bring the models up to date afterwards by a run of the pipeline; true when absent. */
  readonly build?: boolean;
  readonly pipeline?: string;
  readonly rowsPerSlice?: number;
  /** How far an earlier part of the same backfill came. */
  readonly progress?: BackfillProgress;
}

export interface BackfillProgress {
  readonly after: string | null;
  readonly slices: number;
  readonly rowsRead: number;
  readonly inserted: number;
  readonly updated: number;
  readonly deleted: number;
}

export interface BackfillResult extends Omit<BackfillProgress, 'after'> {
  readonly source: string;
  readonly table: string;
  readonly note?: string;
  /** Number of the release that shows it; absent when nothing new was published. */
  readonly release?: number;
}

const FIELDS = {
  source: { ...name, required: true },
  table: { ...text('the name of a table'), required: true },
  keyFrom: bound,
  keyTo: bound,
  from: bound,
  to: bound,
  column: text('the name of a column'),
  build: flag,
  pipeline: name,
  rowsPerSlice: count(1, 10_000_000),
  progress: {
    problem: (value: unknown) => (isProgress(value) ? undefined : 'is set by the workflow itself: leave it out'),
  },
} as const;

const EXAMPLE = { source: 'app', table: 'transactions', keyFrom: 1000, keyTo: 2000 };
const NOTHING: BackfillProgress = { after: null, slices: 0, rowsRead: 0, inserted: 0, updated: 0, deleted: 0 };

/**
 * Reads a table, or a range of it, again and commits what differs. The watermark stays where it is, so the nightly run beside it misses nothing.
 *
 *   slice ── slice ── … ── (after slicesPerRun: continue as new) ── … ── done ── a run of the pipeline shows it in gold
 */
export async function backfill(raw?: BackfillStart): Promise<BackfillResult> {
  const input = readInput('backfill', raw, FIELDS, EXAMPLE) as unknown as BackfillStart;
  const range = rangeOf(input);
  const { source, table } = input;
  const pipeline = input.pipeline ?? DEFAULT_PIPELINE;
  const state = openRunState(`backfill ${source}.${table}`);
  setSearchAttributes({ EltPipeline: pipeline, EltRunKind: 'backfill', EltSource: source, EltTable: table });
  try {
    let progress = input.progress ?? NOTHING;
    let note: string | undefined;
    for (let slices = 0; ; slices++) {
      if (slices === BACKFILL.slicesPerRun || workflowInfo().continueAsNewSuggested) {
        await condition(allHandlersFinished);
        await continueAsNew<typeof backfill>({ ...input, progress });
      }
      await state.enter(`slice ${progress.slices + 1}`);
      const request: BackfillRequest = {
        runKey: workflowInfo().workflowId,
        source,
        table,
        range,
        ...(progress.after !== null && { after: progress.after }),
        maxRows: input.rowsPerSlice ?? BACKFILL.rowsPerSlice,
      };
      const report = await callActivity<BackfillReport>('backfillSlice', request, {
        policy: BACKFILL_POLICY,
        summary: `read ${source}.${table} again${progress.after === null ? '' : ` behind ${progress.after}`}`,
      });
      progress = add(progress, report);
      note = report.note ?? note;
      setSearchAttributes({ EltRows: progress.inserted + progress.updated + progress.deleted });
      state.leave(`${formatCounted(progress.rowsRead, 'row')} read: ${formatChanges(progress)}`);
      if (report.next === null) break;
    }
    const committed = `The backfill of ${source}.${table} is committed (${formatChanges(progress)}), but the run after it failed:`;
    const release = input.build === false ? undefined : await bringUpToDate(pipeline, state, committed);
    state.finish();
    const { after: _, ...totals } = progress;
    return { source, table, ...totals, ...(note !== undefined && { note }), ...(release !== undefined && { release }) };
  } catch (error) {
    throw state.fail(error);
  }
}

/** A whole run, not only a build: it brings the other tables to a moment that is not older than what the backfill read. */
async function bringUpToDate(pipeline: string, state: RunState, committed: string): Promise<number | undefined> {
  await state.enter('run the pipeline');
  try {
    const result = await executeChild<(input: EltStart) => Promise<EltResult>>('elt', {
      workflowId: `${workflowInfo().workflowId}:run`,
      args: [{ pipeline, kind: 'backfill' }],
      staticSummary: 'bring the models up to date',
    });
    state.leave(result.release === undefined ? 'run: nothing to publish' : `run: release ${result.release.number}`);
    return result.release?.number;
  } catch (error) {
    throw addToFailure(error, committed);
  }
}

function isProgress(value: unknown): value is BackfillProgress {
  if (typeof value !== 'object' || value === null) return false;
  const { after, ...counts } = value as Record<string, unknown>;
  return (after === null || typeof after === 'string') && Object.values(counts).every((n) => Number.isSafeInteger(n));
}

function rangeOf(input: BackfillStart): BackfillRequest['range'] {
  const byKey = input.keyFrom !== undefined || input.keyTo !== undefined;
  const byColumn = input.from !== undefined || input.to !== undefined;
  if (byKey && (byColumn || input.column !== undefined)) {
    throw refuse(
      'backfill',
      ['keyFrom and keyTo name keys, from, to and column values of another column: give one of the two'],
      EXAMPLE,
    );
  }
  if (input.column !== undefined && !byColumn) throw refuse('backfill', ['column needs from or to'], EXAMPLE);
  const [from, to] = byKey ? [input.keyFrom, input.keyTo] : [input.from, input.to];
  return {
    ...(byColumn && { by: 'column' as const }),
    ...(input.column !== undefined && { column: input.column }),
    ...(from !== undefined && { from: String(from) }),
    ...(to !== undefined && { to: String(to) }),
  };
}

function add(progress: BackfillProgress, report: BackfillReport): BackfillProgress {
  return {
    after: report.next,
    slices: progress.slices + 1,
    rowsRead: progress.rowsRead + report.rowsRead,
    inserted: progress.inserted + report.inserted,
    updated: progress.updated + report.updated,
    deleted: progress.deleted + report.deleted,
  };
}
