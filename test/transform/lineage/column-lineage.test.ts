import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ModelLineage, traceLineage } from '../../../warehouse/transform/index.ts';
import { BRONZE, compile, modelText } from '../compile/project.ts';

/** Lineage of single shapes, as a person would write it down: `<` marks what is copied, `rows` what decides the rows. */

async function lineageOf(texts: Readonly<Record<string, string>>, model: string): Promise<ModelLineage> {
  const found = (await traceLineage(await compile(texts), BRONZE)).get(model);
  assert.ok(found);
  return found;
}

/** A silver model of this SELECT over bronze.app.payments p and bronze.app.accounts a. */
async function trace(sql: string): Promise<Readonly<Record<string, string>>> {
  const { columns, rows } = await lineageOf({ 'sql/silver/app/m.sql': modelText(sql) }, 'silver.m');
  const short = (table: string): string => table.replace('bronze.app.', '').slice(0, 1);
  const said = columns.map(({ column, inputs, unknown }) => {
    const list = inputs.map((input) => `${input.kind === 'copied' ? '<' : ''}${short(input.table)}.${input.column}`);
    return [column, [...list, ...(unknown === undefined ? [] : ['?'])].join(' ')];
  });
  const deciding = rows.inputs.map((input) => `${short(input.table)}.${input.column}`);
  return Object.fromEntries([...said, ['rows', [...deciding, ...(rows.unknown === undefined ? [] : ['?'])].join(' ')]]);
}

