import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { DuckDb } from '../../../warehouse/core/duckdb.ts';
import { createTouchedKeys, type TouchedKeys } from '../../../warehouse/transform/build/touched-keys.ts';
import { RULES, type Rule } from '../../../warehouse/transform/delta/rules.ts';
import type { CompiledModel, CompiledProject } from '../../../warehouse/transform/index.ts';
import { bronzeTable, compile, modelText } from '../compile/project.ts';
import { openTestWarehouse, type TestWarehouse, type WarehouseOptions } from './warehouse.ts';

/**
 * For every rule the smallest change that needs it: with all rules the refreshed model is right, without the one it is wrong. Each query reads
 * a(k, v, d, s) and b of the same columns.
 */
interface Case {
  readonly says: string;
  /** Absent: what is at stake is not a rule of the derivation, and the case only has to be right. */
  readonly rule?: Rule;
  readonly sql: string;
  readonly by: string;
  readonly a?: readonly string[];
  readonly b?: readonly string[];
  readonly change: readonly string[];
  /** Rows of another model, called m0. */
  readonly upstream?: string;
  /** The logical date moves to this too. */
  readonly asOf?: string;
  /** Header of a model that asks for it. */
  readonly header?: string;
  /** False where the change cannot be traced, and a rebuild is right. */
  readonly refreshed?: false;
}

const A = 'bronze.app.a';
const B = 'bronze.app.b';

