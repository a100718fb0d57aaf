import { createHash } from 'node:crypto';
import { type AstNode, dropLocations, withoutLocations } from './ast.ts';
import type { Model } from './model.ts';
import type { BoundColumn } from './sql-engine.ts';

/** Hash of everything that decides a model's content besides its inputs' rows; blind to comments, layout and the header's prose. */
export function fingerprintModel(facts: {
  readonly model: Model;
  /** The tree as JSON, its numbers marked. */
  readonly query: string;
  /** Macros it calls, however deep: name → body. */
  readonly macros: ReadonlyMap<string, AstNode>;
  /** Direct dependencies with their columns; a view also brings its own fingerprint, for its SQL is part of this query. */
  readonly upstream: readonly {
    readonly name: string;
    readonly columns: readonly BoundColumn[];
    readonly fingerprint?: string;
  }[];
}): string {
  const { model } = facts;
  const byName = <T extends { readonly name: string }>(a: T, b: T) => (a.name < b.name ? -1 : 1);
  const rest = JSON.stringify({
    materialized: model.materialized,
    key: model.key,
    by: model.incrementalBy,
    types: model.columns.flatMap(({ name, type }) => (type === undefined ? [] : [[name, type]])),
    asOf: model.asOf ?? null,
  });
  const macros = [...facts.macros]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, body]) => `[${JSON.stringify(name)},${bodyJson(body)}]`);
  const upstream = JSON.stringify({
    upstream: [...facts.upstream].sort(byName).map(({ name, columns, fingerprint }) => ({
      name,
      columns: columns.map((column) => [column.name, column.type]),
      fingerprint: fingerprint ?? null,
    })),
  });
  // One JSON object, put together from parts that are JSON already: the fields and their order decide the hash.
  const json = `{"format":1,"query":${dropLocations(facts.query)},${rest.slice(1, -1)},"macros":[${macros.join(',')}],${upstream.slice(1)}`;
  return createHash('sha256').update(json).digest('hex').slice(0, 32);
}

const bodies = new WeakMap<AstNode, string>();

/** Many models call the same macros. */
function bodyJson(body: AstNode): string {
  const json = bodies.get(body) ?? JSON.stringify(withoutLocations(body));
  bodies.set(body, json);
  return json;
}
