import { byteOf } from './ast.ts';
import {
  type BronzeNames,
  type BronzeTableFacts,
  createBronze,
  createModelTables,
  locateInBody,
  reportProblem,
} from './bind.ts';
import { checkAppend, checkHeader, checkTests, conditionsOf, expressionsOf } from './check-header.ts';
import { checkSnapshot } from './check-snapshot.ts';
import { checkWinner } from './check-winner.ts';
import { hashDeclarations } from './declarations.ts';
import { createDiagnostics, type Diagnostic, type Diagnostics } from './diagnostics.ts';
import { fingerprintModel, headerFacts } from './fingerprint.ts';
import { orderGraph } from './graph.ts';
import { lintAsOf, lintQuery, readsElsewhere } from './lint.ts';
import type { ProjectFiles } from './load.ts';
import { BUILT_IN } from './macros.ts';
import type { CompiledModel, CompiledProject, RefreshRule } from './model.ts';
import { createParsedModel, type ParsedModel } from './parsed-model.ts';
import { createShapeContext, shapeModel } from './plan/model-shape.ts';
import { type LoadedMacros, loadMacros } from './read-macros.ts';
import { readModel } from './read-model.ts';
import type { RefreshContext } from './refresh-context.ts';
import { deriveRefreshRule } from './refresh-rule.ts';
import { compileSeeds, seedTexts } from './seeds/compile-seeds.ts';
import { withSnapshotColumns } from './snapshot-rule.ts';
import { offsetOfByte } from './source-text.ts';
import { type BoundColumn, openSqlEngine, type SqlEngine } from './sql-engine.ts';
import { compileSqlTests } from './sql-tests.ts';
import { reachesBeyondRow } from './test-reach.ts';
import { reportUnknownTables } from './unknown-tables.ts';

/** Text files → models in build order, checked and bound: everything that can be wrong is found here, before anything runs. */

export interface CompileOptions {
  readonly files: ProjectFiles;
  /** Names and columns of bronze; a BronzeSnapshot's tables fit. */
  readonly bronzeTables: readonly BronzeTableFacts[];
  /**
   * Models whose refresh rule is wanted, by name and fingerprint; all when absent. A proof takes longer than the rest of a model's compile, and one
   * that is new or changed is computed whole anyway.
   */
  readonly needsRule?: (model: string, fingerprint: string) => boolean;
}

/** Errors: every problem of the project at once, as one SluiceError with the code of the first (MODEL_*). */
export async function compileProject({ files, bronzeTables, needsRule }: CompileOptions): Promise<CompiledProject> {
  const { seeds: seedFiles = [] } = files;
  const texts = new Map([
    ...[...files.models, ...files.macros, ...files.tests].map(({ file, text }) => [file, text] as const),
    ...seedTexts(seedFiles),
  ]);
  const diagnostics = createDiagnostics((file) => texts.get(file));
  const engine = await openSqlEngine();
  try {
    const bronze = await createBronze(engine, bronzeTables);
    const macros = await loadMacros(engine, files.macros, diagnostics);
    // A model that does not parse is still a table of that name: those who read it are not wrong.
    const named = files.models.map(({ layer, table }) => `${layer}.${table}`);
    const seeds = await compileSeeds(engine, seedFiles, new Set(named), diagnostics);
    const tables = new Set([...bronze.columns.keys(), ...named, ...seedFiles.map(({ table }) => `silver.${table}`)]);
    const parsed = await parseModels(engine, files, tables, diagnostics);
    reportDuplicates(
      parsed.map(({ entry }) => entry),
      diagnostics,
    );
    const models = await compileModels(engine, parsed, seeds, bronze, macros, needsRule ?? (() => true), diagnostics);
    const sqlTests = await compileSqlTests(engine, files.tests, tables, new Set(macros.bodies.keys()), diagnostics);
    diagnostics.throwIfAny();
    return { models, macros: macros.macros, sqlTests, declarations: hashDeclarations(models, sqlTests) };
  } finally {
    engine.close();
  }
}

/** A parsed model and what the lint said of its SELECT, which is told only where the tables it reads are sound. */
interface Candidate {
  readonly entry: ParsedModel;
  readonly findings: readonly Diagnostic[];
  readonly readsElsewhere: boolean;
  /** False when it names something that can be no table of the project. */
  readonly isNamed: boolean;
}

