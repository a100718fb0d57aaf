/** Whether a step is likely to be followed by another in this process. */
export type NextStep = 'expected' | 'none';

export interface RestOptions {
  /** Called when nothing is under way; steps that come meanwhile wait for it. */
  readonly rest: () => Promise<void>;
  /** Whether something goes on between steps, as open builds do. */
  readonly isBusy: () => boolean;
  readonly onError: (error: unknown) => void;
}

/** A step that is expected comes within this, or to another worker. */
const PATIENCE_MS = 10_000;

/**
 * Runs steps, and `rest` once a run is over: what steps hold may then be given back. A step that comes while it is waits, so that it never
 * holds what is being taken away.
 */
export function createRest({
  rest,
  isBusy,
  onError,
}: RestOptions): <Result>(next: NextStep, step: () => Promise<Result>) => Promise<Result> {
  let underWay = 0;
  let resting: Promise<void> = Promise.resolve();
  let patience: NodeJS.Timeout | undefined;
  const restNow = (): void => {
    if (underWay > 0 || isBusy()) return;
    resting = rest().catch(onError);
  };
  return async (next, step) => {
    clearTimeout(patience);
    underWay++;
    try {
      await resting;
      return await step();
    } finally {
      underWay--;
      if (next === 'none') restNow();
      else patience = setTimeout(restNow, PATIENCE_MS).unref();
    }
  };
}
