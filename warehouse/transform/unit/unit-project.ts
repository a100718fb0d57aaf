import type { TableContract } from '../../core/bronze-table.ts';
import type { DuckDb } from '../../core/duckdb.ts';
import { nearestOf } from '../../core/nearest.ts';
import { compileProject } from '../compile.ts';
import type { Diagnostics } from '../diagnostics.ts';
import { reach } from '../graph.ts';
import { type ModelFile, type ProjectFiles, toModelFile } from '../load.ts';
import type { CompiledModel, CompiledProject } from '../model.ts';
import type { SourceLocation } from '../source-location.ts';
import { contractOf, standInOf, standInSql } from './stand-in.ts';
import { checkValues, namedColumns, type TypedColumn } from './typed-rows.ts';
import { columnsOf } from './unit-lake.ts';
import type { GivenChange, UnitStep, UnitTest, WrittenRows } from './unit-test.ts';

/** The part of a project that one run of a unit test builds, and what its rows must fit. */
export interface UnitProject {
  /** The models between what is given and what is expected; given ones read their rows from bronze.given.*. */
  readonly compiled: CompiledProject;
  /** Bronze table → its columns and what becomes of it; rows given for a model stand under bronze.given.<layer>_<table>. */
  readonly given: ReadonlyMap<string, { readonly contract: TableContract; readonly change: GivenChange }>;
  /** Every bronze table of the run. */
  readonly contracts: ReadonlyMap<string, TableContract>;
  readonly expect: ReadonlyMap<string, ExpectedRows>;
  readonly existing: ReadonlyMap<string, ExpectedRows>;
}

export interface ExpectedRows {
  readonly model: CompiledModel;
  readonly rows: WrittenRows;
  readonly columns: readonly TypedColumn[];
}

export interface UnitCompiler {
  /** The project of each step, in order; problems go to `diagnostics` and give undefined. Errors: MODEL_* of the project itself. */
  compile(test: UnitTest, diagnostics: Diagnostics): Promise<readonly UnitProject[] | undefined>;
}

/** `db` casts values to see whether they fit. */
export function createUnitCompiler(
  db: DuckDb,
  files: ProjectFiles,
  bronze: ReadonlyMap<string, TableContract>,
): UnitCompiler {
  const compiled = new Map<string, Promise<CompiledProject>>();
  const compileOnce = (
    changed: ReadonlyMap<string, string>,
    contracts: ReadonlyMap<string, TableContract>,
  ): Promise<CompiledProject> => {
    const id = JSON.stringify([[...changed], [...contracts]]);
    const known =
      compiled.get(id) ?? compileProject({ files: withFiles(files, changed), bronzeTables: factsOf(contracts) });
    compiled.set(id, known);
    return known;
  };

  return {
    async compile(test, diagnostics) {
      const before = diagnostics.list.length;
      const projects: UnitProject[] = [];
      const changed = new Map<string, string>();
      const contracts = new Map(bronze);
      const givenModels = [...new Set(test.steps.flatMap((step) => [...step.given.keys()]))].filter(isModel);
      for (const step of test.steps) {
        for (const [file, text] of step.files) changed.set(file, text);
        for (const [table, contract] of step.bronze) contracts.set(table, contract);
        const base = await compileOnce(changed, contracts);
        const scope = chooseModels(test, step, base, contracts, diagnostics);
        if (scope === undefined || diagnostics.list.length > before) return undefined;
        const standIns = new Map<string, TableContract>();
        const replaced = new Map(changed);
        for (const name of givenModels) {
          const model = base.models.find((candidate) => candidate.name === name);
          const file = files.models.find((candidate) => candidate.name === name);
          if (model === undefined || file === undefined) continue;
          standIns.set(standInOf(name), contractOf(model));
          replaced.set(file.file, standInSql(model));
        }
        const own = new Map([...contracts].filter(([name]) => scope.bronze.has(name)));
        const all = new Map([...contracts, ...standIns]);
        const whole = standIns.size === 0 ? base : await compileOnce(replaced, all);
        const project = cutProject(whole, scope.models, new Set(givenModels), test.runsTests);
        projects.push({
          compiled: project,
          given: toGiven(step.given, all),
          contracts: new Map([...own, ...standIns]),
          expect: toExpected(step.expect, project),
          existing: toExpected(test.existing, project),
        });
      }
      for (const [i, project] of projects.entries()) {
        await checkRows(db, project, i === 0, diagnostics);
      }
      return diagnostics.list.length > before ? undefined : projects;
    },
  };
}

const isModel = (name: string): boolean => !name.startsWith('bronze.');