async function parseModels(
  engine: SqlEngine,
  files: ProjectFiles,
  tables: ReadonlySet<string>,
  diagnostics: Diagnostics,
): Promise<Candidate[]> {
  const read = files.models.flatMap((file) => readModel(file, diagnostics) ?? []);
  const candidates: Candidate[] = [];
  let next = 0;
  for await (const parsed of engine.parseAll(read.map(({ model }) => model.sql))) {
    const one = read[next++];
    if (one === undefined) throw new RangeError('more answers than texts');
    if (parsed.kind === 'problem') {
      reportProblem(parsed, one.model, engine, diagnostics);
      continue;
    }
    const entry = createParsedModel(one, parsed);
    const { references } = entry;
    reportUnknownTables({ model: one.model, references }, tables, diagnostics);
    const lint = createDiagnostics(() => undefined);
    lintQuery(entry, engine, lint);
    candidates.push({
      entry,
      findings: lint.list,
      readsElsewhere: readsElsewhere(references),
      isNamed: references.tables.every(({ name }) => name !== undefined),
    });
  }
  return candidates;
}

function reportDuplicates(parsed: readonly ParsedModel[], diagnostics: Diagnostics): void {
  const first = new Map<string, string>();
  for (const { model } of parsed) {
    const other = first.get(model.name);
    if (other === undefined) first.set(model.name, model.file);
    else {
      diagnostics.add({
        code: 'MODEL_HEADER_INVALID',
        message: `the table ${model.name} is defined by ${other} already`,
        at: { file: model.file, line: 1, column: 1 },
        remedy: 'Rename one of the two files: a table name stands once per layer.',
      });
    }
  }
}

async function compileModels(
  engine: SqlEngine,
  candidates: readonly Candidate[],
  seeds: readonly CompiledModel[],
  { columns: bronze, neverNull }: BronzeNames,
  macros: LoadedMacros,
  needsRule: NonNullable<CompileOptions['needsRule']>,
  diagnostics: Diagnostics,
): Promise<CompiledModel[]> {
  const byName = new Map(candidates.map(({ entry }) => [entry.model.name, entry]));
  const candidateOf = new Map(candidates.map((candidate) => [candidate.entry.model.name, candidate]));
  const graph = orderGraph([...byName.values()].map(({ model, dependencies }) => ({ name: model.name, dependencies })));
  for (const cycle of graph.cycles) reportCycle(cycle, byName, diagnostics);
  const columns = new Map(bronze);
  const compiled = new Map<string, CompiledModel>();
  const context: RefreshContext = { engine, columns, macros, compiled, byName, neverNull };
  await createModelTables(
    engine,
    seeds.map((seed) => ({ model: seed, columns: seed.boundColumns })),
  );
  for (const seed of seeds) {
    columns.set(seed.name, seed.boundColumns);
    compiled.set(seed.name, seed);
  }
  for (const level of graph.levels) {
    const entries = level.flatMap((name): ParsedModel[] => {
      const candidate = candidateOf.get(name);
      // A model below a broken one is not bound: its errors would only repeat the first.
      if (candidate?.isNamed !== true || !candidate.entry.dependencies.every((table) => columns.has(table))) return [];
      for (const finding of candidate.findings) diagnostics.add(finding);
      lintAsOf(candidate.entry, { macros, models: compiled, diagnostics });
      // A file it would read is refused by the lint with a better word than DuckDB's.
      return candidate.readsElsewhere ? [] : [candidate.entry];
    });
    const bound = await bindModels(engine, entries, compiled, diagnostics);
    for (const { entry, boundColumns } of bound) columns.set(entry.model.name, boundColumns);
    for (const { entry, boundColumns } of bound) {
      const done = await compileModel(entry, boundColumns, needsRule, context);
      checkAppend(entry, done.refresh, diagnostics);
      compiled.set(entry.model.name, done);
    }
  }
  return checkAllTests(context, [...compiled.values()], diagnostics);
}

interface BoundModel {
  readonly entry: ParsedModel;
  readonly boundColumns: readonly BoundColumn[];
}

/** Binds models that do not read one another and gives each a table, for those that read it. */
async function bindModels(
  engine: SqlEngine,
  entries: readonly ParsedModel[],
  compiled: ReadonlyMap<string, CompiledModel>,
  diagnostics: Diagnostics,
): Promise<BoundModel[]> {
  const described = await engine.describeAll(entries.map(({ model }) => model.sql));
  const bound: BoundModel[] = [];
  for (const [i, entry] of entries.entries()) {
    const answer = described[i];
    if (answer === undefined) continue;
    if (answer.kind === 'problem') {
      reportProblem(answer, entry.model, engine, diagnostics);
      continue;
    }
    checkSnapshot(entry, answer.columns, compiled, diagnostics);
    const boundColumns = withSnapshotColumns(entry.model, answer.columns);
    await checkHeader(engine, entry, boundColumns, diagnostics);
    await checkWinner(engine, entry, answer.columns, diagnostics);
    if (!hasRepeats(boundColumns)) bound.push({ entry, boundColumns });
  }
  await createModelTables(
    engine,
    bound.map(({ entry, boundColumns }) => ({ model: entry.model, columns: boundColumns })),
  );
  return bound;
}

