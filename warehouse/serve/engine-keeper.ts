import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf, SluiceError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import { type Engine, startEngine } from './engine.ts';
import type { ServingLimits } from './limits.ts';
import type { PinnedRelease } from './pinned-release.ts';

/**
 * Keeps one engine alive over one release: starts another when it dies, and ends it when the release is retired and nobody uses it.
 *
 *   starting ──► up ──(process ends)──► starting again, waits growing 0, 100, 200 … 5,000 ms
 *                 └──(retire, last user gone)──► ended
 */
export interface EngineKeeper {
  readonly pinned: PinnedRelease;
  /** The living engine; waits while one starts, until the deadline. Throws ENGINE_BUSY. */
  engine(deadline: number): Promise<Engine>;
  isUp(): boolean;
  /** Process id of the living engine. */
  pid(): number | undefined;
  /** Holds the release open for one request; the function it gives back lets go. */
  hold(): () => void;
  /** Ends the engine once nobody holds it, at the latest after the longest a request may last. */
  retire(): Promise<void>;
}

const MAX_WAIT_MS = 5_000;

/** Starts the first engine; its failure is the caller's. Later ones are retried for as long as the release is kept. */
export async function createEngineKeeper(
  pinned: PinnedRelease,
  limits: ServingLimits,
  log: Log,
): Promise<EngineKeeper> {
  const end = new AbortController();
  const idle = Promise.withResolvers<void>();
  let holders = 0;
  let retired = false;
  let current: Engine | undefined;
  let starting = Promise.withResolvers<Engine>();

  function adopt(engine: Engine): void {
    current = engine;
    starting.resolve(engine);
    void engine.exited.then(async () => {
      current = undefined;
      starting = Promise.withResolvers<Engine>();
      if (!end.signal.aborted) await restart();
    });
  }

  async function restart(): Promise<void> {
    for (let attempt = 0; !end.signal.aborted; attempt += 1) {
      await sleep(attempt === 0 ? 0 : Math.min(MAX_WAIT_MS, 100 * 2 ** (attempt - 1)), undefined, {
        signal: end.signal,
      }).catch(() => undefined);
      if (end.signal.aborted) return;
      try {
        const engine = await startEngine(pinned.goldPath, limits, log);
        if (end.signal.aborted) return await engine.stop();
        log.warn({ pid: engine.pid, release: pinned.release.version }, 'engine process was restarted');
        return adopt(engine);
      } catch (error) {
        log.error(
          { error: messageOf(error), release: pinned.release.version },
          'engine process could not be restarted',
        );
      }
    }
  }

  adopt(await startEngine(pinned.goldPath, limits, log));

  return {
    pinned,
    isUp: () => current !== undefined,
    pid: () => current?.pid,
    engine: async (deadline) => {
      if (current !== undefined) return current;
      const given = AbortSignal.timeout(Math.max(1, Math.ceil(deadline - performance.now())));
      return Promise.race([
        starting.promise,
        new Promise<never>((_, reject) => {
          given.addEventListener('abort', () => reject(notUp()), { once: true });
        }),
      ]);
    },
    hold: () => {
      holders += 1;
      let gone = false;
      return () => {
        if (gone) return;
        gone = true;
        holders -= 1;
        if (retired && holders === 0) idle.resolve();
      };
    },
    retire: async () => {
      retired = true;
      if (holders === 0) idle.resolve();
      const longest = new AbortController();
      await Promise.race([
        idle.promise,
        sleep(limits.timeoutMs + limits.graceMs, undefined, { signal: longest.signal }).catch(() => undefined),
      ]);
      longest.abort();
      end.abort();
      await current?.stop();
    },
  };
}

function notUp(): SluiceError {
  return new SluiceError('ENGINE_BUSY', 'The query engine is being restarted.', {
    remedy: 'Send the same request again in a few seconds.',
    retryable: true,
    details: { retryAfterSeconds: 2 },
  });
}
