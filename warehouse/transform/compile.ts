import { type BronzeTableFacts, nameBronze } from './bind.ts';
import { type CacheContent, type CompileCache, type NewModel } from './cache/compile-cache.ts';
import {
  faceOf,
  facesOfBronze,
  hashColumns,
  hasSqlInHeader,
  type KeyContext,
  type KeyFacts,
  keyOf,
  macroKeys,
  seedsKeyOf,
} from './cache/keys.ts';
import {
  compareWith,
  type LastCompile,
  lastCompileOf,
  type OrderedGraph,
  orderAgain,
  rememberCompile,
  type Unmoved,
} from './cache/last-compile.ts';
import type { CachedModel } from './cache/stored-model.ts';
import { checkAppend } from './check-header.ts';
import {
  bindModels,
  type Candidate,
  checkAllTests,
  compileModel,
  type Described,
  isRuleNeeded,
  type NeedsRule,
  NOT_WANTED,
} from './compile-model.ts';
import { type CompileSession, createCompileSession, hashOf } from './compile-session.ts';
import { hashDeclaration, hashDeclarations } from './declarations.ts';
import { createDiagnostics, type Diagnostics } from './diagnostics.ts';
import { digest } from './digest.ts';
import { lintAsOf } from './lint.ts';
import type { ModelFile, ProjectFiles } from './load.ts';
import type { CompiledModel, CompiledProject } from './model.ts';
import type { LoadedMacros } from './read-macros.ts';
import { reportCycle, reportDuplicates } from './report-graph.ts';
import { compileSeeds, seedTexts } from './seeds/compile-seeds.ts';
import type { FunctionNames } from './sql-engine.ts';

/** Text files → models in build order, checked and bound: everything that can be wrong is found here, before anything runs. */

export interface CompileOptions {
  readonly files: ProjectFiles;
  /** Names and columns of bronze; a BronzeSnapshot's tables fit. */
  readonly bronzeTables: readonly BronzeTableFacts[];
  /**
   * Models whose refresh rule is wanted, by name and fingerprint; all when absent. A proof takes longer than the rest of a model's compile, and one
   * that is new or changed is computed whole anyway.
   */
  readonly needsRule?: NeedsRule;
  /** What earlier compiles found out; what this one finds out is saved in it. */
  readonly cache?: CompileCache;
}

/** Errors: every problem of the project at once, as one SluiceError with the code of the first (MODEL_*). */
export async function compileProject(options: CompileOptions): Promise<CompiledProject> {
  const { cache } = options;
  if (cache !== undefined && !hasDuplicates(options.files)) {
    // As they are now: another compile of the same cache may save while this one runs.
    const { models, tests, macros } = cache;
    const known = { models, tests, macros, functions: () => cache.functions };
    const { project, content, found } = await compileFiles(options, known, lastCompileOf(cache));
    if (project !== undefined) {
      const saved = cache.save(content);
      rememberCompile(cache, { ...found, models: cache.models });
      await saved;
      return project;
    }
  }
  // What is wrong is said by a compile that trusts nothing: the words are the same with a cache and without one, and nothing of it is kept.
  const { project, content, diagnostics } = await compileFiles(options, NOTHING_KNOWN, undefined);
  diagnostics.throwIfAny();
  if (project === undefined) throw new TypeError('a project without problems was not compiled');
  await cache?.save(content);
  return project;
}

type Known = Pick<CompileCache, 'models' | 'tests' | 'macros'> & {
  /** Read when DuckDB is opened. */
  readonly functions: () => FunctionNames | undefined;
};
const NOTHING_KNOWN: Known = { models: new Map(), tests: new Map(), macros: undefined, functions: () => undefined };

function hasDuplicates({ models }: ProjectFiles): boolean {
  return new Set(models.map(({ name }) => name)).size < models.length;
}

/** A file whose text is not the cache's: cheap, for most of those that were read anew are. */
function isNews(file: ModelFile, { models }: Known): boolean {
  return file.hash === undefined && models.get(file.file)?.hash !== hashOf(file);
}

interface Outcome {
  /** Absent when anything is wrong. */
  readonly project: CompiledProject | undefined;
  readonly content: CacheContent;
  readonly diagnostics: Diagnostics;
  readonly found: Omit<LastCompile, 'models'>;
}

