import {
  ContinueAsNew,
  condition,
  defineQuery,
  defineSignal,
  setCurrentDetails,
  setHandler,
} from '@temporalio/workflow';
import { shortReasonOf, toRunFailure } from './failures.ts';

/** What a person sees of a run and may say to it while it is under way. */

export interface RunProgress {
  /** The step under way, or how the run ended. */
  readonly step: string;
  readonly paused: boolean;
  /** Steps that are done, in order, each with its outcome in a few words. */
  readonly done: readonly string[];
}

/** Holds the run before its next step; the step under way ends as usual. */
export const pauseSignal = defineSignal('pause');
export const resumeSignal = defineSignal('resume');
export const progressQuery = defineQuery<RunProgress>('progress');

export interface RunState {
  /** Says what the run is, once more of it is known than its start told. */
  name(title: string): void;
  /** Says what comes next; waits while the run is paused. */
  enter(step: string): Promise<void>;
  /** Says how the step ended. */
  leave(outcome: string): void;
  /** Says that the run is done. */
  finish(): void;
  /** Says at which step the run failed and why; gives the error that the run ends with. */
  fail(error: unknown): unknown;
}

type Stage = 'under way' | 'waiting' | 'done' | 'failed';

/** Must be called before the first await, so that no signal or query comes too early. */
export function openRunState(title: string): RunState {
  let name = title;
  let step = 'starting';
  let stage: Stage = 'under way';
  let paused = false;
  const done: string[] = [];

  const lastLine = (): string | undefined => {
    switch (stage) {
      case 'under way':
        return `▶ ${step}${paused ? ', then a pause ⏸' : ''}`;
      case 'waiting':
        return `⏸ paused before: ${step}`;
      case 'failed':
        return `✗ ${step}`;
      case 'done':
        return undefined;
      default:
        return stage satisfies never;
    }
  };
  const show = (): void => {
    const last = lastLine();
    const lines = [...done.map((outcome) => `✓ ${outcome}`), ...(last === undefined ? [] : [last])];
    setCurrentDetails(`**${escapeMarkdown(name)}**\n\n${lines.map((line) => `- ${escapeMarkdown(line)}`).join('\n')}`);
  };
  const setPaused = (value: boolean): void => {
    paused = value;
    show();
  };
  setHandler(progressQuery, () => ({ step, paused, done }));
  setHandler(pauseSignal, () => setPaused(true));
  setHandler(resumeSignal, () => setPaused(false));
  return {
    name: (better) => {
      name = better;
      show();
    },
    enter: async (next) => {
      step = next;
      stage = paused ? 'waiting' : 'under way';
      show();
      if (!paused) return;
      await condition(() => !paused);
      stage = 'under way';
      show();
    },
    leave: (outcome) => {
      done.push(outcome);
      stage = 'done';
      show();
    },
    finish: () => {
      step = 'finished';
      stage = 'done';
      show();
    },
    fail: (error) => {
      // No end: the next part of the same run goes on.
      if (error instanceof ContinueAsNew) return error;
      step = `${step}: ${shortReasonOf(error)}`;
      stage = 'failed';
      show();
      return toRunFailure(error);
    },
  };
}

/** The Web UI shows details as Markdown, which names and values are not. */
function escapeMarkdown(text: string): string {
  return text.replaceAll(/[\\`*_<>[\]]/g, '\\$&');
}
