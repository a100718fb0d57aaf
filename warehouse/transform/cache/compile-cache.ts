import { hash, randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { crc32 } from 'node:zlib';
import { version as duckdbVersion } from '../../core/duckdb.ts';
import { digest } from '../digest.ts';
import type { KnownFiles } from '../load.ts';
import type { CompiledModel, Macro, SqlTest } from '../model.ts';
import type { FunctionNames } from '../sql-engine.ts';
import { type CachedModel, reviveModel, storeModel } from './stored-model.ts';

/**
 * What earlier compiles found out, in a folder of the project's state: sixteen files by a hash of the model's path, so that a changed model
 * rewrites a sixteenth. Each file appears whole by rename and carries a checksum; one that is damaged, of another compiler or of another DuckDB is
 * as if it were not there. Losing the folder costs time only.
 */
export interface CompileCache {
  readonly models: ReadonlyMap<string, CachedModel>;
  readonly tests: ReadonlyMap<string, CachedTest>;
  readonly macros: CachedMacros | undefined;
  /** Of DuckDB's functions. */
  readonly functions: FunctionNames | undefined;
  /** Hashes of files whose stamp is still the same, for loadProject(). */
  readonly files: KnownFiles;
  /** Keeps exactly these entries, at once; what did not change is not written. Never throws: a cache that cannot be written is none. */
  save(content: CacheContent): Promise<void>;
}

export interface CachedTest {
  readonly file: string;
  readonly hash: string;
  readonly stamp: string;
  readonly key: string;
  readonly test: SqlTest;
}

export interface CachedMacros {
  /** Hash of all macro files. */
  readonly hash: string;
  readonly macros: readonly Macro[];
  /** Hash of everything a macro reaches, by its name. */
  readonly keys: Readonly<Record<string, string>>;
}

export interface NewModel {
  readonly file: string;
  readonly facts: Omit<CachedModel, 'model' | 'cold' | 'line'>;
  readonly model: CompiledModel;
}

export interface CacheContent {
  /** Entries found in the cache and still valid, and new ones. */
  readonly models: readonly (CachedModel | NewModel)[];
  readonly tests: readonly CachedTest[];
  readonly macros: CachedMacros;
  /** Undefined when no DuckDB was opened: those that are known are kept. */
  readonly functions: FunctionNames | undefined;
}

/** Raised when the form of what is stored changes, or what it means. */
const FORMAT = 3;
const SHARDS = 16;

/**
 * The same compiler gives the same results: Sluice's release, DuckDB's and Node's, the kind of machine they are built for, and the compiler's own
 * files, which change while it is worked on.
 */
function identityOfCompiler(version: string): string {
  const own = ['..', '../../core'].flatMap((folder) => {
    const dir = fileURLToPath(new URL(folder, import.meta.url));
    return readdirSync(dir, { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.[jt]s$/.test(name))
      .sort()
      .map((name) => {
        const { size, mtimeMs } = statSync(join(dir, name));
        return [folder, name, size, mtimeMs];
      });
  });
  const machine = [process.platform, process.arch];
  return digest(JSON.stringify([FORMAT, version, duckdbVersion(), process.version, machine, own]));
}

interface State extends Pick<CompileCache, 'models' | 'tests' | 'macros'> {
  /** Lines of the files of models, as they were last read or written. */
  readonly shards: readonly (readonly string[])[];
  readonly meta: readonly string[];
}

/** `version` is Sluice's own: another release trusts nothing of this one. A process that compiles again and again keeps the cache open: what is saved is known at once. */
export function openCompileCache(dir: string, version: string): CompileCache {
  const identity = identityOfCompiler(version);
  let state = readState(dir, identity);
  return {
    get models() {
      return state.models;
    },
    get tests() {
      return state.tests;
    },
    get macros() {
      return state.macros;
    },
    get functions() {
      return readFunctions(state.meta[1]);
    },
    get files() {
      const { models, tests } = state;
      return { get: (file: string) => models.get(file) ?? tests.get(file) };
    },
    save: async (content) => {
      const before = state;
      state = stateOf(content, before);
      try {
        await writeState(dir, identity, state, before);
      } catch {
        // The next compile takes longer; nothing else is lost.
      }
    },
  };
}

function readState(dir: string, identity: string): State {
  const shards = Array.from({ length: SHARDS }, (_, number) => readShard(join(dir, shardName(number)), identity));
  const meta = readShard(join(dir, OTHER), identity);
  const models = new Map<string, CachedModel>();
  for (const lines of shards) {
    for (let i = 0; i + 1 < lines.length; i += 2) {
      const entry = reviveModel(lines[i] ?? '', lines[i + 1] ?? '');
      models.set(entry.file, entry);
    }
  }
  const macros = meta[0] === undefined ? undefined : (JSON.parse(meta[0]) as CachedMacros);
  const tests = new Map(
    meta.slice(2).map((line) => {
      const entry = JSON.parse(line) as CachedTest;
      return [entry.file, entry];
    }),
  );
  return { models, tests, macros, shards, meta };
}

function stateOf(content: CacheContent, before: State): State {
  const shards = Array.from({ length: SHARDS }, (): string[] => []);
  const models = new Map<string, CachedModel>();
  for (const each of content.models) {
    const entry = 'line' in each ? each : revive(each);
    models.set(entry.file, entry);
    shards[shardOf(entry)]?.push(entry.line, entry.cold);
  }
  const tests = new Map(content.tests.map((entry) => [entry.file, entry]));
  const { macros } = content;
  const functions =
    content.functions === undefined ? (before.meta[1] ?? NO_FUNCTIONS) : printFunctions(content.functions);
  const meta = [JSON.stringify(macros), functions, ...content.tests.map((entry) => JSON.stringify(entry))];
  return { models, tests, macros, shards, meta };
}

const NO_FUNCTIONS = 'null';

function printFunctions({ functions, aggregates, volatile }: FunctionNames): string {
  return JSON.stringify([functions, aggregates, volatile].map((names) => [...names].sort()));
}

function readFunctions(line: string = NO_FUNCTIONS): FunctionNames | undefined {
  const lists = JSON.parse(line) as readonly string[][] | null;
  if (lists === null) return undefined;
  const [functions, aggregates, volatile] = lists.map((names) => new Set(names));
  return functions && aggregates && volatile && { functions, aggregates, volatile };
}

/** As another process would read it. */
function revive(model: NewModel): CachedModel {
  const { line, cold } = storeModel(model);
  return reviveModel(line, cold);
}

const OTHER = 'other.jsonl';

function shardName(number: number): string {
  return `models-${number.toString(16)}.jsonl`;
}

/** Lines of a file without its first, which says who wrote it; none when anything about it is wrong. */
function readShard(path: string, identity: string): string[] {
  try {
    const bytes = readFileSync(path);
    const end = bytes.indexOf(10);
    const [writer, sum] = bytes.subarray(0, end).toString('latin1').split(' ');
    const body = bytes.subarray(end + 1);
    if (end < 0 || writer !== identity || Number(sum) !== crc32(body)) return [];
    return body.length === 0 ? [] : body.toString('utf8').split('\n');
  } catch {
    return [];
  }
}

async function writeState(dir: string, identity: string, state: State, before: State): Promise<void> {
  const isSame = (one: readonly string[], other: readonly string[] | undefined): boolean =>
    one.length === other?.length && one.every((line, i) => line === other[i]);
  const writes = state.shards.flatMap((lines, number) =>
    isSame(lines, before.shards[number]) ? [] : [{ name: shardName(number), lines }],
  );
  if (!isSame(state.meta, before.meta)) writes.push({ name: OTHER, lines: state.meta });
  if (writes.length === 0) return;
  await mkdir(dir, { recursive: true });
  for (const { name, lines } of writes) {
    const body = Buffer.from(lines.join('\n'));
    const head = `${identity} ${crc32(body)}\n`;
    const temporary = join(dir, `.${name}-${process.pid}-${randomBytes(4).toString('hex')}`);
    await writeFile(temporary, [head, body]);
    await rename(temporary, join(dir, name));
  }
  await removeLeftovers(dir);
}

/** Temporary files of processes that were killed while they wrote. */
async function removeLeftovers(dir: string): Promise<void> {
  for (const name of await readdir(dir)) {
    const path = join(dir, name);
    if (name.startsWith('.') && Date.now() - statSync(path).mtimeMs > 3_600_000) await rm(path, { force: true });
  }
}

function shardOf({ file }: CachedModel): number {
  const known = shardNumbers.get(file) ?? Number.parseInt(hash('sha256', file).slice(0, 1), 16);
  shardNumbers.set(file, known);
  return known;
}

const shardNumbers = new Map<string, number>();
