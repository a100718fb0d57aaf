import { setImmediate as nextTurn } from 'node:timers/promises';
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
  /** `between` is called again and again while files are parsed. Of files that are only looked at, DuckDB is not asked. */
  parse(files: readonly ModelFile[], options?: ParseOptions): Promise<void>;
  /** A table is compiled: models that waited for it alone are bound while others are looked at. */
  settle(name: string): void;
  /** A rule looks through views: those that were not parsed in this compile are. */
  bringViews(entries: readonly ParsedModel[]): Promise<void>;
  /** What DuckDB says of parsed models whose tables are all compiled, many at a time; where waiting, until there is none that it could be asked about. */
  answered(options: { readonly isWaiting: boolean }): AsyncIterable<readonly Described[]>;
  compileTests(known: ReadonlyMap<string, CachedTest>, facts: TestFacts): Promise<CachedTest[]>;
  close(): Promise<void>;
}

interface ParseOptions {
  readonly isBound?: boolean;
  readonly between?: () => Promise<void>;
}

interface TestFacts {
  readonly faces: ReadonlyMap<string, string>;
  readonly macroFiles: string;
}

export function createCompileSession(
  files: ProjectFiles,
  /** Models' files by their names. */
  modelFiles: ReadonlyMap<string, ModelFile>,
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

  const parse: CompileSession['parse'] = async (list, { isBound = true, between } = {}) => {
    if (list.length === 0) return;
    const known = await open();
    for await (const candidate of parseModels(known, list, tables, diagnostics)) {
      const { entry } = candidate;
      const { name, file } = entry.model;
      parsed.push(entry);
      byName.set(name, entry);
      candidateOf.set(name, candidate);
      const isOnly = modelFiles.get(name)?.file === file;
      if (isBound && isOnly && candidate.isNamed && !candidate.readsElsewhere) waitForTables(entry);
      if (parsed.length % DESCRIBED_TOGETHER === 0) await between?.();
    }
  };

  /** Models that wait for tables to be compiled, by the table. */
  const waiting = new Map<string, Waiting[]>();
  /** All that these read is known: they are asked about as soon as there are enough of them, or nothing else is asked. */
  let ready: ParsedModel[] = [];
  const questions: Question[] = [];
  // What is asked next waits on this side: DuckDB's threads are few.
  const asking: Promise<unknown>[] = Array.from({ length: ASKED_AT_ONCE }, () => Promise.resolve());

  const waitForTables = (entry: ParsedModel): void => {
    const absent = entry.dependencies.filter((name) => !columns.has(name));
    const wait = { entry, absent: absent.length };
    if (absent.length === 0) beReady(entry);
    for (const name of absent) {
      const others = waiting.get(name);
      if (others === undefined) waiting.set(name, [wait]);
      else others.push(wait);
    }
  };

  const beReady = (entry: ParsedModel): void => {
    ready.push(entry);
    if (ready.length === DESCRIBED_TOGETHER) ask();
  };

  const ask = (): void => {
    const entries = ready;
    ready = [];
    if (entries.length === 0) return;
    // What they read is made while earlier questions are answered.
    const made = open().then(({ makeTables }) => makeTables(entries.flatMap((entry) => tablesBelow(entry))));
    const answers = Promise.all([open(), made, asking.shift()]).then(([{ engine }]) =>
      engine.describeAll(entries.map(({ model }) => model.sql)),
    );
    const question: Question = { entries, answers, isAnswered: false };
    // Whoever waits for the answers is told when there are none.
    const settled = answers.catch(() => undefined).then(() => (question.isAnswered = true));
    asking.push(settled);
    questions.push(question);
  };

  async function* answered({ isWaiting }: { readonly isWaiting: boolean }): AsyncGenerator<readonly Described[]> {
    for (;;) {
      // DuckDB's answers arrive between two turns only.
      await nextTurn();
      if (isWaiting && questions.length < ASKED_AT_ONCE) ask();
      const [question] = questions;
      if (question === undefined || !(isWaiting || question.isAnswered)) return;
      questions.shift();
      const answers = await question.answers;
      yield question.entries.map((entry, i) => ({ entry, answer: answers[i] ?? missing(entry) }));
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
    settle: (name) => {
      for (const wait of waiting.get(name) ?? []) {
        wait.absent -= 1;
        if (wait.absent === 0) beReady(wait.entry);
      }
      waiting.delete(name);
    },
    bringViews: async (entries) => {
      const names = entries.flatMap((entry) => (entry.model.materialized === 'incremental' ? viewsBelow(entry) : []));
      const absent = [...new Set(names)].filter((name) => !byName.has(name));
      await parse(
        absent.flatMap((name) => modelFiles.get(name) ?? []),
        { isBound: false },
      );
    },
    answered,
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

/** Two are bound by DuckDB, and the next are there when it has done. */
const ASKED_AT_ONCE = 3;

interface Question {
  readonly entries: readonly ParsedModel[];
  readonly answers: Promise<readonly DescribedSql[]>;
  isAnswered: boolean;
}

interface Waiting {
  readonly entry: ParsedModel;
  /** How many of its tables are not compiled yet. */
  absent: number;
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
