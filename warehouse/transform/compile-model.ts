import type { AstNode } from './ast.ts';
import { reportProblem } from './bind.ts';
import { checkHeader, checkTests, conditionsOf, expressionsOf } from './check-header.ts';
import { checkSnapshot } from './check-snapshot.ts';
import { checkWinner } from './check-winner.ts';
import { createDiagnostics, type Diagnostic, type Diagnostics } from './diagnostics.ts';
import { fingerprintModel, headerFacts } from './fingerprint.ts';
import { lintQuery, readsElsewhere } from './lint.ts';
import type { ModelFile } from './load.ts';
import { BUILT_IN } from './macros.ts';
import type { CompiledModel, Model, RefreshRule } from './model.ts';
import { createParsedModel, type ParsedModel } from './parsed-model.ts';
import { shapeModel } from './plan/model-shape.ts';
import type { ShapeContext } from './plan/query-shape.ts';
import { type ReadModel, readModel } from './read-model.ts';
import { type References, readReferences } from './references.ts';
import type { RefreshContext } from './refresh-context.ts';
import { deriveRefreshRule } from './refresh-rule.ts';
import { withSnapshotColumns } from './snapshot-rule.ts';
import type { BoundColumn, DescribedSql, SqlEngine, SqlProblem } from './sql-engine.ts';
import { reachesBeyondRow } from './test-reach.ts';
import { reportUnknownTables } from './unknown-tables.ts';

/** The steps of one model through the compiler, many models at a time: parse → bind → compile → check tests. */

/** A parsed model and what the lint said of its SELECT, which is told only where the tables it reads are sound. */
export interface Candidate {
  readonly entry: ParsedModel;
  readonly findings: readonly Diagnostic[];
  readonly readsElsewhere: boolean;
  /** False when it names something that can be no table of the project. */
  readonly isNamed: boolean;
}

/** Reads model files, each when it is asked for; what is wrong with one is reported and leaves it out. */
function* readModels(files: readonly ModelFile[], diagnostics: Diagnostics): Generator<ReadModel> {
  for (const file of files) {
    const read = readModel(file, diagnostics);
    if (read !== undefined) yield read;
  }
}

/** Reads and parses model files, one after the other; what is wrong with one is reported and leaves it out. */
export async function* parseModels(
  { engine, shapes }: { readonly engine: SqlEngine; readonly shapes: ShapeContext },
  files: readonly ModelFile[],
  tables: ReadonlySet<string>,
  diagnostics: Diagnostics,
): AsyncGenerator<Candidate> {
  for await (const { item: one, parsed } of engine.parseAll(readModels(files, diagnostics), ({ model }) => model.sql)) {
    if (parsed.kind === 'problem') {
      reportProblem(parsed, one.model, engine, diagnostics);
      continue;
    }
    const references = readReferences(parsed.node);
    const entry = createParsedModel(one, parsed, references, shapes);
    const lint = (query: AstNode, found: References): readonly Diagnostic[] => {
      const findings = createDiagnostics(() => undefined);
      lintQuery({ model: one.model, query, references: found }, engine, findings);
      return findings.list;
    };
    const isKnown = references.tables.every(({ name }) => name !== undefined && tables.has(name));
    const isSound = isKnown && lint(parsed.node, references).length === 0;
    // Places are looked up only where there is something to say.
    const located = isSound ? references : readReferences(entry.query);
    if (!isKnown) reportUnknownTables({ model: one.model, references: located }, tables, diagnostics);
    yield {
      entry,
      findings: isSound ? [] : lint(entry.query, located),
      readsElsewhere: readsElsewhere(references),
      isNamed: references.tables.every(({ name }) => name !== undefined),
    };
  }
}

export interface BoundModel {
  readonly entry: ParsedModel;
  readonly boundColumns: readonly BoundColumn[];
}

/** What DuckDB says of a model's SELECT. */
export interface Described {
  readonly entry: ParsedModel;
  readonly answer: DescribedSql;
}

/** Checks what DuckDB says of models; those that are sound come one by one. */
export async function* bindModels(
  engine: SqlEngine,
  described: readonly Described[],
  compiled: ReadonlyMap<string, CompiledModel>,
  diagnostics: Diagnostics,
): AsyncGenerator<BoundModel> {
  for (const { entry, answer } of described) {
    if (answer.kind === 'problem') {
      reportProblem(answer, entry.model, engine, diagnostics);
      continue;
    }
    checkSnapshot(entry, answer.columns, compiled, diagnostics);
    const boundColumns = withSnapshotColumns(entry.model, answer.columns);
    await checkHeader(engine, entry, boundColumns, diagnostics);
    await checkWinner(engine, entry, answer.columns, diagnostics);
    if (!hasRepeats(boundColumns)) yield { entry, boundColumns };
  }
}