async function compileFiles(options: CompileOptions, known: Known, before: LastCompile | undefined): Promise<Outcome> {
  const { files, bronzeTables, needsRule: wants = () => true } = options;
  const seedFiles = files.seeds ?? [];
  const diagnostics = createDiagnostics((path) => {
    const found = [files.models, files.macros, files.tests].flatMap(
      (list) => list.find(({ file }) => file === path) ?? [],
    );
    return found[0]?.text ?? new Map(seedTexts(seedFiles)).get(path);
  });
  const bronze = nameBronze(bronzeTables);
  // A model that does not parse is still a table of that name: those who read it are not wrong.
  const named = files.models.map(({ name }) => name);
  const tables = new Set([...bronze.columns.keys(), ...named, ...seedFiles.map(({ table }) => `silver.${table}`)]);
  const modelFiles = new Map(files.models.map((file) => [file.name, file]));
  const session = createCompileSession(files, modelFiles, bronze.columns, tables, diagnostics, known.functions);
  // DuckDB opens, in a thread of its own, while the rest is looked at.
  if (files.models.some((file) => isNews(file, known))) session.open().catch(() => undefined);
  try {
    const macroFiles = digest(JSON.stringify(files.macros.map(({ file, text }) => [file, text])));
    const macros =
      known.macros?.hash === macroFiles
        ? known.macros
        : await session.open().then(({ macros: loaded }) => ({
            hash: macroFiles,
            macros: loaded.macros,
            keys: macroKeys(loaded),
          }));
    const { compiled } = session;
    const faces = facesOfBronze(bronzeTables);
    const unmoved = compareWith(before, { models: known.models, macroFiles });
    for (const [name, face] of faces) unmoved.showed(name, face);
    const context: Context = {
      session,
      wants,
      neverNull: bronze.neverNull,
      diagnostics,
      keyContext: { faces, macros: macros.keys, macroFiles, compiled },
      files: modelFiles,
      facts: new Map(),
      valid: new Map(),
      restamped: new Set(),
      unmoved,
    };
    const seeds = await bringSeeds(files, known, named, context);
    const ordered = await bringModels(files, known, { tables, before }, context);
    // The order is the graph's, whoever came from where.
    const settled = await settleTests(
      [...seeds, ...ordered.graph.order].flatMap((name) => compiled.get(name) ?? []),
      context,
    );
    const tests = await session.compileTests(known.tests, { faces, macroFiles });
    const content: CacheContent = {
      models: settled.map((model) => toEntry(model, context)),
      tests,
      macros,
      functions: session.names,
    };
    // A circle that runs through models of the cache has nobody to report it here.
    const isWhole = settled.length === files.models.length + seedFiles.length && tests.length === files.tests.length;
    const found = { faces, macroFiles, ordered };
    if (diagnostics.list.length > 0 || !isWhole) return { project: undefined, content, diagnostics, found };
    const sqlTests = tests.map(({ test }) => test);
    const declarations = hashDeclarations(
      content.models.map((entry) => ('facts' in entry ? entry.facts.declaration : entry.declaration)),
      sqlTests,
    );
    const models = settled.map(({ model }) =>
      lacksUse(model, wants) && context.valid.has(model.name) ? withoutRule(model) : model,
    );
    return { project: { models, macros: macros.macros, sqlTests, declarations }, content, diagnostics, found };
  } finally {
    await session.close();
  }
}

interface Context {
  readonly session: CompileSession;
  readonly wants: NeedsRule;
  readonly neverNull: ReadonlySet<string>;
  readonly diagnostics: Diagnostics;
  readonly keyContext: KeyContext & { readonly faces: Map<string, string> };
  /** Models' files by their names. */
  readonly files: ReadonlyMap<string, ModelFile>;
  /** What of a model compiled here is stored beside it. */
  readonly facts: Map<string, KeyFacts & Pick<CachedModel, 'hash' | 'stamp' | 'key'>>;
  /** Entries of the cache that hold. */
  readonly valid: Map<string, CachedModel>;
  /** Entries of files that were written again with the same text. */
  readonly restamped: Set<CachedModel>;
  readonly unmoved: Unmoved;
}

/** Takes a valid entry of the cache as it is. */
function keep(entry: CachedModel, { session, keyContext }: Context): void {
  session.columns.set(entry.name, entry.model.boundColumns);
  session.compiled.set(entry.name, entry.model);
  session.settle(entry.name);
  keyContext.faces.set(entry.name, entry.face);
}

function add(model: CompiledModel, facts: Omit<KeyFacts, 'hasSqlInHeader' | 'isSnapshot'> & Stored, context: Context) {
  const { session, keyContext, unmoved } = context;
  const whole = { ...facts, hasSqlInHeader: hasSqlInHeader(model), isSnapshot: model.materialized === 'snapshot' };
  const key = facts.key ?? keyOf(whole, keyContext);
  session.columns.set(model.name, model.boundColumns);
  session.compiled.set(model.name, model);
  session.settle(model.name);
  const face = faceOf(model, { hash: facts.hash, key });
  keyContext.faces.set(model.name, face);
  unmoved.showed(model.name, face);
  context.facts.set(model.name, { ...whole, key });
}

