import type { Random } from '../../support/random.ts';

/** Seeded random queries over small tables, made to hit the edges of the partition rule: NULLs, duplicates, every join, correlation, nesting. */

/** Every table has k INTEGER, s VARCHAR, v INTEGER and l VARCHAR[]; silver.view is a view of bronze.app.b and silver.stored. */
const LEAVES = ['bronze.app.a', 'bronze.app.b', 'silver.stored', 'silver.looked_at'] as const;

const TOTAL = 'k nulls last, s nulls last, v nulls last';

export interface TablesToRead {
  readonly leaves: readonly string[];
  /** Those that have the column l. */
  readonly lists: readonly string[];
}

interface Generator extends TablesToRead {
  readonly random: Random;
  /** Names of CTEs in scope: k, s, v each. */
  readonly ctes: readonly string[];
}

/** A query whose columns are k, s and v, of the tables' own types. */
export function randomQuery(
  random: Random,
  tables: TablesToRead = { leaves: LEAVES, lists: LEAVES },
  depth = 3,
): string {
  const g = { random, ctes: [], ...tables };
  if (!random.chance(0.25)) return relation(g, depth);
  const cte = relation(g, depth - 1);
  return `with c as (${cte}) ${relation({ ...g, ctes: ['c'] }, depth)}`;
}

function source(g: Generator, depth: number): string {
  if (depth > 1 && g.random.chance(0.45)) return `(${relation(g, depth - 1)})`;
  if (g.ctes.length > 0 && g.random.chance(0.5)) return g.random.pick(g.ctes);
  return g.random.pick(g.leaves);
}

function relation(g: Generator, depth: number): string {
  const shape = depth <= 0 ? plain : g.random.pick(SHAPES);
  return shape(g, depth);
}

type Shape = (g: Generator, depth: number) => string;

const plain: Shape = (g, depth) => `select x.k, x.s, x.v from ${source(g, depth)} x${where(g, 'x')}`;

function where(g: Generator, alias: string): string {
  const { random } = g;
  if (random.chance(0.5)) return '';
  const condition = random.pick([
    `${alias}.v > ${random.below(3)}`,
    `${alias}.k is not null`,
    `${alias}.s <> 'p'`,
    `coalesce(${alias}.v, 0) <> 1`,
  ]);
  return ` where ${condition}`;
}

/** Conjuncts that tie two tables; mostly by the likely partition columns, sometimes by too little or by something else. */
function tie(g: Generator, x: string, y: string): string {
  const { random } = g;
  const equal = (column: string) =>
    `${x}.${column} ${random.chance(0.2) ? 'is not distinct from' : '='} ${y}.${column}`;
  const list = random.pick([
    [equal('k')],
    [equal('k'), equal('s')],
    [equal('k'), equal('s')],
    [equal('s')],
    [equal('v')],
    [equal('k'), `${x}.v <= ${y}.v`],
    [equal('k'), equal('s'), `${y}.v > 0`],
    [`${x}.k = ${y}.v`],
    [equal('k'), `${x}.s = ${y}.s or ${x}.v = ${y}.v`],
    [`(${x}.k = ${y}.k or ${x}.k is null)`],
  ]);
  return list.map((text) => (text.includes(' or ') ? `(${text})` : text)).join(' and ');
}

function columns(g: Generator): string {
  return g.random.pick([
    'x.k, x.s, x.v',
    'x.k, x.s, y.v',
    'x.k, y.s, y.v',
    'y.k, y.s, x.v',
    'x.k, x.s, coalesce(x.v, y.v) as v',
    'coalesce(x.k, y.k) as k, x.s, x.v',
    'y.k, x.s, x.v',
  ]);
}

const join: Shape = (g, depth) => {
  const kind = g.random.pick(['join', 'left join', 'left join', 'right join', 'full join']);
  const tail = g.random.chance(0.3)
    ? ` where ${g.random.pick([tie(g, 'x', 'y'), 'y.v is null', 'x.k is not null'])}`
    : '';
  return `select ${columns(g)} from ${source(g, depth)} x ${kind} ${source(g, depth)} y on ${tie(g, 'x', 'y')}${tail}`;
};

