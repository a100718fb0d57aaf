import { type AstNode, type AstValue, isNode, nodesOf, textOf, textsOf, withoutLocations } from '../ast.ts';
import { NotProvable } from '../query-expressions.ts';
import { type Frame, lookUp, type QueryColumn } from '../query-scope.ts';
import { functionNameOf, innerQuery, operator, renamed, textNode } from './nodes.ts';
import type { Query } from './normal-query.ts';

/** Expressions with every name replaced by the column it surely means. */

/** What a column is in normal form: a name under a unique alias, or an expression of such (USING of a full join). */
export type ColumnNodes = Map<QueryColumn, AstNode>;

/** Select aliases and what they stand for; null for a name given twice. */
export type Aliases = ReadonlyMap<string, AstNode | null>;

export interface ExpressionScope {
  readonly nodes: ColumnNodes;
  /** Innermost first; the first is the SELECT's own FROM unless `frames` are those around. */
  readonly frames: readonly Frame[];
  readonly aliases: Aliases;
  /** Which wins where a name is both: a column of FROM, a select alias, or neither, for then nothing is certain. */
  readonly first: 'column' | 'alias' | 'neither';
  readonly bindSubquery: (query: AstNode) => Query;
  /** Tells which query a subquery node stands for. */
  readonly remember: (node: AstNode, query: Query) => void;
  readonly subqueryOf: (node: AstNode) => Query | undefined;
}

const REFUSED: ReadonlySet<string> = new Set(['STAR', 'PARAMETER', 'POSITIONAL_REFERENCE', 'COLLATE', 'DEFAULT']);
const TAKES_LAMBDA = /^(?:(?:list|array)_\w+|apply|filter|reduce)$/;

export function resolveExpression(node: AstNode, scope: ExpressionScope): AstNode {
  return resolve(node, scope, new Set()) as AstNode;
}

function resolve(value: AstValue, scope: ExpressionScope, parameters: ReadonlySet<string>): AstValue {
  if (Array.isArray(value)) return value.map((item: AstValue) => resolve(item, scope, parameters));
  if (!isNode(value)) return value;
  const kind = textOf(value['class']);
  if (kind === 'COLUMN_REF') return resolveReference(value, scope, parameters);
  if (REFUSED.has(kind)) throw new NotProvable(`it has a ${kind.toLowerCase().replaceAll('_', ' ')} in an expression`);
  if (kind === 'LAMBDA') throw new NotProvable('it has an arrow that may be JSON or a function');
  if (kind === 'SUBQUERY') {
    const query = innerQuery(value);
    if (query === undefined || parameters.size > 0) throw new NotProvable('it has a subquery of an unknown shape');
    const bound = scope.bindSubquery(query);
    const child = value['child'] ?? null;
    const node = {
      ...value,
      child: resolve(child, scope, parameters),
      subquery: { node: bound.exact, named_param_map: [] },
    };
    scope.remember(node, bound);
    return node;
  }
  if (kind === 'FUNCTION' && TAKES_LAMBDA.test(functionNameOf(value))) {
    const children = nodesOf(value['children']).map((child) =>
      child['class'] === 'LAMBDA' ? resolveLambda(child, scope, parameters) : resolve(child, scope, parameters),
    );
    return { ...value, children };
  }
  return Object.fromEntries(Object.entries(value).map(([field, inner]) => [field, resolve(inner, scope, parameters)]));
}

function resolveLambda(node: AstNode, scope: ExpressionScope, parameters: ReadonlySet<string>): AstNode {
  const left = node['lhs'];
  const names = (
    isNode(left) && left['class'] === 'COLUMN_REF' ? [left] : nodesOf(isNode(left) ? left['children'] : [])
  )
    .map((part) => textsOf(part['column_names']))
    .map((parts) => (parts.length === 1 ? (parts[0] ?? '') : ''));
  if (names.length === 0 || names.includes('')) throw new NotProvable('it has a lambda of an unknown shape');
  const inner = new Set([...parameters, ...names.map((name) => name.toLowerCase())]);
  return { ...node, expr: resolve(node['expr'] ?? null, scope, inner) };
}

