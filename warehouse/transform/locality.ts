import type { AstNode } from './ast.ts';
import type { Equality } from './query-expressions.ts';
import type { QueryColumn } from './query-scope.ts';
import type { Join, Relation, Select } from './query-tree.ts';

/**
 * The proof that some tables of a query may be filtered by partition.
 *
 * Claim at every relation E, given `classes` (one set of columns per `by` column): for every partition value t, the rows of E in which
 * every column of class i equals t[i] (NULL equal to NULL) stay the same when each local leaf below is cut down to its rows of t.
 * `fixed` are columns of the queries around which hold t for the row at hand: what a correlated subquery may rely on; of such a query
 * every row must stay the same, which is the claim with empty classes.
 * Each operator hands on to its inputs only the columns for which that is true of them. A leaf is local when it is reached with a column
 * in every class. All columns of class i have exactly the type of by[i], so that equal means the same value.
 */
export interface LeafUse {
  readonly node: AstNode;
  readonly table: string;
  /** The leaf's columns that carry `by`; undefined when it must be read whole. */
  readonly columns: readonly string[] | undefined;
  /** Why it must be read whole. */
  readonly why: string;
}

type Classes = readonly ReadonlySet<QueryColumn>[];
type Fixed = ReadonlyMap<QueryColumn, number>;

interface Demand {
  readonly classes: Classes;
  readonly fixed: Fixed;
  /** What last took a column away. */
  readonly why: string;
}

/** Every leaf of the query, each as often as it is reached. `types` are those of the `by` columns. */
export function findLeafUses(root: Relation, by: readonly QueryColumn[], types: readonly string[]): readonly LeafUse[] {
  const uses: LeafUse[] = [];
  const proof = createProof(types, (use) => uses.push(use));
  proof(root, { classes: by.map((column) => new Set([column])), fixed: new Map(), why: 'it does not carry them' });
  return uses;
}