/** The models with their tests bound and marked. */
async function checkAllTests(
  { engine, byName, columns, macros }: RefreshContext,
  models: readonly CompiledModel[],
  diagnostics: Diagnostics,
): Promise<CompiledModel[]> {
  const sound: string[] = [];
  const beyondRow = new Set<string>();
  const expressions = models.flatMap((model) => expressionsOf(model));
  const ownMacros = new Set(macros.bodies.keys());
  let next = 0;
  for await (const parsed of engine.parseAll(expressions)) {
    const sql = expressions[next++];
    if (sql === undefined) continue;
    if (parsed.kind === 'query') sound.push(sql);
    if (parsed.kind === 'problem' || reachesBeyondRow(parsed.node, engine, ownMacros)) beyondRow.add(sql);
  }
  const described = await engine.describeAll(sound);
  const answers = new Map(sound.map((sql, i) => [sql, described[i]]));
  const asked: SqlEngine = { ...engine, describe: async (sql) => answers.get(sql) ?? engine.describe(sql) };
  for (const model of models) {
    await checkTests(asked, byName.get(model.name) ?? { model }, model.boundColumns, columns, diagnostics);
  }
  return models.map((model) => ({
    ...model,
    tests: model.tests.map((test) =>
      conditionsOf(model, test).some((sql) => beyondRow.has(sql)) ? { ...test, beyondRow: true as const } : test,
    ),
  }));
}

function hasRepeats(columns: readonly BoundColumn[]): boolean {
  return new Set(columns.map(({ name }) => name.toLowerCase())).size < columns.length;
}

async function compileModel(
  entry: ParsedModel,
  boundColumns: readonly BoundColumn[],
  needsRule: NonNullable<CompileOptions['needsRule']>,
  context: RefreshContext,
): Promise<CompiledModel> {
  const { model, dependencies, calls } = entry;
  const { columns, compiled, macros } = context;
  const called = new Set(calls.flatMap((name) => [...(macros.reached.get(name) ?? [])]));
  const viewOf = (name: string) => {
    const upstream = compiled.get(name);
    return upstream?.materialized === 'view' ? upstream : undefined;
  };
  const usesAsOf = called.has('as_of');
  const calledMacros = new Map([...macros.bodies].filter(([name]) => called.has(name)));
  const { query } = entry;
  const { shape, uses } = shapeModel({
    query,
    macros: calledMacros,
    upstream: dependencies.map((name) => {
      const view = viewOf(name);
      return { name, columns: columns.get(name) ?? [], ...(view && { view: view.shape }) };
    }),
    columns: boundColumns,
    header: headerFacts(model),
    context: createShapeContext(context.engine.aggregates, macros.bodies),
  });
  const fingerprint = fingerprintModel({
    model,
    query,
    macros: calledMacros,
    parameters: macros.macros.flatMap(({ name, file, parameters }) =>
      called.has(name) && file !== BUILT_IN ? [[name, ...parameters]] : [],
    ),
    uses,
    columns: boundColumns,
  });
  const inputs = [...new Set(dependencies.flatMap((name) => viewOf(name)?.inputs ?? [name]))].sort();
  const refresh: RefreshRule =
    model.appends || needsRule(model.name, fingerprint)
      ? await deriveRefreshRule(entry, boundColumns, context)
      : { kind: 'rebuild', why: 'it is computed whole' };
  return {
    ...model,
    dependencies,
    inputs,
    boundColumns,
    fingerprint,
    shape,
    usesAsOf,
    reachesAsOf: usesAsOf || dependencies.some((name) => viewOf(name)?.reachesAsOf === true),
    refresh,
  };
}

function reportCycle(
  cycle: readonly string[],
  byName: ReadonlyMap<string, ParsedModel>,
  diagnostics: Diagnostics,
): void {
  const entry = byName.get(cycle[0] ?? '');
  if (entry === undefined) return;
  const reference = entry.references.tables.find((table) => table.name === cycle[1]);
  const byte = reference === undefined ? undefined : byteOf(reference.node);
  const at = locateInBody(entry.model.bodyAt, entry.model.sql, offsetOfByte(entry.model.sql, byte ?? 0));
  const files = cycle.slice(0, -1).map((name) => byName.get(name)?.model.file ?? name);
  diagnostics.add({
    code: 'MODEL_CYCLE',
    message: `models read each other in a circle: ${cycle.join(' → ')}`,
    at,
    remedy: `Take one of the reads out of ${files.join(', ')}.`,
  });
}
