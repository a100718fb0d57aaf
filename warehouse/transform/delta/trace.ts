import { type AstNode, type AstValue, isNode } from '../ast.ts';
import { functionNameOf } from './nodes.ts';
import { textOfNode } from './normal-expression.ts';
import { AS_OF, columnRefs, type NormalForm, ownNodes, type Query } from './normal-query.ts';

/** Which expressions can be computed for a changed row from the changed rows below it. */

/** Alias → its columns that can be traced; undefined when all can. An alias that is not here belongs to a subquery. */
export type Traceable = ReadonlyMap<string, ReadonlySet<string> | undefined>;

export interface Tracer {
  readonly isAffected: (reads: ReadonlySet<string>) => boolean;
  readonly affectedQuery: (node: AstNode) => Query | undefined;
  readonly isKnown: (expression: AstNode, traceable: Traceable) => boolean;
  readonly isWindow: (node: AstNode) => boolean;
  /** True for as_of(), when it moved. */
  readonly isMovedDate: (node: AstNode) => boolean;
}

export function createTracer(form: NormalForm, changed: ReadonlySet<string>): Tracer {
  const isAffected = (reads: ReadonlySet<string>): boolean => [...changed].some((table) => reads.has(table));
  const affectedQuery = (node: AstNode): Query | undefined => {
    const query = node['class'] === 'SUBQUERY' ? form.subqueryOf(node) : undefined;
    return query !== undefined && isAffected(query.reads) ? query : undefined;
  };
  const isCall = (node: AstNode): boolean => node['class'] === 'FUNCTION';
  const isWindow = (node: AstNode): boolean =>
    node['class'] === 'WINDOW' || (isCall(node) && form.isWindow(functionNameOf(node)));
  const isMovedDate = (node: AstNode): boolean =>
    changed.has(AS_OF) && isCall(node) && form.isAsOf(functionNameOf(node));
  return {
    isAffected,
    isMovedDate,
    affectedQuery,
    isWindow,
    isKnown(expression, traceable) {
      for (const node of ownNodes(expression)) {
        if (isWindow(node) || isMovedDate(node) || affectedQuery(node) !== undefined) return false;
        if (isCall(node) && form.isAggregate(functionNameOf(node))) return false;
      }
      return reachesOnlyKnown(expression, traceable);
    },
  };
}

/** True when none of the columns named, inside subqueries too, is one that cannot be traced. */
export function reachesOnlyKnown(value: AstValue, traceable: Traceable): boolean {
  return [...columnRefs(value)].every(({ alias, name }) => traceable.get(alias)?.has(name) ?? true);
}

/** True when the key decides the expression. */
export function isCovered(expression: AstNode, key: ReadonlySet<string>): boolean {
  if (key.has(textOfNode(expression))) return true;
  if (expression['class'] === 'COLUMN_REF' || expression['class'] === 'SUBQUERY') return false;
  return childrenOf(Object.values(expression)).every((child) => isCovered(child, key));
}

/** The nearest expressions below. */
function childrenOf(value: AstValue): readonly AstNode[] {
  if (Array.isArray(value)) return value.flatMap(childrenOf);
  if (!isNode(value)) return [];
  return value['class'] === undefined ? childrenOf(Object.values(value)) : [value];
}
