import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type BronzeTableFacts,
  compileProject,
  loadProject,
  openCompileCache,
} from '../../warehouse/transform/index.ts';

/** One compile of a project folder in a process of its own; prints its figures as JSON. Argument: a job as JSON. */

export interface CompileJob {
  readonly dir: string;
  /** File that holds bronze's tables as JSON. */
  readonly bronze: string;
  /** Folder of the compile cache; none when absent. */
  readonly cache?: string;
  /** Derive every refresh rule, as a plan against a release asks for; none when false. */
  readonly rules: boolean;
  /** Compile once more in the same process after this edit; the figures are of that. */
  readonly edit?: { readonly file: string; readonly from: string; readonly to: string };
}

export interface CompileFigures {
  /** Reading the cache and the files, compiling, and writing the cache. */
  readonly ms: number;
  readonly cpuMs: number;
  readonly models: number;
  readonly peakRssMb: number;
}

const job = JSON.parse(process.argv[2] ?? '{}') as CompileJob;
const bronzeTables = JSON.parse(readFileSync(job.bronze, 'utf8')) as readonly BronzeTableFacts[];
let before = process.cpuUsage();
let started = performance.now();
const cache = job.cache === undefined ? undefined : openCompileCache(job.cache, 'bench');
const compile = async () =>
  compileProject({
    files: await loadProject(job.dir, cache?.files),
    bronzeTables,
    needsRule: () => job.rules,
    ...(cache && { cache }),
  });
let project = await compile();
if (job.edit !== undefined) {
  const { file, from, to } = job.edit;
  const path = join(job.dir, file);
  const text = readFileSync(path, 'utf8');
  if (!text.includes(from)) throw new Error(`${path} does not hold ${from}`);
  writeFileSync(path, text.replace(from, to));
  before = process.cpuUsage();
  started = performance.now();
  project = await compile();
}
const ms = performance.now() - started;
const { user, system } = process.cpuUsage(before);
const figures: CompileFigures = {
  ms,
  cpuMs: (user + system) / 1000,
  models: project.models.length,
  peakRssMb: process.resourceUsage().maxRSS / 1024,
};
console.log(JSON.stringify(figures));
