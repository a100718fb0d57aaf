import { createLogUpdate } from 'log-update';
import { ignoreProgress, type OnProgress, type ProgressEvent } from '../warehouse/core/progress.ts';
import { dim, green, type Output, red } from './output.ts';
import { formatBytes, formatCount, formatCounted, formatDuration } from './table.ts';

/**
 * Shows progress on standard error: on a terminal what runs, with bars, under one line per stage; elsewhere one line per finished item;
 * nothing with --json. Failures and warnings always stay on the screen.
 */
export interface ProgressView {
  readonly onProgress: OnProgress;
  /** Ends the view and leaves its last lines on the screen. */
  done(): void;
}

export function createProgressView(output: Output): ProgressView {
  if (output.json) return { onProgress: ignoreProgress, done: () => undefined };
  const write = (text: string): void => void process.stderr.write(text);
  return output.interactive ? createLiveView(write, createLogUpdate(process.stderr)) : createLineView(write);
}

/** One line per finished item; the tests of a layer are one line, and those that did not pass one each. */
export function createLineView(write: (text: string) => void): ProgressView {
  let tests: Tally | undefined;
  const endTests = (): void => {
    if (tests !== undefined) write(`${formatTally('test', tests)}\n`);
    tests = undefined;
  };
  return {
    onProgress: (event) => {
      if (event.stage !== 'test') endTests();
      if (event.state === 'started' || event.state === 'running') return;
      if (event.stage === 'test') tests = addTo(tests, event);
      if (event.stage !== 'test' || needsAttention(event)) write(`${formatEvent(event)}\n`);
    },
    done: endTests,
  };
}

/** What draws over its own last picture. */
export interface Canvas {
  (text: string): void;
  clear(): void;
  done(): void;
}

/** A picture of a line per stage that has finished items and a line per item that runs. What finished is in the result's tables. */
export function createLiveView(
  write: (text: string) => void,
  canvas: Canvas,
  now: () => number = () => performance.now(),
): ProgressView {
  const running = new Map<string, ProgressEvent>();
  const stages = new Map<string, Tally>();
  let drawnAt = 0;
  const draw = (): void => {
    drawnAt = now();
    const lines = [
      ...[...stages].map(([stage, tally]) => formatTally(stage, tally)),
      ...[...running.values()].slice(-RUNNING_SHOWN).map(formatEvent),
    ];
    canvas(lines.join('\n'));
  };
  return {
    onProgress: (event) => {
      const id = `${event.stage} ${event.item}`;
      if (event.state === 'started' || event.state === 'running') {
        running.set(id, event);
        if (now() - drawnAt >= REDRAW_MS) draw();
        return;
      }
      running.delete(id);
      stages.set(event.stage, addTo(stages.get(event.stage), event));
      if (needsAttention(event)) {
        canvas.clear();
        write(`${formatEvent(event)}\n`);
      }
      if (needsAttention(event) || now() - drawnAt >= REDRAW_MS) draw();
    },
    done: () => {
      if (stages.size === 0 && running.size === 0) return canvas.clear();
      running.clear();
      draw();
      canvas.done();
      stages.clear();
    },
  };
}

const REDRAW_MS = 80;
const RUNNING_SHOWN = 10;

/** What the finished items of a stage add up to. */
interface Tally {
  readonly items: number;
  readonly skipped: number;
  readonly failed: number;
  readonly rows: number;
  readonly bytes: number;
  /** Clock at the first item's start and the last one's end, milliseconds. */
  readonly since: number;
  readonly until: number;
}

function addTo(tally: Tally | undefined, event: ProgressEvent): Tally {
  const now = performance.now();
  return {
    items: (tally?.items ?? 0) + 1,
    skipped: (tally?.skipped ?? 0) + (event.state === 'skipped' ? 1 : 0),
    failed: (tally?.failed ?? 0) + (event.state === 'failed' ? 1 : 0),
    rows: (tally?.rows ?? 0) + (event.rows ?? 0),
    bytes: (tally?.bytes ?? 0) + (event.bytes ?? 0),
    since: tally?.since ?? now - (event.ms ?? 0),
    until: now,
  };
}

/** What one event of a stage stands for, in words. */
const UNITS: Readonly<Record<ProgressEvent['stage'], string>> = {
  load: 'step',
  extract: 'table',
  bronze: 'table',
  silver: 'model',
  gold: 'model',
  test: 'check',
  publish: 'release',
  serve: 'engine',
  verify: 'table',
  gc: 'area',
};

function formatTally(stage: string, { items, skipped, failed, rows, bytes, since, until }: Tally): string {
  const unit = UNITS[stage as ProgressEvent['stage']] ?? 'item';
  const facts = [
    formatCounted(items, unit),
    skipped === 0 ? undefined : `${formatCount(skipped)} unchanged`,
    failed === 0 ? undefined : `${formatCount(failed)} failed`,
    rows === 0 ? undefined : formatCounted(rows, 'row'),
    bytes === 0 ? undefined : formatBytes(bytes),
    formatDuration(until - since),
  ].filter((fact) => fact !== undefined);
  return `${failed === 0 ? green(MARKS.finished) : red(MARKS.failed)} ${stage.padEnd(8)}${dim(facts.join(' · '))}`;
}

const MARKS = { started: '·', running: '·', finished: '✓', skipped: '–', failed: '✗' } as const;

/** Failures, and tests that warn: their note is more than the number that passed. */
function needsAttention(event: ProgressEvent): boolean {
  if (event.state === 'failed') return true;
  return event.stage === 'test' && event.state === 'finished' && !/^\d+ passed$/.test(event.note ?? '');
}

/** Rows of a view are counted by its tests only. */
const isView = (event: ProgressEvent): boolean => event.note?.startsWith('view') ?? false;

function formatEvent(event: ProgressEvent): string {
  const facts = [
    event.rows === undefined || isView(event) ? undefined : formatCounted(event.rows, 'row'),
    event.bytes === undefined || event.bytes === 0 ? undefined : formatBytes(event.bytes),
    event.ms === undefined ? undefined : formatDuration(event.ms),
    event.note,
  ].filter((fact) => fact !== undefined);
  const bar =
    event.state === 'running' && event.totalRows !== undefined && event.rows !== undefined
      ? `${formatBar(event.rows, event.totalRows)} `
      : '';
  const mark =
    event.state === 'failed'
      ? red(MARKS.failed)
      : event.state === 'finished'
        ? green(needsAttention(event) ? '!' : MARKS.finished)
        : MARKS[event.state];
  return `${mark} ${event.stage.padEnd(8)}${event.item.padEnd(34)} ${bar}${dim(facts.join(' · '))}`.trimEnd();
}

/** [███████░░░] 70 % */
function formatBar(rows: number, totalRows: number, width = 20): string {
  const share = totalRows <= 0 ? 0 : Math.min(1, rows / totalRows);
  const full = Math.round(share * width);
  return `${'█'.repeat(full)}${'░'.repeat(width - full)} ${String(Math.round(share * 100)).padStart(3)} %`;
}
