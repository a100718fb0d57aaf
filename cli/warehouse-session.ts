import { loadProjectFiles } from '../infra/compile-project.ts';
import type { Project } from '../infra/project.ts';
import { openWorkFolder } from '../infra/work-folder.ts';
import type { DuckDb } from '../warehouse/core/duckdb.ts';
import { SluiceError } from '../warehouse/core/errors.ts';
import type { Release } from '../warehouse/core/release.ts';
import { loadSources } from '../warehouse/extract/index.ts';
import type { PrivateRelease } from '../warehouse/release/index.ts';
import { compileProject, openEngine } from '../warehouse/transform/index.ts';

/** A DuckDB with bronze, bronze_log, silver, gold and as_of(), read-only and locked: what `query` and `shell` open. */
export interface WarehouseSession {
  readonly db: DuckDb;
  /** What is read: the current release, or a private one. */
  readonly release: { readonly number: number; readonly asOf: string; readonly privateName?: string };
  close(): Promise<void>;
}

/** The current release. Throws NO_RELEASE. */
export async function currentRelease({ releases }: Pick<Project, 'releases'>): Promise<Release> {
  const release = await releases.current();
  if (release === undefined)
    throw new SluiceError('NO_RELEASE', 'There is no release to read.', {
      remedy: 'sluice run makes the first; sluice demo does so with demo data.',
    });
  return release;
}

/** Opens the current release, or the private one of this name, beside bronze as it stands now. Throws NO_RELEASE, PRIVATE_RELEASE_NOT_FOUND. */
export async function openWarehouseSession(project: Project, privateName?: string): Promise<WarehouseSession> {
  const { config, bronze, releases } = project;
  const release =
    privateName === undefined ? await currentRelease(project) : toOpened(await releases.privates.get(privateName));
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

function toOpened(release: PrivateRelease) {
  return { number: release.base + 1, asOf: release.asOf, files: release.files, privateName: release.name };
}