export interface CheckedModel {
  /** With its tests marked. */
  readonly model: CompiledModel;
  /** Tables that its tests look at besides itself. */
  readonly related: readonly string[];
}

/** Binds and marks the tests of models once every table is known. */
export async function checkAllTests(
  models: readonly CompiledModel[],
  context: Pick<RefreshContext, 'engine' | 'columns'> & {
    /** Names of the macros there are. */
    readonly macros: ReadonlySet<string>;
    readonly makeTables: (names: Iterable<string>) => Promise<void>;
    readonly diagnostics: Diagnostics;
  },
): Promise<CheckedModel[]> {
  const { engine, columns, macros, makeTables, diagnostics } = context;
  const sound: string[] = [];
  const beyondRow = new Set<string>();
  const named = new Map<string, readonly string[]>();
  const expressions = models.flatMap((model) => expressionsOf(model));
  for await (const { item: sql, parsed } of engine.parseAll(expressions, (expression) => expression)) {
    if (parsed.kind === 'query') {
      sound.push(sql);
      named.set(
        sql,
        readReferences(parsed.node).tables.flatMap(({ name }) => name ?? []),
      );
    }
    if (parsed.kind === 'problem' || reachesBeyondRow(parsed.node, engine, macros)) beyondRow.add(sql);
  }
  await makeTables([...named.values()].flat());
  const described = await engine.describeAll(sound);
  const answers = new Map(sound.map((sql, i) => [sql, described[i]]));
  const attempts = new Map<string, SqlProblem | undefined>();
  const asked: SqlEngine = {
    ...engine,
    describe: async (sql) => answers.get(sql) ?? engine.describe(sql),
    // Limits of the same type are written again and again.
    attempt: async (sql, prefix) => {
      if (!attempts.has(sql)) attempts.set(sql, await engine.attempt(sql, prefix));
      return attempts.get(sql);
    },
  };
  for (const model of models) await checkTests(asked, { model }, model.boundColumns, columns, diagnostics);
  return models.map((model) => ({
    model: {
      ...model,
      tests: model.tests.map((test) =>
        conditionsOf(model, test).some((sql) => beyondRow.has(sql)) ? { ...test, beyondRow: true as const } : test,
      ),
    },
    related: [
      ...new Set([
        ...model.tests.flatMap((test) => (test.kind === 'relationships' ? [test.to] : [])),
        ...expressionsOf(model).flatMap((sql) => named.get(sql) ?? []),
      ]),
    ].sort(),
  }));
}

function hasRepeats(columns: readonly BoundColumn[]): boolean {
  return new Set(columns.map(({ name }) => name.toLowerCase())).size < columns.length;
}

/** Whether a model's refresh rule is wanted, by name and fingerprint. */
export type NeedsRule = (model: string, fingerprint: string) => boolean;

/** `incremental: append` is a promise that is held against the rule, whoever wants it. */
export function isRuleNeeded({ name, appends }: Model, fingerprint: string, needsRule: NeedsRule): boolean {
  return appends || needsRule(name, fingerprint);
}

/** The rule of an incremental model for which none is wanted. */
export const NOT_WANTED: RefreshRule = { kind: 'rebuild', why: 'it is computed whole' };

/** A bound model with everything that later steps ask of it. */
export async function compileModel(
  entry: ParsedModel,
  boundColumns: readonly BoundColumn[],
  needsRule: NeedsRule,
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
  const calledMacros = new Map(
    [...called].flatMap((name): [string, AstNode][] => {
      const body = macros.bodies.get(name);
      return body === undefined ? [] : [[name, body]];
    }),
  );
  const { shape, uses } = shapeModel({
    query: entry.shape,
    macros: calledMacros,
    upstream: dependencies.map((name) => {
      const view = viewOf(name);
      return { name, columns: columns.get(name) ?? [], ...(view && { view: view.shape }) };
    }),
    columns: boundColumns,
    header: headerFacts(model),
  });
  const fingerprint = fingerprintModel({
    model,
    query: entry.canonical,
    macros: calledMacros,
    parameters:
      called.size === 0
        ? []
        : macros.macros.flatMap(({ name, file, parameters }) =>
            called.has(name) && file !== BUILT_IN ? [[name, ...parameters]] : [],
          ),
    uses,
    columns: boundColumns,
  });
  const inputs = [...new Set(dependencies.flatMap((name) => viewOf(name)?.inputs ?? [name]))].sort();
  const refresh =
    model.materialized !== 'incremental' || isRuleNeeded(model, fingerprint, needsRule)
      ? await deriveRefreshRule(entry, boundColumns, context)
      : NOT_WANTED;
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
