import { type AstNode, markNumbers } from './ast.ts';
import { canonicalQuery } from './canonical-query.ts';
import { type QueryShape, type ShapeContext, shapeQuery } from './plan/query-shape.ts';
import type { ReadModel } from './read-model.ts';
import type { References } from './references.ts';
import type { ParsedText } from './sql-engine.ts';

/** A model on its way through the compiler: its SELECT parsed, nothing bound yet. */
export interface ParsedModel extends ReadModel {
  /** The syntax tree: read anew when it is asked for and let go when nobody holds it, since ten thousand of them fill gigabytes. */
  readonly query: AstNode;
  /** Its canonical query as JSON. */
  readonly canonical: string;
  readonly shape: QueryShape;
  /** Sorted, without repeats. */
  readonly dependencies: readonly string[];
  /** Names of the functions and macros it calls, without repeats. */
  readonly calls: readonly string[];
}

export function createParsedModel(
  read: ReadModel,
  { node, json, text }: Extract<ParsedText, { kind: 'query' }>,
  { tables, functions }: References,
  shapes: ShapeContext,
): ParsedModel {
  const canonical = canonicalQuery(node);
  // No reference to the tree that was parsed, not even a weak one: it would live on until its batch is through.
  let kept: WeakRef<AstNode> | undefined;
  return {
    ...read,
    get query() {
      const held = kept?.deref();
      if (held !== undefined) return held;
      const again = JSON.parse(markNumbers(json)) as AstNode;
      kept = new WeakRef(again);
      return again;
    },
    canonical: canonical === node ? text : JSON.stringify(canonical),
    shape: shapeQuery(canonical, shapes),
    dependencies: [...new Set(tables.flatMap((table) => table.name ?? []))].sort(),
    calls: [...new Set(functions.map((call) => call.name))],
  };
}
