import type { AstNode } from '../ast.ts';
import { NotProvable } from '../query-expressions.ts';
import { type ChangedTables, type Derivation, type Derived, itemsOf } from './derivation.ts';
import { deriveSelect } from './derive-select.ts';
import { columnNode, DISTINCT, FALSE, queryItem, selectNode, unionAll } from './nodes.ts';
import { type NormalForm, outputName, type Query, type SetQuery } from './normal-query.ts';
import type { Rule } from './rules.ts';
import { createTracer, reachesOnlyKnown, type Traceable } from './trace.ts';

export interface TouchedRows {
  readonly affected: boolean;
  readonly known: readonly boolean[];
  /** The distinct values of some outputs in every row that may have changed. Throws NotProvable. */
  readonly touched: (outputs: readonly number[]) => AstNode;
}

/** Throws NotProvable where a changed table is read in a shape that has no rule. */
export function deriveTouched(
  form: NormalForm,
  changed: ChangedTables,
  without: ReadonlySet<Rule> = new Set(),
): TouchedRows {
  let aliases = 0;
  const derivation: Derivation = {
    form,
    changed,
    without,
    tracer: createTracer(form, changed.tables),
    nextAlias: () => {
      aliases += 1;
      return `_d${aliases}`;
    },
    derive: (query, traceable) => deriveQuery(query, traceable, derivation),
  };
  const root = derivation.derive(form.root, new Map());
  return {
    affected: root.affected,
    known: root.known,
    touched(outputs) {
      const alias = derivation.nextAlias();
      return selectNode({
        items: outputs.map((i) => columnNode(alias, outputName(i))),
        from: queryItem(unionAll(root.delta(outputs)), alias),
        modifiers: [DISTINCT],
      });
    },
  };
}

function deriveQuery(query: Query, traceable: Traceable, derivation: Derivation): Derived {
  if (!derivation.tracer.isAffected(query.reads)) {
    if (!reachesOnlyKnown(query.exact, traceable))
      throw new NotProvable('a subquery looks at a column that cannot be traced');
    return {
      affected: false,
      known: query.names.map(() => true),
      delta: () => [],
      plus: (need) => [pick(query.exact, need, derivation)],
    };
  }
  return query.kind === 'set' ? deriveSet(query, traceable, derivation) : deriveSelect(query, traceable, derivation);
}

/** Some columns of a query; without any, its rows. */
function pick(
  query: AstNode,
  need: readonly number[],
  { nextAlias }: Derivation,
  where: readonly AstNode[] = [],
): AstNode {
  const alias = nextAlias();
  return selectNode({
    items: itemsOf(need, (i) => columnNode(alias, outputName(i))),
    from: queryItem(query, alias),
    where,
  });
}

function deriveSet(query: SetQuery, traceable: Traceable, derivation: Derivation): Derived {
  const sides = [query.left, query.right].map((side) => ({ side, derived: derivation.derive(side, traceable) }));
  // A side that gives no row still gives the columns their type.
  const typed = (side: Query, need: readonly number[]) => pick(side.exact, need, derivation, [FALSE]);
  const safe = (side: Query, need: readonly number[]) =>
    reachesOnlyKnown(side.exact, traceable) ? [typed(side, need)] : [];
  return {
    affected: true,
    known: query.names.map((_, i) => sides.every(({ derived }) => derived.known[i] === true)),
    delta: (need) =>
      sides.flatMap(({ side, derived }, at) =>
        derived.affected && !(at === 1 && derivation.without.has('both sides of a set operation'))
          ? derived.delta(need)
          : safe(side, need),
      ),
    plus: (need) =>
      sides.flatMap(({ side, derived }, at) =>
        at === 0 || query.operation === 'UNION' ? derived.plus(need) : safe(side, need),
      ),
  };
}
