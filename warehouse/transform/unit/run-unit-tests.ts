import { copyFile, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { TableContract } from '../../core/bronze-table.ts';
import { type DuckDb, openDuckDb } from '../../core/duckdb.ts';
import { isSluiceError, messageOf, SluiceError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import { nearestOf } from '../../core/nearest.ts';
import { ignoreProgress } from '../../core/progress.ts';
import { quotePath } from '../../core/quote.ts';
import { type Release, type TestResult, WAREHOUSE_FILES, type WarehousePaths } from '../../core/release.ts';
import { openBuild } from '../build/build.ts';
import { holdsBack } from '../build/build-errors.ts';
import { type BuildLimits, openEngine } from '../build/warehouse-engine.ts';
import { createDiagnostics } from '../diagnostics.ts';
import type { ProjectFile, ProjectFiles } from '../load.ts';
import { LAYERS } from '../model.ts';
import { compareRows, type RowDifferences } from './compare-rows.ts';
import { compareKept } from './kept-rows.ts';
import { readBronzeFile, readUnitTests } from './read-unit-tests.ts';
import { typedRowsSql } from './typed-rows.ts';
import { createUnitLake, type UnitLake } from './unit-lake.ts';
import { createUnitCompiler, type ExpectedRows, type UnitProject } from './unit-project.ts';
import type { UnitMode, UnitStep, UnitTest } from './unit-test.ts';

/**
 * Runs unit tests: given rows become bronze files, the build engine runs over them as it does over a lake, its tables are compared.
 *
 *   per test and mode:  commit(given) → build, test, finish → compare ─┐
 *                              └──────────── next step ←───────────────┘
 */

export interface UnitTestOptions {
  readonly files: ProjectFiles;
  /** All of sql/unit. */
  readonly unitFiles: readonly ProjectFile[];
  /** Columns of bronze tables that sql/unit/bronze.yaml does not state, by bronze.<source>.<table>. */
  readonly bronze: ReadonlyMap<string, TableContract>;
  /** Names of tests (a folder chooses all in it), or models: the tests that expect them. All when absent or empty. */
  readonly select?: readonly string[];
  /** Folder of this run alone. */
  readonly workDir: string;
  readonly limits: BuildLimits;
  readonly log: Log;
  readonly signal?: AbortSignal;
  /** Called after each test and mode. */
  readonly onResult?: (result: UnitTestResult) => void;
}

export interface UnitTestResult {
  readonly name: string;
  readonly file: string;
  readonly mode: UnitMode;
  readonly status: 'pass' | 'fail';
  readonly ms: number;
  readonly failures: readonly UnitFailure[];
}

/** One thing that is not as expected. */
export type UnitFailure = { readonly step: string } & (
  | { readonly kind: 'rows'; readonly subject: string; readonly differences: RowDifferences }
  | {
      readonly kind: 'action';
      readonly subject: string;
      readonly expected: string;
      readonly found: string;
      readonly why: string;
    }
  | { readonly kind: 'test'; readonly subject: string; readonly problem: string; readonly sample: TestResult['sample'] }
  | { readonly kind: 'error'; readonly subject: string; readonly problem: string }
);

/** Reads, compiles and checks every chosen test, then runs them. Errors: UNIT_TEST_INVALID and MODEL_* before the first run; CANCELLED. */
export async function runUnitTests(options: UnitTestOptions): Promise<readonly UnitTestResult[]> {
  const { files, unitFiles, signal } = options;
  const texts = new Map(
    [...unitFiles, ...files.models, ...files.macros, ...files.tests].map((file) => [file.file, file.text]),
  );
  const diagnostics = createDiagnostics((file) => texts.get(file));
  const stated = readBronzeFile(unitFiles, diagnostics);
  const all = readUnitTests(unitFiles, diagnostics);
  const isWhole = options.select === undefined || options.select.length === 0;
  // A file that cannot be read is no reason to hide what is wrong in the others.
  if (!isWhole) diagnostics.throwIfAny();
  const tests = chooseTests(all, options.select ?? []);
  const db = await openDuckDb({ threads: 1, memoryLimitMb: 512 });
  try {
    const compiler = createUnitCompiler(db, files, new Map([...options.bronze, ...stated]));
    const ready: { test: UnitTest; projects: readonly UnitProject[] }[] = [];
    const isRead = (test: UnitTest) => {
      const folder = test.file.slice(0, test.file.lastIndexOf('/') + 1);
      return !diagnostics.list.some(({ at }) => at.file.startsWith(folder));
    };
    for (const test of tests.filter(isRead)) {
      const projects = await compiler.compile(test, diagnostics);
      if (projects !== undefined) ready.push({ test, projects });
    }
    diagnostics.throwIfAny();
    const results: UnitTestResult[] = [];
    for (const { test, projects } of ready) {
      for (const mode of test.modes) {
        if (signal?.aborted === true) throw cancelled();
        const dir = join(options.workDir, `unit-${results.length}`);
        const result = await runUnitTest(db, test, projects, {
          ...options,
          mode,
          dir,
          fullTests: test.existing.size > 0,
        }).finally(() => rm(dir, { recursive: true, force: true }));
        results.push(result);
        options.onResult?.(result);
      }
    }
    return results;
  } finally {
    db.close();
  }
}

function chooseTests(tests: readonly UnitTest[], select: readonly string[]): readonly UnitTest[] {
  const wanted = select.flatMap((text) => text.split(/[\s,]+/)).filter((text) => text !== '');
  if (wanted.length === 0) return tests;
  const expects = (test: UnitTest, name: string) =>
    test.models.some((model) => model.name === name) ||
    test.steps.some((step) => [...step.expect.keys()].some((model) => model === name || model.endsWith(`.${name}`)));
  const chosen = new Set<UnitTest>();
  for (const word of wanted) {
    const found = tests.filter(
      (test) => test.name === word || test.name.startsWith(`${word.replace(/\/$/, '')}/`) || expects(test, word),
    );
    if (found.length === 0) {
      const near = nearestOf(
        word,
        tests.map(({ name }) => name),
      );
      throw new SluiceError(
        'MODEL_SELECT_UNKNOWN',
        `No unit test is called ${word} or expects a model of that name${near === undefined ? '' : `; did you mean ${near}?`}`,
        { remedy: 'Name a folder below sql/unit, or a model that a test expects.' },
      );
    }
    for (const test of found) chosen.add(test);
  }
  return tests.filter((test) => chosen.has(test));
}

interface RunContext extends Pick<UnitTestOptions, 'limits' | 'log' | 'signal'> {
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

async function runUnitTest(
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

function cancelled(): SluiceError {
  return new SluiceError('CANCELLED', 'The unit tests were cancelled.', { remedy: 'Run them again.' });
}
