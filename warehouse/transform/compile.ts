import { byteOf } from './ast.ts';
import { type BronzeTableFacts, createTableMaker, locateInBody, nameBronze } from './bind.ts';
import { type CachedTest, type CacheContent, type CompileCache, digest, type NewModel } from './cache/compile-cache.ts';
import { faceOf, facesOfBronze, hashColumns, keyOf, macroKeys } from './cache/keys.ts';
import type { CachedModel } from './cache/stored-model.ts';
import { bindModels, type Candidate, checkAllTests, compileModel, parseModels } from './compile-model.ts';
import { hashDeclaration, hashDeclarations } from './declarations.ts';
import { createDiagnostics, type Diagnostics } from './diagnostics.ts';
import { orderGraph, reach } from './graph.ts';
import { lintAsOf } from './lint.ts';
import type { ModelFile, ProjectFile, ProjectFiles } from './load.ts';
import type { CompiledModel, CompiledProject, SqlTest } from './model.ts';
import type { ParsedModel } from './parsed-model.ts';
import { type LoadedMacros, loadMacros } from './read-macros.ts';
import { offsetOfByte } from './source-text.ts';
import { type BoundColumn, openSqlEngine, type SqlEngine } from './sql-engine.ts';
import { compileSqlTests } from './sql-tests.ts';

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
  /** What earlier compiles found out; what this one finds out is saved in it. */
  readonly cache?: CompileCache;
}

/** Errors: every problem of the project at once, as one SluiceError with the code of the first (MODEL_*). */
export async function compileProject(options: CompileOptions): Promise<CompiledProject> {
  const { cache } = options;
  if (cache !== undefined && !hasDuplicates(options.files)) {
    const { project, content } = await compileFiles(options, cache);
    if (project !== undefined) {
      await cache.save(content);
      return project;
    }
  }
  // What is wrong is said by a compile that trusts nothing: the words are the same with a cache and without one.
  const { project, content, diagnostics } = await compileFiles(options, NOTHING_KNOWN);
  if (cache !== undefined && !hasDuplicates(options.files)) await cache.save(content);
  diagnostics.throwIfAny();
  if (project === undefined) throw new TypeError('a project without problems was not compiled');
  return project;
}

type Known = Pick<CompileCache, 'models' | 'tests' | 'macros'>;
const NOTHING_KNOWN: Known = { models: new Map(), tests: new Map(), macros: undefined };

function hasDuplicates({ models }: ProjectFiles): boolean {
  return new Set(models.map(({ layer, table }) => `${layer}.${table}`)).size < models.length;
}

interface Outcome {
  /** Absent when anything is wrong. */
  readonly project: CompiledProject | undefined;
  readonly content: CacheContent;
  readonly diagnostics: Diagnostics;
}

