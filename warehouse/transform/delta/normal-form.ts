import { type AstNode, type AstValue, ctesOf, isNode, nodeOf, nodesOf, numberOf, textOf } from '../ast.ts';
import { expandItem, NotProvable } from '../query-expressions.ts';
import { EMPTY_FRAME } from '../query-scope.ts';
import { columnNode, functionNameOf, NO_ROWS_ITEM, queryItem, renamed, selectNode, setNode } from './nodes.ts';
import {
  type Aliases,
  type ColumnNodes,
  conjunctsOf,
  type ExpressionScope,
  isSame,
  resolveExpression,
} from './normal-expression.ts';
import { exactFrom, normalizeFrom } from './normal-from.ts';
import {
  AS_OF,
  columnRefs,
  type Grouping,
  type NormalForm,
  outputName,
  ownNodes,
  type Query,
  type SelectQuery,
} from './normal-query.ts';
import type { NormalContext, NormalFrom, Normalizer, NormalScope } from './normalizer.ts';

/** Beyond this, CTEs used by CTEs have multiplied; to derive anything would take longer than a rebuild. */
const MAX_RELATIONS = 1000;

/** Throws NotProvable where a name is not surely one column, or a shape has no rule. */
export function normalizeQuery(query: AstNode, context: NormalContext): NormalForm {
  const nodes: ColumnNodes = new Map();
  const subqueries = new Map<AstNode, Query>();
  const tables = new Map<string, string>();
  let count = 0;
  let aliases = 0;
  const expressionScope = (scope: NormalScope, names: Aliases, first: ExpressionScope['first']): ExpressionScope => ({
    nodes,
    frames: scope.frames,
    aliases: names,
    first,
    bindSubquery: (inner) => normalizer.query(inner, scope),
    remember: (node, bound) => subqueries.set(node, bound),
    subqueryOf: (node) => subqueries.get(node),
  });
  const normalizer: Normalizer = {
    ...context,
    nodes,
    tick: () => {
      count += 1;
      if (count > MAX_RELATIONS) throw new NotProvable('the query is too large to derive anything from');
    },
    nextAlias: () => {
      aliases += 1;
      return `_r${aliases}`;
    },
    foundTable: (alias, table) => tables.set(alias, table),
    query: (node, scope) => bindNode(node, scope),
    expression: (node, scope) => resolveExpression(node, expressionScope(scope, new Map(), 'column')),
    plainSelect: (from, outputs, names) => finish(from, { outputs, names }),
  };

  function bindNode(node: AstNode, outer: NormalScope): Query {
    normalizer.tick();
    let { ctes } = outer;
    for (const { name, aliases: columns, query: body } of ctesOf(node)) {
      ctes = new Map(ctes).set(name.toLowerCase(), { query: body, aliases: columns, ctes, frames: outer.frames });
    }
    const scope = { ctes, frames: outer.frames };
    const type = textOf(node['type']);
    if (type === 'SELECT_NODE') return bindSelect(node, scope);
    if (type === 'SET_OPERATION_NODE') return bindSet(node, scope);
    throw new NotProvable(type === 'RECURSIVE_CTE_NODE' ? 'it is recursive' : `it has a ${type.toLowerCase()}`);
  }

  function bindSet(node: AstNode, scope: NormalScope): Query {
    const operation = textOf(node['setop_type']);
    const [left, right] = nodesOf([node['left'] ?? null, node['right'] ?? null]).map((side) => bindNode(side, scope));
    if (
      (operation !== 'UNION' && operation !== 'EXCEPT' && operation !== 'INTERSECT') ||
      left === undefined ||
      right === undefined
    )
      throw new NotProvable(`it has a ${operation.toLowerCase().replaceAll('_', ' ')}`);
    if (left.names.length !== right.names.length) throw new NotProvable('the columns of a set operation are not clear');
    const all = node['setop_all'] === true;
    const set: Query = {
      kind: 'set',
      operation,
      all,
      left,
      right,
      names: left.names,
      exact: setNode(operation, all, left.exact, right.exact),
      reads: new Set([...left.reads, ...right.reads]),
    };
    const modifiers = nodesOf(node['modifiers']).filter((modifier) => modifier['type'] !== 'ORDER_MODIFIER');
    return modifiers.length === 0 ? set : limitSet(set, node, scope);
  }

  /** A limit over a set operation is one over a derived table. */
  function limitSet(set: Query, node: AstNode, scope: NormalScope): Query {
    const alias = normalizer.nextAlias();
    const outputs = set.names.map((_, i) => columnNode(alias, outputName(i)));
    const names: Aliases = new Map(
      set.names.flatMap((name, i) => (name === undefined ? [] : [[name, outputs[i] ?? null]])),
    );
    const leaf = {
      kind: 'query',
      alias,
      query: set,
      exact: queryItem(set.exact, alias),
      reads: set.reads,
      looksAt: new Set<string>(),
    } as const;
    const orderScope = { ...expressionScope(scope, names, 'alias' as const), frames: [] };
    return finish(
      { first: leaf, steps: [], frame: EMPTY_FRAME },
      { outputs, names: set.names, ...resolveModifiers(node, outputs, orderScope) },
    );
  }

  function bindSelect(node: AstNode, scope: NormalScope): Query {
    if (isNode(node['sample'])) throw new NotProvable('it takes a sample');
    const fromNode = nodeOf(node['from_table']);
    const from: NormalFrom =
      fromNode === undefined
        ? { first: undefined, steps: [], frame: EMPTY_FRAME }
        : normalizeFrom(fromNode, scope, normalizer);
    const inner = { ...scope, frames: [from.frame, ...scope.frames] };
    const items = nodesOf(node['select_list']).flatMap((item) => expandItem(item, from.frame));
    const outputs: AstNode[] = [];
    const given = new Map<string, AstNode | null>();
    const implied = new Map<string, AstNode | null>();
    const add = (names: Map<string, AstNode | null>, name: string, output: AstNode) => {
      const before = names.get(name);
      names.set(name, before !== undefined && (before === null || !isSame(before, output)) ? null : output);
    };
    for (const item of items) {
      const found =
        'column' in item
          ? nodes.get(item.column)
          : resolveExpression(item.node, expressionScope(inner, given, 'column'));
      if (found === undefined) throw new NotProvable('a * in it stands for columns that are not clear');
      const output = renamed(found, '');
      const query = subqueries.get(found);
      if (query !== undefined) subqueries.set(output, query);
      outputs.push(output);
      if (item.name === undefined) continue;
      add(implied, item.name, output);
      if ('node' in item && textOf(item.node['alias']) !== '') add(given, item.name, output);
    }
    const resolve = (value: AstValue | undefined, first: ExpressionScope['first']): AstNode | undefined =>
      isNode(value) ? resolveExpression(value, expressionScope(inner, given, first)) : undefined;
    const where = conjunctsOf(resolve(node['where_clause'], 'column'));
    const having = resolve(node['having'], 'neither');
    const qualify = resolve(node['qualify'], 'neither');
    const groups = nodesOf(node['group_expressions']).map(
      (group) => ordinalOf(group, outputs) ?? resolve(group, 'column') ?? group,
    );
    const modifiers = resolveModifiers(node, outputs, expressionScope(inner, implied, 'neither'));
    return finish(from, {
      outputs,
      names: items.map(({ name }) => name),
      where,
      having,
      qualify,
      ...modifiers,
      groups,
      node,
    });
  }

  function resolveModifiers(node: AstNode, outputs: readonly AstNode[], scope: ExpressionScope) {
    /** A bare name in ORDER BY or DISTINCT ON is an output first; within an expression it is a column first. */
    const resolve = (value: AstNode): AstNode =>
      ordinalOf(value, outputs) ??
      resolveExpression(value, value['class'] === 'COLUMN_REF' ? { ...scope, first: 'alias' } : scope);
    const orders: AstNode[] = [];
    const distinctOn: AstNode[] = [];
    let limited = false;
    const modifiers = nodesOf(node['modifiers']).map((modifier): AstNode => {
      if (textOf(modifier['type']).startsWith('LIMIT')) {
        limited = true;
        if ([...columnRefs([modifier['limit'] ?? null, modifier['offset'] ?? null])].length > 0)
          throw new NotProvable('a limit in it is computed');
        return modifier;
      }
      if (modifier['type'] === 'DISTINCT_MODIFIER') {
        const targets = nodesOf(modifier['distinct_on_targets']).map(resolve);
        distinctOn.push(...targets);
        return { ...modifier, distinct_on_targets: targets };
      }
      const list = nodesOf(modifier['orders']).flatMap((order): AstNode[] => {
        const expression = nodeOf(order['expression']);
        if (expression === undefined) return [order];
        const all = expression['class'] === 'STAR';
        const resolved = all ? outputs : [resolve(expression)];
        orders.push(...resolved);
        return resolved.map((by) => ({ ...order, expression: by }));
      });
      return { ...modifier, orders: list };
    });
    return { modifiers, orders, distinctOn, limited };
  }

  interface SelectFacts {
    readonly outputs: readonly AstNode[];
    readonly names: SelectQuery['names'];
    readonly where?: readonly AstNode[];
    readonly having?: AstNode | undefined;
    readonly qualify?: AstNode | undefined;
    readonly modifiers?: readonly AstNode[];
    readonly orders?: readonly AstNode[];
    readonly distinctOn?: readonly AstNode[];
    readonly limited?: boolean;
    readonly groups?: readonly AstNode[];
    readonly node?: AstNode;
  }

  function finish(from: NormalFrom, facts: SelectFacts): SelectQuery {
    const {
      outputs,
      where = [],
      having,
      qualify,
      modifiers = [],
      orders = [],
      distinctOn = [],
      limited = false,
    } = facts;
    const parts = [...ownNodes([...outputs, having ?? null, qualify ?? null, ...orders, ...distinctOn])];
    const aggregates = parts.filter(
      (part) => part['class'] === 'FUNCTION' && context.isAggregate(functionNameOf(part)),
    );
    const grouping = groupingOf(facts, aggregates, context);
    const leaves = [from.first, ...from.steps.map((step) => step.leaf)].flatMap((leaf) => leaf ?? []);
    checkAggregates(aggregates, new Set(leaves.map((leaf) => leaf.alias)));
    const conditions = from.steps.flatMap((step) => step.on);
    const inside = [
      ...ownNodes([
        ...outputs,
        ...where,
        having ?? null,
        qualify ?? null,
        ...orders,
        ...distinctOn,
        ...conditions,
        ...('by' in grouping ? grouping.by : []),
      ]),
    ];
    const reads = new Set([
      ...leaves.flatMap((leaf) => [...leaf.reads]),
      ...inside.flatMap((part) => [...(subqueries.get(part)?.reads ?? [])]),
      ...(inside.some((part) => part['class'] === 'FUNCTION' && context.isAsOf(functionNameOf(part))) ? [AS_OF] : []),
    ]);
    const exact = selectNode({
      items: outputs.map((output, i) => renamed(output, outputName(i))),
      from: exactFrom(from) ?? NO_ROWS_ITEM,
      where,
      ...('by' in grouping ? { groups: grouping.by, groupSets: grouping.sets } : {}),
      having,
      qualify,
      modifiers,
    });
    const { first, steps } = from;
    return {
      kind: 'select',
      names: facts.names,
      exact,
      reads,
      first,
      steps,
      outputs,
      where,
      grouping,
      having,
      qualify,
      distinctOn,
      orders,
      limited,
    };
  }

  const root = bindNode(query, { ctes: new Map(), frames: [] });
  const columns = new Map<string, Set<string>>([...root.reads].map((table) => [table, new Set()]));
  for (const { alias, name } of columnRefs(root.exact)) columns.get(tables.get(alias) ?? '')?.add(name);
  return {
    root,
    columns,
    subqueryOf: (node) => subqueries.get(node),
    isAggregate: context.isAggregate,
    isWindow: context.isWindow,
    isAsOf: context.isAsOf,
  };
}

