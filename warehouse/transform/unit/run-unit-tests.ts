import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { TableContract } from '../../core/bronze-table.ts';
import { openDuckDb } from '../../core/duckdb.ts';
import { SluiceError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import { nearestOf } from '../../core/nearest.ts';
import type { BuildLimits } from '../build/warehouse-engine.ts';
import { createDiagnostics } from '../diagnostics.ts';
import type { ProjectFile, ProjectFiles } from '../load.ts';
import { readBronzeFile, readUnitTests } from './read-unit-tests.ts';
import { runUnitTest } from './run-unit-test.ts';
import { createUnitCompiler, type UnitProject } from './unit-project.ts';
import type { UnitTestResult } from './unit-result.ts';
import type { UnitTest } from './unit-test.ts';

/** Reads a project's unit tests, checks all of them, runs those chosen. */

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

function cancelled(): SluiceError {
  return new SluiceError('CANCELLED', 'The unit tests were cancelled.', { remedy: 'Run them again.' });
}
