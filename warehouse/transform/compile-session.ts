import { createTableMaker } from './bind.ts';
import type { CachedTest } from './cache/compile-cache.ts';
import { type Candidate, type Described, parseModels } from './compile-model.ts';
import type { Diagnostics } from './diagnostics.ts';
import { digest } from './digest.ts';
import { reach } from './graph.ts';
import type { ModelFile, ProjectFile, ProjectFiles } from './load.ts';
import type { CompiledModel, SqlTest } from './model.ts';
import type { ParsedModel } from './parsed-model.ts';
import { createShapeContext } from './plan/model-shape.ts';
import type { ShapeContext } from './plan/query-shape.ts';
import { type LoadedMacros, loadMacros } from './read-macros.ts';
import {
  type BoundColumn,
  DESCRIBED_TOGETHER,
  type DescribedSql,
  type FunctionNames,
  openSqlEngine,
  type SqlEngine,
} from './sql-engine.ts';
import { compileSqlTests } from './sql-tests.ts';

/** What one compile has found so far, and a DuckDB that is opened when something must be parsed or bound. */

export interface Opened {
  readonly engine: SqlEngine;
  readonly macros: LoadedMacros;
  readonly shapes: ShapeContext;
  /** Gives DuckDB tables to bind against, as far as their columns are known. */
  readonly makeTables: (names: Iterable<string>) => Promise<void>;
}

export interface CompileSession {
  /** Columns of every table bound so far. */
  readonly columns: Map<string, readonly BoundColumn[]>;
  readonly compiled: Map<string, CompiledModel>;
  /** Models parsed by this compile. */
  readonly byName: ReadonlyMap<string, ParsedModel>;
  readonly candidateOf: ReadonlyMap<string, Candidate>;
  readonly parsed: readonly ParsedModel[];
  /** Of DuckDB's functions; undefined until it is opened. */
  readonly names: FunctionNames | undefined;
  open(): Promise<Opened>;
  parse(files: readonly ModelFile[]): Promise<void>;
  /** A rule looks through views: those that were not parsed in this compile are. */
  bringViews(entries: readonly ParsedModel[], fileOf: (name: string) => ModelFile | undefined): Promise<void>;
  /** What DuckDB says of models that do not read one another, in order; all they read is known. */
  describe(entries: readonly ParsedModel[]): AsyncIterable<Described>;
  compileTests(known: ReadonlyMap<string, CachedTest>, facts: TestFacts): Promise<CachedTest[]>;
  close(): Promise<void>;
}

interface TestFacts {
  readonly faces: ReadonlyMap<string, string>;
  readonly macroFiles: string;
}

