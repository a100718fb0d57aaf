import { copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { DuckDb } from '../../core/duckdb.ts';
import { isSluiceError, messageOf } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import { ignoreProgress } from '../../core/progress.ts';
import { quotePath } from '../../core/quote.ts';
import { type Release, type TestResult, WAREHOUSE_FILES, type WarehousePaths } from '../../core/release.ts';
import { openBuild } from '../build/build.ts';
import { holdsBack } from '../build/build-errors.ts';
import { type BuildLimits, openEngine } from '../build/warehouse-engine.ts';
import { LAYERS } from '../model.ts';
import { compareRows } from './compare-rows.ts';
import { compareKept } from './kept-rows.ts';
import { typedRowsSql } from './typed-rows.ts';
import { createUnitLake, type UnitLake } from './unit-lake.ts';
import type { ExpectedRows, UnitProject } from './unit-project.ts';
import type { UnitFailure, UnitTestResult } from './unit-result.ts';
import type { UnitMode, UnitStep, UnitTest } from './unit-test.ts';

/**
 * One unit test in one mode: given rows become bronze files, the build engine runs over them as it does over a lake, its tables are compared.
 *
 *   commit(given) → build, test, finish → compare ─┐
 *          └──────────── next step ←───────────────┘
 */

export interface RunContext {
  readonly limits: BuildLimits;
  readonly log: Log;
  readonly signal?: AbortSignal;
  readonly mode: UnitMode;
  readonly dir: string;
  readonly fullTests: boolean;
}

/** What the steps so far have left: the published files and the release that describes them. */
interface Standing {
  readonly paths: WarehousePaths;
  readonly release: Release;
  readonly project: UnitProject;
  readonly asOf: string;
}

/** Runs the steps of a test in one mode; what goes wrong is in the result. Errors: CANCELLED. */
export async function runUnitTest(
  db: DuckDb,
  test: UnitTest,
  projects: readonly UnitProject[],
  context: RunContext,
): Promise<UnitTestResult> {
  const started = performance.now();
  const lake = createUnitLake(db, join(context.dir, 'lake'));
  const failures: UnitFailure[] = [];
  let standing: Standing | undefined;
  for (const [i, step] of test.steps.entries()) {
    const project = projects[i];
    if (project === undefined) break;
    try {
      if (i === 1 && standing !== undefined) await writeExisting(standing, project, lake, context);
      for (const [table, contract] of project.contracts) await lake.redefine(table, contract);
      await lake.commit(project.given, step.asOf);
      const run = await runStep(step, { project, lake, standing, number: i + 1, context });
      standing = run.standing;
      failures.push(...run.failures);
      if (standing !== undefined) failures.push(...(await compareAll(step, project, standing, lake, context)));
    } catch (error) {
      if (isSluiceError(error, 'CANCELLED')) throw error;
      failures.push({ step: step.label, kind: 'error', subject: test.name, problem: messageOf(error) });
    }
    // What comes after a step that went wrong would only repeat it.
    if (failures.length > 0) break;
  }
  const { name, file } = test;
  const status = failures.length === 0 ? 'pass' : 'fail';
  return { name, file, mode: context.mode, status, ms: Math.round(performance.now() - started), failures };
}

interface StepFacts {
  readonly project: UnitProject;
  readonly lake: UnitLake;
  readonly standing: Standing | undefined;
  readonly number: number;
  readonly context: RunContext;
}

/** One run of the engine; where a test holds it back, what stood stays. */
async function runStep(
  step: UnitStep,
  facts: StepFacts,
): Promise<{ readonly standing: Standing | undefined; readonly failures: readonly UnitFailure[] }> {
  const { project, lake, standing, number, context } = facts;
  const workDir = join(context.dir, `run-${number}`);
  const paths = pathsIn(workDir);
  await mkdir(workDir, { recursive: true });
  if (standing !== undefined) {
    for (const file of WAREHOUSE_FILES) await copyFile(standing.paths[file], paths[file]);
  }
  const failuresDir = join(workDir, 'failures');
  const build = await openBuild({
    project: project.compiled,
    paths,
    previous: standing?.release,
    bronze: lake.snapshot(),
    asOf: step.asOf,
    workDir,
    failuresDir,
    // Rows that were put in a table's place were never tested: no verdict on them is carried over.
    fullTests: context.fullTests,
    fullRefresh: context.mode === 'rebuild',
    // A few rows are soon most of the table: the size of a change is no reason here to leave the increment.
    limits: { ...context.limits, maxTouchedShare: 1 },
    log: context.log,
    onProgress: ignoreProgress,
    ...(context.signal === undefined ? {} : { signal: context.signal }),
  });
  try {
    const outcomes = [];
    const results: TestResult[] = [];
    for (const layer of LAYERS) {
      outcomes.push(...(await build.runModels(layer)));
      results.push(...(await build.runTests(layer)));
      if (results.some(holdsBack)) break;
    }
    const failures: UnitFailure[] = [];
    for (const [name, { action }] of context.mode === 'increment' ? step.actions : []) {
      const outcome = outcomes.find((candidate) => candidate.name === name);
      if (outcome === undefined || outcome.action === action) continue;
      const { action: found, why } = outcome;
      failures.push({ step: step.label, kind: 'action', subject: name, expected: action, found, why });
    }
    failures.push(...(await judgeTests(step, results)));
    if (results.some(holdsBack)) {
      await build.abort();
      return { standing, failures };
    }
    const content = await build.finish();
    const none = { key: '', bytes: 0, sha256: '' };
    const release: Release = {
      ...content,
      version: step.label,
      number,
      kind: 'publish',
      publishedAt: `${step.asOf}T00:00:00.000Z`,
      files: { silver: none, gold: none },
    };
    return { standing: { paths, release, project, asOf: step.asOf }, failures };
  } catch (error) {
    await build.abort();
    throw error;
  }
}

/** Tests that fail and should not, and those that should and do not. */
async function judgeTests(step: UnitStep, results: readonly TestResult[]): Promise<readonly UnitFailure[]> {
  const failures: UnitFailure[] = [];
  for (const result of results) {
    const isBad = result.status === 'fail' || result.status === 'error';
    if (!isBad || step.fails.has(result.name)) continue;
    const problem = result.status === 'error' ? 'could not run' : `${result.failures} rows fail`;
    failures.push({ step: step.label, kind: 'test', subject: result.name, problem, sample: result.sample });
  }
  for (const [name, { rows }] of step.fails) {
    const result = results.find((candidate) => candidate.name === name);
    if (result === undefined || (result.status !== 'fail' && result.status !== 'warn')) {
      const problem = result === undefined ? 'did not run' : 'passes, and should fail';
      failures.push({ step: step.label, kind: 'test', subject: name, problem, sample: [] });
    } else if (rows !== undefined) {
      const differences = await compareKept(result, rows);
      if (differences !== undefined) failures.push({ step: step.label, kind: 'rows', subject: name, differences });
    }
  }
  return failures;
}

async function compareAll(
  step: UnitStep,
  project: UnitProject,
  standing: Standing,
  lake: UnitLake,
  context: RunContext,
): Promise<readonly UnitFailure[]> {
  if (project.expect.size === 0) return [];
  const db = await openStanding(standing, lake, context, true);
  try {
    const failures: UnitFailure[] = [];
    for (const { model, rows, columns } of project.expect.values()) {
      const named = namedOf(rows, columns);
      const path = quotePath(model.layer, 'main', model.table);
      const differences = await compareRows(db, path, rows, named, model.key);
      if (differences !== undefined)
        failures.push({ step: step.label, kind: 'rows', subject: model.name, differences });
    }
    return failures;
  } finally {
    db.close();
  }
}

/** Puts the rows in the place of what the first run built: the models' ledgers say that these are what they made of it. */
async function writeExisting(
  standing: Standing,
  { existing }: UnitProject,
  lake: UnitLake,
  context: RunContext,
): Promise<void> {
  if (existing.size === 0) return;
  const db = await openStanding(standing, lake, context, false);
  try {
    for (const { model, rows, columns } of existing.values()) {
      const path = quotePath(model.layer, 'main', model.table);
      await db.run(`delete from ${path}`);
      await db.run(`insert into ${path} by name ${typedRowsSql(rows, columns)}`);
    }
    for (const file of WAREHOUSE_FILES) await db.run(`checkpoint ${quotePath(file)}; detach ${quotePath(file)}`);
  } finally {
    db.close();
  }
}

function openStanding(standing: Standing, lake: UnitLake, context: RunContext, readOnly: boolean): Promise<DuckDb> {
  return openEngine({
    paths: standing.paths,
    bronze: lake.snapshot(),
    project: standing.project.compiled,
    asOf: standing.asOf,
    workDir: join(context.dir, 'read'),
    limits: context.limits,
    readOnly,
  });
}

/** The columns that an expectation names: it says nothing of the others. */
function namedOf(rows: ExpectedRows['rows'], columns: ExpectedRows['columns']): ExpectedRows['columns'] {
  const names = new Set(rows.columns.map(({ name }) => name.toLowerCase()));
  // An empty list names none and means an empty table.
  return names.size === 0 ? columns : columns.filter(({ name }) => names.has(name.toLowerCase()));
}

function pathsIn(dir: string): WarehousePaths {
  return { silver: join(dir, 'silver.duckdb'), gold: join(dir, 'gold.duckdb') };
}
