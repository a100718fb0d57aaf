import { type AstNode, byteOf } from './ast.ts';
import {
  type BronzeNames,
  type BronzeTableFacts,
  createBronze,
  createModelTable,
  locateInBody,
  reportProblem,
} from './bind.ts';
import { checkAppend, checkHeader, checkTests } from './check-header.ts';
import { hashDeclarations } from './declarations.ts';
import { createDiagnostics, type Diagnostics } from './diagnostics.ts';
import { fingerprintModel } from './fingerprint.ts';
import { orderGraph, reach } from './graph.ts';
import { lintModel, readsElsewhere } from './lint.ts';
import type { ProjectFiles } from './load.ts';
import type { CompiledModel, CompiledProject } from './model.ts';
import type { ParsedModel } from './parsed-model.ts';
import { type LoadedMacros, loadMacros } from './read-macros.ts';
import { readModel } from './read-model.ts';
import { readReferences } from './references.ts';
import type { RefreshContext } from './refresh-context.ts';
import { deriveRefreshRule } from './refresh-rule.ts';
import { offsetOfByte } from './source-text.ts';
import { type BoundColumn, openSqlEngine, type SqlEngine } from './sql-engine.ts';
import { compileSqlTests } from './sql-tests.ts';
import { reportUnknownTables } from './unknown-tables.ts';

/** Text files → models in build order, checked and bound: everything that can be wrong is found here, before anything runs. */

export interface CompileOptions {
  readonly files: ProjectFiles;
  /** Names and columns of bronze; a BronzeSnapshot's tables fit. */
  readonly bronzeTables: readonly BronzeTableFacts[];
}

/** Errors: every problem of the project at once, as one SluiceError with the code of the first (MODEL_*). */
export async function compileProject({ files, bronzeTables }: CompileOptions): Promise<CompiledProject> {
  const texts = new Map([...files.models, ...files.macros, ...files.tests].map(({ file, text }) => [file, text]));
  const diagnostics = createDiagnostics((file) => texts.get(file));
  const engine = await openSqlEngine();
  try {
    const bronze = await createBronze(engine, bronzeTables);
    const macros = await loadMacros(engine, files.macros, diagnostics);
    const parsed = await parseModels(engine, files, diagnostics);
    reportDuplicates(parsed, diagnostics);
    // A model that does not parse is still a table of that name: those who read it are not wrong.
    const named = files.models.map(({ layer, table }) => `${layer}.${table}`);
    const tables = new Set([...bronze.columns.keys(), ...named]);
    for (const model of parsed) reportUnknownTables(model, tables, diagnostics);
    const models = await compileModels(engine, parsed, bronze, macros, diagnostics);
    const sqlTests = await compileSqlTests(engine, files.tests, tables, diagnostics);
    diagnostics.throwIfAny();
    return { models, macros: macros.macros, sqlTests, declarations: hashDeclarations(models, sqlTests) };
  } finally {
    engine.close();
  }
}

async function parseModels(engine: SqlEngine, files: ProjectFiles, diagnostics: Diagnostics): Promise<ParsedModel[]> {
  const parsed: ParsedModel[] = [];
  for (const file of files.models) {
    const read = readModel(file, diagnostics);
    if (read === undefined) continue;
    const { model } = read;
    const result = await engine.parse(model.sql);
    if (result.kind === 'problem') {
      reportProblem(result, model, engine, diagnostics);
      continue;
    }
    const references = readReferences(result.node);
    const dependencies = [...new Set(references.tables.flatMap((table) => table.name ?? []))].sort();
    parsed.push({ ...read, query: result.node, references, dependencies });
  }
  return parsed;
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
  parsed: readonly ParsedModel[],
  { columns: bronze, neverNull }: BronzeNames,
  macros: LoadedMacros,
  diagnostics: Diagnostics,
): Promise<CompiledModel[]> {
  const byName = new Map(parsed.map((entry) => [entry.model.name, entry]));
  const graph = orderGraph([...byName.values()].map(({ model, dependencies }) => ({ name: model.name, dependencies })));
  for (const cycle of graph.cycles) reportCycle(cycle, byName, diagnostics);
  const columns = new Map(bronze);
  const compiled = new Map<string, CompiledModel>();
  for (const name of graph.order) {
    const entry = byName.get(name);
    // A model below a broken one is not bound: its errors would only repeat the first.
    if (
      entry === undefined ||
      !entry.references.tables.every(({ name: table }) => table !== undefined && columns.has(table))
    )
      continue;
    const { model } = entry;
    lintModel(entry, { engine, macros, models: compiled, diagnostics });
    // A file it would read is refused by the lint with a better word than DuckDB's.
    if (readsElsewhere(entry.references)) continue;
    const described = await engine.describe(model.sql);
    if (described.kind === 'problem') {
      reportProblem(described, model, engine, diagnostics);
      continue;
    }
    const before = diagnostics.list.length;
    await checkHeader(engine, entry, described.columns, diagnostics);
    if (diagnostics.list.length > before && hasRepeats(described.columns)) continue;
    await createModelTable(engine, model, described.columns);
    columns.set(name, described.columns);
    const done = await compileModel(entry, described.columns, { engine, columns, macros, compiled, byName, neverNull });
    checkAppend(entry, done.refresh, diagnostics);
    compiled.set(name, done);
  }
  for (const model of compiled.values()) {
    const entry = byName.get(model.name);
    if (entry !== undefined) await checkTests(engine, entry, model.boundColumns, columns, diagnostics);
  }
  return [...compiled.values()];
}

function hasRepeats(columns: readonly BoundColumn[]): boolean {
  return new Set(columns.map(({ name }) => name.toLowerCase())).size < columns.length;
}

async function compileModel(
  entry: ParsedModel,
  boundColumns: readonly BoundColumn[],
  context: RefreshContext,
): Promise<CompiledModel> {
  const { model, query, dependencies, references } = entry;
  const { columns, compiled, macros } = context;
  const calls = references.functions.map((call) => call.name);
  const called = reach(['model'], (name) => (name === 'model' ? calls : callsOf(macros.bodies.get(name))));
  const viewOf = (name: string) => {
    const upstream = compiled.get(name);
    return upstream?.materialized === 'view' ? upstream : undefined;
  };
  const usesAsOf = called.has('as_of');
  const fingerprint = fingerprintModel({
    model,
    query,
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
  const refresh = await deriveRefreshRule(entry, boundColumns, context);
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

function callsOf(body: AstNode | undefined): readonly string[] {
  return body === undefined ? [] : readReferences(body).functions.map((call) => call.name);
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