function resolveReference(node: AstNode, scope: ExpressionScope, parameters: ReadonlySet<string>): AstNode {
  const names = textsOf(node['column_names']);
  const alias = textOf(node['alias']);
  if (parameters.has((names[0] ?? '').toLowerCase())) {
    if (names.length > 1) throw new NotProvable('it reads a field of a lambda parameter');
    return node;
  }
  const found = resolveName(names, scope);
  const copy = renamed(found, alias);
  const query = scope.subqueryOf(found);
  if (query !== undefined && copy !== found) scope.remember(copy, query);
  return copy;
}

function resolveName(names: readonly string[], scope: ExpressionScope): AstNode {
  const [own, ...around] = scope.frames;
  const alias = names.length === 1 ? scope.aliases.get((names[0] ?? '').toLowerCase()) : undefined;
  if (alias !== undefined && alias !== null && scope.first === 'alias') return alias;
  const column = own === undefined ? undefined : find(names, own, scope.nodes);
  if (alias === null && (column === undefined || scope.first !== 'column')) throw unclear(names);
  if (column !== undefined && alias !== undefined && alias !== null) {
    if (scope.first === 'neither' && !isSame(column, alias)) throw unclear(names);
    return column;
  }
  const here = column ?? alias;
  if (here !== undefined && here !== null) return here;
  if (own !== undefined) requireNamed(own, names);
  for (const frame of around) {
    const found = find(names, frame, scope.nodes);
    if (found !== undefined) return found;
    requireNamed(frame, names);
  }
  throw unclear(names);
}

/** A column whose name DuckDB made up may be the one that is meant. */
function requireNamed(frame: Frame, names: readonly string[]): void {
  if (frame.star.some((column) => column.name === undefined)) throw unclear(names);
}

function find(names: readonly string[], frame: Frame, nodes: ColumnNodes): AstNode | undefined {
  const parts = names.map((name) => name.toLowerCase());
  const found = lookUp(parts, frame) === 'stop' ? (columnOfAlias(parts, frame) ?? 'stop') : lookUp(parts, frame);
  if (found !== undefined && found !== 'stop') return nodeFor(found, nodes, names);
  if (parts.length > 1) {
    const isAlias = frame.bindings.some((binding) => binding.alias === parts[0]);
    const depth = isAlias ? 2 : 1;
    const base = parts.length > depth ? lookUp(parts.slice(0, depth), frame) : undefined;
    const isPlain = base !== undefined && base !== 'stop' && !(isAlias && frame.names.has(parts[0] ?? ''));
    if (isPlain) {
      return names
        .slice(depth)
        .reduce((inner, field) => operator('STRUCT_EXTRACT', [inner, textNode(field)]), nodeFor(base, nodes, names));
    }
  }
  if (found === 'stop') throw unclear(names);
  return undefined;
}

/** `t.x` is the column x of t, also where a column is called t: DuckDB looks there first. */
function columnOfAlias(parts: readonly string[], frame: Frame): QueryColumn | undefined {
  const tables = parts.length === 2 ? frame.bindings.filter(({ alias }) => alias === parts[0]) : [];
  const columns = tables.flatMap((table) => table.columns.filter(({ name }) => name === parts[1]));
  return tables.length === 1 && columns.length === 1 ? columns[0] : undefined;
}

function nodeFor(column: QueryColumn, nodes: ColumnNodes, names: readonly string[]): AstNode {
  const node = nodes.get(column);
  if (node === undefined) throw unclear(names);
  return node;
}

function unclear(names: readonly string[]): NotProvable {
  return new NotProvable(`it is not clear which column ${names.join('.')} is`);
}

export function isSame(one: AstNode, other: AstNode): boolean {
  return one === other || textOfNode(one) === textOfNode(other);
}

/** Equal for equal expressions, whatever their place and alias. */
export function textOfNode(node: AstNode): string {
  return JSON.stringify(withoutLocations(renamed(node, '')));
}

/** The conjuncts of a condition. */
export function conjunctsOf(node: AstNode | undefined): readonly AstNode[] {
  if (node === undefined) return [];
  if (node['type'] === 'CONJUNCTION_AND') return nodesOf(node['children']).flatMap(conjunctsOf);
  return [node];
}
