import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import type { BronzeSnapshot, BronzeTable } from '../../../warehouse/core/bronze-table.ts';
import { firstSeqOf } from '../../../warehouse/core/bronze-table.ts';
import { systemClock } from '../../../warehouse/core/clock.ts';
import { openDuckDb } from '../../../warehouse/core/duckdb.ts';
import { createFolderStore } from '../../../warehouse/core/folder-store.ts';
import { createLog } from '../../../warehouse/core/log.ts';
import { ignoreProgress, type OnProgress } from '../../../warehouse/core/progress.ts';
import { quoteIdentifier, quoteLiteral } from '../../../warehouse/core/quote.ts';
import type { Release, TestResult, WarehousePaths } from '../../../warehouse/core/release.ts';
import { openReleases, type Releases } from '../../../warehouse/release/index.ts';
import {
  type Build,
  type BuildLimits,
  type ModelOutcome,
  openBuild,
} from '../../../warehouse/transform/build/index.ts';
import { type CompiledProject, compileProject, loadProject } from '../../../warehouse/transform/index.ts';

export const silent = createLog({ level: 'silent' });

export async function testFolder(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'sluice-build-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

/** A value as text, or NULL. */
export type Value = string | number | boolean | null;
export type Row = Readonly<Record<string, Value>>;
export interface Change {
  readonly op: 'read' | 'insert' | 'update' | 'delete';
  readonly row: Row;
}

/** Bronze written by hand, commit by commit, in the layout that extraction writes. */
export interface TestLake {
  commit(changes: Readonly<Record<string, readonly Change[]>>): Promise<void>;
  /** A keyless table: the commit replaces it whole. */
  replace(table: string, rows: readonly Row[]): Promise<void>;
  addColumn(table: string, name: string, type: string): void;
  snapshot(): BronzeSnapshot;
}

export interface TableSpec {
  readonly key: readonly string[];
  /** Name → DuckDB type. */
  readonly columns: Readonly<Record<string, string>>;
}

export function createTestLake(
  dir: string,
  tables: Readonly<Record<string, TableSpec>>,
  /** When the source was read for a commit. */
  instantOf: (commit: number) => string = () => '2026-01-01 00:00:00+00',
): TestLake {
  let number = 0;
  const state = new Map<string, BronzeTable>(
    Object.entries(tables).map(([table, spec]) => {
      const columns = Object.entries(spec.columns).map(([name, type]) =>
        columnOf(name, type, !spec.key.includes(name)),
      );
      const contract = { key: spec.key, columns };
      return [table, { source: 'app', table, contract, files: [], lastCommit: 0, replacedAt: 0 }];
    }),
  );

  const append = async (commit: number, name: string, changes: readonly Change[], replace: boolean): Promise<void> => {
    const table = state.get(name);
    assert.ok(table !== undefined, name);
    const path = join(dir, 'bronze', 'app', name, String(commit), '0.parquet');
    await mkdir(dirname(path), { recursive: true });
    await writeParquet(path, table, commit, changes, instantOf(commit));
    const file = { commit, path, rows: changes.length };
    state.set(name, {
      ...table,
      files: replace ? [file] : [...table.files, file],
      lastCommit: commit,
      replacedAt: replace ? commit : table.replacedAt,
    });
  };

  return {
    async commit(changes) {
      number += 1;
      for (const [name, list] of Object.entries(changes)) if (list.length > 0) await append(number, name, list, false);
    },
    async replace(table, rows) {
      number += 1;
      await append(
        number,
        table,
        rows.map((row) => ({ op: 'read' as const, row })),
        true,
      );
    },
    addColumn(name, column, type) {
      const table = state.get(name);
      assert.ok(table !== undefined, name);
      const contract = { ...table.contract, columns: [...table.contract.columns, columnOf(column, type, true)] };
      state.set(name, { ...table, contract });
    },
    snapshot: () => ({ tables: [...state.values()], commits: { app: number }, readAt: { app: instantOf(number) } }),
  };
}

function columnOf(name: string, duckdbType: string, nullable: boolean) {
  return { name, postgresType: duckdbType.toLowerCase(), duckdbType, nullable, policy: 'error' as const };
}

async function writeParquet(
  path: string,
  table: BronzeTable,
  commit: number,
  changes: readonly Change[],
  instant: string,
): Promise<void> {
  const db = await openDuckDb({ threads: 1 });
  try {
    const columns = table.contract.columns;
    const names = columns.map((column) => quoteIdentifier(column.name));
    const rows = changes.map(({ op, row }, i) => {
      const values = columns.map(({ name, duckdbType }) => {
        const value = row[name] ?? null;
        return value === null ? `null::${duckdbType}` : `${quoteLiteral(String(value))}::${duckdbType}`;
      });
      return `(${[...values, quoteLiteral(op), `${firstSeqOf(commit) + BigInt(i)}::bigint`, `timestamptz ${quoteLiteral(instant)}`].join(', ')})`;
    });
    const list = [...names, '_op', '_seq', '_extracted_at'].join(', ');
    await db.run(
      `copy (select * from (values ${rows.join(', ')}) as t(${list})) to ${quoteLiteral(path)} (format parquet)`,
    );
  } finally {
    db.close();
  }
}

/** Compiles a project given as path → text, from a real folder. */
export async function compileFiles(
  dir: string,
  files: Readonly<Record<string, string>>,
  bronze: BronzeSnapshot,
): Promise<CompiledProject> {
  const folder = await mkdtemp(join(dir, 'project-'));
  for (const [file, text] of Object.entries(files)) {
    const path = join(folder, 'sql', file);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
  }
  return compileProject({ files: await loadProject(folder), bronzeTables: bronze.tables });
}

export function openTestReleases(dir: string): Releases {
  const store = createFolderStore(join(dir, 'lake'));
  return openReleases({ store, cacheDir: join(dir, 'cache'), log: silent, clock: systemClock });
}

export interface BuildRequest {
  readonly releases: Releases;
  readonly dir: string;
  readonly project: CompiledProject;
  readonly bronze: BronzeSnapshot;
  readonly asOf?: string;
  readonly limits?: BuildLimits;
  readonly fullRefresh?: boolean;
  readonly fullTests?: boolean;
  readonly failuresDir?: string;
  readonly dropHistory?: ReadonlySet<string>;
  readonly selected?: ReadonlySet<string>;
  readonly onProgress?: OnProgress;
  readonly signal?: AbortSignal;
}

export interface BuildRun {
  readonly release: Release;
  readonly outcomes: readonly ModelOutcome[];
  readonly tests: readonly TestResult[];
  /** What was done to each model, by name. */
  readonly actions: Readonly<Record<string, string>>;
}

let workDirs = 0;

/** Checks out the current release (or the one given) and opens a build on it. */
export async function startBuild(
  request: BuildRequest,
  previous?: Release,
): Promise<{ readonly build: Build; readonly base: number; readonly paths: WarehousePaths }> {
  workDirs += 1;
  const workDir = join(request.dir, `work-${process.pid}-${workDirs}`);
  const current = previous ?? (await request.releases.current());
  const paths = await request.releases.checkout(current, workDir);
  const { project, bronze, fullRefresh, fullTests, failuresDir, dropHistory, selected, signal } = request;
  const build = await openBuild({
    project,
    paths,
    previous: current,
    bronze,
    asOf: request.asOf ?? '2026-01-31',
    workDir,
    limits: { threads: 1, memoryLimitMb: 400, ...request.limits },
    log: silent,
    onProgress: request.onProgress ?? ignoreProgress,
    ...(fullRefresh === undefined ? {} : { fullRefresh }),
    ...(fullTests === undefined ? {} : { fullTests }),
    ...(failuresDir === undefined ? {} : { failuresDir }),
    ...(dropHistory === undefined ? {} : { dropHistory }),
    ...(selected === undefined ? {} : { selected }),
    ...(signal === undefined ? {} : { signal }),
  });
  return { build, base: current?.number ?? 0, paths };
}

/** The whole way: checkout, build, audit, publish; a failure throws the clones away. */
export async function buildAndPublish(request: BuildRequest): Promise<BuildRun> {
  const { build, base, paths } = await startBuild(request);
  try {
    const outcomes: ModelOutcome[] = [];
    const tests: TestResult[] = [];
    for (const layer of ['silver', 'gold'] as const) {
      outcomes.push(...(await build.runModels(layer)));
      tests.push(...(await build.runTests(layer)));
    }
    const content = await build.finish();
    const release = await request.releases.publish({ base, paths, content });
    return {
      release,
      outcomes,
      tests,
      actions: Object.fromEntries(outcomes.map(({ name, action }) => [name, action])),
    };
  } finally {
    await build.abort();
  }
}

/** Rows of a query over a release's gold file, opened as readers do. */
export async function readGold(releases: Releases, release: Release, sql: string): Promise<unknown[]> {
  const { gold } = await releases.fetch(release);
  const db = await openDuckDb({ path: gold, readOnly: true, threads: 1 });
  try {
    return (await db.rows(sql)).map((row) =>
      Object.values(row).map((value) => (typeof value === 'bigint' ? Number(value) : value)),
    );
  } finally {
    db.close();
  }
}
