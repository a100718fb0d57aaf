import { loadSources } from '../warehouse/extract/index.ts';
import { loadProject, loadUnitFiles, runUnitTests, type UnitTestResult } from '../warehouse/transform/index.ts';
import type { Project } from './project.ts';
import { openWorkFolder } from './work-folder.ts';

export interface UnitTestRequest {
  readonly select?: readonly string[] | undefined;
  readonly signal: AbortSignal;
  readonly onResult?: (result: UnitTestResult) => void;
}

/** Runs the unit tests of a project in this process. Neither Postgres nor the lake is written to or waited for. */
export async function runProjectUnitTests(
  { config, bronze, log }: Project,
  { select, signal, onResult }: UnitTestRequest,
): Promise<readonly UnitTestResult[]> {
  const files = await loadProject(config.projectDir);
  const unitFiles = await loadUnitFiles(config.projectDir);
  if (unitFiles.length === 0) return [];
  // Stated columns make the tests the same on every machine; without them they are those of the lake.
  const isStated = unitFiles.some(({ file }) => file === 'sql/unit/bronze.yaml');
  const tables = isStated
    ? []
    : (await bronze.snapshot((await loadSources(config.projectDir)).map(({ name }) => name))).tables;
  const work = await openWorkFolder(config);
  try {
    return await runUnitTests({
      files,
      unitFiles,
      bronze: new Map(
        tables.map(({ source, table, contract }) => {
          // Nullable as in the file: rows of a test need not bear every promise of the source.
          const columns = contract.columns.map((column) => ({ ...column, nullable: true }));
          return [`bronze.${source}.${table}`, { key: contract.key, columns }];
        }),
      ),
      ...(select && { select }),
      workDir: work.dir,
      limits: { threads: 1, memoryLimitMb: config.memoryMb },
      log,
      signal,
      ...(onResult && { onResult }),
    });
  } finally {
    await work.remove();
  }
}
