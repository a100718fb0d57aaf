import { createLogUpdate } from 'log-update';
import { ignoreProgress, type OnProgress, type ProgressEvent } from '../warehouse/core/progress.ts';
import { dim, green, type Output, red } from './output.ts';
import { formatBytes, formatCount, formatDuration } from './table.ts';

/** Shows progress on standard error: live bars on a terminal, one line per finished item elsewhere, nothing with --json. */
export interface ProgressView {
  readonly onProgress: OnProgress;
  /** Leaves the last state on the screen. */
  done(): void;
}

export function createProgressView(output: Output): ProgressView {
  if (output.json) return { onProgress: ignoreProgress, done: () => undefined };
  return output.interactive ? createLiveView() : createLineView();
}

function createLineView(): ProgressView {
  return {
    onProgress: (event) => {
      if (event.state === 'finished' || event.state === 'skipped' || event.state === 'failed')
        process.stderr.write(`${formatEvent(event)}\n`);
    },
    done: () => undefined,
  };
}

function createLiveView(): ProgressView {
  const update = createLogUpdate(process.stderr, { showCursor: true });
  const running = new Map<string, ProgressEvent>();
  let drawnAt = 0;
  const draw = (): void => {
    drawnAt = Date.now();
    update([...running.values()].slice(-12).map(formatEvent).join('\n'));
  };
  return {
    onProgress: (event) => {
      const id = `${event.stage} ${event.item}`;
      if (event.state === 'started' || event.state === 'running') {
        running.set(id, event);
        if (Date.now() - drawnAt >= 80) draw();
        return;
      }
      running.delete(id);
      update.clear();
      process.stderr.write(`${formatEvent(event)}\n`);
      draw();
    },
    done: () => {
      update.clear();
      update.done();
    },
  };
}

const MARKS = { started: '·', running: '·', finished: '✓', skipped: '–', failed: '✗' } as const;

function formatEvent(event: ProgressEvent): string {
  const facts = [
    event.rows === undefined ? undefined : `${formatCount(event.rows)} rows`,
    event.bytes === undefined || event.bytes === 0 ? undefined : formatBytes(event.bytes),
    event.ms === undefined ? undefined : formatDuration(event.ms),
    event.note,
  ].filter((fact) => fact !== undefined);
  const bar =
    event.state === 'running' && event.totalRows !== undefined && event.rows !== undefined
      ? `${formatBar(event.rows, event.totalRows)} `
      : '';
  const mark =
    event.state === 'finished'
      ? green(MARKS.finished)
      : event.state === 'failed'
        ? red(MARKS.failed)
        : MARKS[event.state];
  return `${mark} ${event.stage.padEnd(8)}${event.item.padEnd(34)} ${bar}${dim(facts.join(' · '))}`;
}

/** [███████░░░] 70 % */
function formatBar(rows: number, totalRows: number, width = 20): string {
  const share = totalRows <= 0 ? 0 : Math.min(1, rows / totalRows);
  const full = Math.round(share * width);
  return `${'█'.repeat(full)}${'░'.repeat(width - full)} ${String(Math.round(share * 100)).padStart(3)} %`;
}
