import type { BronzeSnapshot } from '../warehouse/core/bronze-table.ts';
import { inspectSource, loadSources } from '../warehouse/extract/index.ts';
import {
  type BronzeTableFacts,
  type CompileCache,
  type CompiledProject,
  type CompileOptions,
  compileProject,
  loadProject,
  openCompileCache,
} from '../warehouse/transform/index.ts';
import type { Config } from './config.ts';
import { type Project, withSource } from './project.ts';
import { SLUICE_VERSION } from './version.ts';

/** A project compiled against bronze as it stands. */
export async function compileOnBronze(project: Project): Promise<{
  readonly compiled: CompiledProject;
  readonly bronze: BronzeSnapshot;
  readonly bronzeTables: readonly BronzeTableFacts[];
}> {
  const { bronze, bronzeTables } = await findBronzeTables(project);
  const compiled = await compileProject({ ...(await loadProjectFiles(project.config)), bronzeTables });
  return { compiled, bronze, bronzeTables };
}

/** Bronze as it stands, and the columns of every table of the project's sources; those never extracted take theirs from Postgres' catalog. */
export async function findBronzeTables(
  project: Project,
): Promise<{ readonly bronze: BronzeSnapshot; readonly bronzeTables: readonly BronzeTableFacts[] }> {
  const { config, log } = project;
  const sources = await loadSources(config.projectDir);
  const bronze = await project.bronze.snapshot(sources.map((source) => source.name));
  const isKnown = (source: string, table: string): boolean =>
    bronze.tables.some((known) => known.source === source && known.table === table);
  const isComplete = sources.every((source) =>
    Object.keys(source.tables).every((table) => isKnown(source.name, table)),
  );
  const inspected = isComplete
    ? []
    : await withSource(
        config,
        log,
        async (url) =>
          (await inspectSource({ url, sources, version: SLUICE_VERSION, maskSecret: config.maskSecret })).tables,
      );
  const bronzeTables = [...bronze.tables, ...inspected.filter((table) => !isKnown(table.source, table.table))];
  return { bronze, bronzeTables };
}

type LoadedProject = Pick<CompileOptions, 'files' | 'cache'>;

/** A project's files, and what earlier compiles found out about them. */
export async function loadProjectFiles(config: Config): Promise<LoadedProject> {
  return createProjectLoader(config)();
}

/** Reads the project's files as they are at each call; what was found out about them stays in memory from one call to the next. */
export function createProjectLoader({ projectDir, compileCacheDir }: Config): () => Promise<LoadedProject> {
  let cache: CompileCache | undefined;
  return async () => {
    if (compileCacheDir === undefined) return { files: await loadProject(projectDir) };
    cache ??= openCompileCache(compileCacheDir, SLUICE_VERSION);
    return { files: await loadProject(projectDir, cache.files), cache };
  };
}
