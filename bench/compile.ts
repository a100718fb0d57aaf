import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { systemClock, toIsoDate } from '../warehouse/core/clock.ts';
import { generateProject } from './compile/generate-project.ts';
import type { CompileFigures, CompileJob } from './compile/run-compile.ts';
import { type BenchOptions, median, readNumber, round } from './support.ts';

/** A generated project compiled with everything bound: from nothing, when nothing changed, and after one model changed, in a process each; and after one changed in a process that compiled the project before, as a worker does: its first edit, and those after it. */
export async function benchCompile({ rounds, args }: BenchOptions): Promise<Record<string, unknown>> {
  const models = readNumber(args, 'models', 10_000);
  const dir = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
  try {
    const project = generateProject({ models, seed: readNumber(args, 'seed', 1) });
    for (const [file, text] of project.files) {
      await mkdir(dirname(join(dir, file)), { recursive: true });
      await writeFile(join(dir, file), text);
    }
    const bronze = join(dir, 'bronze.json');
    await writeFile(bronze, JSON.stringify(project.bronzeTables));
    const staging = [...project.files.keys()].filter((file) => file.includes('/stg_'));
    const gold = [...project.files.keys()].filter((file) => file.includes('/fct_'));
    const figures = new Map<string, CompileFigures[]>();
    const run = async (name: string, job: Omit<CompileJob, 'dir' | 'bronze'>): Promise<void> => {
      const result = await compileOnce({ dir, bronze, ...job });
      if (result.models !== models) throw new Error(`${name} compiled ${result.models} of ${models} models`);
      figures.set(name, [...(figures.get(name) ?? []), result]);
    };
    for (let index = 0; index < rounds; index++) {
      const cache = join(dir, `.cache-${index}`);
      await run('cold', { rules: false });
      await run('cold_with_cache', { rules: false, cache });
      // Files written moments ago are read again, whatever the cache says.
      await sleep(2500);
      await compileOnce({ dir, bronze, rules: false, cache });
      await run('unchanged', { rules: false, cache });
      await edit(join(dir, gold[index % gold.length] ?? ''), 'from daily', 'from daily where amount > 1');
      await run('one_gold_changed', { rules: false, cache });
      for (const [at, counted] of (['first', 'later'] as const).entries()) {
        const from = rounds + (2 * index + at) * EDITS;
        await run(`one_gold_changed_${counted}_edit`, {
          rules: false,
          cache,
          edits: {
            files: gold.slice(from, from + EDITS),
            from: 'from daily',
            to: 'from daily where amount > 2',
            counted,
          },
        });
      }
      await edit(join(dir, staging[index % staging.length] ?? ''), 'amount is not null', 'amount > 0');
      await run('one_staging_changed', { rules: false, cache });
      await rm(cache, { recursive: true });
    }
    if (args.includes('--rules')) await run('cold_with_rules', { rules: true });
    const table = Object.fromEntries(
      [...figures].map(([name, list]) => [
        name,
        {
          ms: round(median(list.map(({ ms }) => ms)), 0),
          cpu_ms: round(median(list.map(({ cpuMs }) => cpuMs)), 0),
          peak_rss_mb: round(median(list.map(({ peakRssMb }) => peakRssMb)), 0),
        },
      ]),
    );
    console.table(table);
    return {
      models,
      rounds,
      cold_ms: table['cold']?.ms,
      unchanged_ms: table['unchanged']?.ms,
      one_changed_ms: table['one_gold_changed_later_edit']?.ms,
      one_changed_first_edit_ms: table['one_gold_changed_first_edit']?.ms,
      one_changed_new_process_ms: table['one_gold_changed']?.ms,
      peak_rss_mb: table['cold']?.peak_rss_mb,
      variants: table,
      at: toIsoDate(systemClock.now()),
    };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** Of one process. */
const EDITS = 6;

async function compileOnce(job: CompileJob): Promise<CompileFigures> {
  const script = fileURLToPath(new URL('compile/run-compile.ts', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [script, JSON.stringify(job)]);
  return JSON.parse(stdout) as CompileFigures;
}

async function edit(path: string, from: string, to: string): Promise<void> {
  const text = await readFile(path, 'utf8');
  if (!text.includes(from)) throw new Error(`${path} does not hold ${from}`);
  await writeFile(path, text.replace(from, to));
}