export function createCompileSession(
  files: ProjectFiles,
  bronze: ReadonlyMap<string, readonly BoundColumn[]>,
  /** Names of all tables, those that do not compile included. */
  tables: ReadonlySet<string>,
  diagnostics: Diagnostics,
  /** Of DuckDB's functions, when they are known. */
  knownNames: () => FunctionNames | undefined,
): CompileSession {
  const columns = new Map(bronze);
  const compiled = new Map<string, CompiledModel>();
  const byName = new Map<string, ParsedModel>();
  const candidateOf = new Map<string, Candidate>();
  const parsed: ParsedModel[] = [];
  let opened: Promise<Opened> | undefined;
  let names: FunctionNames | undefined;

  const open = (): Promise<Opened> =>
    (opened ??= openSqlEngine(knownNames()).then(async (engine) => {
      ({ names } = engine);
      try {
        const macros = await loadMacros(engine, files.macros, diagnostics);
        const shapes = createShapeContext(engine.aggregates, macros.bodies);
        return { engine, macros, shapes, makeTables: createTableMaker(engine, columns) };
      } catch (error) {
        engine.close();
        throw error;
      }
    }));

  const parse = async (list: readonly ModelFile[]): Promise<void> => {
    if (list.length === 0) return;
    const { engine } = await open();
    const soon: ParsedModel[] = [];
    for await (const candidate of parseModels(engine, list, tables, diagnostics)) {
      const { entry } = candidate;
      parsed.push(entry);
      byName.set(entry.model.name, entry);
      candidateOf.set(entry.model.name, candidate);
      // What reads bronze alone can be bound while the next are parsed.
      if (candidate.isNamed && !candidate.readsElsewhere && entry.dependencies.every((name) => bronze.has(name)))
        soon.push(entry);
      if (soon.length === DESCRIBED_TOGETHER) ask(soon.splice(0));
    }
    ask(soon);
  };

  const asked = new Map<ParsedModel, { readonly answers: Promise<readonly DescribedSql[]>; readonly at: number }>();
  // Two questions at a time: DuckDB goes on with the next while the answer to one is on its way, and threads are left for what is parsed.
  const asking: Promise<unknown>[] = [Promise.resolve(), Promise.resolve()];

  const ask = (entries: readonly ParsedModel[]): void => {
    if (entries.length === 0) return;
    const answers = (asking.shift() ?? Promise.resolve()).then(async () => {
      const { engine, makeTables } = await open();
      await makeTables(entries.flatMap((entry) => tablesBelow(entry)));
      return engine.describeAll(entries.map(({ model }) => model.sql));
    });
    // Whoever waits for the answers is told when there are none.
    asking.push(answers.catch(() => undefined));
    for (const [at, entry] of entries.entries()) asked.set(entry, { answers, at });
  };

  async function* describe(entries: readonly ParsedModel[]): AsyncGenerator<Described> {
    const rest = entries.filter((entry) => !asked.has(entry));
    const askNext = (): ParsedModel | undefined => {
      const next = rest.splice(0, DESCRIBED_TOGETHER);
      ask(next);
      return next[0];
    };
    // DuckDB binds the next ones while these are looked at.
    let [reached, ahead] = [askNext(), askNext()];
    for (const entry of entries) {
      if (entry === reached) [reached, ahead] = [ahead, askNext()];
      const { answers, at } = asked.get(entry) ?? missing(entry);
      const answer = (await answers)[at] ?? missing(entry);
      asked.delete(entry);
      yield { entry, answer };
    }
  }

  const tablesBelow = (entry: ParsedModel): readonly string[] => [
    ...entry.dependencies,
    ...(entry.model.materialized === 'incremental'
      ? viewsBelow(entry).flatMap((name) => compiled.get(name)?.dependencies ?? [])
      : []),
  ];

  /** The views that an entry reads, directly or through other views. */
  const viewsBelow = (entry: ParsedModel): string[] => {
    const isView = (name: string) => compiled.get(name)?.materialized === 'view';
    const next = (name: string) => (compiled.get(name)?.dependencies ?? []).filter(isView);
    const direct = entry.dependencies.filter(isView);
    return [...new Set([...direct, ...reach(direct, next)])];
  };

  const compileFresh = async (fresh: readonly ProjectFile[]): Promise<SqlTest[]> => {
    if (fresh.length === 0) return [];
    const { engine, macros, makeTables } = await open();
    return compileSqlTests(engine, fresh, { tables, macros: new Set(macros.bodies.keys()), makeTables }, diagnostics);
  };

  return {
    columns,
    compiled,
    byName,
    candidateOf,
    parsed,
    get names() {
      return names;
    },
    open,
    parse,
    bringViews: async (entries, fileOf) => {
      const names = entries.flatMap((entry) => (entry.model.materialized === 'incremental' ? viewsBelow(entry) : []));
      const absent = [...new Set(names)].filter((name) => !byName.has(name));
      await parse(absent.flatMap((name) => fileOf(name) ?? []));
    },
    describe,
    compileTests: async (known, { faces, macroFiles }) => {
      const keyOfTest = ({ dependencies }: SqlTest) =>
        digest(JSON.stringify([dependencies.map((name) => [name, faces.get(name) ?? '']), macroFiles]));
      const done = new Map<string, CachedTest>();
      for (const file of files.tests) {
        const entry = known.get(file.file);
        const isSound =
          entry !== undefined &&
          entry.hash === hashOf(file) &&
          entry.key === keyOfTest(entry.test) &&
          entry.test.dependencies.every((name) => columns.has(name));
        if (isSound) done.set(file.file, { ...entry, stamp: file.stamp ?? '' });
      }
      const fresh = files.tests.filter(({ file }) => !done.has(file));
      const fileOf = new Map(fresh.map((file) => [file.file, file]));
      for (const test of await compileFresh(fresh)) {
        const { stamp = '', text } = fileOf.get(test.file) ?? { text: '' };
        done.set(test.file, { file: test.file, hash: digest(text), stamp, key: keyOfTest(test), test });
      }
      return files.tests.flatMap(({ file }) => done.get(file) ?? []);
    },
    close: async () => {
      const open = await opened?.catch(() => undefined);
      await Promise.all(asking);
      open?.engine.close();
    },
  };
}

function missing({ model }: ParsedModel): never {
  throw new RangeError(`${model.name} was not described`);
}

/** Of a file's text; known without reading it where its stamp is. */
export function hashOf(file: ProjectFile): string {
  const known = file.hash ?? hashes.get(file);
  if (known !== undefined) return known;
  const hash = digest(file.text);
  hashes.set(file, hash);
  return hash;
}

const hashes = new WeakMap<ProjectFile, string>();
