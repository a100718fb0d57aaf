import type { BronzeTableFacts } from '../bind.ts';
import { expressionsOf } from '../check-header.ts';
import { digest } from '../digest.ts';
import { reach } from '../graph.ts';
import type { CompiledModel, Macro, Model } from '../model.ts';
import type { LoadedMacros } from '../read-macros.ts';
import type { SeedFile } from '../seeds/load-seeds.ts';
import type { BoundColumn } from '../sql-engine.ts';

/** Hashes of all that one model's compile takes from others: what they are made of must hold whatever a check, a fingerprint or a rule looks at. */

/** Faces of bronze tables, by their names in SQL. */
export function facesOfBronze(tables: readonly BronzeTableFacts[]): Map<string, string> {
  return new Map(
    tables.flatMap(({ source, table, contract }): [string, string][] => {
      const face = digest(JSON.stringify(contract));
      return ['bronze', 'bronze_log'].map((catalog) => [`${catalog}.${source}.${table}`.toLowerCase(), face]);
    }),
  );
}

/**
 * What a model shows to those that read it: all that its compile found out but what is of no concern to them; a view all of itself and, by its key,
 * all that it took from elsewhere, since its SQL and its shape become part of theirs.
 */
export function faceOf(model: CompiledModel, { hash, key }: { readonly hash: string; readonly key: string }): string {
  // Its file and its key decide everything that a view's compile finds out.
  if (model.materialized === 'view') return digest(JSON.stringify([model.file, hash, key]));
  // What a later field means to readers is not known here: it counts until it is named.
  const {
    file: _file,
    domain: _domain,
    description: _description,
    columns: _columns,
    owner: _owner,
    dataset: _dataset,
    tags: _tags,
    tests: _tests,
    sql: _sql,
    bodyAt: _bodyAt,
    dependencies: _dependencies,
    inputs: _inputs,
    fingerprint: _fingerprint,
    shape: _shape,
    refresh: _refresh,
    ...shown
  } = model;
  return digest(JSON.stringify(Object.entries(shown).toSorted(([a], [b]) => (a < b ? -1 : 1))));
}

export function hashColumns(columns: readonly BoundColumn[] | undefined): string {
  if (columns === undefined) return '';
  const known = columnHashes.get(columns) ?? digest(JSON.stringify(columns));
  columnHashes.set(columns, known);
  return known;
}

/** A table is looked at by the tests of many. */
const columnHashes = new WeakMap<readonly BoundColumn[], string>();

/** Hash of each macro with all it reaches, parameters and bodies. */
export function macroKeys({ macros, reached }: LoadedMacros): Record<string, string> {
  const byName = new Map(macros.map((macro: Macro) => [macro.name, macro]));
  const factsOf = (name: string) => {
    const macro = byName.get(name);
    return [name, macro?.parameters ?? [], macro?.file ?? '', macro?.sql ?? ''];
  };
  return Object.fromEntries(
    [...reached].map(([name, names]) => [name, digest(JSON.stringify([...names].sort().map(factsOf)))]),
  );
}

/** Hash of everything that makes the seeds: their files, the models of the same names, and the macros, which a declared type might call. */
export function seedsKeyOf(seeds: readonly SeedFile[], modelNames: readonly string[], macroFiles: string): string {
  const own = new Set(seeds.map(({ table }) => `silver.${table}`));
  return digest(
    JSON.stringify([
      seeds.map(({ stem, table, csv, yaml }) => [stem, table, csv ?? null, yaml ?? null]),
      modelNames.filter((name) => own.has(name)),
      macroFiles,
    ]),
  );
}

/** What of a model says how much of the project its compile looks at. */
export interface KeyFacts {
  readonly dependencies: readonly string[];
  /** Functions and macros that its query calls. */
  readonly calls: readonly string[];
  /** Its header holds SQL, which may call any macro. */
  readonly hasSqlInHeader: boolean;
  readonly isSnapshot: boolean;
}

/** True when a test or a declared type holds SQL. */
export function hasSqlInHeader(model: Model): boolean {
  const isPlain = (type: string | undefined) => type === undefined || /^\w+(\([\d, ]+\))?(\[\])*$/.test(type);
  return expressionsOf(model).length > 0 || !model.columns.every(({ type }) => isPlain(type));
}

export interface KeyContext {
  readonly faces: ReadonlyMap<string, string>;
  readonly macros: Readonly<Record<string, string>>;
  /** Hash of all macro files. */
  readonly macroFiles: string;
  /** Models compiled so far: all that are upstream. */
  readonly compiled: ReadonlyMap<string, CompiledModel>;
}

/** Hash of what a model takes from elsewhere. */
export function keyOf(facts: KeyFacts, { faces, macros, macroFiles, compiled }: KeyContext): string {
  // A snapshot is refused when anything above it moves with the logical date, however far.
  const above = facts.isSnapshot
    ? [...facts.dependencies, ...reach(facts.dependencies, (name) => compiled.get(name)?.dependencies ?? [])]
    : [];
  return digest(
    JSON.stringify([
      facts.dependencies.map((name) => [name, faces.get(name) ?? '']),
      facts.calls.flatMap((name) => (Object.hasOwn(macros, name) ? [[name, macros[name]]] : [])),
      facts.hasSqlInHeader ? macroFiles : '',
      [...new Set(above)].filter((name) => compiled.get(name)?.reachesAsOf === true).sort(),
    ]),
  );
}