interface Stored {
  readonly hash: string;
  readonly stamp: string;
  /** Of a seed: its files'. */
  readonly key?: string;
}

/** All seeds from the cache, or all of them anew; their names in the order of their paths. */
async function bringSeeds(
  files: ProjectFiles,
  known: Known,
  named: readonly string[],
  context: Context,
): Promise<readonly string[]> {
  const { seeds = [] } = files;
  if (seeds.length === 0) return [];
  const key = seedsKeyOf(seeds, named, context.keyContext.macroFiles);
  const entries = seeds.flatMap(({ stem }) => known.models.get(`${stem}.csv`) ?? []);
  if (entries.length === seeds.length && entries.every((entry) => entry.key === key)) {
    for (const entry of entries) {
      context.valid.set(entry.name, entry);
      keep(entry, context);
    }
    return entries.map(({ name }) => name);
  }
  const { engine } = await context.session.open();
  const models = await compileSeeds(engine, seeds, new Set(named), context.diagnostics);
  for (const model of models) add(model, { dependencies: [], calls: [], hash: '', stamp: '', key }, context);
  return models.map(({ name }) => name);
}

/** Compiles what is new as soon as DuckDB has bound it; then, level by level, looks which models of the cache still hold, and compiles those that do not; the graph they make. */
async function bringModels(
  { models }: ProjectFiles,
  known: Known,
  { tables, before }: { readonly tables: ReadonlySet<string>; readonly before: LastCompile | undefined },
  context: Context,
): Promise<OrderedGraph> {
  const { session, wants, diagnostics, keyContext, files, valid, restamped, unmoved } = context;
  const { byName, columns } = session;
  const fresh: ModelFile[] = [];
  for (const file of models) {
    const entry = known.models.get(file.file);
    const isSame =
      entry !== undefined && entry.hash === hashOf(file) && entry.dependencies.every((table) => tables.has(table));
    if (!isSame) {
      fresh.push(file);
      continue;
    }
    valid.set(entry.name, entry);
    if (entry.stamp !== (file.stamp ?? '')) restamped.add(entry);
  }
  // Others read what stands in silver: DuckDB is not to wait for it.
  fresh.sort((a, b) => Number(a.layer === 'gold') - Number(b.layer === 'gold'));
  await session.parse(fresh, { between: () => compileAnswered(context, { isWaiting: false }) });
  reportDuplicates(session.parsed, diagnostics);
  const nodes = [...files.keys()].flatMap((name) => {
    const dependencies = (valid.get(name) ?? byName.get(name))?.dependencies;
    return dependencies === undefined ? [] : [{ name, dependencies }];
  });
  const ordered = orderAgain(nodes, before?.ordered);
  const { graph } = ordered;
  for (const cycle of graph.cycles) reportCycle(cycle, byName, diagnostics);
  for (const level of graph.levels) {
    const stale: ModelFile[] = [];
    for (const name of level) {
      const entry = valid.get(name);
      if (entry === undefined) continue;
      const isReachable = entry.dependencies.every((table) => columns.has(table));
      const hasRule = entry.hasRule || !wants(name, entry.model.fingerprint);
      const holds = () => unmoved.holdsStill(entry) || entry.key === keyOf(entry, keyContext);
      if (isReachable && hasRule && holds()) {
        keep(entry, context);
        continue;
      }
      valid.delete(name);
      stale.push(files.get(name) ?? missing(name));
    }
    await session.parse(stale);
    await compileAnswered(context, { isWaiting: true });
    await lintRefused(level, context);
  }
  return ordered;
}

/** Compiles what DuckDB has bound so far; where waiting, everything that can be bound. */
async function compileAnswered(context: Context, options: { readonly isWaiting: boolean }): Promise<void> {
  for await (const described of context.session.answered(options)) await compileBound(described, context);
}

async function compileBound(described: readonly Described[], context: Context): Promise<void> {
  const { session, wants, diagnostics, neverNull, files } = context;
  const { byName, candidateOf, columns, compiled } = session;
  const { engine, macros } = await session.open();
  const entries = described.map(({ entry }) => entry);
  for (const { model } of entries) lintCandidate(candidateOf.get(model.name) ?? missing(model.name), macros, context);
  await session.bringViews(entries);
  for await (const { entry, boundColumns } of bindModels(engine, described, compiled, diagnostics)) {
    columns.set(entry.model.name, boundColumns);
    const model = await compileModel(entry, boundColumns, wants, {
      engine,
      columns,
      macros,
      compiled,
      byName,
      neverNull,
    });
    checkAppend(entry, model.refresh, diagnostics);
    const file = files.get(model.name) ?? missing(model.name);
    const { dependencies, calls } = entry;
    // Of the text that was read now: what was known of the file may be older.
    add(model, { dependencies, calls, hash: digest(file.text), stamp: file.stamp ?? '' }, context);
  }
}