function createProof(
  types: readonly string[],
  found: (use: LeafUse) => void,
): (relation: Relation, demand: Demand) => void {
  const none: Classes = types.map(() => new Set());
  const isTyped = (column: QueryColumn, i: number) => column.type === types[i];

  /** Adds every column that an equality ties to one known to hold the partition's value. */
  const extend = (classes: Classes, equalities: readonly Equality[], fixed: Fixed): Classes => {
    const sets = classes.map(
      (set, i) => new Set([...set, ...[...fixed].flatMap(([column, at]) => (at === i ? [column] : []))]),
    );
    for (let grew = true; grew; ) {
      grew = false;
      for (const [one, other] of equalities) {
        sets.forEach((set, i) => {
          for (const [a, b] of [
            [one, other],
            [other, one],
          ] as const) {
            if (set.has(a) && !set.has(b) && isTyped(b, i)) {
              set.add(b);
              grew = true;
            }
          }
        });
      }
    }
    return sets;
  };

  const visit = (relation: Relation, demand: Demand): void => {
    switch (relation.kind) {
      case 'rows':
        return;
      case 'leaf': {
        const columns = demand.classes.map((set, i) =>
          relation.columns.find((column) => set.has(column) && isTyped(column, i)),
        );
        const names = columns.flatMap((column) => column?.name ?? []);
        const isLocal = names.length === types.length;
        found({ node: relation.node, table: relation.table, columns: isLocal ? names : undefined, why: demand.why });
        return;
      }
      case 'set':
        for (const side of [relation.left, relation.right]) {
          const classes = demand.classes.map((set, i) => {
            const kept = relation.limited
              ? []
              : side.columns.filter((column, at) => isAt(relation.columns, at, set) && isTyped(column, i));
            return new Set(kept);
          });
          visit(side, {
            ...demand,
            classes,
            why: relation.limited ? 'limit' : lost(demand, classes, 'a set operation'),
          });
        }
        return;
      case 'select':
        visitSelect(relation, demand);
        return;
      case 'join':
        visitJoin(relation, demand);
        return;
      default:
        relation satisfies never;
    }
  };

  const visitSelect = (select: Select, demand: Demand): void => {
    let why = demand.why;
    const through = demand.classes.map((set) => {
      const sources = [...set].flatMap((column) => select.sources.get(column) ?? []);
      if (set.size > 0 && sources.length === 0) why = 'a column that is computed';
      if (select.limited) {
        if (sources.length > 0) why = 'limit';
        return new Set<QueryColumn>();
      }
      const split = select.partitions.find(({ columns }) => !sources.some((source) => columns.has(source)));
      if (sources.length > 0 && split !== undefined) why = split.what;
      return new Set(sources.filter((source) => select.partitions.every(({ columns }) => columns.has(source))));
    });
    // WHERE is applied before groups, windows and limits: what it ties to a fixed column holds below whatever stands above.
    const classes = only(extend(through, select.equalities, demand.fixed), select.from);
    visit(select.from, { classes, fixed: demand.fixed, why });
    const fixed = fix(classes, demand.fixed);
    for (const subquery of select.subqueries)
      visit(subquery, { classes: none, fixed, why: 'a subquery that is not tied to the row by =' });
  };

  const visitJoin = (join: Join, demand: Demand): void => {
    const { left, right, equalities } = join;
    const { fixed } = demand;
    const lose = (classes: Classes, what: string): Demand => ({ classes, fixed, why: lost(demand, classes, what) });
    switch (join.join) {
      case 'inner': {
        const all = extend(demand.classes, equalities, fixed);
        const onLeft = only(all, left);
        visit(left, lose(onLeft, 'a join that is not on them'));
        visit(right, { ...lose(only(all, right), 'a join that is not on them'), fixed: fix(onLeft, fixed) });
        break;
      }
      case 'left':
      case 'probe': {
        // Every row of the left side stands in the result whatever the right side holds, so only its own columns can cut it; and the
        // right side may be cut only by what ON ties to them: a column of it is NULL where nothing matched.
        const onLeft = only(demand.classes, left);
        visit(left, lose(onLeft, 'the side of an outer join that may be NULL'));
        const onRight = only(extend(onLeft, equalities, fixed), right);
        visit(right, { ...lose(onRight, 'a join that is not on them'), fixed: fix(onLeft, fixed) });
        break;
      }
      case 'right': {
        const onRight = only(demand.classes, right);
        visit(right, lose(onRight, 'the side of an outer join that may be NULL'));
        visit(left, lose(only(extend(onRight, equalities, fixed), left), 'a join that is not on them'));
        break;
      }
      case 'full':
        // Both sides may be NULL; only a column of USING, which is whichever side is there, cuts both.
        for (const side of ['left', 'right'] as const) {
          const classes = demand.classes.map((set, i) => {
            const pairs = join.merged.filter(({ column }) => set.has(column) && isTyped(column, i));
            return new Set(pairs.map((pair) => pair[side]).filter((column) => isTyped(column, i)));
          });
          visit(join[side], lose(classes, 'a full join that is not using them'));
        }
        break;
      default:
        join.join satisfies never;
    }
    for (const subquery of join.subqueries) visit(subquery, { classes: none, fixed, why: 'a subquery in on' });
  };
  return visit;
}

function only(classes: Classes, relation: Relation): Classes {
  const own = new Set(relation.columns);
  return classes.map((set) => new Set([...set].filter((column) => own.has(column))));
}

function fix(classes: Classes, fixed: Fixed): Fixed {
  return new Map([...fixed, ...classes.flatMap((set, i) => [...set].map((column) => [column, i] as const))]);
}

function isAt(columns: readonly QueryColumn[], at: number, set: ReadonlySet<QueryColumn>): boolean {
  const column = columns[at];
  return column !== undefined && set.has(column);
}

function lost(demand: Demand, classes: Classes, what: string): string {
  return demand.classes.some((set, i) => set.size > 0 && classes[i]?.size === 0) ? what : demand.why;
}