const CASES: readonly Case[] = [
  {
    says: 'a group of rows that matched nothing loses one when a match arrives',
    rule: 'null rows of an outer join',
    sql: `select y.s, count(*) as n from ${A} x left join ${B} y on x.k = y.k group by y.s`,
    by: 's',
    a: ["(1, 1, null, 'x')"],
    change: [`insert into ${B} values (1, 1, null, 'q')`],
  },
  {
    says: 'a nullable table that only a later ON reads',
    rule: 'null rows of an outer join',
    sql: `select z.s, count(*) as n from ${A} x left join ${B} y on x.k = y.k left join ${A} z on z.k = coalesce(y.v, 0) group by z.s`,
    by: 's',
    a: ["(1, 1, null, 'x')", "(0, 7, null, 'c0')"],
    change: [`insert into ${B} values (1, 5, null, 'q')`],
  },
  {
    says: 'a row of a full join that stood alone finds its match',
    rule: 'null rows of an outer join',
    sql: `select y.s, count(*) as n from ${B} x full join ${A} y on x.k = y.k group by y.s`,
    by: 's',
    b: ["(1, 1, null, 'x')"],
    change: [`insert into ${A} values (1, 5, null, 'q')`],
  },
  {
    says: 'the null side of a right join',
    rule: 'null rows of an outer join',
    sql: `select y.s, count(*) as n from ${B} y right join ${A} x on x.k = y.k group by y.s`,
    by: 's',
    a: ["(1, 1, null, 'x')"],
    change: [`insert into ${B} values (1, 5, null, 'q')`],
  },
  {
    says: 'both partners go in one run',
    rule: 'old rows beside new ones',
    sql: `select x.v, y.s from ${A} x join ${B} y on x.k = y.k`,
    by: 's',
    a: ["(1, 1, null, 'x')"],
    b: ["(1, 1, null, 'q')"],
    change: [`delete from ${A} where k = 1`, `delete from ${B} where k = 1`],
  },
  {
    says: 'a table joined to itself changes on one side',
    rule: 'a branch per occurrence',
    sql: `select p.s, c.s as cs from ${A} p join ${A} c on p.v = c.k`,
    by: 's',
    a: ["(1, 2, null, 'x')", "(2, 3, null, 'y')"],
    change: [`update ${A} set s = 'z' where k = 2`],
  },
  {
    says: 'a NULL arrives in not in',
    rule: 'null-aware in',
    sql: `select k, v from ${A} where k not in (select k from ${B})`,
    by: 'k',
    a: ["(1, 1, null, 'x')"],
    b: ['(2, 2, null, null)'],
    change: [`insert into ${B} values (null, 1, null, null)`],
  },
  {
    says: 'not in of a NULL, when the list stops being empty',
    rule: 'null-aware in',
    sql: `select k, v from ${A} where k not in (select k from ${B})`,
    by: 'v',
    a: ["(null, 1, null, 'x')"],
    change: [`insert into ${B} values (5, 1, null, null)`],
  },
  {
    says: 'the partner of an anti join arrives',
    rule: 'a changed semi or anti join is dropped',
    sql: `select k, v from ${A} anti join ${B} using (k)`,
    by: 'k',
    a: ["(1, 1, null, 'x')"],
    change: [`insert into ${B} values (1, 1, null, 'q')`],
  },
  {
    says: 'a group passes having with its second row',
    rule: 'having is dropped',
    sql: `select s, sum(v)::integer as t from ${A} group by s having count(*) > 1`,
    by: 's',
    a: ["(1, 1, null, 'x')"],
    change: [`insert into ${A} values (2, 1, null, 'x')`],
  },
  {
    says: 'a running sum behind the row that changed',
    rule: 'a window touches its whole partition',
    sql: `select k, sum(v) over (partition by s order by k)::integer as r from ${A}`,
    by: 'k',
    a: ["(1, 1, null, 'x')", "(2, 1, null, 'x')", "(3, 1, null, 'y')"],
    change: [`update ${A} set v = 5 where k = 1`],
  },
  {
    says: 'distinct on gives way to the next best',
    rule: 'a window touches its whole partition',
    sql: `select distinct on (s) s, k from ${A} order by s, k`,
    by: 'k',
    a: ["(1, 1, null, 'x')", "(2, 1, null, 'x')"],
    change: [`delete from ${A} where k = 1`],
  },
  {
    says: 'a limit lets the next one in',
    rule: 'a limit touches everything',
    sql: `select l.k from (select k from ${A} order by k limit 2) l`,
    by: 'k',
    a: ["(1, 1, null, 'x')", "(2, 1, null, 'y')", "(3, 1, null, 'z')"],
    change: [`delete from ${A} where k = 1`],
  },
  {
    says: 'the total row of a rollup',
    rule: 'grouping sets are kept',
    sql: `select s, count(*) as n from ${A} group by rollup (s)`,
    by: 's',
    a: ["(1, 1, null, 'x')", "(2, 1, null, 'y')"],
    change: [`insert into ${A} values (3, 1, null, 'y')`],
  },
  {
    says: 'an aggregate over no rows is still a row',
    rule: 'a global aggregate has one row',
    sql: `select x.k, x.v from ${A} x cross join (select count(k) as m from ${B} where v > 100) l`,
    by: 'k',
    a: ["(1, 1, null, 'x')"],
    change: [`insert into ${A} values (2, 1, null, 'x')`, `insert into ${B} values (9, 9, null, null)`],
  },
  {
    says: 'a filter on an aggregate that changes',
    rule: 'conditions that cannot be traced are dropped',
    sql: `select x.k from ${A} x where not exists (select 1 from ${B} y where y.k = x.k)`,
    by: 'k',
    a: ["(1, 1, null, 'x')"],
    change: [`insert into ${B} values (1, 1, null, 'q')`],
  },
  {
    says: 'the right side of except',
    rule: 'both sides of a set operation',
    sql: `select k, s from ${A} except select k, s from ${B}`,
    by: 'k',
    a: ["(1, 1, null, 'x')"],
    change: [`insert into ${B} values (1, 1, null, 'x')`],
  },
  {
    says: 'the best row of a lateral query',
    sql: `select x.k, t.v from ${A} x, lateral (select max(y.v) as v from ${B} y where y.k = x.k) t`,
    by: 'k',
    a: ["(1, 1, null, 'x')"],
    b: ["(1, 1, null, 'q')"],
    change: [`insert into ${B} values (1, 4, null, 'q')`],
  },
  {
    says: 'NULL is a partition',
    sql: `select s, count(*) as n from ${A} group by s`,
    by: 's',
    a: ['(1, 1, null, null)'],
    change: [`insert into ${A} values (3, 1, null, null)`],
  },
  {
    says: 'NULL in one of two columns is a partition',
    sql: `select s, k, count(*) as n from ${A} group by s, k`,
    by: 's, k',
    a: ['(1, 1, null, null)', "(null, 1, null, 'x')", '(null, 1, null, null)'],
    change: [`insert into ${A} values (1, 1, null, null), (null, 2, null, null)`],
  },
  {
    says: 'a row leaves its group',
    sql: `select s, sum(v)::integer as t from ${A} group by s`,
    by: 's',
    a: ["(1, 1, null, 'x')", "(2, 1, null, 'x')"],
    change: [`update ${A} set s = 'y' where k = 1`],
  },
  {
    says: 'a second equal row of a model is a change for those who read it',
    upstream: `select s, v, k from ${A} where k > 0`,
    sql: 'select s, count(*) as n from silver.m0 group by s',
    by: 's',
    a: ["(1, 1, null, 'x')"],
    change: [`insert into ${A} values (1, 1, null, 'x')`],
  },
  {
    says: 'a joined dimension is renamed',
    sql: `select y.s, count(*) as n from ${A} x left join ${B} y on x.k = y.k group by y.s`,
    by: 's',
    a: ["(1, 1, null, 'x')", "(1, 2, null, 'x')", "(2, 3, null, 'x')"],
    b: ["(1, 1, null, 'north')", "(2, 1, null, 'south')"],
    change: [`update ${B} set s = 'east' where k = 1`],
  },
  {
    says: 'a group of what a lateral query found is rebuilt: what it was before is not known',
    sql: `select t.v, count(*) as n from ${A} x, lateral (select max(y.v) as v from ${B} y where y.k = x.k) t group by t.v`,
    by: 'v',
    a: ["(1, 1, null, 'x')"],
    b: ["(1, 1, null, 'q')", "(1, 4, null, 'q')"],
    change: [`delete from ${B} where v = 4`],
    refreshed: false,
  },
  {
    says: 'a total beside every row touches all',
    sql: `select x.k, x.s, (select sum(y.v)::integer from ${B} y) as t from ${A} x`,
    by: 'k',
    a: ["(1, 1, null, 'x')", "(null, 1, null, 'x')"],
    change: [`insert into ${B} values (1, 4, null, 'q')`],
  },
  {
    says: 'a later date brings rows of later days, beside a change',
    header: 'as_of: appends(d)',
    sql: `with posted as (select k, s, d from ${A} where d <= as_of()) select x.s, max(x.d) as d, count(*) as n from posted x left join ${B} y on y.k = x.k group by x.s`,
    by: 's',
    a: ["(1, 1, '2000-01-01', 'x')", "(2, 1, '2000-01-02', 'y')", "(3, 1, null, 'z')"],
    change: [`insert into ${A} values (4, 1, '2000-01-01', 'w')`],
    asOf: '2000-01-02',
  },
  {
    says: 'an earlier date takes rows away',
    header: 'as_of: appends(d)',
    sql: `select k, d from ${A} where as_of() >= d`,
    by: 'k',
    a: ["(1, 1, '2000-01-01', 'x')", "(2, 1, '1999-12-30', 'y')"],
    change: [],
    asOf: '1999-12-31',
  },
  {
    says: 'a date in a column reaches every row, and is rebuilt',
    header: 'as_of: appends(d)',
    sql: `select k, d, as_of() as today from ${A} where d <= as_of()`,
    by: 'k',
    a: ["(1, 1, '2000-01-01', 'x')"],
    change: [],
    asOf: '2000-01-02',
    refreshed: false,
  },
  {
    says: 'a date that is said to be recomputed is rebuilt',
    header: 'as_of: recompute',
    sql: `select k, d from ${A} where d <= as_of()`,
    by: 'k',
    a: ["(1, 1, '2000-01-01', 'x')", "(2, 1, '2000-01-02', 'x')"],
    change: [],
    asOf: '2000-01-02',
    refreshed: false,
  },
  {
    says: 'an asof join is rebuilt',
    sql: `select y.s, count(*) as n from ${A} x asof join ${B} y on x.k = y.k and x.d >= y.d group by y.s`,
    by: 's',
    a: ["(1, 1, '2024-01-05', 'x')"],
    b: ["(1, 1, '2024-01-01', 'p')", "(1, 2, '2024-01-02', 'q')"],
    change: [`delete from ${B} where s = 'q'`],
    refreshed: false,
  },
];

