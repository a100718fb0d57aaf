import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RefreshRule } from '../../../warehouse/transform/index.ts';
import { bronzeTable, compile, modelText } from './project.ts';

const ALL = { k: 'INTEGER', s: 'VARCHAR', v: 'INTEGER', big: 'BIGINT', f: 'DOUBLE', d: 'DATE', l: 'INTEGER[]' };
const TABLES = [bronzeTable('app.a', ALL), bronzeTable('app.b', ALL)];

/** The rule of one incremental model beside a table silver.stored and a view silver.seen of bronze.app.b. */
async function ruleOf(sql: string, by = 'k', extra: Readonly<Record<string, string>> = {}): Promise<RefreshRule> {
  const header = ['materialized: incremental', `key: [${by}]`];
  const files = {
    'sql/silver/app/stored.sql': modelText('select k, s, v from bronze.app.a', ['materialized: table']),
    'sql/silver/app/seen.sql': modelText('select k, s, v from bronze.app.b where v > 0'),
    'sql/silver/app/m.sql': modelText(sql, /as_of\(\)/.test(sql) ? [...header, 'as_of: recompute'] : header),
    ...extra,
  };
  const project = await compile(files, TABLES);
  const model = project.models.find(({ name }) => name === 'silver.m');
  assert.ok(model);
  return model.refresh;
}

/** What a rule says, short: `a(k) b` for tables that are traced, with the columns by which the first is cut; `; b: why` for those that are not. */
function show(rule: RefreshRule): string {
  if (rule.kind === 'rebuild') return `rebuild: ${rule.why}`;
  if (rule.kind === 'append') return 'append';
  const short = (table: string) => table.replace(/^bronze\.app\./, '');
  const traced = Object.keys(rule.reads).map((table) => {
    const cut = (rule.cut[table] ?? []).map((list) => `(${list.join(',')})`);
    return `${short(table)}${cut.join('')}`;
  });
  const others = Object.entries(rule.others).map(([table, why]) => `; ${short(table)}: ${why}`);
  return traced.join(' ') + others.join('');
}

const A = 'bronze.app.a';
const B = 'bronze.app.b';

