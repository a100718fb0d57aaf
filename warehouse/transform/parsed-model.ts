import type { AstNode } from './ast.ts';
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
}

export function createParsedModel(read: ReadModel, parsed: Extract<ParsedSql, { kind: 'query' }>): ParsedModel {
  const { json } = parsed;
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
  };
}
