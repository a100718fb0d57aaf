import { type AstNode, nodeOf } from '../ast.ts';
import { NotProvable } from '../query-expressions.ts';
import { type Derivation, type Derived, itemsOf } from './derivation.ts';
import { joinVariants, openLeaves, type Variant } from './join-variants.ts';
import {
  columnNode,
  comparison,
  conjunction,
  dateNode,
  exists,
  functionNameOf,
  isNull,
  NO_ROWS_ITEM,
  ONE,
  queryItem,
  renamed,
  selectNode,
  unionAll,
} from './nodes.ts';
import { textOfNode } from './normal-expression.ts';
import { columnRefs, outputName, ownNodes, type SelectQuery } from './normal-query.ts';
import { isCovered, type Traceable } from './trace.ts';

/** The changed rows of one SELECT that reads a changed table. */
export function deriveSelect(query: SelectQuery, outer: Traceable, derivation: Derivation): Derived {
  const { tracer, without } = derivation;
  const { first, steps, outputs, grouping } = query;
  if (first === undefined) throw new NotProvable('a SELECT without FROM reads it');
  const { states, traceable } = openLeaves(first, steps, outer, derivation);
  const isKnown = (node: AstNode): boolean => tracer.isKnown(node, traceable);
  const kept = without.has('conditions that cannot be traced are dropped') ? query.where : query.where.filter(isKnown);
  const dated = movedConditions();
  const groups = grouping.kind === 'sets' ? grouping.by : [];
  if (!groups.every(isKnown)) throw new NotProvable('grouping sets over a column that cannot be traced');
  const keepsGroups = grouping.kind === 'sets' && !without.has('grouping sets are kept');
  const keepsHaving = query.having !== undefined && without.has('having is dropped');
  const unnested = outputs.filter((output) => has(output, (node) => functionNameOf(node) === 'unnest'));
  const known = outputs.map(
    (output) =>
      grouping.kind !== 'all rows' &&
      isKnown(output) &&
      (keepsGroups || !has(output, (node) => node['type'] === 'GROUPING_FUNCTION')) &&
      // Two lists side by side are as long as the longer, so neither can be left out.
      (unnested.length < 2 || !unnested.includes(output)),
  );
  const parts = [
    ...outputs,
    ...query.where,
    ...[query.having, query.qualify].flatMap((part) => (part === undefined ? [] : [part])),
    ...('by' in grouping ? grouping.by : []),
    ...query.orders,
    ...query.distinctOn,
  ];
  const subqueries = [...new Set(parts)].flatMap((part) =>
    [...ownNodes(part)].flatMap((node) => {
      const inner = tracer.affectedQuery(node);
      return inner === undefined ? [] : [{ node, inner, isWanted: query.where.includes(node) }];
    }),
  );
  const partitions = without.has('a window touches its whole partition') ? [] : windowPartitions();

  function windowPartitions(): (readonly AstNode[])[] {
    const windows = [...outputs, ...(query.qualify === undefined ? [] : [query.qualify]), ...query.orders]
      .flatMap((part) => [...ownNodes(part)])
      .filter(tracer.isWindow)
      .map((node) => (Array.isArray(node['partitions']) ? (node['partitions'] as readonly AstNode[]) : []));
    return [
      ...windows,
      ...(query.distinctOn.length > 0 ? [query.distinctOn] : []),
      ...(query.limited && !without.has('a limit touches everything') ? [[]] : []),
    ].map((partition) => partition.filter(isKnown));
  }
  if (partitions.length > 0 && grouping.kind === 'sets') throw new NotProvable('a window stands over grouping sets');

  /** Of each `x <= as_of()` in WHERE the x: when the date moves, exactly the rows between the two dates come or go. */
  function movedConditions(): readonly AstNode[] {
    const isMoved = (part: AstNode) => has(part, tracer.isMovedDate);
    const conditions = query.where.filter(isMoved);
    const elsewhere: readonly AstNode[] = [
      ...outputs,
      ...[query.having, query.qualify].flatMap((part) => (part === undefined ? [] : [part])),
      ...('by' in grouping ? grouping.by : []),
      ...query.orders,
      ...query.distinctOn,
      ...steps.flatMap((step) => step.on),
    ];
    const bounded = conditions.map((condition) => {
      const [left, right] = [nodeOf(condition['left']), nodeOf(condition['right'])];
      if (condition['type'] === 'COMPARE_LESSTHANOREQUALTO' && right !== undefined && tracer.isMovedDate(right))
        return left;
      if (condition['type'] === 'COMPARE_GREATERTHANOREQUALTO' && left !== undefined && tracer.isMovedDate(left))
        return right;
      return undefined;
    });
    const known = bounded.flatMap((node) => (node !== undefined && isKnown(node) ? [node] : []));
    if (known.length < conditions.length || elsewhere.some(isMoved))
      throw new NotProvable('as_of() stands where more than the rows between two dates depends on it');
    return known;
  }

  /** What some expressions ask of FROM, and the variants that answer. */
  function variantsFor(wanted: readonly AstNode[]): {
    readonly plus: readonly Variant[];
    readonly delta: readonly Variant[];
  } {
    const above = [...wanted, ...kept, ...dated, ...groups, ...subqueries.map(({ node }) => node)];
    const looking = states.filter(({ leaf, traced }) => traced && leaf.looksAt.size > 0).map(({ leaf }) => leaf.exact);
    const inside = states.filter(({ traced, affected }) => !traced && affected).map(({ leaf }) => leaf.exact);
    const conditions = steps.map((step) => ({ alias: step.leaf.alias, on: step.on.filter(isKnown) }));
    const refs = [...columnRefs([...above, ...looking, ...inside, ...conditions.flatMap(({ on }) => on)])];
    const needed = new Map<string, Set<string>>();
    for (const { alias, name } of refs) needed.set(alias, (needed.get(alias) ?? new Set()).add(name));
    const isRead = (alias: string): boolean => {
      const others = conditions.flatMap((condition) => (condition.alias === alias ? [] : condition.on));
      return [...columnRefs([...above, ...looking, ...inside, ...others])].some((ref) => ref.alias === alias);
    };
    const { plus, delta } = joinVariants(states, { traceable, needed, isRead }, derivation);
    const { earlier, later } = derivation.changed.dates ?? { earlier: '', later: '' };
    const until = dated.map((node) => comparison('COMPARE_LESSTHANOREQUALTO', node, dateNode(later)));
    const keep = ({ from, where }: Variant): Variant => ({ from, where: [...where, ...kept, ...until] });
    const between = dated.flatMap((node) => {
      const since = comparison('COMPARE_GREATERTHAN', node, dateNode(earlier));
      return plus.map(keep).map(({ from, where }) => ({ from, where: [...where, since] }));
    });
    const changed = subqueries.flatMap(({ node, inner, isWanted }) => {
      const condition = mayHaveChanged(node, derivation.derive(inner, traceable), isWanted);
      return plus.map(({ from, where }) => ({ from, where: [...where, ...kept, condition] }));
    });
    return { plus: plus.map(keep), delta: [...delta.map(keep), ...between, ...changed] };
  }

  /** A condition that holds for every row for which the subquery's value may have changed. */
  function mayHaveChanged(node: AstNode, inner: Derived, isWanted: boolean): AstNode {
    const child = node['child'];
    const compares = node['subquery_type'] === 'ANY' && node['comparison_type'] === 'COMPARE_EQUAL';
    if (!compares || inner.known.length !== 1 || inner.known[0] !== true || !isNodeKnown(child))
      return exists(unionAll(inner.delta([])));
    const alias = derivation.nextAlias();
    const value = columnNode(alias, outputName(0));
    const equal = comparison('COMPARE_EQUAL', value, child);
    // A NULL on either side makes `in` unknown, and so `not in` change with rows that are not equal.
    const plain = isWanted || without.has('null-aware in');
    const condition = plain ? equal : (conjunction('OR', [equal, isNull(value), isNull(child)]) ?? equal);
    return exists(
      selectNode({
        items: [renamed(ONE, '_one')],
        from: queryItem(unionAll(inner.delta([0])), alias),
        where: [condition],
      }),
    );
  }

  function isNodeKnown(child: AstNode[string] | undefined): child is AstNode {
    return typeof child === 'object' && child !== null && !Array.isArray(child) && isKnown(child as AstNode);
  }

  const outputAt = (i: number): AstNode => {
    const output = outputs[i];
    if (output === undefined || known[i] !== true) throw new RangeError(`output ${i} cannot be traced`);
    return output;
  };
  const select = (variants: readonly Variant[], items: readonly AstNode[]): readonly AstNode[] =>
    variants.map(({ from, where }) =>
      selectNode({
        items,
        from,
        where,
        ...(keepsGroups && grouping.kind === 'sets' ? { groups: grouping.by, groupSets: grouping.sets } : {}),
        ...(keepsHaving && grouping.kind === 'groups'
          ? { groups: grouping.by, groupSets: grouping.sets, having: query.having }
          : {}),
      }),
    );

  /** All rows of the partitions in which a row changed. */
  function expand(need: readonly number[], partition: readonly AstNode[]): AstNode {
    const names = partition.map((_, i) => `w${i}`);
    const keys = partition.map((node, i) => renamed(node, names[i] ?? ''));
    const wanted = need.map(outputAt);
    const own = need.length === 0 ? [] : itemsOf(need, outputAt);
    const all = select(variantsFor([...wanted, ...partition]).plus, orOne([...own, ...keys]));
    const changed = select(variantsFor(partition).delta, orOne(keys));
    const [rows, hits] = [derivation.nextAlias(), derivation.nextAlias()];
    return selectNode({
      items: itemsOf(need, (i) => columnNode(rows, outputName(i))),
      from: queryItem(unionAll(all), rows),
      where: [
        exists(
          selectNode({
            items: [renamed(ONE, '_one')],
            from: queryItem(unionAll(changed), hits),
            where: names.map((name) =>
              comparison('COMPARE_NOT_DISTINCT_FROM', columnNode(rows, name), columnNode(hits, name)),
            ),
          }),
        ),
      ],
    });
  }

  return {
    affected: true,
    known,
    delta(need) {
      const branches = [...select(variantsFor(need.map(outputAt)).delta, itemsOf(need, outputAt))];
      const done = new Set<string>();
      for (const partition of partitions) {
        const key = new Set(partition.map(textOfNode));
        const id = [...key].sort().join('\0');
        if (done.has(id) || need.every((i) => isCovered(outputAt(i), key))) continue;
        done.add(id);
        branches.push(expand(need, partition));
      }
      return branches;
    },
    plus(need) {
      // An aggregate over no rows is still one row.
      if (grouping.kind === 'all rows' && !without.has('a global aggregate has one row'))
        return [selectNode({ items: [renamed(ONE, '_one')], from: NO_ROWS_ITEM })];
      return select(variantsFor(need.map(outputAt)).plus, itemsOf(need, outputAt));
    },
  };
}

function orOne(items: readonly AstNode[]): readonly AstNode[] {
  return items.length === 0 ? [renamed(ONE, '_one')] : items;
}

function has(node: AstNode, test: (part: AstNode) => boolean): boolean {
  return [...ownNodes(node)].some(test);
}