const CASES: readonly { readonly says: string; readonly sql: string; readonly by?: string; readonly rule: string }[] = [
  { says: 'a filter of a table', sql: `select k, v from ${A} where v > 1`, rule: 'a(k)' },
  { says: 'a renamed column', sql: `select v as k, s from ${A}`, rule: 'a(v)' },
  { says: 'two columns in the order of by', sql: `select k, s from ${A}`, by: 's, k', rule: 'a(s,k)' },
  {
    says: 'a computed column is not a partition',
    sql: `select k + 1 as k from ${A}`,
    rule: 'a',
  },
  {
    says: 'a cast column is not a partition',
    sql: `select k::bigint as k from ${A}`,
    rule: 'a',
  },
  {
    says: 'a float is not a partition',
    sql: `select f as k from ${A}`,
    rule: 'rebuild: k is a DOUBLE, whose equal values may differ',
  },
  { says: 'group by the partition', sql: `select k, sum(v)::integer as v from ${A} group by k`, rule: 'a(k)' },
  { says: 'group by all', sql: `select k, count(*) as n from ${A} group by all`, rule: 'a(k)' },
  { says: 'group by ordinal', sql: `select s, k, count(*) as n from ${A} group by 1, 2`, rule: 'a(k)' },
  {
    says: 'group by an alias that hides the column',
    sql: `select v + 1 as k, count(*) as n from ${A} group by 1`,
    rule: 'a',
  },
  {
    says: 'an aggregate over all rows',
    sql: `select max(k) as k from ${A}`,
    rule: 'rebuild: no change can be traced to k (bronze.app.a: k cannot be traced from it)',
  },
  {
    says: 'a total joined to every row',
    sql: `select x.k, t.n from ${A} x cross join (select count(*) as n from ${B}) t`,
    rule: 'a(k) b',
  },
  {
    says: 'a rollup has rows of no partition',
    sql: `select k, s, count(*) as n from ${A} group by rollup (k, s)`,
    rule: 'a',
  },
  {
    says: 'grouping sets that all have it',
    sql: `select k, s, count(*) as n from ${A} group by grouping sets ((k, s), (k))`,
    rule: 'a(k)',
  },
  { says: 'distinct', sql: `select distinct k, s from ${A}`, rule: 'a(k)' },
  { says: 'distinct on the partition', sql: `select distinct on (k) k, s from ${A} order by k, v, s`, rule: 'a(k)' },
  {
    says: 'distinct on another column',
    sql: `select distinct on (s) k, s from ${A} order by s, v, k`,
    rule: 'a',
  },
  {
    says: 'a window within the partition',
    sql: `select k, row_number() over (partition by k, s order by v) as n from ${A}`,
    rule: 'a(k)',
  },
  {
    says: 'a window across partitions',
    sql: `select k, row_number() over (partition by s order by v) as n from ${A}`,
    rule: 'a',
  },
  {
    says: 'a window without partition',
    sql: `select k, sum(v) over (order by v) as n from ${A}`,
    rule: 'a',
  },
  {
    says: 'one of two windows across partitions',
    sql: `select k, lag(v) over (partition by k order by v) as x, lag(v) over (order by v) as y from ${A}`,
    rule: 'a',
  },
  {
    says: 'qualify across partitions',
    sql: `select k, s from ${A} qualify row_number() over (partition by s order by v) = 1`,
    rule: 'a',
  },
  {
    says: 'limit',
    sql: `select k from ${A} order by k limit 5`,
    rule: 'a',
  },
  {
    says: 'limit below',
    sql: `select k from (select k, v from ${A} order by v limit 5)`,
    rule: 'a',
  },
  {
    says: 'inner join on the partition',
    sql: `select x.k, y.v from ${A} x join ${B} y on y.k = x.k`,
    rule: 'a(k) b(k)',
  },
  {
    says: 'inner join on something else',
    sql: `select x.k, y.v from ${A} x join ${B} y on y.v = x.v`,
    rule: 'a(k) b',
  },
  {
    says: 'join on a part of the partition',
    sql: `select x.k, x.s, y.v from ${A} x join ${B} y on y.k = x.k`,
    by: 'k, s',
    rule: 'a(k,s) b',
  },
  {
    says: 'join on the partition and more',
    sql: `select x.k, y.v from ${A} x join ${B} y on y.k = x.k and y.v > x.v`,
    rule: 'a(k) b(k)',
  },
  {
    says: 'join on or',
    sql: `select x.k, y.v from ${A} x join ${B} y on y.k = x.k or y.v = x.v`,
    rule: 'a(k) b',
  },
  {
    says: 'join of another type',
    sql: `select x.k, y.v from ${A} x join ${B} y on y.big = x.k`,
    rule: 'a(k) b',
  },
  { says: 'comma join tied in where', sql: `select x.k, y.v from ${A} x, ${B} y where y.k = x.k`, rule: 'a(k) b(k)' },
  {
    says: 'the preserved side carries the partition',
    sql: `select x.k, y.v from ${A} x left join ${B} y on y.k = x.k`,
    rule: 'a(k) b(k)',
  },
  {
    says: 'the nullable side carries the partition',
    sql: `select y.k, x.v from ${A} x left join ${B} y on y.k = x.k`,
    rule: 'a b',
  },
  {
    says: 'left join without the partition in on',
    sql: `select x.k, y.v from ${A} x left join ${B} y on y.s = x.s`,
    rule: 'a(k) b',
  },
  {
    says: 'left join tied only in where',
    sql: `select x.k, y.v from ${A} x left join ${B} y on y.s = x.s where y.k = x.k`,
    rule: 'a(k) b',
  },
  { says: 'right join', sql: `select y.k, x.v from ${A} x right join ${B} y on y.k = x.k`, rule: 'a(k) b(k)' },
  {
    says: 'right join by the nullable side',
    sql: `select x.k, y.v from ${A} x right join ${B} y on y.k = x.k`,
    rule: 'a b',
  },
  {
    says: 'full join using the partition',
    sql: `select k, x.v, y.s from ${A} x full join ${B} y using (k)`,
    rule: 'a(k) b(k)',
  },
  {
    says: 'full join by one side',
    sql: `select x.k, y.s from ${A} x full join ${B} y on y.k = x.k`,
    rule: 'a b',
  },
  {
    says: 'semi and anti join',
    sql: `select x.k from ${A} x semi join ${B} y on y.k = x.k anti join silver.stored z on z.k = x.k`,
    rule: 'a(k) b(k) silver.stored(k)',
  },
  {
    says: 'anti join on something else',
    sql: `select x.k from ${A} x anti join ${B} y on y.v = x.v`,
    rule: 'a(k) b',
  },
  {
    says: 'asof join',
    sql: `select x.k, y.v from ${A} x asof left join ${B} y on y.k = x.k and y.d <= x.d`,
    rule: 'rebuild: it has an asof join, whose matches of NULL are not reliable',
  },
  {
    says: 'positional join',
    sql: `select x.k, y.v from ${A} x positional join ${B} y`,
    rule: 'rebuild: it has a positional inner join',
  },
  {
    says: 'correlated exists',
    sql: `select k from ${A} x where not exists (select 1 from ${B} y where y.k = x.k and y.v > 1)`,
    rule: 'a(k) b(k)',
  },
  {
    says: 'exists tied by something else',
    sql: `select k from ${A} x where exists (select 1 from ${B} y where y.v = x.v)`,
    rule: 'a(k) b',
  },
  {
    says: 'not in without correlation: one NULL empties it',
    sql: `select k from ${A} where k not in (select k from ${B})`,
    rule: 'a(k) b',
  },
  {
    says: 'correlated scalar subquery',
    sql: `select x.k, (select max(y.v) from ${B} y where y.k = x.k) as m from ${A} x`,
    rule: 'a(k) b(k)',
  },
  {
    says: 'correlated to the group',
    sql: `select x.k, (select max(y.v) from ${B} y where y.k = x.k) as m from ${A} x group by x.k`,
    rule: 'a(k) b(k)',
  },
  {
    says: 'uncorrelated scalar subquery',
    sql: `select k, (select max(v) from ${B}) as m from ${A}`,
    rule: 'a(k) b',
  },
  {
    says: 'a subquery in on',
    sql: `select x.k from ${A} x join silver.stored z on z.k = x.k and exists (select 1 from ${B} y where y.k = x.k)`,
    rule: 'a(k) silver.stored(k); b: a subquery in on reads it',
  },
  {
    says: 'a limit within a tied lateral',
    sql: `select x.k, t.v from ${A} x, lateral (select v from ${B} y where y.k = x.k order by v limit 1) t`,
    rule: 'a(k) b(k)',
  },
  {
    says: 'a lateral tied by something else',
    sql: `select x.k, t.v from ${A} x, lateral (select max(v) as v from ${B} y where y.s = x.s) t`,
    rule: 'a(k) b',
  },
  {
    says: 'a lateral whose name is found inside, not outside',
    sql: `select x.k, t.v from ${A} x, lateral (select max(v) as v from ${B} where k = k) t`,
    rule: 'a(k) b',
  },
  { says: 'unnest of a row', sql: `select k, u.x from ${A}, unnest(l) u(x)`, rule: 'a(k)' },
  {
    says: 'a series as the preserved side',
    sql: `select g.k, count(x.v) as n from (select i::integer as k from generate_series(0, 9) r(i)) g left join ${A} x on x.k = g.k group by g.k`,
    rule: 'a(k)',
  },
  { says: 'union all', sql: `select k, v from ${A} union all select k, v from ${B}`, rule: 'a(k) b(k)' },
  {
    says: 'union of two types',
    sql: `select k from ${A} union all select big from ${B}`,
    rule: 'a b(big)',
  },
  {
    says: 'except and intersect',
    sql: `(select k from ${A} except all select k from ${B}) intersect select k from silver.stored`,
    rule: 'a(k) b(k) silver.stored(k)',
  },
  {
    says: 'union by name',
    sql: `select k from ${A} union all by name select k from ${B}`,
    rule: 'rebuild: it has a union by name',
  },
  {
    says: 'a recursive query',
    sql: `with recursive r(k) as (select k from ${A} union select k + 1 from r where k < 3) select k from r`,
    rule: 'rebuild: it is recursive',
  },
  {
    says: 'a CTE used twice the same way',
    sql: `with c as (select k, v from ${A}) select x.k, y.v from c x join c y on y.k = x.k`,
    rule: 'a(k)',
  },
  {
    says: 'a CTE used twice, once across partitions',
    sql: `with c as (select k, v from ${A}) select x.k, (select max(v) from c) as m from c x`,
    rule: 'a',
  },
  {
    says: 'a CTE used twice by different columns',
    sql: `with c as (select k, v from ${A}) select x.k, y.k as z from c x join c y on y.v = x.k`,
    rule: 'a',
  },
  {
    says: 'a self join on another column',
    sql: `select x.k, y.v from ${A} x join ${A} y on y.v = x.v`,
    rule: 'a',
  },
  { says: 'a self join by two columns', sql: `select x.k, y.s from ${A} x join ${A} y on y.v = x.k`, rule: 'a(k)(v)' },
  {
    says: 'a table that no one reads',
    sql: `with c as (select k from ${B}) select k from ${A}`,
    rule: 'a(k) b',
  },
  {
    says: 'a view is looked through',
    sql: `select x.k, x.v from silver.seen x join ${A} y on y.k = x.k`,
    rule: 'a(k) b(k)',
  },
  {
    says: 'a view across partitions',
    sql: `select x.k, x.v from ${A} x join silver.seen y on y.v = x.v`,
    rule: 'a(k) b',
  },
  {
    says: 'a log carries its partitions too',
    sql: `select k, count(*) as n from bronze_log.app.a group by k`,
    rule: 'bronze_log.app.a(k)',
  },
  {
    says: "bronze's own columns do not",
    sql: `select _seq as k from ${A}`,
    rule: 'a',
  },
  { says: 'as_of is the same for every row', sql: `select k from ${A} where d <= as_of()`, rule: 'a(k)' },
  { says: 'select * exclude and replace', sql: `select * exclude (f, l) replace (v + 1 as v) from ${A}`, rule: 'a(k)' },
  {
    says: 'select * replace of the partition',
    sql: `select * replace (k + 1 as k) from ${A}`,
    rule: 'a',
  },
  {
    says: 'an alias that renames away',
    sql: `select x.k, y.v from ${A} x(s0, k) join ${B} y on y.s = x.k`.replace('x.k, y.v', 'x.s0 as k, y.v'),
    rule: 'a(k) b',
  },
];

