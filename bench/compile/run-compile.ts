import { readFileSync } from 'node:fs';
import { type BronzeTableFacts, compileProject, loadProject } from '../../warehouse/transform/index.ts';

/** One compile of a project folder in a process of its own; prints its figures as JSON. Arguments: a job as JSON. */

export interface CompileJob {
  readonly dir: string;
  /** File that holds bronze's tables as JSON. */
  readonly bronze: string;
}

export interface CompileFigures {
  /** Reading the files and compiling them. */
  readonly ms: number;
  readonly cpuMs: number;
  readonly models: number;
  readonly peakRssMb: number;
}

const job = JSON.parse(process.argv[2] ?? '{}') as CompileJob;
const bronzeTables = JSON.parse(readFileSync(job.bronze, 'utf8')) as readonly BronzeTableFacts[];
const cpu = process.cpuUsage();
const started = performance.now();
const project = await compileProject({ files: await loadProject(job.dir), bronzeTables, needsRule: () => false });
const ms = performance.now() - started;
const { user, system } = process.cpuUsage(cpu);
const figures: CompileFigures = {
  ms,
  cpuMs: (user + system) / 1000,
  models: project.models.length,
  peakRssMb: process.resourceUsage().maxRSS / 1024,
};
console.log(JSON.stringify(figures));
