import type { AstNode } from './ast.ts';
import { canonicalQuery } from './canonical-query.ts';
import { digest } from './digest.ts';
import type { Model } from './model.ts';
import type { UpstreamUse } from './plan/model-shape.ts';
import type { BoundColumn } from './sql-engine.ts';

/** Hash of everything that decides a model's content besides its inputs' rows; blind to comments, layout and the header's prose. */
export function fingerprintModel(facts: {
  readonly model: Model;
  /** The canonical query as JSON. */
  readonly query: string;
  /** Macros it calls, however deep: name → body. */
  readonly macros: ReadonlyMap<string, AstNode>;
  /** The project's own macros among them, each with its parameters: their order says which argument is which. */
  readonly parameters?: readonly (readonly string[])[];
  /** What it takes of its direct dependencies: a column that it never names cannot change it. */
  readonly uses: readonly UpstreamUse[];
  readonly columns: readonly BoundColumn[];
}): string {
  const { model, macros } = facts;
  const before = JSON.stringify({
    ...headerFacts(model),
    columns: facts.columns.map(({ name, type }) => [name, type]),
  });
  const bodies = [...macros]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, body]) => `[${JSON.stringify(name)},${bodyText(body)}]`);
  const after = JSON.stringify({
    ...((facts.parameters?.length ?? 0) === 0
      ? {}
      : { parameters: facts.parameters?.map((list) => list.join(',')).toSorted() }),
    upstream: [...facts.uses].sort((a, b) => (a.name < b.name ? -1 : 1)),
  });
  // One object of JSON, written piece by piece: each macro's body is as long as a query.
  return digest(
    `{"format":2,"query":${facts.query},${before.slice(1, -1)},"macros":[${bodies.join(',')}],${after.slice(1)}`,
  );
}

function bodyText(body: AstNode): string {
  const text = bodyTexts.get(body) ?? JSON.stringify(canonicalQuery(body));
  bodyTexts.set(body, text);
  return text;
}

/** A macro's body is asked for by every model that calls it. */
const bodyTexts = new WeakMap<AstNode, string>();

/** What of the header decides the content. */
export function headerFacts(model: Model) {
  return {
    materialized: model.materialized,
    key: model.key,
    by: model.incrementalBy,
    // Absent where not declared, so that every other model keeps the fingerprint it has.
    ...(model.winner === undefined ? {} : { winner: model.winner }),
    ...(model.snapshot === undefined ? {} : { snapshot: model.snapshot }),
    types: model.columns.flatMap(({ name, type }) => (type === undefined ? [] : [[name, type]])),
    asOf: model.asOf ?? null,
  };
}
