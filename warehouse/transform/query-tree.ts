import { BRONZE_META_COLUMNS } from '../core/bronze-table.ts';
import {
  type AstNode,
  type AstValue,
  ctesOf,
  isNode,
  nodeOf,
  nodesOf,
  numberOf,
  ownNodes,
  textOf,
  textsOf,
} from './ast.ts';
import {
  aliasesOf,
  columnsOf,
  type Equality,
  equalitiesOf,
  expandItem,
  NotProvable,
  resolveReference,
  typeOf,
} from './query-expressions.ts';
import { EMPTY_FRAME, type Frame, frameOf, joinFrames, type QueryColumn, resolveColumn } from './query-scope.ts';
import { isCteReference, tableNameOf, writtenAs } from './references.ts';
import type { BoundColumn } from './sql-engine.ts';

/** A query's syntax tree with its names resolved, as far as the proof of locality needs: views looked through, CTEs bound at each use. */

export type Relation =
  | { readonly kind: 'leaf'; readonly node: AstNode; readonly table: string; readonly columns: readonly QueryColumn[] }
  | { readonly kind: 'rows'; readonly columns: readonly QueryColumn[] }
  | Select
  | Join
  | SetOperation;

export interface Select {
  readonly kind: 'select';
  readonly from: Relation;
  readonly columns: readonly QueryColumn[];
  /** For each output column the FROM column it is, where it is one. */
  readonly sources: ReadonlyMap<QueryColumn, QueryColumn>;
  /** Conjuncts of WHERE. */
  readonly equalities: readonly Equality[];
  /** Sets of columns by which rows are put together: groups, windows, DISTINCT ON. A column is safe if it is in every set. */
  readonly partitions: readonly { readonly what: string; readonly columns: ReadonlySet<QueryColumn> }[];
  readonly limited: boolean;
  /** Subqueries in expressions: they see this SELECT's FROM. */
  readonly subqueries: readonly Relation[];
}

export interface Join {
  readonly kind: 'join';
  readonly join: 'inner' | 'left' | 'right' | 'full' | 'probe';
  readonly left: Relation;
  readonly right: Relation;
  readonly columns: readonly QueryColumn[];
  readonly equalities: readonly Equality[];
  /** FULL JOIN USING: the merged column and the two it is made of. */
  readonly merged: readonly { readonly column: QueryColumn; readonly left: QueryColumn; readonly right: QueryColumn }[];
  /** Subqueries in ON. */
  readonly subqueries: readonly Relation[];
}

export interface SetOperation {
  readonly kind: 'set';
  readonly left: Relation;
  readonly right: Relation;
  readonly columns: readonly QueryColumn[];
  readonly limited: boolean;
}

export interface TreeContext {
  /** Columns of every table a query may name. */
  readonly columns: ReadonlyMap<string, readonly BoundColumn[]>;
  /** The query of a view, or undefined for anything else. The same node must give the same tree each time. */
  readonly viewAt: (reference: AstNode, table: string) => AstNode | undefined;
  readonly isAggregate: (functionName: string) => boolean;
  /** True for macros that hide a window. */
  readonly isWindow: (functionName: string) => boolean;
}

interface Cte {
  readonly query: AstNode;
  readonly aliases: readonly string[];
  readonly ctes: ReadonlyMap<string, Cte>;
  readonly frames: readonly Frame[];
}

interface Scope {
  readonly ctes: ReadonlyMap<string, Cte>;
  /** Frames of the queries around, innermost first. */
  readonly frames: readonly Frame[];
}

/** Beyond this, CTEs used by CTEs have multiplied; a proof would take longer than a rebuild. */
const MAX_RELATIONS = 4000;

/** Resolves a query. Throws NotProvable. */
export function bindQuery(query: AstNode, context: TreeContext): Relation {
  let count = 0;
  const tick = () => {
    count += 1;
    if (count > MAX_RELATIONS) throw new NotProvable('the query is too large to prove anything about');
  };
  return bindNode(query, { ctes: new Map(), frames: [] }, { ...context, tick });
}

