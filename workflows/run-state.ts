import { condition, defineQuery, defineSignal, setCurrentDetails, setHandler } from '@temporalio/workflow';

/** What a person sees of a run and may say to it while it is under way. */

export interface RunProgress {
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
  /** Says what comes next; waits while the run is paused. */
  enter(step: string): Promise<void>;
  /** Says how the step ended. */
  leave(outcome: string): void;
}

/** Must be called before the first await, so that no signal or query comes too early. */
export function openRunState(title: string): RunState {
  let step = 'starting';
  let paused = false;
  const done: string[] = [];
  const show = (): void => {
    const lines = [...done.map((line) => `- ✓ ${line}`), `- ${paused ? '⏸ paused before' : '▶'} ${step}`];
    setCurrentDetails(`**${title}**\n\n${lines.join('\n')}`);
  };
  setHandler(progressQuery, () => ({ step, paused, done }));
  setHandler(pauseSignal, () => {
    paused = true;
    show();
  });
  setHandler(resumeSignal, () => {
    paused = false;
    show();
  });
  return {
    enter: async (next) => {
      step = next;
      show();
      if (paused) await condition(() => !paused);
    },
    leave: (outcome) => {
      done.push(outcome);
      show();
    },
  };
}