async function compileFiles({ files, bronzeTables, needsRule }: CompileOptions, known: Known): Promise<Outcome> {
  const texts = new Map([...files.models, ...files.macros, ...files.tests].map((file) => [file.file, file]));
  const diagnostics = createDiagnostics((file) => texts.get(file)?.text);
  const bronze = nameBronze(bronzeTables);
  const session = createSession(files, bronze.columns, known, diagnostics);
  try {
    const macroFiles = digest(JSON.stringify(files.macros.map(({ file, text }) => [file, text])));
    // A model that does not parse is still a table of that name: those who read it are not wrong.
    const named = files.models.map(({ layer, table }) => `${layer}.${table}`);
    const tables = new Set([...bronze.columns.keys(), ...named]);
    const isKnown = known.macros?.hash === macroFiles;
    const macros =
      known.macros !== undefined && isKnown
        ? known.macros
        : await session.open().then(({ macros: loaded }) => ({
            hash: macroFiles,
            macros: loaded.macros,
            keys: macroKeys(loaded),
          }));
    const faces = facesOfBronze(bronzeTables);
    const keyContext = { faces, macros: macros.keys, macroFiles };
    const kept = new Map<string, CachedModel>();
    const fresh: { readonly name: string; readonly file: ModelFile }[] = [];
    for (const file of files.models) {
      const entry = known.models.get(file.file);
      const isSame =
        entry !== undefined && entry.hash === hashOf(file) && entry.dependencies.every((table) => tables.has(table));
      if (isSame) kept.set(entry.name, entry);
      else fresh.push({ name: `${file.layer}.${file.table}`, file });
    }
    await session.parse(
      fresh.map(({ file }) => file),
      tables,
    );
    reportDuplicates(session.parsed, diagnostics);
    const { candidateOf, byName, columns, compiled } = session;
    const graph = orderGraph([
      ...[...byName.values()].map(({ model, dependencies }) => ({ name: model.name, dependencies })),
      ...[...kept.values()].map(({ name, dependencies }) => ({ name, dependencies })),
    ]);
    for (const cycle of graph.cycles) reportCycle(cycle, byName, diagnostics);
    const fileOf = new Map(files.models.map((file) => [`${file.layer}.${file.table}`, file]));
    const wants = needsRule ?? (() => true);
    const valid = new Map<string, CachedModel>();
    for (const level of graph.levels) {
      const stale: ModelFile[] = [];
      for (const name of level) {
        const entry = kept.get(name);
        if (entry === undefined) continue;
        const isReachable = entry.dependencies.every((table) => columns.has(table));
        const hasRule = entry.hasRule || !wants(name, entry.model.fingerprint);
        if (isReachable && hasRule && entry.key === keyOf(entry, keyContext)) {
          valid.set(name, entry);
          columns.set(name, entry.model.boundColumns);
          compiled.set(name, entry.model);
          faces.set(name, entry.face);
        } else stale.push(fileOf.get(name) ?? missing(name));
      }
      await session.parse(stale, tables);
      const reached = level.flatMap((name): Candidate[] => {
        const candidate = candidateOf.get(name);
        // A model below a broken one is not bound: its errors would only repeat the first.
        return candidate?.isNamed === true && candidate.entry.dependencies.every((table) => columns.has(table))
          ? [candidate]
          : [];
      });
      if (reached.length === 0) continue;
      const { engine, macros: loaded, makeTables } = await session.open();
      const entries = reached.flatMap(({ entry, findings, readsElsewhere }) => {
        for (const finding of findings) diagnostics.add(finding);
        lintAsOf(entry, { macros: loaded, models: compiled, diagnostics });
        // A file it would read is refused by the lint with a better word than DuckDB's.
        return readsElsewhere ? [] : [entry];
      });
      await session.bringViews(entries, (name) => fileOf.get(name), tables);
      await makeTables(entries.flatMap((entry) => session.tablesBelow(entry)));
      const bound = await bindModels(engine, entries, diagnostics);
      for (const { entry, boundColumns } of bound) columns.set(entry.model.name, boundColumns);
      for (const { entry, boundColumns } of bound) {
        const model = await compileModel(entry, boundColumns, wants, {
          engine,
          columns,
          macros: loaded,
          compiled,
          byName,
          neverNull: bronze.neverNull,
        });
        compiled.set(model.name, model);
        faces.set(model.name, faceOf(model, faces));
      }
    }
    // The order is the graph's, whoever came from where.
    const models = graph.order.flatMap((name) => compiled.get(name) ?? []);
    const relatedOf = (model: CompiledModel) =>
      Object.fromEntries(
        model.tests.flatMap((test) =>
          test.kind === 'relationships' ? [[test.to, hashColumns(columns.get(test.to))]] : [],
        ),
      );
    const unsettled = models.filter((model) => {
      const entry = valid.get(model.name);
      return (
        entry === undefined ||
        Object.entries(entry.related).some(([table, hash]) => hash !== hashColumns(columns.get(table)))
      );
    });
    if (unsettled.length > 0) {
      const { engine, makeTables } = await session.open();
      await makeTables(
        unsettled.flatMap(({ name, tests }) => (tests.some(({ kind }) => kind === 'expression') ? [name] : [])),
      );
      await checkAllTests(engine, unsettled, columns, diagnostics);
    }
    const tests = await session.compileTests(files.tests, tables, faces, macroFiles);
    const newModels = models.flatMap((model): (CachedModel | NewModel)[] => {
      const file = fileOf.get(model.name) ?? missing(model.name);
      const entry = valid.get(model.name);
      if (diagnostics.has(model.file)) return [];
      if (entry !== undefined && !unsettled.includes(model) && (file.stamp ?? '') === entry.stamp) return [entry];
      const calls = entry?.calls ?? byName.get(model.name)?.calls ?? [];
      const hasExpressions = model.tests.some(({ kind }) => kind === 'expression');
      const facts = { dependencies: model.dependencies, calls, hasExpressions };
      return [
        {
          file: model.file,
          model,
          facts: {
            ...facts,
            file: model.file,
            hash: hashOf(file),
            stamp: file.stamp ?? '',
            key: keyOf(facts, keyContext),
            name: model.name,
            related: relatedOf(model),
            face: faces.get(model.name) ?? '',
            hasRule: entry?.hasRule ?? (model.materialized !== 'incremental' || wants(model.name, model.fingerprint)),
            declaration: hashDeclaration(model),
          },
        },
      ];
    });
    const content: CacheContent = { models: newModels, tests, macros };
    // A circle that runs through models of the cache has nobody to report it here.
    const isWhole = models.length === files.models.length;
    if (diagnostics.list.length > 0 || !isWhole) return { project: undefined, content, diagnostics };
    const sqlTests = tests.map(({ test }) => test);
    const declarations = hashDeclarations(
      newModels.map((entry) => ('facts' in entry ? entry.facts.declaration : entry.declaration)),
      sqlTests,
    );
    return { project: { models, macros: macros.macros, sqlTests, declarations }, content, diagnostics };
  } finally {
    await session.close();
  }
}

