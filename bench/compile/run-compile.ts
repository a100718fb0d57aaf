import { readFileSync } from 'node:fs';
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
const before = process.cpuUsage();
const started = performance.now();
const cache = job.cache === undefined ? undefined : openCompileCache(job.cache, 'bench');
const project = await compileProject({
  files: await loadProject(job.dir, cache?.files),
  bronzeTables,
  needsRule: () => job.rules,
  ...(cache && { cache }),
});
const ms = performance.now() - started;
const { user, system } = process.cpuUsage(before);
const figures: CompileFigures = {
  ms,
  cpuMs: (user + system) / 1000,
  models: project.models.length,
  peakRssMb: process.resourceUsage().maxRSS / 1024,
};
console.log(JSON.stringify(figures));