for (const { says, sql, by, rule } of CASES) {
  test(`partition rule: ${says}`, async () => {
    assert.equal(show(await ruleOf(sql, by)), rule);
  });
}

test('a view by a window across partitions is not cut, though the model reads it by partition', async () => {
  const view = modelText(`select k, v, row_number() over (order by v) as n from ${A}`);
  const rule = await ruleOf('select k, n from silver.ranked', 'k', { 'sql/silver/app/ranked.sql': view });
  assert.equal(show(rule), 'a');
});

test('a macro that hides an aggregate makes the query an aggregate', async () => {
  const macro = 'create macro top(x) as max(x)';
  assert.equal(
    show(await ruleOf(`select top(k) as k from ${A}`, 'k', { 'sql/macros/top.sql': macro })),
    'rebuild: no change can be traced to k (bronze.app.a: k cannot be traced from it)',
  );
});

test('a table named with its layer in a column has no alias to keep, so it is traced but not cut', async () => {
  assert.equal(show(await ruleOf('select silver.stored.k from silver.stored')), 'silver.stored');
});

test('views and tables are computed whole', async () => {
  const project = await compile({ 'sql/silver/app/v.sql': modelText(`select k from ${A}`) }, TABLES);
  assert.deepEqual(project.models[0]?.refresh, { kind: 'rebuild', why: 'a view is always computed whole' });
});
