import { rm } from 'node:fs/promises';
import { SluiceError } from '../warehouse/core/errors.ts';
import { nearestOf } from '../warehouse/core/nearest.ts';
import { extractBatch } from '../warehouse/extract/index.ts';
import type { ServerActivities } from './contract.ts';
import { type ExtractDependencies, selectSources } from './extract.ts';

/** One slice of a backfill: a range of one table read again at one snapshot, and one commit with what differs. The watermark stays. */
export function createBackfillActivity(dependencies: ExtractDependencies): ServerActivities['backfillSlice'] {
  const { bronze, log } = dependencies;
  return async ({ source: name, table, range, after, maxRows, runKey }) => {
    const [source] = selectSources(dependencies.sources, [name]);
    if (source === undefined || !Object.hasOwn(source.tables, table)) {
      const tables = Object.keys(source?.tables ?? {});
      const near = nearestOf(table, tables);
      throw new SluiceError('USAGE', `The source ${name} has no table ${JSON.stringify(table)}.`, {
        remedy:
          near === undefined
            ? `Its tables are: ${tables.join(', ')}.`
            : `Did you mean ${near}? Its tables are: ${tables.join(', ')}.`,
      });
    }
    const batch = await extractBatch({
      url: dependencies.sourceUrl,
      sources: [source],
      state: await bronze.state([name]),
      workDir: dependencies.workDir,
      version: dependencies.version,
      maskSecret: dependencies.maskSecret,
      limits: dependencies.limits,
      log,
      onProgress: dependencies.onProgress,
      signal: dependencies.signal,
      backfill: { table, maxRows, range: { ...range, ...(after !== undefined && { after }) } },
    });
    try {
      for (const draft of batch.drafts) await bronze.commit(draft.source, draft);
    } finally {
      await rm(batch.dir, { recursive: true, force: true });
    }
    const [outcome] = batch.tables;
    if (outcome === undefined) throw new SluiceError('INTERNAL', `The slice of ${name}.${table} read nothing.`);
    log.info({ run: runKey, source: name, table, next: outcome.next ?? null }, 'slice carried');
    return {
      rowsRead: outcome.rowsRead,
      inserted: outcome.inserted,
      updated: outcome.updated,
      deleted: outcome.deleted,
      next: outcome.next ?? null,
      ...(outcome.note !== undefined && { note: outcome.note }),
      ms: Math.round(batch.ms),
    };
  };
}
