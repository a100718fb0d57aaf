import type { AstNode } from './ast.ts';
import { canonicalQuery } from './canonical-query.ts';
import { printQuery, type QueryPrint } from './fingerprint.ts';
import { type QueryShape, type ShapeContext, shapeQuery } from './plan/query-shape.ts';
import type { ReadModel } from './read-model.ts';
import { type References, readReferences } from './references.ts';
import type { ParsedSql } from './sql-engine.ts';

/** A model on its way through the compiler: its SELECT parsed, nothing bound yet. */
export interface ParsedModel extends ReadModel {
  /** The syntax tree; let go when nobody holds it and read anew when asked for, since ten thousand of them fill gigabytes. */
  readonly query: AstNode;
  /** What `query` names, by its nodes. */
  readonly references: References;
  /** The tree as JSON, its numbers marked. */
  readonly json: string;
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
  parsed: Extract<ParsedSql, { kind: 'query' }>,
  shapes: ShapeContext,
): ParsedModel {
  const { json } = parsed;
  const canonical = canonicalQuery(parsed.node);
  const known = new WeakMap<AstNode, References>();
  let kept = new WeakRef(parsed.node);
  const query = (): AstNode => {
    const held = kept.deref();
    if (held !== undefined) return held;
    const node = JSON.parse(json) as AstNode;
    kept = new WeakRef(node);
    return node;
  };
  const references = (): References => {
    const node = query();
    const found = known.get(node) ?? readReferences(node);
    known.set(node, found);
    return found;
  };
  const { tables, functions } = references();
  return {
    ...read,
    get query() {
      return query();
    },
    get references() {
      return references();
    },
    json,
    dependencies: [...new Set(tables.flatMap((table) => table.name ?? []))].sort(),
    calls: [...new Set(functions.map((call) => call.name))],
    shape: shapeQuery(canonical, shapes),
    print: printQuery(canonical),
  };
}