const using: Shape = (g, depth) => {
  const kind = g.random.pick(['join', 'left join', 'right join', 'full join', 'full join']);
  const on = g.random.pick(['k', 'k, s', 's', 'k, s, v']);
  const list = on === 'k' ? 'k, x.s, y.v' : on === 's' ? 'x.k, s, y.v' : on === 'k, s' ? 'k, s, y.v' : 'k, s, v';
  return `select ${list} from ${source(g, depth)} x ${kind} ${source(g, depth)} y using (${on})`;
};

const comma: Shape = (g, depth) =>
  `select ${columns(g)} from ${source(g, depth)} x, ${source(g, depth)} y where ${tie(g, 'x', 'y')}`;

const three: Shape = (g, depth) => {
  const [one, two] = [g.random.pick(['join', 'left join']), g.random.pick(['join', 'left join', 'right join'])];
  return `select ${g.random.pick(['x', 'y', 'z'])}.k, x.s, z.v from ${source(g, depth - 1)} x ${one} ${source(g, depth - 1)} y on ${tie(g, 'x', 'y')} ${two} ${source(g, depth - 1)} z on ${tie(g, g.random.pick(['x', 'y']), 'z')}`;
};

const probe: Shape = (g, depth) =>
  `select x.k, x.s, x.v from ${source(g, depth)} x ${g.random.pick(['semi', 'anti'])} join ${source(g, depth)} y on ${tie(g, 'x', 'y')}`;

const group: Shape = (g, depth) => {
  const from = `from ${source(g, depth)} x${where(g, 'x')}`;
  const having = g.random.chance(0.3) ? ' having count(*) > 1' : '';
  return g.random.pick([
    `select x.k, x.s, sum(x.v)::integer as v ${from} group by x.k, x.s${having}`,
    `select k, s, count(*)::integer as v ${from} group by all${having}`,
    `select k, min(s) as s, max(v) as v ${from} group by k${having}`,
    `select max(k) as k, s, count(v)::integer as v ${from} group by 2${having}`,
    `select k, s, sum(v)::integer as v ${from} group by rollup (k, s)`,
    `select k, s, sum(v)::integer as v ${from} group by grouping sets ((k, s), (k))`,
    `select min(k) as k, min(s) as s, count(*)::integer as v ${from}`,
    `select k + 0 as k, s, max(v) as v ${from} group by 1, 2`,
  ]);
};

const window: Shape = (g, depth) => {
  const { random } = g;
  const by = random.pick(['x.k', 'x.k, x.s', 'x.k, x.s', 'x.s', 'x.v', '']);
  const partition = by === '' ? '' : `partition by ${by} `;
  const call = random.pick(['row_number()', 'sum(x.v)', 'count(*)', 'lag(x.v)']);
  const over = `${call} over (${partition}order by x.${TOTAL.replaceAll(', ', ', x.')})::integer`;
  const from = `from ${source(g, depth)} x${where(g, 'x')}`;
  return random.pick([`select x.k, x.s, ${over} as v ${from}`, `select x.k, x.s, x.v ${from} qualify ${over} <= 1`]);
};

const distinct: Shape = (g, depth) => {
  const from = `from ${source(g, depth)} x${where(g, 'x')}`;
  const on = g.random.pick(['k', 'k, s', 's']);
  return g.random.pick([
    `select distinct k, s, v ${from}`,
    `select distinct on (${on}) k, s, v ${from} order by ${TOTAL}`,
  ]);
};

const sets: Shape = (g, depth) => {
  const operation = g.random.pick(['union all', 'union', 'except', 'except all', 'intersect', 'intersect all']);
  return `(${relation(g, depth - 1)}) ${operation} (${relation(g, depth - 1)})`;
};

const limit: Shape = (g, depth) =>
  `select k, s, v from ${source(g, depth)} x order by ${TOTAL} limit ${1 + g.random.below(3)}`;

