import type { AstNode } from '../ast.ts';
import { NotProvable } from '../query-expressions.ts';
import { type Derivation, type Derived, SIGN_COLUMN } from './derivation.ts';
import {
  columnNode,
  comparisonBelowZero,
  exists,
  FALSE,
  ONE,
  queryItem,
  renamed,
  selectNode,
  tableItem,
  unionAll,
} from './nodes.ts';
import { joinOf } from './normal-from.ts';
import { type Leaf, outputName, ownNodes, type Step } from './normal-query.ts';
import { reachesOnlyKnown, type Traceable } from './trace.ts';

/** FROM over changed tables: for every table joined, which combinations of old, new and changed rows stand for the changed rows of the whole. */

/** A FROM clause and conditions that go with it. */
export interface Variant {
  readonly from: AstNode;
  readonly where: readonly AstNode[];
}

export interface LeafState {
  readonly leaf: Leaf;
  readonly step: Step | undefined;
  readonly affected: boolean;
  readonly derived: Derived | undefined;
  /** False: its columns cannot be traced, and it is left out of every variant. */
  readonly traced: boolean;
}

/** What a variant must offer: alias → columns that are read above FROM and by the conditions that are kept. */
export type Needed = ReadonlyMap<string, ReadonlySet<string>>;

/** Leaves in order, and what can be traced of each. */
export function openLeaves(
  first: Leaf,
  steps: readonly Step[],
  outer: Traceable,
  derivation: Derivation,
): { readonly states: readonly LeafState[]; readonly traceable: Traceable } {
  const { tracer } = derivation;
  const traceable = new Map(outer);
  const states = [undefined, ...steps].map((step): LeafState => {
    const leaf = step?.leaf ?? first;
    const affected = tracer.isAffected(leaf.reads);
    const looksAtUnknown = leaf.kind !== 'table' && !reachesOnlyKnown(leaf.exact, traceable);
    const isLateral = leaf.looksAt.size > 0;
    const opaque = affected ? isLateral : looksAtUnknown;
    const derived = leaf.kind === 'query' && affected ? derivation.derive(leaf.query, traceable) : undefined;
    if (opaque) traceable.set(leaf.alias, new Set());
    else if (derived !== undefined)
      traceable.set(leaf.alias, new Set(derived.known.flatMap((known, i) => (known ? [outputName(i)] : []))));
    else traceable.set(leaf.alias, undefined);
    return { leaf, step, affected, derived, traced: !opaque };
  });
  if (!states[0]?.traced) throw new NotProvable('a subquery looks at a column that cannot be traced');
  return { states, traceable };
}

/** Beyond this many combinations of changed tables a rebuild is the better way. */
const MAX_VARIANTS = 64;

export interface Variants {
  readonly plus: readonly Variant[];
  readonly delta: readonly Variant[];
}

