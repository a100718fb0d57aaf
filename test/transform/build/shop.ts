import type { TestContext } from 'node:test';
import type { CompiledProject } from '../../../warehouse/transform/index.ts';
import {
  type BuildRequest,
  type BuildRun,
  buildAndPublish,
  compileFiles,
  createTestLake,
  openTestReleases,
  readGold,
  testFolder,
} from './support.ts';

/** A small project that has every kind of model: a chain of two incremental tables, a table, views in both layers. */

export const SHOP_TABLES = {
  orders: { key: ['id'], columns: { id: 'BIGINT', customer: 'VARCHAR', day: 'DATE', amount: 'DECIMAL(14,2)' } },
};

export const SHOP_FILES = {
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
columns: { id: { tests: [not_null] }, customer: {}, day: {}, amount: {} }
*/
select id, customer, day, amount from silver.stg_orders`,
  'gold/shop/customer_totals.sql': `/*
description: Totals per customer.
materialized: incremental
key: [customer]
owner: { public: a test }
columns: { customer: {}, orders: { tests: [not_null, { range: { min: 1 } }] }, total: {} }
*/
select customer, count(*) as orders, cast(sum(amount) as decimal(18, 2)) as total from gold.fct_orders group by customer`,
  'gold/shop/overall.sql': `/*
description: One row.
materialized: table
owner: { public: a test }
columns: { customers: {}, total: {} }
*/
select count(*) as customers, cast(sum(total) as decimal(18, 2)) as total from gold.customer_totals`,
  'gold/shop/averages.sql': `/*
description: A view with a macro and the logical date.
materialized: view
owner: { public: a test }
as_of: recompute
columns: { customer: {}, mean_amount: {}, as_of: {} }
*/
select customer, ratio(total, orders) as mean_amount, as_of() as as_of from gold.customer_totals`,
};

export const order = (id: number, customer: string | null, amount: string, day = '2026-01-01') => ({
  id,
  customer,
  day,
  amount,
});

export async function openShop(t: TestContext, files: Readonly<Record<string, string>> = SHOP_FILES) {
  const dir = await testFolder(t);
  const lake = createTestLake(dir, SHOP_TABLES);
  const releases = openTestReleases(dir);
  const compile = (changed: Readonly<Record<string, string>> = files): Promise<CompiledProject> =>
    compileFiles(dir, changed, lake.snapshot());
  const project = await compile();
  const run = (options: Partial<BuildRequest> = {}): Promise<BuildRun> =>
    buildAndPublish({ dir, releases, project, bronze: lake.snapshot(), limits: { maxTouchedShare: 1 }, ...options });
  const gold = async (table: string): Promise<unknown[]> => {
    const release = await releases.current();
    return release === undefined ? [] : readGold(releases, release, `select * from gold.main.${table} order by all`);
  };
  return { dir, lake, releases, project, compile, run, gold };
}

/** Ten orders of four customers, one of them NULL. */
export const TEN_ORDERS = Array.from({ length: 10 }, (_, i) => ({
  op: 'read' as const,
  row: order(i + 1, ['ann', 'bob', 'cy', null][i % 4] ?? null, `${i + 1}.50`),
}));