const subquery: Shape = (g, depth) => {
  const { random } = g;
  const inner = source(g, depth - 1);
  const from = `from ${source(g, depth)} x`;
  const tied = tie(g, 'y', 'x');
  const scalar = `(select ${random.pick(['max(y.v)', 'count(*)', 'sum(y.v)'])}::integer from ${inner} y where ${tied})`;
  return random.pick([
    `select x.k, x.s, x.v ${from} where ${random.pick(['', 'not '])}exists (select 1 from ${inner} y where ${tied})`,
    `select x.k, x.s, x.v ${from} where x.v ${random.pick(['', 'not '])}in (select y.v from ${inner} y where ${tied})`,
    `select x.k, x.s, x.v ${from} where x.k ${random.pick(['', 'not '])}in (select y.k from ${inner} y)`,
    `select x.k, x.s, ${scalar} as v ${from}`,
    `select x.k, x.s, count(*)::integer + coalesce((select max(y.v) from ${inner} y where y.k = x.k), 0) as v ${from} group by x.k, x.s`,
  ]);
};

const lateral: Shape = (g, depth) => {
  const { random } = g;
  const inner = source(g, depth - 1);
  const body = random.pick([
    `select max(y.v) as v from ${inner} y where ${tie(g, 'y', 'x')}`,
    `select y.v from ${inner} y where ${tie(g, 'y', 'x')} order by y.v nulls last limit 1`,
    `select y.v from ${inner} y where ${tie(g, 'y', 'x')}`,
  ]);
  const [before, after] = random.pick([
    ['cross join', ''],
    ['left join', ' on true'],
  ]);
  return `select x.k, x.s, l.v from ${source(g, depth)} x ${before} lateral (${body}) l${after}`;
};

const series: Shape = (g, depth) => {
  const from = source(g, depth);
  return g.random.pick([
    `select x.k, x.s, g.i::integer as v from ${from} x cross join generate_series(1, 2) g(i)`,
    `select d.k, x.s, x.v from (select i::integer as k from generate_series(0, 3) q(i)) d left join ${from} x on x.k = d.k`,
    `select x.k, u.s, x.v from ${g.random.pick(g.lists)} x, unnest(x.l) u(s)`,
    `select x.k, unnest(x.l) as s, x.v from ${g.random.pick(g.lists)} x`,
    `select x.k, x.s, w.v from ${from} x cross join (values (1), (2)) w(v)`,
  ]);
};

const star: Shape = (g, depth) => {
  const inner = `(${relation(g, depth - 1)})`;
  return g.random.pick([
    `select * from ${inner} x`,
    `select x.* exclude (v), x.v + 1 as v from ${inner} x`,
    `select * replace (s || '' as s) from ${inner} x`,
    `select * from ${inner} x(k, s, v) where k is not null`,
    `select s as k2, k, s, v from ${inner} x`.replace('s as k2, ', ''),
    `select x.v as k, x.s, x.k as v from ${inner} x`,
  ]);
};

/** Values of a group in order, and a rank of groups. */
const gathered: Shape = (g, depth) => {
  const from = `from ${source(g, depth)} x${where(g, 'x')}`;
  return g.random.pick([
    `select x.k, string_agg(x.s, ',' order by x.s) as s, len(list(x.v order by x.v))::integer as v ${from} group by x.k`,
    `select x.k % 2 as k, min(x.s) as s, count(distinct x.v)::integer as v ${from} group by x.k % 2`,
    `select x.k, x.s, (rank() over (partition by x.k order by count(*)))::integer as v ${from} group by x.k, x.s`,
    `select x.k, upper(x.s) as s, sum(x.v) filter (where x.v > 0)::integer as v ${from} group by 1, 2`,
  ]);
};

/** A running sum that has a row for every day of a calendar. */
const calendar: Shape = (g, depth) => {
  const moved = `select x.k, x.v as day, count(*) as n from ${source(g, depth)} x group by x.k, x.v`;
  const days = g.random.pick([
    '(select i::integer as day from generate_series(0, 3) t(i))',
    `(select distinct q.v as day from ${g.random.pick(g.leaves)} q where q.v is not null)`,
  ]);
  return `select a.k, null::varchar as s, (sum(m.n) over (partition by a.k order by d.day))::integer as v
    from (select distinct w.k from (${moved}) w) a cross join ${days} d left join (${moved}) m on m.k = a.k and m.day = d.day`;
};

const SHAPES: readonly Shape[] = [
  gathered,
  calendar,
  plain,
  plain,
  join,
  join,
  join,
  using,
  comma,
  three,
  probe,
  group,
  group,
  window,
  distinct,
  sets,
  limit,
  subquery,
  subquery,
  lateral,
  series,
  star,
];
