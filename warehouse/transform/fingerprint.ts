import { createHash } from 'node:crypto';
import { type AstNode, withoutLocations } from './ast.ts';
import type { Model } from './model.ts';
import type { BoundColumn } from './sql-engine.ts';

/** Hash of everything that decides a model's content besides its inputs' rows; blind to comments, layout and the header's prose. */
export function fingerprintModel(facts: {
  readonly model: Model;
  readonly query: AstNode;
  /** Macros it calls, however deep: name → body. */
  readonly macros: ReadonlyMap<string, AstNode>;
  /** The project's own macros among them, each with its parameters: their order says which argument is which. */
  readonly parameters?: readonly (readonly string[])[];
  /** Direct dependencies with their columns; a view also brings its own fingerprint, for its SQL is part of this query. */
  readonly upstream: readonly {
    readonly name: string;
    readonly columns: readonly BoundColumn[];
    readonly fingerprint?: string;
  }[];
}): string {
  const { model } = facts;
  const byName = <T extends { readonly name: string }>(a: T, b: T) => (a.name < b.name ? -1 : 1);
  return hash({
    format: 1,
    query: withoutLocations(facts.query),
    materialized: model.materialized,
    key: model.key,
    by: model.incrementalBy,
    // Absent where not declared, so that every other model keeps the fingerprint it has.
    ...(model.winner === undefined ? {} : { winner: model.winner }),
    ...(model.snapshot === undefined ? {} : { snapshot: model.snapshot }),
    types: model.columns.flatMap(({ name, type }) => (type === undefined ? [] : [[name, type]])),
    asOf: model.asOf ?? null,
    macros: [...facts.macros]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, body]) => [name, withoutLocations(body)]),
    ...((facts.parameters?.length ?? 0) === 0
      ? {}
      : { parameters: facts.parameters?.map((list) => list.join(',')).toSorted() }),
    upstream: [...facts.upstream].sort(byName).map(({ name, columns, fingerprint }) => ({
      name,
      columns: columns.map((column) => [column.name, column.type]),
      fingerprint: fingerprint ?? null,
    })),
  });
}

function hash(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 32);
}
