import type { AstNode, AstValue } from '../ast.ts';
import { isNode, textsOf } from '../ast.ts';

export { ownNodes } from '../ast.ts';

/**
 * A query in normal form: CTEs and views in place, stars and USING written out, every column named by the unique alias of what it comes
 * from, select aliases replaced by what they stand for. Output columns are c0, c1, …
 */
export type Query = SelectQuery | SetQuery;

interface QueryFacts {
  /** Names as the text gave them, where it did. */
  readonly names: readonly (string | undefined)[];
  /** The whole query as DuckDB reads it. */
  readonly exact: AstNode;
  /** Tables it reads, however deep. */
  readonly reads: ReadonlySet<string>;
}

export interface SelectQuery extends QueryFacts {
  readonly kind: 'select';
  /** Absent: a SELECT without FROM. */
  readonly first: Leaf | undefined;
  readonly steps: readonly Step[];
  readonly outputs: readonly AstNode[];
  /** Conjuncts of WHERE. */
  readonly where: readonly AstNode[];
  readonly grouping: Grouping;
  readonly having: AstNode | undefined;
  readonly qualify: AstNode | undefined;
  readonly distinctOn: readonly AstNode[];
  readonly orders: readonly AstNode[];
  readonly limited: boolean;
}

export type Grouping =
  | { readonly kind: 'none' | 'all rows' }
  | { readonly kind: 'groups'; readonly by: readonly AstNode[]; readonly sets: AstValue }
  | { readonly kind: 'sets'; readonly by: readonly AstNode[]; readonly sets: AstValue };

export interface SetQuery extends QueryFacts {
  readonly kind: 'set';
  readonly operation: 'UNION' | 'EXCEPT' | 'INTERSECT';
  readonly all: boolean;
  readonly left: Query;
  readonly right: Query;
}

export interface LeafFacts {
  readonly alias: string;
  readonly exact: AstNode;
  readonly reads: ReadonlySet<string>;
  /** Aliases left of it in the same FROM that it looks at. */
  readonly looksAt: ReadonlySet<string>;
}

export type Leaf =
  | (LeafFacts & { readonly kind: 'table'; readonly table: string; readonly path: readonly string[] })
  | (LeafFacts & { readonly kind: 'query'; readonly query: Query })
  | (LeafFacts & { readonly kind: 'rows' });

export type JoinKind = 'inner' | 'left' | 'right' | 'full' | 'semi' | 'anti';

export interface Step {
  readonly join: JoinKind;
  readonly leaf: Leaf;
  /** Conjuncts of ON. */
  readonly on: readonly AstNode[];
}

/** A whole query and the subqueries that stand in its expressions. */
export interface NormalForm {
  readonly root: Query;
  readonly subqueryOf: (node: AstNode) => Query | undefined;
  /** Table → the columns read of it anywhere. */
  readonly columns: ReadonlyMap<string, ReadonlySet<string>>;
  readonly isAggregate: (functionName: string) => boolean;
  readonly isWindow: (functionName: string) => boolean;
  readonly isAsOf: (functionName: string) => boolean;
}

/** Stands among the tables a query reads when it asks for the logical date, which moves as a table changes. */
export const AS_OF = 'as_of()';

export function outputName(i: number): string {
  return `c${i}`;
}

/** Every column an expression names, also from inside its subqueries. */
export function* columnRefs(value: AstValue | undefined): Generator<{ readonly alias: string; readonly name: string }> {
  if (Array.isArray(value)) for (const item of value) yield* columnRefs(item);
  else if (isNode(value)) {
    if (value['class'] === 'COLUMN_REF') {
      const [alias = '', name = ''] = textsOf(value['column_names']);
      if (name !== '') yield { alias, name };
    }
    for (const inner of Object.values(value)) yield* columnRefs(inner);
  }
}
