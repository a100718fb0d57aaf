import type { AstNode } from './ast.ts';
import { canonicalQuery } from './canonical-query.ts';
import { printQuery, type QueryPrint } from './fingerprint.ts';
import { type QueryShape, type ShapeContext, shapeQuery } from './plan/query-shape.ts';
import type { ReadModel } from './read-model.ts';
import type { References } from './references.ts';
import type { ParsedSql } from './sql-engine.ts';

/** A model on its way through the compiler: its SELECT parsed, nothing bound yet. */
export interface ParsedModel extends ReadModel {
  /** The syntax tree: read anew when it is asked for and let go when nobody holds it, since ten thousand of them fill gigabytes. */
  readonly query: AstNode;
  /** Sorted, without repeats. */
  readonly dependencies: readonly string[];
  /** Names of the functions and macros it calls, without repeats. */
  readonly calls: readonly string[];
  /** What its rows and columns are made of, and its part of the fingerprint: taken while the tree is there. */
  readonly shape: QueryShape;
  readonly print: QueryPrint;
}

export function createParsedModel(
  read: ReadModel,
  { node, json }: Extract<ParsedSql, { kind: 'query' }>,
  { tables, functions }: References,
  shapes: ShapeContext,
): ParsedModel {
  const canonical = canonicalQuery(node);
  // Bytes outside the heap: most are never looked at again. No reference to the tree, not even a weak one: it would outlive its batch.
  const bytes = Buffer.from(json);
  let kept: WeakRef<AstNode> | undefined;
  return {
    ...read,
    get query() {
      const held = kept?.deref();
      if (held !== undefined) return held;
      const again = JSON.parse(bytes.toString()) as AstNode;
      kept = new WeakRef(again);
      return again;
    },
    dependencies: [...new Set(tables.flatMap((table) => table.name ?? []))].sort(),
    calls: [...new Set(functions.map((call) => call.name))],
    shape: shapeQuery(canonical, shapes),
    print: printQuery(canonical),
  };
}
