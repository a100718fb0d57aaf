import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { buildAndPublish, compileFiles, createTestLake, openTestReleases, readGold, testFolder } from './support.ts';

const TABLES = {
  orders: { key: ['id'], columns: { id: 'BIGINT', customer: 'VARCHAR', day: 'DATE', amount: 'DECIMAL(14,2)' } },
};

const FILES = {
  'silver/shop/stg_orders.sql': `/*
description: Orders.
key: [id]
*/
select id, customer, day, amount from bronze.app.orders`,
  'gold/shop/fct_orders.sql': `/*
description: One row per order.
materialized: incremental
key: [id]
owner: { public: a test }
columns: { id: {}, customer: {}, day: {}, amount: {} }
*/
select id, customer, day, amount from silver.stg_orders`,
  'gold/shop/customer_totals.sql': `/*
description: Totals per customer.
materialized: incremental
key: [customer]
owner: { public: a test }
columns: { customer: { tests: [] }, orders: { tests: [not_null, { range: { min: 1 } }] }, total: {} }
*/
select customer, count(*) as orders, cast(sum(amount) as decimal(18, 2)) as total from gold.fct_orders group by customer`,
  'gold/shop/big_customers.sql': `/*
description: A view with a macro and the logical date.
materialized: view
owner: { public: a test }
as_of: recompute
columns: { customer: {}, mean_amount: {}, as_of: {} }
*/
select customer, ratio(total, orders) as mean_amount, as_of() as as_of from gold.customer_totals`,
};

const order = (id: number, customer: string | null, amount: string, day = '2026-01-01') => ({
  id,
  customer,
  day,
  amount,
});

async function openShop(t: TestContext) {
  const dir = await testFolder(t);
  const lake = createTestLake(dir, TABLES);
  return { dir, lake, releases: openTestReleases(dir) };
}

test('a first build makes every table and view, and gold answers alone', async (t) => {
  const { dir, lake, releases } = await openShop(t);
  await lake.commit({
    orders: [
      { op: 'read', row: order(1, 'ann', '10.00') },
      { op: 'read', row: order(2, 'ann', '5.25') },
      { op: 'read', row: order(3, null, '1.00') },
    ],
  });
  const project = await compileFiles(dir, FILES, lake.snapshot());
  const { release, actions } = await buildAndPublish({ dir, releases, project, bronze: lake.snapshot() });
  assert.deepEqual(actions, {
    'silver.stg_orders': 'view',
    'gold.fct_orders': 'rebuilt',
    'gold.customer_totals': 'rebuilt',
    'gold.big_customers': 'view',
  });
  assert.deepEqual(await readGold(releases, release, 'select * from gold.main.customer_totals order by all'), [
    ['ann', 2, '15.25'],
    [null, 1, '1.00'],
  ]);
  assert.deepEqual(await readGold(releases, release, 'select * from "gold"."main"."big_customers" order by all'), [
    ['ann', '7.625000', '2026-01-31'],
    [null, '1.000000', '2026-01-31'],
  ]);
});