/** The models to build: those expected and what they read, down to what is given. */
function chooseModels(
  test: UnitTest,
  step: UnitStep,
  project: CompiledProject,
  contracts: ReadonlyMap<string, TableContract>,
  diagnostics: Diagnostics,
): { readonly models: ReadonlySet<string>; readonly bronze: ReadonlySet<string> } | undefined {
  const report = (at: SourceLocation, message: string, remedy: string) =>
    diagnostics.add({ code: 'UNIT_TEST_INVALID', message, at, remedy });
  const before = diagnostics.list.length;
  const models = new Map(project.models.map((model) => [model.name, model]));
  const given = new Map(
    test.steps.flatMap((other) => [...other.given].map(([name, change]) => [name, placeOf(change)])),
  );
  const targets = new Map<string, SourceLocation>(test.models.map(({ name, at }) => [name, at]));
  for (const other of test.steps) {
    for (const [name, rows] of other.expect) targets.set(name, rows.at);
    for (const [name, { at }] of other.actions) targets.set(name, at);
  }
  for (const [name, rows] of test.existing) targets.set(name, rows.at);
  for (const [name, at] of [...targets, ...given]) {
    if (isModel(name) ? models.has(name) : contracts.has(name)) continue;
    const near = nearestOf(name, isModel(name) ? models.keys() : contracts.keys());
    const hint = near === undefined ? '' : `; did you mean ${near}?`;
    const remedy = isModel(name)
      ? 'Name a model of the project.'
      : 'Name a table of bronze; sql/unit/bronze.yaml states the columns of those that were never extracted.';
    report(at, `there is no table ${name}${hint}`, remedy);
  }
  for (const [name, at] of targets) {
    if (given.has(name))
      report(at, `${name} is given and expected at once`, 'Give what it reads, or expect what reads it.');
  }
  for (const [name, rows] of test.existing) {
    if (models.get(name)?.materialized === 'view')
      report(rows.at, `${name} is a view and holds no rows of its own`, 'Name a table, or give what the view reads.');
  }
  // What a wrong name leaves without rows or readers is no second problem.
  if (diagnostics.list.length > before) return undefined;
  const missing = new Map<string, string>();
  const below = reach([...targets.keys()], (name) => {
    if (given.has(name)) return [];
    const reads = models.get(name)?.dependencies ?? [];
    for (const table of reads) {
      const current = table.replace(/^bronze_log\./, 'bronze.');
      if (!isModel(current) && !given.has(current) && !missing.has(current)) missing.set(current, name);
    }
    return reads;
  });
  for (const [table, reader] of missing) {
    report(
      step.at,
      `${reader} reads ${table}, for which the test gives no rows`,
      `Add given/${table}.csv, or \`${table}: []\` under given for an empty table.`,
    );
  }
  const found = new Set([...below, ...targets.keys()]);
  const read = new Set([...below].map((name) => name.replace(/^bronze_log\./, 'bronze.')));
  for (const [name, at] of given) {
    if (!read.has(name))
      report(at, `nothing the test builds reads ${name}`, 'Take it out, or expect a model that reads it.');
  }
  return { models: new Set([...found].filter((name) => models.has(name))), bronze: read };
}

function placeOf(change: GivenChange): SourceLocation {
  return change.kind === 'rows' ? change.rows.at : change.at;
}

/** The chosen models with the tests that can be asked of them alone; what is given is not tested. */
function cutProject(
  project: CompiledProject,
  chosen: ReadonlySet<string>,
  given: ReadonlySet<string>,
  runsTests: boolean,
): CompiledProject {
  const isHere = (name: string) => chosen.has(name) || name.startsWith('bronze');
  const models = project.models
    .filter((model) => chosen.has(model.name))
    .map((model) => ({
      ...model,
      tests:
        runsTests && !given.has(model.name)
          ? model.tests.filter((test) => test.kind !== 'relationships' || isHere(test.to))
          : [],
    }));
  const sqlTests = project.sqlTests.filter(
    ({ dependencies }) =>
      runsTests && dependencies.every(isHere) && dependencies.some((name) => chosen.has(name) && !given.has(name)),
  );
  return { ...project, models, sqlTests };
}

function withFiles(files: ProjectFiles, changed: ReadonlyMap<string, string>): ProjectFiles {
  const known = new Set(files.models.map(({ file }) => file));
  const added = [...changed].flatMap(([file, text]): ModelFile[] => {
    const [, layer] = /^sql\/(silver|gold)\/.+\/[^/]+\.sql$/.exec(file) ?? [];
    return known.has(file) || (layer !== 'silver' && layer !== 'gold') ? [] : [toModelFile({ file, text }, layer)];
  });
  const replace = <File extends { readonly file: string; readonly text: string }>(list: readonly File[]): File[] =>
    list.map((file) => ({ ...file, text: changed.get(file.file) ?? file.text }));
  return { models: [...replace(files.models), ...added], macros: replace(files.macros), tests: replace(files.tests) };
}

function factsOf(contracts: ReadonlyMap<string, TableContract>) {
  return [...contracts].map(([name, contract]) => {
    const [, source = '', table = ''] = name.split('.');
    return { source, table, contract };
  });
}

function toGiven(given: UnitStep['given'], contracts: ReadonlyMap<string, TableContract>): UnitProject['given'] {
  return new Map(
    [...given].flatMap(([name, change]) => {
      const table = isModel(name) ? standInOf(name) : name;
      const contract = contracts.get(table);
      return contract === undefined ? [] : [[table, { contract, change }] as const];
    }),
  );
}

function toExpected(
  expected: ReadonlyMap<string, WrittenRows>,
  project: CompiledProject,
): ReadonlyMap<string, ExpectedRows> {
  return new Map(
    [...expected].flatMap(([name, rows]) => {
      const model = project.models.find((candidate) => candidate.name === name);
      return model === undefined ? [] : [[name, { model, rows, columns: model.boundColumns }] as const];
    }),
  );
}

async function checkRows(db: DuckDb, project: UnitProject, isFirst: boolean, diagnostics: Diagnostics): Promise<void> {
  const check = async (table: string, rows: WrittenRows | undefined, columns: readonly TypedColumn[]) => {
    if (rows === undefined) return;
    await checkValues(db, rows, namedColumns(table, rows, columns, diagnostics), diagnostics);
  };
  for (const [table, { contract, change }] of project.given) {
    const shown = table.replace(/^bronze\.given\.(silver|gold)_/, '$1.');
    const columns = columnsOf(contract);
    if (change.kind === 'rows') await check(shown, change.rows, columns);
    else for (const op of ['insert', 'update', 'delete'] as const) await check(shown, change[op], columns);
  }
  for (const { model, rows, columns } of project.expect.values()) await check(model.name, rows, columns);
  if (!isFirst) return;
  for (const { model, rows, columns } of project.existing.values()) await check(model.name, rows, columns);
}
