import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { openBronze } from '../../warehouse/bronze/index.ts';
import { createFolderStore } from '../../warehouse/core/folder-store.ts';
import { createLog } from '../../warehouse/core/log.ts';
import type { ObjectStore } from '../../warehouse/core/object-store.ts';
import { extractBatch, type SourceDefinition } from '../../warehouse/extract/index.ts';

/** One run of extract and commit in a process of its own, which kills itself before its n-th write to the lake (never when n is 0). */
const [json] = process.argv.slice(2);
const { url, dir, source, killBefore } = JSON.parse(json ?? '{}') as {
  url: string;
  dir: string;
  source: SourceDefinition;
  killBefore: number;
};

let writes = 0;
function count(): void {
  writes++;
  if (writes === killBefore) process.kill(process.pid, 'SIGKILL');
}

const folder = createFolderStore(join(dir, 'lake'));
const store: ObjectStore = {
  ...folder,
  putIfAbsent: async (key, bytes) => {
    count();
    const won = await folder.putIfAbsent(key, bytes);
    count();
    return won;
  },
  putFile: async (key, path) => {
    count();
    await folder.putFile(key, path);
  },
  delete: async (key) => {
    count();
    await folder.delete(key);
  },
};
const log = createLog({ level: 'silent' });
const bronze = openBronze({ store, log });
const state = await bronze.state([source.name]);
const batch = await extractBatch({ url, sources: [source], state, workDir: join(dir, 'work'), version: '0.0.0', log });
process.stdout.write('extracted\n');
for (const draft of batch.drafts) await bronze.commit(draft.source, draft);
await rm(batch.dir, { recursive: true, force: true });
process.stdout.write(`${JSON.stringify({ writes, drafts: batch.drafts.length })}\n`);
