import { readdirSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { openBronze } from '../../warehouse/bronze/index.ts';
import { createFolderStore } from '../../warehouse/core/folder-store.ts';
import { createLog } from '../../warehouse/core/log.ts';
import { type ExtractLimits, extractBatch, type SourceDefinition } from '../../warehouse/extract/index.ts';

/** One run of extract and commit in a process of its own, which kills or stops itself once so many parts are noted or such a file is there. */

export interface ResumeJob {
  readonly url: string;
  readonly dir: string;
  readonly source: SourceDefinition;
  readonly limits: ExtractLimits;
  readonly signal: 'SIGKILL' | 'SIGSTOP';
  /** Parts noted by this process or before it, or the beginning of the name of a file in the load's folder. */
  readonly at: number | string;
}

/** Parts that the loads under `loadsDir` have noted, and the names of their files. */
export function lookAt(loadsDir: string): { readonly finished: number; readonly files: readonly string[] } {
  let finished = 0;
  const files: string[] = [];
  try {
    for (const load of readdirSync(loadsDir)) {
      files.push(...readdirSync(join(loadsDir, load)));
      const text = readFileSync(join(loadsDir, load, 'load.json'), 'utf8');
      finished += (JSON.parse(text) as { finished: unknown[] }).finished.length;
    }
  } catch {
    // Between two states of the folder.
  }
  return { finished, files };
}

async function main(job: ResumeJob): Promise<void> {
  const workDir = join(job.dir, 'work');
  let done = false;
  const look = (): void => {
    const { finished, files } = lookAt(join(workDir, 'loads'));
    const { at } = job;
    if (done || !(typeof at === 'number' ? finished >= at : files.some((name) => name.startsWith(at)))) return;
    done = true;
    process.kill(process.pid, job.signal);
  };
  const log = createLog({ level: 'silent' });
  const bronze = openBronze({ store: createFolderStore(join(job.dir, 'lake')), log });
  const state = await bronze.state([job.source.name]);
  const timer = setInterval(look, 1);
  const batch = await extractBatch({
    url: job.url,
    sources: [job.source],
    state,
    workDir,
    version: '0.0.0',
    log,
    limits: job.limits,
    onProgress: look,
  });
  clearInterval(timer);
  for (const draft of batch.drafts) await bronze.commit(draft.source, draft);
  await rm(batch.dir, { recursive: true, force: true });
}

const [json] = process.argv.slice(2);
if (import.meta.filename === process.argv[1] && json !== undefined) await main(JSON.parse(json) as ResumeJob);