type Context = TreeContext & { readonly tick: () => void };

function bindNode(node: AstNode, outer: Scope, context: Context): Relation {
  context.tick();
  let ctes = outer.ctes;
  for (const { name, aliases, query } of ctesOf(node)) {
    ctes = new Map(ctes).set(name.toLowerCase(), { query, aliases, ctes, frames: outer.frames });
  }
  const scope = { ctes, frames: outer.frames };
  const type = textOf(node['type']);
  if (type === 'SELECT_NODE') return bindSelect(node, scope, context);
  if (type === 'SET_OPERATION_NODE') return bindSetOperation(node, scope, context);
  throw new NotProvable(type === 'RECURSIVE_CTE_NODE' ? 'it is recursive' : `it has a ${type.toLowerCase()}`);
}

function bindSetOperation(node: AstNode, scope: Scope, context: Context): SetOperation {
  const operation = textOf(node['setop_type']);
  const [left, right] = nodesOf([node['left'] ?? null, node['right'] ?? null]).map((side) =>
    bindNode(side, scope, context),
  );
  if (!['UNION', 'EXCEPT', 'INTERSECT'].includes(operation) || left === undefined || right === undefined) {
    throw new NotProvable(`it has a ${operation.toLowerCase().replaceAll('_', ' ')}`);
  }
  if ([...ownNodes(node['modifiers'])].some((part) => part['class'] === 'SUBQUERY')) {
    throw new NotProvable('a subquery orders or limits a set operation');
  }
  if (left.columns.length !== right.columns.length)
    throw new NotProvable('the columns of a set operation are not clear');
  const columns = left.columns.map(({ name, type }, i) => {
    return { name, type: type === right.columns[i]?.type ? type : undefined };
  });
  return { kind: 'set', left, right, columns, limited: isLimited(node) };
}

function isLimited(node: AstNode): boolean {
  return nodesOf(node['modifiers']).some((modifier) => textOf(modifier['type']).startsWith('LIMIT'));
}

function bindSelect(node: AstNode, scope: Scope, context: Context): Select {
  if (isNode(node['sample'])) throw new NotProvable('it takes a sample');
  const fromNode = nodeOf(node['from_table']);
  const from = fromNode === undefined ? EMPTY : bindFrom(fromNode, scope, context);
  const items = nodesOf(node['select_list']).flatMap((item) => expandItem(item, from.frame));
  const frame = { ...from.frame, aliases: aliasesOf(items, from.frame) };
  const inner: Scope = { ctes: scope.ctes, frames: [frame, ...scope.frames] };
  const resolve = (value: AstValue | undefined) => resolveReference(value, inner.frames);
  const outputs = items.map((item) => {
    // In a select list a column of FROM goes before an alias of the same name.
    const source = 'column' in item ? item.column : (resolveReference(item.node, [from.frame]) ?? resolve(item.node));
    return {
      source,
      column: { name: item.name, type: source?.type ?? ('node' in item ? typeOf(item.node) : undefined) },
    };
  });
  const modifiers = nodesOf(node['modifiers']);
  const expressions: AstValue[] = [
    nodesOf(node['select_list']),
    node['where_clause'] ?? null,
    node['group_expressions'] ?? null,
    node['having'] ?? null,
    node['qualify'] ?? null,
    modifiers,
  ];
  const parts = [...ownNodes(expressions)];
  const subqueries = parts.flatMap((part) => bindSubquery(part, inner, context) ?? []);
  const own = new Set(from.frame.star.concat(from.frame.bindings.flatMap((binding) => binding.columns)));
  checkAggregates(parts, from.frame, scope.frames, context);
  return {
    kind: 'select',
    from: from.relation,
    columns: outputs.map((output) => output.column),
    sources: new Map(
      outputs.flatMap(({ source, column }) => (source !== undefined && own.has(source) ? [[column, source]] : [])),
    ),
    equalities: equalitiesOf(node['where_clause'], inner.frames),
    partitions: [
      ...groupsOf(
        node,
        parts,
        outputs.map(({ source }) => source),
        resolve,
        context,
      ),
      ...parts.flatMap((part) => windowOf(part, resolve, context)),
      ...modifiers.flatMap((modifier) => {
        const targets = nodesOf(modifier['distinct_on_targets']);
        return targets.length === 0 ? [] : [{ what: 'distinct on', columns: columnsOf(targets, resolve) }];
      }),
    ],
    limited: isLimited(node),
    subqueries,
  };
}

