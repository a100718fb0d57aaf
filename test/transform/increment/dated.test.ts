import assert from 'node:assert/strict';
import { test } from 'node:test';
import { planBuild } from '../../../warehouse/transform/index.ts';
import { openShop, order } from '../build/shop.ts';

const FILES = {
  'silver/shop/stg_orders.sql': `/*
description: Orders up to the logical date.
as_of: appends(day)
*/
select id, customer, day, amount from bronze.app.orders where day <= as_of()`,
  'gold/shop/totals.sql': `/*
description: Totals per customer up to the logical date.
materialized: incremental
key: [customer]
as_of: appends(last_day)
owner: { public: a test }
columns: { customer: {}, last_day: {}, total: {} }
*/
select customer, max(day) as last_day, cast(sum(amount) as decimal(18, 2)) as total from silver.stg_orders group by customer`,
};

const ORDERS = [
  order(1, 'ann', '1.00', '2026-01-01'),
  order(2, 'bob', '2.00', '2026-01-01'),
  order(3, 'ann', '4.00', '2026-01-02'),
  order(4, null, '8.00', '2026-01-03'),
];

test('a later date adds the rows of its days through a view, beside changes; an earlier one takes them back', async (t) => {
  const { lake, project, releases, run, gold } = await openShop(t, FILES);
  await lake.commit({ orders: ORDERS.map((row) => ({ op: 'read' as const, row })) });
  await run({ asOf: '2026-01-01' });
  const previous = await releases.current();
  const plan = planBuild({ project, previous, bronze: lake.snapshot(), asOf: '2026-01-02' });
  assert.equal(plan.steps.find(({ model }) => model === 'gold.totals')?.action, 'refresh');
  await lake.commit({ orders: [{ op: 'update', row: order(2, 'cy', '2.50', '2026-01-01') }] });
  const later = await run({ asOf: '2026-01-02' });
  assert.equal(later.actions['gold.totals'], 'refreshed');
  assert.match(later.outcomes.find(({ name }) => name === 'gold.totals')?.why ?? '', /as_of\(\); 3 customer touched/);
  assert.deepEqual(await gold('totals'), [
    ['ann', '2026-01-02', '5.00'],
    ['cy', '2026-01-01', '2.50'],
  ]);
  assert.equal((await run({ asOf: '2026-01-09' })).actions['gold.totals'], 'refreshed');
  assert.deepEqual((await gold('totals')).at(-1), [null, '2026-01-03', '8.00']);
  assert.equal((await run({ asOf: '2026-01-01' })).actions['gold.totals'], 'refreshed');
  assert.deepEqual(await gold('totals'), [
    ['ann', '2026-01-01', '1.00'],
    ['cy', '2026-01-01', '2.50'],
  ]);
  const same = await run({ asOf: '2026-01-01' });
  assert.equal(same.actions['gold.totals'], 'unchanged');
});
