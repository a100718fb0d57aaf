import { reportProblem } from './bind.ts';
import { checkHeader, checkTests, expressionsOf } from './check-header.ts';
import { createDiagnostics, type Diagnostic, type Diagnostics } from './diagnostics.ts';
import { fingerprintModel } from './fingerprint.ts';
import { lintQuery, readsElsewhere } from './lint.ts';
import type { ModelFile } from './load.ts';
import type { CompiledModel, RefreshRule } from './model.ts';
import { createParsedModel, type ParsedModel } from './parsed-model.ts';
import { readModel } from './read-model.ts';
import type { RefreshContext } from './refresh-context.ts';
import { deriveRefreshRule } from './refresh-rule.ts';
import type { BoundColumn, SqlEngine } from './sql-engine.ts';
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

/** Reads and parses model files; what is wrong with one is reported and leaves it out. */
export async function parseModels(
  engine: SqlEngine,
  files: readonly ModelFile[],
  tables: ReadonlySet<string>,
  diagnostics: Diagnostics,
): Promise<Candidate[]> {
  const read = files.flatMap((file) => readModel(file, diagnostics) ?? []);
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

export interface BoundModel {
  readonly entry: ParsedModel;
  readonly boundColumns: readonly BoundColumn[];
}

/** Binds models that do not read one another. */
export async function bindModels(
  engine: SqlEngine,
  entries: readonly ParsedModel[],
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
    await checkHeader(engine, entry, answer.columns, diagnostics);
    if (!hasRepeats(answer.columns)) bound.push({ entry, boundColumns: answer.columns });
  }
  return bound;
}

/** Checks the tests of bound models once every table is known. */
export async function checkAllTests(
  engine: SqlEngine,
  models: readonly CompiledModel[],
  columns: ReadonlyMap<string, readonly BoundColumn[]>,
  diagnostics: Diagnostics,
): Promise<void> {
  const sound: string[] = [];
  const expressions = models.flatMap((model) => expressionsOf(model));
  let next = 0;
  for await (const parsed of engine.parseAll(expressions)) {
    const sql = expressions[next++];
    if (parsed.kind === 'query' && sql !== undefined) sound.push(sql);
  }
  const described = await engine.describeAll(sound);
  const answers = new Map(sound.map((sql, i) => [sql, described[i]]));
  const asked: SqlEngine = { ...engine, describe: async (sql) => answers.get(sql) ?? engine.describe(sql) };
  for (const model of models) await checkTests(asked, { model }, model.boundColumns, columns, diagnostics);
}

function hasRepeats(columns: readonly BoundColumn[]): boolean {
  return new Set(columns.map(({ name }) => name.toLowerCase())).size < columns.length;
}

/** A bound model with everything that later steps ask of it. */
export async function compileModel(
  entry: ParsedModel,
  boundColumns: readonly BoundColumn[],
  needsRule: (model: string, fingerprint: string) => boolean,
  context: RefreshContext,
): Promise<CompiledModel> {
  const { model, json, dependencies, calls } = entry;
  const { columns, compiled, macros } = context;
  const called = new Set(calls.flatMap((name) => [...(macros.reached.get(name) ?? [])]));
  const viewOf = (name: string) => {
    const upstream = compiled.get(name);
    return upstream?.materialized === 'view' ? upstream : undefined;
  };
  const usesAsOf = called.has('as_of');
  const fingerprint = fingerprintModel({
    model,
    query: json,
    macros: new Map([...macros.bodies].filter(([name]) => called.has(name))),
    upstream: dependencies.map((name) => {
      const view = viewOf(name);
      return {
        name,
        columns: columns.get(name) ?? [],
        ...(view === undefined ? {} : { fingerprint: view.fingerprint }),
      };
    }),
  });
  const inputs = [...new Set(dependencies.flatMap((name) => viewOf(name)?.inputs ?? [name]))].sort();
  const refresh: RefreshRule = needsRule(model.name, fingerprint)
    ? await deriveRefreshRule(entry, boundColumns, context)
    : { kind: 'rebuild', why: 'it is computed whole' };
  return {
    ...model,
    dependencies,
    inputs,
    boundColumns,
    fingerprint,
    usesAsOf,
    reachesAsOf: usesAsOf || dependencies.some((name) => viewOf(name)?.reachesAsOf === true),
    refresh,
  };
}
