import type { TestContext } from 'node:test';
import type { CompiledProject } from '../../../warehouse/transform/index.ts';
import {
  type BuildRequest,
  type BuildRun,
  buildAndPublish,
  compileFiles,
  createTestLake,
  openTestReleases,
  readGold,
  type TableSpec,
  type TestLake,
  testFolder,
} from '../build/support.ts';

/** A lake whose commits were read an hour apart, and snapshots over it. */

export const hour = (commit: number): string => new Date(Date.UTC(2026, 0, 1, commit)).toISOString();

export interface World {
  readonly dir: string;
  readonly lake: TestLake;
  readonly run: (options?: Partial<BuildRequest>) => Promise<BuildRun>;
  readonly compile: (files: Readonly<Record<string, string>>) => Promise<CompiledProject>;
  /** Another warehouse over the same lake, with nothing in it. */
  readonly another: (name: string) => World;
  readonly rows: (sql: string) => Promise<unknown[]>;
}

export async function openWorld(
  t: TestContext,
  tables: Readonly<Record<string, TableSpec>>,
  files: Readonly<Record<string, string>>,
): Promise<World> {
  const dir = await testFolder(t);
  const lake = createTestLake(dir, tables, hour);
  const project = await compileFiles(dir, files, lake.snapshot());
  return warehouseOver(dir, lake, project, 'first');
}

function warehouseOver(dir: string, lake: TestLake, project: CompiledProject, name: string): World {
  const releases = openTestReleases(`${dir}/${name}`);
  return {
    dir,
    lake,
    run: (options = {}) => buildAndPublish({ dir, releases, project, bronze: lake.snapshot(), ...options }),
    compile: (files) => compileFiles(dir, files, lake.snapshot()),
    another: (other) => warehouseOver(dir, lake, project, other),
    rows: async (sql) => {
      const release = await releases.current();
      return release === undefined ? [] : readGold(releases, release, sql);
    },
  };
}

export const snapshotText = (columns: readonly string[], lines: readonly string[], sql: string): string => `/*
description: A history.
materialized: snapshot
owner: { public: a test }
columns: { ${[...columns, 'valid_from', 'valid_to', 'is_current'].map((name) => `${name}: {}`).join(', ')} }
${lines.join('\n')}
*/
${sql}`;