const COLUMNS = { k: 'INTEGER', v: 'INTEGER', d: 'DATE', s: 'VARCHAR' };
const TABLES = { a: 'k integer, v integer, d date, s varchar', b: 'k integer, v integer, d date, s varchar' };
let project: CompiledProject;
const open: TestWarehouse[] = [];

before(async () => {
  const texts: Record<string, string> = {};
  CASES.forEach(({ sql, by, upstream, header }, i) => {
    const model = sql.replace('silver.m0', `silver.up${i}`);
    texts[`sql/silver/app/m${i}.sql`] = modelText(model, [
      'materialized: incremental',
      `key: [${by}]`,
      ...(header === undefined ? [] : [header]),
    ]);
    if (upstream !== undefined)
      texts[`sql/silver/app/up${i}.sql`] = modelText(upstream, ['materialized: incremental', 'key: [s]']);
  });
  project = await compile(texts, [bronzeTable('app.a', COLUMNS), bronzeTable('app.b', COLUMNS)]);
});

after(() => {
  for (const { db } of open) db.close();
});

const warehouses = new Map<Rule | 'all', Promise<TestWarehouse>>();

function warehouseWithout(rule: Rule | undefined): Promise<TestWarehouse> {
  const known = warehouses.get(rule ?? 'all') ?? openFor(rule);
  warehouses.set(rule ?? 'all', known);
  return known;
}

