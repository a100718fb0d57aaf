import type { BronzeSnapshot } from '../warehouse/core/bronze-table.ts';
import { inspectSource, loadSources } from '../warehouse/extract/index.ts';
import {
  type BronzeTableFacts,
  type CompiledProject,
  compileProject,
  loadProject,
} from '../warehouse/transform/index.ts';
import { type Project, withSource } from './project.ts';
import { SLUICE_VERSION } from './version.ts';

/** What the compiler must know of bronze: as it stands; tables that were never extracted take their columns from Postgres' catalog. */
export async function bronzeForCompile(project: Project): Promise<{
  readonly bronze: BronzeSnapshot;
  readonly bronzeTables: readonly BronzeTableFacts[];
}> {
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

/** A project compiled against bronze. */
export async function compileOnBronze(project: Project): Promise<{
  readonly compiled: CompiledProject;
  readonly bronze: BronzeSnapshot;
  readonly bronzeTables: readonly BronzeTableFacts[];
}> {
  const { bronze, bronzeTables } = await bronzeForCompile(project);
  const compiled = await compileProject({ files: await loadProject(project.config.projectDir), bronzeTables });
  return { compiled, bronze, bronzeTables };
}
