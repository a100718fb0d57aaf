import { SluiceError } from '../core/errors.ts';

/**
 * Who may query now. Places go to the tenants in turn, not to the requests in order, and one tenant never holds the last place
 * when there are several: a flood from one makes that one wait.
 */
export interface FairQueue {
  /** Waits for a place; the function it gives back returns it. Throws TOO_MANY_REQUESTS, ENGINE_BUSY (full, or no place in time) or CANCELLED. */
  acquire(
    tenant: string,
    options: { readonly deadline: number; readonly signal?: AbortSignal | undefined },
  ): Promise<() => void>;
  /** How many run and wait now. */
  load(): { readonly running: number; readonly waiting: number };
}

export interface FairQueueLimits {
  readonly places: number;
  readonly maxQueued: number;
  readonly maxQueuedPerTenant: number;
}

interface Waiter {
  readonly start: () => void;
}

export function createFairQueue(limits: FairQueueLimits): FairQueue {
  const perTenant = Math.max(1, limits.places - 1);
  /** Tenants with waiters, the one whose turn is next first. */
  const waiting = new Map<string, Waiter[]>();
  const running = new Map<string, number>();
  let runningTotal = 0;
  let waitingTotal = 0;

  function start(tenant: string): () => void {
    running.set(tenant, (running.get(tenant) ?? 0) + 1);
    runningTotal += 1;
    let returned = false;
    return () => {
      if (returned) return;
      returned = true;
      const left = (running.get(tenant) ?? 1) - 1;
      if (left === 0) running.delete(tenant);
      else running.set(tenant, left);
      runningTotal -= 1;
      startNext();
    };
  }

  function mayStart(tenant: string): boolean {
    return runningTotal < limits.places && (running.get(tenant) ?? 0) < perTenant;
  }

  function startNext(): void {
    for (const [tenant, waiters] of waiting) {
      if (!mayStart(tenant)) continue;
      const waiter = waiters.shift();
      waiting.delete(tenant);
      // To the end of the turn.
      if (waiters.length > 0) waiting.set(tenant, waiters);
      waitingTotal -= 1;
      waiter?.start();
      return;
    }
  }

  function remove(tenant: string, waiter: Waiter): void {
    const waiters = waiting.get(tenant);
    const at = waiters?.indexOf(waiter) ?? -1;
    if (waiters === undefined || at < 0) return;
    waiters.splice(at, 1);
    if (waiters.length === 0) waiting.delete(tenant);
    waitingTotal -= 1;
  }

  return {
    load: () => ({ running: runningTotal, waiting: waitingTotal }),
    acquire: async (tenant, { deadline, signal }) => {
      if (signal?.aborted === true) throw cancelled();
      // Whoever waits could not start, so a newcomer that can start overtakes nobody.
      if (mayStart(tenant)) return start(tenant);
      if ((waiting.get(tenant)?.length ?? 0) >= limits.maxQueuedPerTenant) {
        throw new SluiceError('TOO_MANY_REQUESTS', 'This organization has too many requests waiting.', {
          remedy: 'Send fewer at once, and wait as long as Retry-After says.',
          retryable: true,
          details: { retryAfterSeconds: 1 },
        });
      }
      if (waitingTotal >= limits.maxQueued) throw busy('Too many requests are waiting.');
      return new Promise<() => void>((resolve, reject) => {
        const waiter: Waiter = {
          start: () => {
            settle();
            resolve(start(tenant));
          },
        };
        const giveUp = (error: SluiceError): void => {
          settle();
          remove(tenant, waiter);
          reject(error);
        };
        const onAbort = (): void => giveUp(cancelled());
        const timer = setTimeout(
          () => giveUp(busy('The service was too busy to begin this request in time.')),
          Math.max(0, deadline - performance.now()),
        );
        const settle = (): void => {
          clearTimeout(timer);
          signal?.removeEventListener('abort', onAbort);
        };
        signal?.addEventListener('abort', onAbort, { once: true });
        waiting.set(tenant, [...(waiting.get(tenant) ?? []), waiter]);
        waitingTotal += 1;
      });
    },
  };
}

function busy(message: string): SluiceError {
  return new SluiceError('ENGINE_BUSY', message, {
    remedy: 'Wait as long as Retry-After says and send the same request again.',
    retryable: true,
    details: { retryAfterSeconds: 2 },
  });
}

function cancelled(): SluiceError {
  return new SluiceError('CANCELLED', 'The request was cancelled by its caller.');
}