/** The variants of a FROM clause; `isRead` tells whether anything but its own ON reads a leaf. */
export function joinVariants(
  states: readonly LeafState[],
  facts: { readonly traceable: Traceable; readonly needed: Needed; readonly isRead: (alias: string) => boolean },
  derivation: Derivation,
): Variants {
  const { traceable, needed, isRead } = facts;
  const { tracer, without } = derivation;
  const items = createItems(needed, derivation);
  const noNulls = without.has('null rows of an outer join');
  const [start, ...rest] = states;
  if (start === undefined) throw new NotProvable('it joins nothing');
  let plus: readonly Variant[] = [{ from: items.plus(start), where: [] }];
  let delta: readonly Variant[] = start.affected ? [{ from: items.delta(start), where: [] }] : [];
  let prefixIsExact = !start.affected;
  rest.forEach((state, at) => {
    const { leaf, step, affected } = state;
    if (step === undefined) return;
    if (step.on.some((part) => hasAffected(part, derivation))) throw new NotProvable('a subquery in on reads it');
    const on = step.on.filter((part) => tracer.isKnown(part, traceable));
    const isExact = !affected && on.length === step.on.length;
    const joined =
      (item: AstNode, join = step.join, condition = on) =>
      (variant: Variant): Variant => ({
        from: joinOf(variant.from, item, join, condition),
        where: variant.where,
      });
    const withNull = (variant: Variant): Variant => joined(leaf.exact, 'left', [FALSE])(variant);
    const whereMatched =
      (item: AstNode) =>
      (variant: Variant): Variant => ({
        from: variant.from,
        where: [...variant.where, exists(selectNode({ items: [renamed(ONE, '_one')], from: item, where: on }))],
      });
    const before = states.slice(0, at + 1);
    /** Rows of the right side that match nothing on the left. */
    const alone = (item: AstNode): AstNode =>
      before.reduce((from, earlier) => {
        if (!earlier.traced || isHidden(earlier)) return from;
        if (earlier.leaf.looksAt.size > 0)
          throw new NotProvable('an outer join follows a table that looks at those before it');
        return joinOf(from, earlier.leaf.exact, 'left', [FALSE]);
      }, item);
    if (!state.traced) {
      // Its columns are gone from what is known: a changed row of it touches the row that looks at it.
      if (affected && state.derived !== undefined) {
        const inner = unionAll(state.derived.delta([]));
        delta = [
          ...delta,
          ...plus.map((variant) => ({ from: variant.from, where: [...variant.where, exists(inner)] })),
        ];
      }
      prefixIsExact = false;
      return;
    }
    const all = items.plus(state);
    const changes = affected ? items.delta(state) : undefined;
    switch (step.join) {
      case 'inner': {
        const branches = changes === undefined ? [] : plus.map(joined(changes));
        delta = [...delta.map(joined(all)), ...branches];
        plus = plus.map(joined(all));
        break;
      }
      case 'semi':
      case 'anti': {
        const keeps = without.has('a changed semi or anti join is dropped');
        if (isExact || keeps) {
          plus = plus.map(joined(all));
          delta = delta.map(joined(all));
        }
        if (changes !== undefined) delta = [...delta, ...plus.map(whereMatched(changes))];
        break;
      }
      case 'left': {
        if (isExact) {
          plus = plus.map(joined(all));
          delta = delta.map(joined(all));
          break;
        }
        const read = isRead(leaf.alias);
        const both = (variant: Variant): readonly Variant[] => {
          if (!read) return [variant];
          if (noNulls) return [joined(all)(variant)];
          return [joined(all, 'inner')(variant), withNull(variant)];
        };
        const branches =
          changes === undefined
            ? []
            : plus.flatMap((variant) => {
                const matched = whereMatched(changes)(variant);
                if (!read) return [matched];
                return noNulls
                  ? [joined(changes, 'inner')(variant)]
                  : [joined(changes, 'inner')(variant), withNull(matched)];
              });
        delta = [...delta.flatMap(both), ...branches];
        plus = plus.flatMap(both);
        break;
      }
      case 'right':
      case 'full': {
        const isFull = step.join === 'full';
        const next: Variant[] = [];
        for (const variant of delta) {
          if (isFull && isExact) next.push(joined(all, 'left')(variant));
          else {
            next.push(joined(all, 'inner')(variant));
            if (isFull && !noNulls) next.push(withNull(variant));
          }
          if (!noNulls) {
            const matches = selectNode({
              items: [renamed(ONE, '_one')],
              from: variant.from,
              where: [...variant.where, ...on],
            });
            next.push({ from: alone(all), where: [exists(matches)] });
          }
        }
        if (changes !== undefined) {
          if (prefixIsExact && on.length === step.on.length) next.push(...plus.map(joined(changes, 'right')));
          else next.push(...plus.map(joined(changes, 'inner')), { from: alone(changes), where: [] });
          if (isFull && !noNulls) next.push(...plus.map((variant) => withNull(whereMatched(changes)(variant))));
        }
        plus =
          prefixIsExact && isExact
            ? plus.map(joined(all))
            : [
                ...plus.flatMap((variant) => [joined(all, 'inner')(variant), ...(isFull ? [withNull(variant)] : [])]),
                { from: alone(all), where: [] },
              ];
        delta = next;
        break;
      }
      default:
        step.join satisfies never;
    }
    prefixIsExact &&= isExact;
    if (plus.length + delta.length > MAX_VARIANTS)
      throw new NotProvable('too many of the tables it joins changed at once');
  });
  return { plus, delta: without.has('a branch per occurrence') ? delta.slice(0, 1) : delta };
}

/** A semi or anti join gives no columns. */
function isHidden({ step }: LeafState): boolean {
  return step?.join === 'semi' || step?.join === 'anti';
}

function hasAffected(part: AstNode, { tracer }: Derivation): boolean {
  return [...ownNodes(part)].some((node) => tracer.affectedQuery(node) !== undefined);
}

/** Leaves as items of FROM: all their rows, old and new, or the changed ones. */
function createItems(needed: Needed, { changed, form, without }: Derivation) {
  const outputsOf = ({ leaf, derived }: LeafState): readonly number[] =>
    (derived?.known ?? []).flatMap((known, i) =>
      known && needed.get(leaf.alias)?.has(outputName(i)) === true ? [i] : [],
    );
  return {
    delta(state: LeafState): AstNode {
      const { leaf, derived } = state;
      if (leaf.kind === 'table') return tableItem([changed.nameOf(leaf.table)], leaf.alias);
      if (derived === undefined) throw new NotProvable('it reads a table in a shape without a rule');
      return queryItem(unionAll(derived.delta(outputsOf(state))), leaf.alias);
    },
    plus(state: LeafState): AstNode {
      const { leaf, affected, derived } = state;
      if (!affected) return leaf.exact;
      if (derived !== undefined) return queryItem(unionAll(derived.plus(outputsOf(state))), leaf.alias);
      if (leaf.kind !== 'table') throw new NotProvable('it reads a table in a shape without a rule');
      if (without.has('old rows beside new ones')) return leaf.exact;
      const names = [...(form.columns.get(leaf.table) ?? [])];
      const columns = names.length === 0 ? [renamed(ONE, '_one')] : names.map((name) => columnNode('', name));
      const now = selectNode({ items: columns, from: tableItem(leaf.path, '') });
      const gone = selectNode({
        items: columns,
        from: tableItem([changed.nameOf(leaf.table)], ''),
        where: [comparisonBelowZero(columnNode('', SIGN_COLUMN))],
      });
      return queryItem(unionAll([now, gone]), leaf.alias);
    },
  };
}