function hashOf(file: ProjectFile): string {
  const known = file.hash ?? hashes.get(file);
  if (known !== undefined) return known;
  const hash = digest(file.text);
  hashes.set(file, hash);
  return hash;
}

const hashes = new WeakMap<ProjectFile, string>();

function missing(name: string): never {
  throw new RangeError(`the model ${name} has no file`);
}

interface Opened {
  readonly engine: SqlEngine;
  readonly macros: LoadedMacros;
  readonly makeTables: (names: Iterable<string>) => Promise<void>;
}

/** What a compile has found so far, and a DuckDB that is opened when something must be bound. */
function createSession(
  files: ProjectFiles,
  bronze: ReadonlyMap<string, readonly BoundColumn[]>,
  known: Known,
  diagnostics: Diagnostics,
) {
  const columns = new Map(bronze);
  const compiled = new Map<string, CompiledModel>();
  const byName = new Map<string, ParsedModel>();
  const candidateOf = new Map<string, Candidate>();
  const parsed: ParsedModel[] = [];
  let opened: Promise<Opened> | undefined;

  const open = (): Promise<Opened> =>
    (opened ??= openSqlEngine().then(async (engine) => {
      try {
        const macros = await loadMacros(engine, files.macros, diagnostics);
        return { engine, macros, makeTables: createTableMaker(engine, columns) };
      } catch (error) {
        engine.close();
        throw error;
      }
    }));

  const parse = async (list: readonly ModelFile[], tables: ReadonlySet<string>): Promise<void> => {
    if (list.length === 0) return;
    const { engine } = await open();
    for (const candidate of await parseModels(engine, list, tables, diagnostics)) {
      const { entry } = candidate;
      parsed.push(entry);
      byName.set(entry.model.name, entry);
      candidateOf.set(entry.model.name, candidate);
    }
  };

  /** The views that an entry reads, directly or through other views. */
  const viewsBelow = (entry: ParsedModel): string[] => {
    const isView = (name: string) => compiled.get(name)?.materialized === 'view';
    const next = (name: string) => (compiled.get(name)?.dependencies ?? []).filter(isView);
    const direct = entry.dependencies.filter(isView);
    return [...new Set([...direct, ...reach(direct, next)])];
  };

  return {
    columns,
    compiled,
    byName,
    candidateOf,
    parsed,
    open,
    parse,
    /** A rule looks through views: those that were not parsed in this compile are. */
    bringViews: async (
      entries: readonly ParsedModel[],
      fileOf: (name: string) => ModelFile | undefined,
      tables: ReadonlySet<string>,
    ): Promise<void> => {
      const names = entries.flatMap((entry) => (entry.model.materialized === 'incremental' ? viewsBelow(entry) : []));
      const absent = [...new Set(names)].filter((name) => !byName.has(name));
      await parse(
        absent.flatMap((name) => fileOf(name) ?? []),
        tables,
      );
    },
    /** The tables that binding an entry, with the views it reads written out, may name. */
    tablesBelow: (entry: ParsedModel): string[] => [
      ...entry.dependencies,
      ...(entry.model.materialized === 'incremental'
        ? viewsBelow(entry).flatMap((name) => compiled.get(name)?.dependencies ?? [])
        : []),
    ],
    compileTests: async (
      tests: readonly ProjectFile[],
      tables: ReadonlySet<string>,
      faces: ReadonlyMap<string, string>,
      macroFiles: string,
    ): Promise<CachedTest[]> => {
      const keyOfTest = ({ dependencies }: SqlTest) =>
        digest(JSON.stringify([dependencies.map((name) => [name, faces.get(name) ?? '']), macroFiles]));
      const done = new Map<string, CachedTest>();
      const fresh: ProjectFile[] = [];
      for (const file of tests) {
        const entry = known.tests.get(file.file);
        const isSound =
          entry !== undefined &&
          entry.hash === hashOf(file) &&
          entry.key === keyOfTest(entry.test) &&
          entry.test.dependencies.every((name) => columns.has(name));
        if (isSound) done.set(file.file, { ...entry, stamp: file.stamp ?? '' });
        else fresh.push(file);
      }
      if (fresh.length > 0) {
        const { engine, makeTables } = await open();
        for (const test of await compileSqlTests(engine, fresh, tables, makeTables, diagnostics)) {
          const file = fresh.find((candidate) => candidate.file === test.file);
          if (file === undefined || diagnostics.has(test.file)) continue;
          done.set(test.file, {
            file: test.file,
            hash: hashOf(file),
            stamp: file.stamp ?? '',
            key: keyOfTest(test),
            test,
          });
        }
      }
      // Beside problems a test is not bound.
      if (diagnostics.list.length > 0) for (const { file } of fresh) done.delete(file);
      return tests.flatMap(({ file }) => done.get(file) ?? []);
    },
    close: async (): Promise<void> => {
      const open = await opened?.catch(() => undefined);
      open?.engine.close();
    },
  };
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