/** Grouping columns: for plain GROUP BY and GROUP BY ALL the columns themselves, for grouping sets those in every set, none for a bare aggregate. */
function groupsOf(
  node: AstNode,
  parts: readonly AstNode[],
  sources: readonly (QueryColumn | undefined)[],
  resolve: (value: AstValue | undefined) => QueryColumn | undefined,
  context: Context,
): Select['partitions'] {
  const what = 'group by';
  const groups = nodesOf(node['group_expressions']);
  if (groups.length === 0) {
    if (node['aggregate_handling'] === 'FORCE_AGGREGATES') {
      return [{ what, columns: new Set(sources.flatMap((source) => source ?? [])) }];
    }
    const aggregated = parts.some((part) => isAggregateCall(part, context)) || isNode(node['having']);
    const sets = Array.isArray(node['group_sets']) && node['group_sets'].length > 0;
    return aggregated || sets ? [{ what: 'an aggregate over all rows', columns: new Set() }] : [];
  }
  const sets = Array.isArray(node['group_sets']) ? node['group_sets'] : [];
  const columns = groups.map((group) => {
    const ordinal = group['class'] === 'CONSTANT' ? numberOf(nodeOf(group['value'])?.['value']) : undefined;
    return ordinal === undefined ? resolve(group) : sources[ordinal - 1];
  });
  const inEvery = (i: number) =>
    sets.every((set) => Array.isArray(set) && set.some((index: AstValue) => numberOf(index) === i));
  return [
    { what, columns: new Set(columns.flatMap((column, i) => (column !== undefined && inEvery(i) ? [column] : []))) },
  ];
}

function windowOf(
  part: AstNode,
  resolve: (value: AstValue | undefined) => QueryColumn | undefined,
  context: Context,
): Select['partitions'] {
  if (part['class'] === 'FUNCTION' && context.isWindow(textOf(part['function_name']).toLowerCase())) {
    return [{ what: 'a window in a macro', columns: new Set() }];
  }
  if (part['class'] !== 'WINDOW') return [];
  return [{ what: 'a window', columns: columnsOf(nodesOf(part['partitions']), resolve) }];
}

function isAggregateCall(part: AstNode, context: Context): boolean {
  return part['class'] === 'FUNCTION' && context.isAggregate(textOf(part['function_name']).toLowerCase());
}

/** An aggregate over columns of a query around belongs to that query, which then is another than it looks. */
function checkAggregates(parts: readonly AstNode[], own: Frame, around: readonly Frame[], context: Context): void {
  if (around.length === 0) return;
  for (const part of parts.filter((call) => isAggregateCall(call, context))) {
    for (const inner of ownNodes(Object.values(part))) {
      if (inner['class'] === 'COLUMN_REF' && resolveReference(inner, [own]) === undefined) {
        throw new NotProvable('a subquery may aggregate columns of the query around it');
      }
    }
  }
}

function bindSubquery(part: AstNode, scope: Scope, context: Context): Relation | undefined {
  if (part['class'] !== 'SUBQUERY') return undefined;
  const query = nodeOf(nodeOf(part['subquery'])?.['node']);
  if (query === undefined) throw new NotProvable('it has a subquery of an unknown shape');
  return bindNode(query, scope, context);
}

interface From {
  readonly relation: Relation;
  readonly frame: Frame;
}

