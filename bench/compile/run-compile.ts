import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type BronzeTableFacts,
  compileProject,
  loadProject,
  openCompileCache,
} from '../../warehouse/transform/index.ts';
import { median } from '../support.ts';

/** One compile of a project folder in a process of its own; prints its figures as JSON. Argument: a job as JSON. */

export interface CompileJob {
  readonly dir: string;
  /** File that holds bronze's tables as JSON. */
  readonly bronze: string;
  /** Folder of the compile cache; none when absent. */
  readonly cache?: string;
  /** Derive every refresh rule, as a plan against a release asks for; none when false. */
  readonly rules: boolean;
  /** Edit one file after the other and compile each time, in the same process; the figures are of the edits that `counted` names. */
  readonly edits?: {
    readonly files: readonly string[];
    readonly from: string;
    readonly to: string;
    readonly counted: 'first' | 'later';
  };
}

export interface CompileFigures {
  /** Reading the cache (once per process) and the files, compiling, and writing the cache; medians of what is counted. */
  readonly ms: number;
  readonly cpuMs: number;
  readonly models: number;
  readonly peakRssMb: number;
}

const job = JSON.parse(process.argv[2] ?? '{}') as CompileJob;
const bronzeTables = JSON.parse(readFileSync(job.bronze, 'utf8')) as readonly BronzeTableFacts[];
interface Started {
  readonly at: number;
  readonly cpu: NodeJS.CpuUsage;
}
const now = (): Started => ({ at: performance.now(), cpu: process.cpuUsage() });
const begun = now();
const cache = job.cache === undefined ? undefined : openCompileCache(job.cache, 'bench');
const compile = async () =>
  compileProject({
    files: await loadProject(job.dir, cache?.files),
    bronzeTables,
    needsRule: () => job.rules,
    ...(cache && { cache }),
  });
const timed: { ms: number; cpuMs: number; models: number }[] = [];
const time = async (from: Started): Promise<void> => {
  const { models } = await compile();
  const { user, system } = process.cpuUsage(from.cpu);
  timed.push({ ms: performance.now() - from.at, cpuMs: (user + system) / 1000, models: models.length });
};
await time(begun);
for (const file of job.edits?.files ?? []) {
  const { from = '', to = '' } = job.edits ?? {};
  const path = join(job.dir, file);
  const text = readFileSync(path, 'utf8');
  if (!text.includes(from)) throw new Error(`${path} does not hold ${from}`);
  writeFileSync(path, text.replace(from, to));
  await time(now());
}
const counted = job.edits === undefined ? timed : job.edits.counted === 'first' ? timed.slice(1, 2) : timed.slice(2);
const figures: CompileFigures = {
  ms: median(counted.map(({ ms }) => ms)),
  cpuMs: median(counted.map(({ cpuMs }) => cpuMs)),
  models: timed.at(-1)?.models ?? 0,
  peakRssMb: process.resourceUsage().maxRSS / 1024,
};
console.log(JSON.stringify(figures));
