import { defineSearchAttributeKey } from '@temporalio/common';
import { workflowInfo } from '@temporalio/workflow';
import type { ExtractReport, ExtractRequest, PreparedRun } from '../activities/contract.ts';
import { ACTIVITY_POLICIES, DEFAULT_PIPELINE, PREPARE_POLICY } from '../temporal.config.ts';
import { callActivity } from './call-activity.ts';
import type { EltInput, EltResult } from './contract.ts';
import { formatCounted } from './counted.ts';
import { date, flag, name, oneOf, readInput, texts, timeZone } from './input.ts';
import { runElt } from './run-elt.ts';
import { openRunState } from './run-state.ts';
import { type RunFacts, setSearchAttributes } from './search-attributes.ts';
import { countRows, createTemporalRuntime } from './temporal-runtime.ts';

/** What the workflow `elt` is started with: one JSON object, every field may be left out. */
export interface EltStart extends Partial<EltInput> {
  readonly kind?: RunFacts['kind'];
  /** Zone in which the instant of a schedule becomes the logical date. */
  readonly timeZone?: string;
}

const FIELDS = {
  pipeline: name,
  asOf: date,
  sources: texts('names of sources'),
  select: texts('model selectors'),
  exclude: texts('model selectors'),
  fullRefresh: flag,
  fullTests: flag,
  dropHistory: texts('names of snapshots'),
  steps: oneOf('all', 'extract', 'build'),
  kind: oneOf('nightly', 'manual', 'backfill'),
  timeZone,
} as const;

/** How a run came about, for people. */
const KIND_WORDS = {
  nightly: 'by its schedule',
  manual: 'started by hand',
  backfill: 'after a backfill',
} as const satisfies Readonly<Record<RunFacts['kind'], string>>;

/** The pipeline on Temporal: look up what the input leaves open, then extract → silver → test → gold → test → publish. */
export async function elt(raw?: EltStart): Promise<EltResult> {
  const input: EltStart = readInput('elt', raw, FIELDS, { asOf: '2026-06-30' });
  const pipeline = input.pipeline ?? DEFAULT_PIPELINE;
  const scheduled = scheduledDate(input.timeZone ?? 'UTC');
  const kind = input.kind ?? (scheduled === undefined ? 'manual' : 'nightly');
  const state = openRunState(`${pipeline}, ${KIND_WORDS[kind]}`);
  setSearchAttributes({ EltPipeline: pipeline, EltRunKind: kind });
  try {
    await state.enter('look up sources and date');
    const steps = input.steps ?? 'all';
    const asOf = input.asOf ?? scheduled;
    const request = {
      steps,
      ...(asOf !== undefined && { asOf }),
      ...(input.sources && { sources: input.sources }),
      ...(input.select && { select: input.select }),
      ...(input.exclude && { exclude: input.exclude }),
    };
    const prepared = await callActivity<PreparedRun>('prepare', request, {
      policy: PREPARE_POLICY,
      summary: 'look up sources and date, check names',
    });
    const run: RunFacts = { pipeline, kind, asOf: prepared.asOf };
    setSearchAttributes({ EltLogicalDate: run.asOf, EltSource: prepared.sources.join('+') });
    state.name(`${pipeline}, as of ${run.asOf}, ${KIND_WORDS[kind]}`);
    state.leave(
      `as of ${run.asOf}, ${prepared.sources.length === 1 ? 'source' : 'sources'} ${prepared.sources.join(', ')}`,
    );
    const result = await runElt(createTemporalRuntime(run, prepared.sources, state), {
      pipeline,
      asOf: run.asOf,
      steps,
      ...(input.sources && { sources: input.sources }),
      ...(input.select && { select: input.select }),
      ...(input.exclude && { exclude: input.exclude }),
      ...(input.fullRefresh === true && { fullRefresh: true }),
      ...(input.fullTests === true && { fullTests: true }),
      ...(input.dropHistory && { dropHistory: input.dropHistory }),
    });
    setSearchAttributes({ EltRows: countRows(result.extract) });
    state.finish();
    return result;
  } catch (error) {
    throw state.fail(error);
  }
}

export interface ExtractStart {
  readonly sources: readonly string[];
  readonly request: ExtractRequest;
}

/** Reads sources of one database at one snapshot: a child of its own, so that it is found, retried and cancelled by itself. */
export async function extract({ sources, request }: ExtractStart): Promise<ExtractReport> {
  const names = sources.join(', ');
  const state = openRunState(`extract ${names}`);
  try {
    await state.enter(`read ${names}`);
    const report = await callActivity<ExtractReport>('extract', request, {
      policy: ACTIVITY_POLICIES.extract,
      summary: `read ${names} at one snapshot and commit what changed to bronze`,
    });
    state.leave(`${formatCounted(countRows(report), 'row')} changed`);
    setSearchAttributes({ EltRows: countRows(report) });
    state.finish();
    return report;
  } catch (error) {
    throw state.fail(error);
  }
}

/** The date of the schedule's nominal instant, in its zone; nothing for a run that no schedule started. */
function scheduledDate(zone: string): string | undefined {
  const at = workflowInfo().typedSearchAttributes.get(
    defineSearchAttributeKey('TemporalScheduledStartTime', 'DATETIME'),
  );
  if (at === undefined) return undefined;
  const parts = new Intl.DateTimeFormat('en-US', { timeZone: zone, year: 'numeric', month: '2-digit', day: '2-digit' });
  const found = Object.fromEntries(parts.formatToParts(at).map((part) => [part.type, part.value]));
  return `${found['year']}-${found['month']}-${found['day']}`;
}