const EMPTY: From = { relation: { kind: 'rows', columns: [] }, frame: EMPTY_FRAME };

function bindFrom(node: AstNode, scope: Scope, context: Context): From {
  context.tick();
  if (isNode(node['sample']) || isNode(node['at_clause']))
    throw new NotProvable('it reads a sample or an old version of a table');
  const type = textOf(node['type']);
  if (type === 'BASE_TABLE') return bindTable(node, scope, context);
  if (type === 'JOIN') return bindJoin(node, scope, context);
  if (type === 'EMPTY') return EMPTY;
  const alias = textOf(node['alias']).toLowerCase();
  const rename = textsOf(node['column_name_alias']);
  if (type === 'SUBQUERY') {
    const query = nodeOf(nodeOf(node['subquery'])?.['node']);
    if (query !== undefined) return named(bindNode(query, scope, context), alias, [], rename);
  }
  const rows =
    type === 'TABLE_FUNCTION' ? functionColumns(node) : type === 'EXPRESSION_LIST' ? valuesColumns(node) : undefined;
  if (rows === undefined) throw new NotProvable(`it reads a ${type.toLowerCase().replaceAll('_', ' ')}`);
  if ([...ownNodes(Object.values(node))].some((part) => part['class'] === 'SUBQUERY')) {
    throw new NotProvable('a subquery stands in the arguments of a table function');
  }
  return named({ kind: 'rows', columns: rows }, alias, [], rename);
}

function functionColumns(node: AstNode): readonly QueryColumn[] | undefined {
  if (node['with_ordinality'] !== undefined && node['with_ordinality'] !== 'WITHOUT_ORDINALITY') return undefined;
  return [{ name: undefined, type: undefined }];
}

function valuesColumns(node: AstNode): readonly QueryColumn[] {
  const [first] = Array.isArray(node['values']) ? node['values'] : [];
  return nodesOf(first).map((_, i) => ({ name: `col${i}`, type: undefined }));
}

/** A relation under a name; `t(x, y)` renames its first columns. */
function named(relation: Relation, alias: string, path: readonly string[], rename: readonly string[]): From {
  if (rename.length === 0) return { relation, frame: frameOf(alias, path, relation.columns) };
  if (rename.length > relation.columns.length) throw new NotProvable('the columns of a table in it are not clear');
  // Renaming makes new names for the same columns, so the relation's own columns stay what is proven about.
  const columns = relation.columns.map((column, i) => ({ ...column, name: rename[i]?.toLowerCase() ?? column.name }));
  const select: Select = {
    kind: 'select',
    from: relation,
    columns,
    sources: new Map(columns.map((column, i) => [column, relation.columns[i] ?? column])),
    equalities: [],
    partitions: [],
    limited: false,
    subqueries: [],
  };
  return { relation: select, frame: frameOf(alias, path, columns) };
}

function bindTable(node: AstNode, scope: Scope, context: Context): From {
  const { path, alias, hasOwnAlias } = writtenAs(node);
  const rename = textsOf(node['column_name_alias']);
  if (isCteReference(node, scope.ctes)) {
    const cte = scope.ctes.get(path[0] ?? '');
    if (cte === undefined) throw new NotProvable('a CTE in it is not clear');
    const relation = bindNode(cte.query, { ctes: cte.ctes, frames: cte.frames }, context);
    const renamed = named(relation, alias, [], cte.aliases);
    return rename.length === 0 ? renamed : named(renamed.relation, alias, [], rename);
  }
  const table = tableNameOf(node);
  const bound = table === undefined ? undefined : context.columns.get(table);
  if (table === undefined || bound === undefined) throw new NotProvable(`the table ${path.join('.')} is not known`);
  const view = context.viewAt(node, table);
  const qualifier = hasOwnAlias ? [] : path;
  if (view !== undefined) {
    const relation = bindNode(view, { ctes: new Map(), frames: [] }, context);
    const names = bound.map((column) => column.name);
    if (names.length !== relation.columns.length)
      throw new NotProvable(`the columns of the view ${table} are not clear`);
    const renamed = named(relation, alias, qualifier, names);
    return rename.length === 0 ? renamed : named(renamed.relation, alias, qualifier, rename);
  }
  // Bronze's own columns (_seq …) are not part of the contract, by which changed rows are followed: they carry no partition.
  const isFollowed = (name: string) =>
    !table.startsWith('bronze') || !BRONZE_META_COLUMNS.some((meta) => meta.name === name);
  const columns = bound.map(({ name, type }) => ({
    name: name.toLowerCase(),
    type: isFollowed(name) ? type : undefined,
  }));
  return named({ kind: 'leaf', node, table, columns }, alias, qualifier, rename);
}

