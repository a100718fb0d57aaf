import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { openBronze } from '../../warehouse/bronze/index.ts';
import { createFolderStore } from '../../warehouse/core/folder-store.ts';
import { createLog } from '../../warehouse/core/log.ts';
import { extractBatch, type SourceDefinition } from '../../warehouse/extract/index.ts';

/** One extraction in a process of its own; prints the rows it read and the most memory it held, in MB. */
const [json] = process.argv.slice(2);
const { url, dir, source } = JSON.parse(json ?? '{}') as { url: string; dir: string; source: SourceDefinition };
const log = createLog({ level: 'silent' });
const bronze = openBronze({ store: createFolderStore(join(dir, 'lake')), log });
const state = await bronze.state([source.name]);
const limits = { memoryMb: 256, threads: 2, connections: 2 };
const workDir = join(dir, 'work');
const batch = await extractBatch({ url, sources: [source], state, workDir, version: '0.0.0', log, limits });
for (const draft of batch.drafts) await bronze.commit(draft.source, draft);
const peak = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
process.stdout.write(JSON.stringify({ rows: batch.tables[0]?.rowsRead, mb: Math.round(Number(peak) / 1024) }));