/** A file that a model would read is refused by the lint with a better word than DuckDB's, which is not asked. */
async function lintRefused(level: readonly string[], context: Context): Promise<void> {
  const { session } = context;
  const { candidateOf, columns } = session;
  for (const name of level) {
    const candidate = candidateOf.get(name);
    if (candidate?.isNamed !== true || !candidate.readsElsewhere) continue;
    // A model below a broken one is not looked at: its errors would only repeat the first.
    if (!candidate.entry.dependencies.every((table) => columns.has(table))) continue;
    lintCandidate(candidate, (await session.open()).macros, context);
  }
}

function lintCandidate({ entry, findings }: Candidate, macros: LoadedMacros, { session, diagnostics }: Context): void {
  for (const finding of findings) diagnostics.add(finding);
  lintAsOf(entry, { macros, models: session.compiled, diagnostics });
}

interface SettledModel {
  readonly model: CompiledModel;
  /** Of the cache, and nothing about it changed. */
  readonly entry?: CachedModel;
  readonly related: CachedModel['related'];
}

/** Checks and marks the tests of models that are new or whose tests look at tables that changed. */
async function settleTests(models: readonly CompiledModel[], context: Context): Promise<readonly SettledModel[]> {
  const { session, valid, diagnostics, unmoved } = context;
  const { columns } = session;
  const entryOf = ({ name }: CompiledModel): CachedModel | undefined => {
    const entry = valid.get(name);
    if (entry === undefined) return undefined;
    const holds = Object.entries(entry.related).every(
      ([table, hash]) => (columns.has(table) && unmoved.isAsBefore(table)) || hash === hashColumns(columns.get(table)),
    );
    return holds ? entry : undefined;
  };
  const entries = models.map(entryOf);
  const open = models.filter((_, i) => entries[i] === undefined);
  const checked = new Map<string, SettledModel>();
  if (open.length > 0) {
    const { engine, macros, makeTables } = await session.open();
    const names = new Set(macros.bodies.keys());
    for (const { model, related } of await checkAllTests(open, {
      engine,
      columns,
      macros: names,
      makeTables,
      diagnostics,
    })) {
      const hashes = related.map((table) => [table, hashColumns(columns.get(table))]);
      checked.set(model.name, { model, related: Object.fromEntries(hashes) });
    }
  }
  return models.map((model, i) => {
    const entry = entries[i];
    if (entry !== undefined) return { model, entry, related: entry.related };
    return checked.get(model.name) ?? missing(model.name);
  });
}

function toEntry({ model, entry, related }: SettledModel, context: Context): CachedModel | NewModel {
  const { files, valid, restamped, facts, wants, keyContext } = context;
  if (entry !== undefined && !restamped.has(entry)) return entry;
  const known = valid.get(model.name);
  // A seed has two files, whose texts are part of its key.
  const stamp = files.get(model.name)?.stamp ?? '';
  const own = facts.get(model.name) ?? known ?? missing(model.name);
  const { dependencies, calls, hasSqlInHeader: hasSql, isSnapshot, hash, key } = own;
  const hasRule = known?.hasRule ?? !lacksUse(model, wants);
  return {
    file: model.file,
    model,
    facts: {
      dependencies,
      calls,
      hasSqlInHeader: hasSql,
      isSnapshot,
      hash,
      key,
      stamp,
      file: model.file,
      name: model.name,
      related,
      face: keyContext.faces.get(model.name) ?? '',
      hasRule,
      declaration: hashDeclaration(model),
    },
  };
}

function lacksUse(model: CompiledModel, wants: NeedsRule): boolean {
  return model.materialized === 'incremental' && !isRuleNeeded(model, model.fingerprint, wants);
}

/** As it would have been compiled; what of it was not read from the cache yet stays unread. */
function withoutRule(model: CompiledModel): CompiledModel {
  const known = ruleless.get(model);
  if (known !== undefined) return known;
  const copy = Object.defineProperties({}, Object.getOwnPropertyDescriptors(model)) as CompiledModel;
  Object.defineProperty(copy, 'refresh', { value: NOT_WANTED, enumerable: true, configurable: true });
  ruleless.set(model, copy);
  return copy;
}

const ruleless = new WeakMap<CompiledModel, CompiledModel>();

function missing(name: string): never {
  throw new RangeError(`the model ${name} has no file`);
}