async function openFor(rule: Rule | undefined): Promise<TestWarehouse> {
  const without = new Set(rule === undefined ? [] : [rule]);
  const touchedKeys = (db: DuckDb, bronze: Parameters<NonNullable<WarehouseOptions['touchedKeys']>>[1]): TouchedKeys =>
    createTouchedKeys(db, project, bronze, without);
  const warehouse = await openTestWarehouse({ project, tables: TABLES, touchedKeys });
  open.push(warehouse);
  return warehouse;
}

/** Plays a case, and gives what is wrong afterwards. */
async function play(
  at: number,
  rule: Rule | undefined,
): Promise<{ readonly did: string; readonly why: string; readonly wrong: number }> {
  const { a = [], b = [], change, asOf } = CASES[at] as Case;
  const named = (name: string): CompiledModel[] => project.models.filter(({ table }) => table === name);
  const models = [...named(`up${at}`), ...named(`m${at}`)];
  const warehouse = await warehouseWithout(rule);
  await warehouse.reset();
  await warehouse.extract([
    ...(a.length === 0 ? [] : [`insert into ${A} values ${a.join(', ')}`]),
    ...(b.length === 0 ? [] : [`insert into ${B} values ${b.join(', ')}`]),
  ]);
  for (const model of models) await warehouse.run(model);
  await warehouse.extract(change);
  let last = { did: '', why: '' };
  for (const model of models) last = await warehouse.run(model, asOf);
  const model = models.at(-1);
  assert.ok(model);
  const wrong = await warehouse.differences(model);
  return { did: last.did, why: last.why, wrong: wrong.length };
}

CASES.forEach(({ says, rule, refreshed }, at) => {
  test(`touched rows: ${says}`, async () => {
    const full = await play(at, undefined);
    assert.equal(full.did, refreshed === false ? 'rebuilt' : 'refreshed', full.why);
    assert.equal(full.wrong, 0, 'with every rule the model equals its query');
    if (rule === undefined) return;
    const broken = await play(at, rule);
    assert.equal(broken.did, 'refreshed', broken.why);
    assert.ok(broken.wrong > 0, `without "${rule}" the model must be wrong`);
  });
});

test('every rule has a case that fails without it', () => {
  const proven = new Set(CASES.flatMap(({ rule }) => rule ?? []));
  assert.deepEqual(
    RULES.filter((rule) => !proven.has(rule)),
    [],
  );
});