function bindJoin(node: AstNode, scope: Scope, context: Context): From {
  const [leftNode, rightNode] = [nodeOf(node['left']), nodeOf(node['right'])];
  const type = textOf(node['join_type']);
  const reference = textOf(node['ref_type']);
  const kinds = {
    INNER: 'inner',
    LEFT: 'left',
    RIGHT: 'right',
    OUTER: 'full',
    FULL: 'full',
    SEMI: 'probe',
    ANTI: 'probe',
  } as const;
  const isKnown = (text: string): text is keyof typeof kinds => Object.hasOwn(kinds, text);
  // DuckDB 1.5.6 sometimes lets a NULL on the left of >= match, depending on how the table was written: then no two runs need agree.
  if (reference === 'ASOF') throw new NotProvable('it has an asof join, whose matches of NULL are not reliable');
  const isPlain = reference === 'REGULAR' || reference === 'CROSS';
  if (leftNode === undefined || rightNode === undefined || !isKnown(type) || !isPlain) {
    throw new NotProvable(`it has a ${reference.toLowerCase()} ${type.toLowerCase()} join`);
  }
  const left = bindFrom(leftNode, scope, context);
  // A table on the right may look at those on its left (LATERAL), which DuckDB allows without the word.
  const right = bindFrom(rightNode, { ...scope, frames: [left.frame, ...scope.frames] }, context);
  const kind = kinds[type];
  const pairs = textsOf(node['using_columns']).map((name) => {
    const [a, b] = [left.frame, right.frame].map((frame) => resolveColumn([name], [frame]));
    if (a === undefined || b === undefined) throw new NotProvable('the columns of a USING in it are not clear');
    return { name: name.toLowerCase(), left: a, right: b };
  });
  const merged = pairs.map((pair) => ({ ...pair, column: mergedColumn(kind, pair) }));
  const both = joinFrames(left.frame, right.frame, new Map(merged.map(({ name, column }) => [name, column])));
  const parts = [...ownNodes(node['condition'])];
  const relation: Join = {
    kind: 'join',
    join: kind,
    left: left.relation,
    right: right.relation,
    columns: [...left.relation.columns, ...right.relation.columns, ...merged.map(({ column }) => column)],
    equalities: [
      ...pairs.map((pair): Equality => [pair.left, pair.right]),
      ...equalitiesOf(node['condition'], [both, ...scope.frames]),
    ],
    merged: kind === 'full' ? merged : [],
    subqueries: parts.flatMap(
      (part) => bindSubquery(part, { ctes: scope.ctes, frames: [both, ...scope.frames] }, context) ?? [],
    ),
  };
  return { relation, frame: kind === 'probe' ? left.frame : both };
}

/** Which column an unqualified USING name means: the side that is never filled with NULL; of a FULL join a new one. */
function mergedColumn(
  kind: Join['join'],
  pair: { readonly left: QueryColumn; readonly right: QueryColumn },
): QueryColumn {
  switch (kind) {
    case 'inner':
    case 'left':
    case 'probe':
      return pair.left;
    case 'right':
      return pair.right;
    case 'full':
      return { name: pair.left.name, type: pair.left.type === pair.right.type ? pair.left.type : undefined };
    default:
      return kind satisfies never;
  }
}