/** `order by 2` and `group by 2` name an output. */
function ordinalOf(node: AstNode, outputs: readonly AstNode[]): AstNode | undefined {
  if (node['class'] !== 'CONSTANT') return undefined;
  const at = numberOf(nodeOf(node['value'])?.['value']);
  const output = at === undefined ? undefined : outputs[at - 1];
  if (output === undefined) throw new NotProvable('it groups or orders by a constant');
  return output;
}

function isConstant(node: AstNode): boolean {
  return [...ownNodes(node)].every((part) => part['class'] !== 'COLUMN_REF' && part['class'] !== 'SUBQUERY');
}

function groupingOf(
  facts: {
    readonly outputs: readonly AstNode[];
    readonly groups?: readonly AstNode[];
    readonly having?: AstNode | undefined;
    readonly node?: AstNode;
  },
  aggregates: readonly AstNode[],
  context: NormalContext,
): Grouping {
  const { outputs, groups = [], having, node } = facts;
  const sets = Array.isArray(node?.['group_sets']) ? node['group_sets'] : [];
  if (groups.length > 0) {
    // A constant among groups would read as the place of an output.
    if (groups.some((group) => group['class'] === 'CONSTANT'))
      throw new NotProvable('it groups or orders by a constant');
    const [only] = sets;
    const isPlain = sets.length === 1 && Array.isArray(only) && only.length === groups.length;
    return { kind: isPlain ? 'groups' : 'sets', by: groups, sets };
  }
  if (node?.['aggregate_handling'] === 'FORCE_AGGREGATES') {
    const hasAggregate = (output: AstNode) =>
      [...ownNodes(output)].some(
        (part) =>
          part['class'] === 'WINDOW' || (part['class'] === 'FUNCTION' && context.isAggregate(functionNameOf(part))),
      );
    if ([...ownNodes(outputs)].some((part) => part['class'] === 'WINDOW'))
      throw new NotProvable('it has a window beside group by all');
    const by = outputs.filter((output) => !hasAggregate(output) && !isConstant(output));
    if (by.length === 0) throw new NotProvable('it groups or orders by a constant');
    return { kind: 'groups', by, sets: [by.map((_, i) => `\0${i}`)] };
  }
  return { kind: aggregates.length > 0 || having !== undefined || sets.length > 0 ? 'all rows' : 'none' };
}

/** An aggregate over columns of a query around belongs to that query, which then is another than it looks. */
function checkAggregates(aggregates: readonly AstNode[], own: ReadonlySet<string>): void {
  for (const aggregate of aggregates) {
    const isOuter = [...ownNodes(aggregate)].some(
      (part) =>
        part['class'] === 'COLUMN_REF' && [...columnRefs(part)].some(({ alias }) => alias !== '' && !own.has(alias)),
    );
    if (isOuter) throw new NotProvable('a subquery may aggregate columns of the query around it');
  }
}
