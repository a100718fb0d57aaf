import type { BronzeTableFacts } from '../bind.ts';
import type { CompiledModel, Macro } from '../model.ts';
import type { LoadedMacros } from '../read-macros.ts';
import type { BoundColumn } from '../sql-engine.ts';
import { digest } from './compile-cache.ts';

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

/** What a model shows to those that read it: its columns and promises; a view also its query and, through that, all that it reads. */
export function faceOf(model: CompiledModel, faces: ReadonlyMap<string, string>): string {
  const { boundColumns, materialized, key, incrementalBy, asOf, tests, reachesAsOf } = model;
  const view = materialized === 'view' ? [model, model.dependencies.map((name) => faces.get(name) ?? '')] : null;
  // Where a test stands does not matter to readers.
  const promises = tests.map(({ at: _at, name: _name, ...test }) => test);
  return digest(
    JSON.stringify([boundColumns, materialized, key, incrementalBy, asOf ?? null, promises, reachesAsOf, view]),
  );
}

export function hashColumns(columns: readonly BoundColumn[] | undefined): string {
  return columns === undefined ? '' : digest(JSON.stringify(columns));
}

/** Hash of each macro with all it reaches. */
export function macroKeys({ macros, reached }: LoadedMacros): Record<string, string> {
  const sqlOf = new Map(macros.map((macro: Macro) => [macro.name, macro.sql]));
  return Object.fromEntries(
    [...reached].map(([name, names]) => [
      name,
      digest(JSON.stringify([...names].sort().map((inner) => [inner, sqlOf.get(inner) ?? '']))),
    ]),
  );
}

/** Hash of what a model takes from elsewhere. */
export function keyOf(
  facts: {
    readonly dependencies: readonly string[];
    readonly calls: readonly string[];
    readonly hasExpressions: boolean;
  },
  context: {
    readonly faces: ReadonlyMap<string, string>;
    readonly macros: Readonly<Record<string, string>>;
    /** Hash of all macro files: a test's expression may call any. */
    readonly macroFiles: string;
  },
): string {
  const { faces, macros, macroFiles } = context;
  return digest(
    JSON.stringify([
      facts.dependencies.map((name) => [name, faces.get(name) ?? '']),
      facts.calls.flatMap((name) => (Object.hasOwn(macros, name) ? [[name, macros[name]]] : [])),
      facts.hasExpressions ? macroFiles : '',
    ]),
  );
}