const CASES: readonly (readonly [name: string, sql: string, expected: Readonly<Record<string, string>>])[] = [
  [
    'copied, computed and constant columns',
    'select id, amount * 2 as twice, 1 as one, cast(user_id as varchar) as text from bronze.app.payments',
    { id: '<p.id', twice: 'p.amount', one: '', text: 'p.user_id', rows: '' },
  ],
  [
    'filters, joins and groups decide rows',
    `select a.currency, sum(p.amount) as total from bronze.app.payments p join bronze.app.accounts a on a.id = p.account_id
     where p.paid_on > date '2026-01-01' group by a.currency having min(p.user_id) > 1`,
    { currency: '<a.currency', total: 'p.amount', rows: 'a.currency a.id p.account_id p.paid_on p.user_id' },
  ],
  [
    'CTEs, column lists of CTEs and of tables',
    `with c(x, y) as (select id, amount + user_id from bronze.app.payments where note is not null)
     select t.one, t.two from c as t(one, two)`,
    { one: '<p.id', two: 'p.amount p.user_id', rows: 'p.note' },
  ],
  [
    'unions take from all sides; without ALL every column decides',
    'select id from bronze.app.payments union select org_id from bronze.app.accounts',
    { id: '<a.org_id <p.id', rows: 'a.org_id p.id' },
  ],
  [
    'union by name',
    'select id, user_id from bronze.app.payments union all by name select user_id, org_id as id from bronze.app.accounts',
    { id: '<a.org_id <p.id', user_id: '<a.user_id <p.user_id', rows: '' },
  ],
  [
    'except compares every column',
    'select id from bronze.app.payments except select org_id from bronze.app.accounts',
    { id: '<a.org_id <p.id', rows: 'a.org_id p.id' },
  ],
  [
    'stars with exclude and replace',
    'select * exclude (_seq, _extracted_at, tags, note, paid_on, amount) replace (user_id + 1 as user_id) from bronze.app.payments',
    { id: '<p.id', account_id: '<p.account_id', user_id: 'p.user_id', rows: '' },
  ],
  [
    'windows belong to their column, and to the rows where they filter',
    `select id, sum(amount) over (partition by account_id order by paid_on) as running from bronze.app.payments
     qualify row_number() over (partition by user_id order by id) = 1`,
    { id: '<p.id', running: 'p.account_id p.amount p.paid_on', rows: 'p.id p.user_id' },
  ],
  [
    'scalar, correlated and EXISTS subqueries',
    `select p.id, (select max(a.name) from bronze.app.accounts a where a.id = p.account_id) as name
     from bronze.app.payments p where exists (select a.currency from bronze.app.accounts a where a.user_id = p.user_id)`,
    { id: '<p.id', name: 'a.id a.name p.account_id', rows: 'a.user_id p.user_id' },
  ],
  [
    'unnest in FROM and in the select list decides how many rows there are',
    'select p.id, t.tag, unnest(p.tags) as again from bronze.app.payments p, unnest(p.tags) as t(tag)',
    { id: '<p.id', tag: 'p.tags', again: 'p.tags', rows: 'p.tags' },
  ],
  [
    'lateral joins look to the left',
    'select p.id, l.n from bronze.app.payments p, lateral (select p.amount + 1 as n where p.user_id > 0) l',
    { id: '<p.id', n: 'p.amount', rows: 'p.user_id' },
  ],
  [
    'USING merges two columns',
    'select user_id, id from bronze.app.payments full join (select user_id as user_id from bronze.app.accounts) using (user_id)',
    { user_id: '<a.user_id <p.user_id', id: '<p.id', rows: 'a.user_id p.user_id' },
  ],
  [
    'an alias is used only where FROM has no such column',
    'select amount as doubled, doubled * 2 as id, id as kept from bronze.app.payments',
    { doubled: '<p.amount', id: 'p.amount', kept: '<p.id', rows: '' },
  ],
  [
    'group by all, by ordinal, distinct',
    'select distinct currency, count(*) as n from bronze.app.accounts group by all',
    { currency: '<a.currency', n: '', rows: 'a.currency' },
  ],
  [
    'order by decides rows only under a limit',
    'select id from (select id from bronze.app.payments order by amount limit 3) order by id',
    { id: '<p.id', rows: 'p.amount' },
  ],
  [
    'lambdas hide names by their parameters',
    'select list_transform(tags, id -> upper(id) || note) as tags from bronze.app.payments',
    { tags: 'p.note p.tags', rows: '' },
  ],
  [
    'aggregates with filter and order',
    `select string_agg(note, ',' order by paid_on, id) filter (where user_id > 1) as notes from bronze.app.payments`,
    { notes: 'p.id p.note p.paid_on p.user_id', rows: '' },
  ],
  [
    'recursion adds the inputs of every round',
    `with recursive c(n, d) as (select id, 0 from bronze.app.payments union all
       select c.n + a.org_id, c.d + 1 from c join bronze.app.accounts a on a.user_id = c.n where c.d < 3)
     select n, d from c`,
    { n: 'a.org_id p.id', d: '', rows: 'a.org_id a.user_id p.id' },
  ],
  [
    'what COLUMNS() stands for is unknown, what stands beside it is not',
    `select id as first, columns('use.*'), amount as last from bronze.app.payments`,
    { first: '<p.id', user_id: '?', last: '<p.amount', rows: '' },
  ],
  [
    'a pivot is unknown, its rows too',
    `select * from (select user_id, currency from bronze.app.accounts) pivot (count(*) for currency in ('EUR', 'USD'))`,
    { user_id: '?', EUR: '?', USD: '?', rows: '?' },
  ],
  [
    'a struct is the whole row, a field of it is computed',
    'select s.x as x from (select {x: id, y: amount} as s from bronze.app.payments)',
    { x: 'p.amount p.id', rows: '' },
  ],
];

for (const [name, sql, expected] of CASES) {
  test(name, async () => {
    const traced = await trace(sql);
    // A recursion's step counter is computed from itself only.
    assert.deepEqual(traced, expected);
  });
}

test('lineage stops at each model and names views as they are read', async () => {
  const texts = {
    'sql/silver/app/stg.sql': modelText('select id, amount from bronze.app.payments where amount > 0'),
    'sql/silver/app/sums.sql': modelText('select sum(x.amount)::decimal(18,2) as total from silver.stg x', [
      'materialized: table',
    ]),
  };
  assert.deepEqual(await lineageOf(texts, 'silver.sums'), {
    model: 'silver.sums',
    columns: [{ column: 'total', inputs: [{ table: 'silver.stg', column: 'amount', kind: 'computed' }] }],
    rows: { inputs: [] },
  });
});

test('macros that hide an aggregate do not group', async () => {
  const texts = {
    'sql/macros/total.sql': 'create macro total(x) as sum(x)::decimal(18, 2)',
    'sql/macros/net.sql': 'create macro net(x, y) as total(x) - total(y)',
    'sql/silver/app/m.sql': modelText(
      'select currency, net(org_id, user_id) as n from bronze.app.accounts group by all',
    ),
  };
  const { rows } = await lineageOf(texts, 'silver.m');
  assert.deepEqual(rows.inputs, [{ table: 'bronze.app.accounts', column: 'currency' }]);
});
