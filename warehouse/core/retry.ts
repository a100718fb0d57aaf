import { setTimeout as sleep } from 'node:timers/promises';

export interface RetryOptions {
  readonly isTransient: (error: unknown) => boolean;
  /** How long to go on since the first try, in milliseconds. */
  readonly patienceMs: () => number;
  /** Told before each pause. */
  readonly onRetry?: (error: unknown, attempt: number, pauseMs: number) => void;
}

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 3_000;

/** Tries again after transient failures, with pauses that double and a random half, so that many waiters do not come back at once. Throws the last failure. */
export async function withRetries<T>(options: RetryOptions, work: (attempt: number) => Promise<T>): Promise<T> {
  const begin = performance.now();
  for (let attempt = 1; ; attempt++) {
    try {
      return await work(attempt);
    } catch (error) {
      const longest = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (attempt - 1));
      const pauseMs = longest / 2 + (Math.random() * longest) / 2;
      if (!options.isTransient(error) || performance.now() - begin + pauseMs > options.patienceMs()) throw error;
      options.onRetry?.(error, attempt, pauseMs);
      await sleep(pauseMs);
    }
  }
}
