import { rm } from 'node:fs/promises';
import type { Bronze } from '../warehouse/bronze/index.ts';
import { SluiceError } from '../warehouse/core/errors.ts';
import type { Log } from '../warehouse/core/log.ts';
import type { OnProgress } from '../warehouse/core/progress.ts';
import { type ExtractLimits, extractBatch, type SourceDefinition } from '../warehouse/extract/index.ts';
import type { EltActivities } from './contract.ts';

export interface ExtractDependencies {
  readonly bronze: Bronze;
  readonly sources: readonly SourceDefinition[];
  /** Postgres URL of the database that holds every source. */
  readonly sourceUrl: string;
  readonly workDir: string;
  /** Where finished parts of a killed first load wait for the next run. */
  readonly loadsDir: string;
  readonly version: string;
  readonly maskSecret?: string | undefined;
  readonly limits: ExtractLimits;
  readonly log: Log;
  readonly onProgress: OnProgress;
  readonly signal: AbortSignal;
}

/** The extract step: one snapshot, every table, one commit per source that changed. Tried again after COMMIT_CONFLICT, it reads what is left. */
export function createExtractActivity(dependencies: ExtractDependencies): EltActivities['extract'] {
  const { bronze, log, onProgress, signal } = dependencies;
  return async (request) => {
    const sources = selectSources(dependencies.sources, request.sources);
    const names = sources.map((source) => source.name);
    const batch = await extractBatch({
      url: dependencies.sourceUrl,
      sources,
      state: await bronze.state(names),
      workDir: dependencies.workDir,
      loadsDir: dependencies.loadsDir,
      version: dependencies.version,
      maskSecret: dependencies.maskSecret,
      limits: dependencies.limits,
      log,
      onProgress,
      signal,
    });
    try {
      for (const draft of batch.drafts) await bronze.commit(draft.source, draft);
    } finally {
      await rm(batch.dir, { recursive: true, force: true });
    }
    const commits = await Promise.all(names.map(async (name) => [name, await bronze.head(name)] as const));
    log.info({ run: request.runKey, ms: batch.ms }, 'extracted');
    return {
      tables: batch.tables.map((table) => ({ ...table, ms: Math.round(table.ms) })),
      commits: Object.fromEntries(commits),
      snapshotAt: batch.snapshot.at,
      ms: Math.round(batch.ms),
    };
  };
}

/** The sources by name; all without names. Throws USAGE for one that is not there. */
export function selectSources(
  all: readonly SourceDefinition[],
  names: readonly string[] | undefined,
): readonly SourceDefinition[] {
  if (names === undefined) return all;
  return names.map((name) => {
    const source = all.find((candidate) => candidate.name === name);
    if (source !== undefined) return source;
    throw new SluiceError('USAGE', `There is no source ${JSON.stringify(name)}.`, {
      remedy: `The project's sources are: ${all.map((candidate) => candidate.name).join(', ')}.`,
    });
  });
}
