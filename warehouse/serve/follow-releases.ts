import { setTimeout as sleep } from 'node:timers/promises';
import { isSluiceError, messageOf } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { Release, WarehousePaths } from '../core/release.ts';
import type { Serving } from './serving.ts';

/** Where releases come from: the release stage fits as it is. */
export interface FollowedReleases {
  current(): Promise<Release | undefined>;
  fetch(release: Release): Promise<WarehousePaths>;
}

export interface Following {
  /** Looks now instead of at the next interval; resolves when the current release is served, rejects when it could not be. */
  look(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Serves whatever release is current, looking every `intervalMs`. A release that cannot be fetched is logged and tried again at the next
 * look; one that cannot be served is not, because a release never changes. The one before goes on being served.
 */
export function followReleases(options: {
  readonly serving: Serving;
  readonly releases: FollowedReleases;
  readonly intervalMs: number;
  readonly log: Log;
}): Following {
  const { serving, releases, intervalMs, log } = options;
  const end = new AbortController();
  /** The number last served, or found unservable. */
  let settledNumber = 0;
  let looking: Promise<void> | undefined;

  async function lookOnce(): Promise<void> {
    const release = await releases.current();
    if (release === undefined || release.number === settledNumber || end.signal.aborted) return;
    const { gold } = await releases.fetch(release);
    try {
      await serving.swap({ release, goldPath: gold });
      settledNumber = release.number;
    } catch (error) {
      if (isSluiceError(error, 'RELEASE_UNSERVABLE')) settledNumber = release.number;
      throw error;
    }
  }

  function look(): Promise<void> {
    looking ??= lookOnce().finally(() => {
      looking = undefined;
    });
    return looking;
  }

  const loop = (async () => {
    while (!end.signal.aborted) {
      await look().catch((error: unknown) => {
        log.error({ error: messageOf(error) }, 'the current release cannot be served; the one before goes on');
      });
      await sleep(intervalMs, undefined, { signal: end.signal, ref: false }).catch(() => undefined);
    }
  })();

  return {
    look,
    stop: async () => {
      end.abort();
      await loop;
    },
  };
}
