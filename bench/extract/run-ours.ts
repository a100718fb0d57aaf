import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { openBronze } from '../../warehouse/bronze/index.ts';
import { createFolderStore } from '../../warehouse/core/folder-store.ts';
import { createLog } from '../../warehouse/core/log.ts';
import { type ExtractLimits, extractBatch, type SourceDefinition } from '../../warehouse/extract/index.ts';
import { measure, readJob } from './measure.ts';
import { COLUMN_NAMES, SCHEMA } from './table.ts';

/** The product's own way from the table to a commit in a lake on local disk. */

export interface OurJob {
  readonly url: string;
  readonly table: string;
  readonly dir: string;
  readonly connections: number;
}

const { url, table, dir, connections } = readJob() as OurJob;
const log = createLog({ level: 'silent' });
const source: SourceDefinition = {
  kind: 'postgres',
  name: SCHEMA,
  schema: SCHEMA,
  tables: {
    [table]: {
      mode: 'cursor',
      key: ['id'],
      columns: COLUMN_NAMES,
      cursor: { column: 'updated_at', setBy: 'database' },
    },
  },
};
// Named here too, so that an extraction that only knows one connection takes it and ignores it: `sessions` in the figures tells.
const limits: ExtractLimits & { readonly connections: number } = { connections };

await measure(async () => {
  const bronze = openBronze({ store: createFolderStore(join(dir, 'lake')), log });
  const state = await bronze.state([SCHEMA]);
  const known = new Set(state.snapshot.tables.flatMap((found) => found.files.map((file) => file.path)));
  const batch = await extractBatch({
    url,
    sources: [source],
    state,
    workDir: join(dir, 'work'),
    version: 'bench',
    log,
    limits,
  });
  for (const draft of batch.drafts) await bronze.commit(draft.source, draft);
  await rm(batch.dir, { recursive: true, force: true });
  const after = await bronze.snapshot([SCHEMA]);
  return after.tables.flatMap((found) => found.files.map((file) => file.path)).filter((path) => !known.has(path));
});
