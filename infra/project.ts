import { join } from 'node:path';
import { type Bronze, openBronze } from '../warehouse/bronze/index.ts';
import { systemClock } from '../warehouse/core/clock.ts';
import type { Log } from '../warehouse/core/log.ts';
import type { OnProgress } from '../warehouse/core/progress.ts';
import { openReleases, type Releases } from '../warehouse/release/index.ts';
import type { Config } from './config.ts';
import { type Lake, openLake } from './lake.ts';
import { startEmbeddedPostgres } from './postgres/index.ts';

/** The stores of a project, wired from its configuration. Nothing is opened or written until it is used. */
export interface Project {
  readonly config: Config;
  readonly log: Log;
  readonly store: Lake;
  readonly bronze: Bronze;
  readonly releases: Releases;
}

export function openProject(config: Config, log: Log): Project {
  const store = openLake(config, log);
  return {
    config,
    log,
    store,
    bronze: openBronze({ store, log }),
    releases: openReleases({ store, cacheDir: join(config.cacheDir, 'releases'), log, clock: systemClock }),
  };
}

/** Calls `work` with the source's URL; an embedded source is started, or joined where it runs already, and left afterwards. */
export async function withSource<T>(
  config: Config,
  log: Log,
  work: (url: string) => Promise<T>,
  onProgress?: OnProgress,
): Promise<T> {
  if (config.sourceUrl !== 'embedded') return work(config.sourceUrl);
  const postgres = await startEmbeddedPostgres({
    dir: join(config.stateDir, 'postgres'),
    log,
    ...(onProgress && { onProgress }),
  });
  try {
    return await work(await postgres.createDatabase(EMBEDDED_DATABASE));
  } finally {
    await postgres.stop();
  }
}

/** Database of the project's own Postgres. */
const EMBEDDED_DATABASE = 'app';
