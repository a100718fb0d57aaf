import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openShop, order, TEN_ORDERS } from '../build/shop.ts';
import { bronzeTable, modelText, problemsOf } from '../compile/project.ts';

const HEADER = 'owner: { public: a test }\nmaterialized: incremental\nincremental: append';

const FILES = {
  'silver/shop/stg_orders.sql': '/*\ndescription: Orders.\n*/\nselect id, customer, day, amount from bronze.app.orders',
  'gold/shop/sales.sql': `/*
description: One row per order that is a sale, and one per half of it.
${HEADER}
columns: { id: {}, customer: {}, half: {}, amount: {} }
*/
select id, customer, part as half, amount from silver.stg_orders, generate_series(1, 2) as halves(part) where amount > 0
union all
select id, customer, 0, 0.00::decimal(14, 2) from bronze.app.orders where amount is null`,
  'gold/shop/sold.sql': `/*
description: What was sold, without its number, so that rows may repeat.
${HEADER}
columns: { customer: {} }
*/
select customer from gold.sales where half = 1`,
};

const insert = (id: number, customer: string | null, amount: string) => ({
  op: 'insert' as const,
  row: order(id, customer, amount),
});

test('new rows are appended, through a chain, with repeats; nothing else is read or written', async (t) => {
  const { lake, run, gold } = await openShop(t, FILES);
  await lake.commit({ orders: TEN_ORDERS.slice(0, 3) });
  await run();
  await lake.commit({ orders: [insert(11, 'ann', '1.00'), insert(12, 'ann', '2.00'), insert(13, null, '-3.00')] });
  await lake.commit({ orders: [insert(14, null, '4.00')] });
  const { outcomes, actions } = await run();
  assert.equal(actions['gold.sales'], 'refreshed');
  assert.equal(actions['gold.sold'], 'refreshed');
  assert.match(outcomes.find(({ name }) => name === 'gold.sales')?.why ?? '', /6 rows appended/);
  assert.deepEqual(await gold('sold'), [['ann'], ['ann'], ['ann'], ['bob'], ['cy'], [null]]);
  assert.equal((await gold('sales')).length, 12);
});

test('a row that comes and goes between two runs is never there', async (t) => {
  const { lake, run, gold } = await openShop(t, FILES);
  await lake.commit({ orders: TEN_ORDERS.slice(0, 3) });
  await run();
  await lake.commit({ orders: [insert(11, 'ann', '1.00'), insert(12, 'bob', '1.00')] });
  await lake.commit({
    orders: [
      { op: 'delete', row: order(11, 'ann', '1.00') },
      { op: 'update', row: order(12, 'dee', '9.00') },
    ],
  });
  const { actions } = await run();
  assert.equal(actions['gold.sales'], 'refreshed');
  assert.deepEqual(await gold('sold'), [['ann'], ['bob'], ['cy'], ['dee']]);
});

test('a row that changes or goes is answered by a rebuild that says so, and appending goes on after it', async (t) => {
  const { lake, run, gold } = await openShop(t, FILES);
  await lake.commit({ orders: TEN_ORDERS.slice(0, 3) });
  await run();
  await lake.commit({ orders: [{ op: 'update', row: order(1, 'eve', '1.50') }, insert(11, 'ann', '1.00')] });
  const changed = await run();
  assert.equal(changed.actions['gold.sales'], 'rebuilt');
  assert.match(
    changed.outcomes.find(({ name }) => name === 'gold.sales')?.why ?? '',
    /1 rows of bronze\.app\.orders changed or went/,
  );
  assert.deepEqual(await gold('sold'), [['ann'], ['bob'], ['cy'], ['eve']]);
  await lake.commit({ orders: [insert(12, 'fay', '1.00')] });
  assert.equal((await run()).actions['gold.sales'], 'refreshed');
  await lake.commit({ orders: [{ op: 'delete', row: order(12, 'fay', '1.00') }] });
  assert.equal((await run()).actions['gold.sales'], 'rebuilt');
  assert.deepEqual(await gold('sold'), [['ann'], ['bob'], ['cy'], ['eve']]);
});

const REFUSED: readonly (readonly [sql: string, why: RegExp])[] = [
  ['select count(*) as n from bronze.app.a', /an aggregate changes as rows come/],
  ['select k, sum(v) over (order by k) as n from bronze.app.a', /a window changes as rows come/],
  ['select distinct k from bronze.app.a', /distinct compares each row with others/],
  ['select distinct on (k) k, v from bronze.app.a order by k, v', /distinct compares each row with others/],
  ['select k from bronze.app.a order by k limit 3', /a limit chooses anew as rows come/],
  [
    'select x.k from bronze.app.a x left join bronze.app.b y on y.k = x.k',
    /a join meets a table whose rows may change/,
  ],
  ['select k from bronze.app.a where k in (select k from bronze.app.b)', /a subquery looks at rows that may change/],
  ['select k from bronze.app.a union select k from bronze.app.b', /union compares each row with others/],
  ['select k from bronze.app.a except all select k from bronze.app.b', /except compares each row with others/],
  ['select k from bronze.app.a union all select 1', /a part of it reads no table/],
];

for (const [sql, why] of REFUSED) {
  test(`append is refused where rows may change: ${sql}`, async () => {
    const columns = { k: 'INTEGER', v: 'INTEGER' };
    const text = modelText(sql, ['materialized: incremental', 'incremental: append']);
    const { error, problems } = await problemsOf({ 'sql/silver/app/m.sql': text }, [
      bronzeTable('app.a', columns),
      bronzeTable('app.b', columns),
    ]);
    assert.equal(error.code, 'MODEL_HEADER_INVALID');
    assert.match(problems.join('\n'), why);
    assert.match(problems.join('\n'), /^sql\/silver\/app\/m\.sql:4:1?/);
  });
}
