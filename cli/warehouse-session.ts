import { loadProjectFiles } from '../infra/compile-project.ts';
import type { Project } from '../infra/project.ts';
import { openWorkFolder } from '../infra/work-folder.ts';
import type { DuckDb } from '../warehouse/core/duckdb.ts';
import { SluiceError } from '../warehouse/core/errors.ts';
import type { Release } from '../warehouse/core/release.ts';
import { loadSources } from '../warehouse/extract/index.ts';
import { compileProject, openEngine } from '../warehouse/transform/index.ts';

/** A DuckDB with bronze, bronze_log, silver, gold and as_of(), read-only and locked: what `query` and `shell` open. */
export interface WarehouseSession {
  readonly db: DuckDb;
  readonly release: Release;
  close(): Promise<void>;
}

/** Opens the current release beside bronze as it stands now. Throws NO_RELEASE. */
export async function openWarehouseSession(project: Project): Promise<WarehouseSession> {
  const { config, bronze, releases } = project;
  const release = await releases.current();
  if (release === undefined)
    throw new SluiceError('NO_RELEASE', 'There is no release to read.', {
      remedy: 'sluice run makes the first; sluice demo does so with demo data.',
    });
  const sources = await loadSources(config.projectDir);
  const snapshot = await bronze.snapshot(sources.map((source) => source.name));
  const compiled = await compileProject({
    ...(await loadProjectFiles(config)),
    bronzeTables: snapshot.tables,
    needsRule: () => false,
  });
  const work = await openWorkFolder(config);
  try {
    const db = await openEngine({
      paths: await releases.fetch(release),
      bronze: snapshot,
      project: compiled,
      asOf: release.asOf,
      workDir: work.dir,
      limits: { threads: config.threads, memoryLimitMb: config.memoryMb },
      readOnly: true,
    });
    project.log.debug({ release: release.number, asOf: release.asOf }, 'session is open');
    return {
      db,
      release,
      close: async () => {
        db.close();
        await work.remove();
      },
    };
  } catch (error) {
    await work.remove();
    throw error;
  }
}
