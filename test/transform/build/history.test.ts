import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { openShop, SHOP_FILES, SHOP_TABLES } from './shop.ts';
import {
  buildAndPublish,
  type Change,
  compileFiles,
  createTestLake,
  openTestReleases,
  type Row,
  readGold,
  testFolder,
} from './support.ts';

/** The shop and what else increments meet: a joined dimension that changes, a running sum, a filter rows move through, a rebuild in the chain. */
const TABLES_OF_LIFE = {
  ...SHOP_TABLES,
  customers: { key: ['name'], columns: { name: 'VARCHAR', region: 'VARCHAR' } },
};

const header = (lines: string): string => `/*\ndescription: A test.\nowner: { public: a test }\n${lines}\n*/\n`;

const FILES_OF_LIFE = {
  ...SHOP_FILES,
  'silver/shop/regional.sql': `/*
description: Orders with their region.
materialized: incremental
key: [id]
incremental: { by: [customer] }
*/
select orders.id, orders.customer, orders.amount, customers.region
from silver.stg_orders as orders
left join bronze.app.customers as customers on customers.name = orders.customer`,
  'gold/shop/running.sql': `${header('materialized: incremental\nkey: [id]\nincremental: { by: [customer] }\ncolumns: { id: {}, customer: {}, sum_so_far: {} }')}
select id, customer, cast(sum(amount) over (partition by customer order by id) as decimal(18, 2)) as sum_so_far
from silver.regional where amount >= 0`,
  'gold/shop/regions.sql': `${header('materialized: incremental\nkey: [region]\ncolumns: { region: {}, orders: {}, best: {} }')}
select region, count(*) as orders, max(amount) as best from silver.regional group by region having count(*) > 1`,
  'gold/shop/share.sql': `${header('materialized: incremental\nkey: [customer]\ncolumns: { customer: {}, share: {} }')}
select customer, ratio(total, (select total from gold.overall)) as share from gold.customer_totals`,
};

/** One step of a life: a commit of some changes, or a build. Changes name a key; what they do depends on whether it exists. */
type Step =
  | { readonly kind: 'build' }
  | { readonly kind: 'commit'; readonly changes: readonly Wish[]; readonly regions: readonly RegionWish[] };
interface RegionWish {
  readonly name: string;
  readonly region: string | null;
}
interface Wish {
  readonly id: number;
  readonly remove: boolean;
  readonly customer: string | null;
  readonly amount: string;
}

const wish = fc.record({
  id: fc.integer({ min: 1, max: 8 }),
  remove: fc.boolean(),
  customer: fc.constantFrom('a', 'b', '', null),
  amount: fc.constantFrom('0.00', '1.10', '-2.35', '99999.99'),
});
const regionWish = fc.record({ name: fc.constantFrom('a', 'b', ''), region: fc.constantFrom('north', 'south', null) });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 1, arbitrary: fc.constant({ kind: 'build' as const }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('commit' as const),
      changes: fc.array(wish, { maxLength: 5 }),
      regions: fc.array(regionWish, { maxLength: 2 }),
    }),
  },
);

/** The commit that carries out the wishes on a state, each key at most once. */
function toChanges(state: Map<number, Row>, wishes: readonly Wish[]): Change[] {
  const changes = new Map<number, Change>();
  for (const { id, remove, customer, amount } of wishes) {
    if (changes.has(id)) continue;
    const before = state.get(id);
    const row = { id, customer, day: '2026-01-05', amount };
    if (before === undefined) {
      state.set(id, row);
      changes.set(id, { op: 'insert', row });
    } else if (remove) {
      state.delete(id);
      changes.set(id, { op: 'delete', row: before });
    } else {
      state.set(id, row);
      changes.set(id, { op: 'update', row });
    }
  }
  return [...changes.values()];
}

/** Regions are inserted, changed, and taken out by a wish for NULL of one that has none. */
function toRegionChanges(state: Map<string, Row>, wishes: readonly RegionWish[]): Change[] {
  const changes = new Map<string, Change>();
  for (const { name, region } of wishes) {
    if (changes.has(name)) continue;
    const before = state.get(name);
    const row = { name, region };
    const gone = before !== undefined && before['region'] === null && region === null;
    if (gone) state.delete(name);
    else state.set(name, row);
    changes.set(name, { op: gone ? 'delete' : before === undefined ? 'insert' : 'update', row });
  }
  return [...changes.values()];
}

const TABLES = ['fct_orders', 'customer_totals', 'overall', 'averages', 'running', 'regions', 'share'];

test('for random histories, split at random into builds, refreshed gold equals gold rebuilt from bronze', async (t) => {
  const dir = await testFolder(t);
  const seen = { refreshed: 0, rebuilt: 0 };
  let life = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 3, maxLength: 8 }),
      fc.constantFrom(0.4, 1),
      async (steps, maxTouchedShare) => {
        life += 1;
        const own = join(dir, `life-${life}`);
        const lake = createTestLake(own, TABLES_OF_LIFE);
        const releases = openTestReleases(own);
        const project = await compileFiles(dir, FILES_OF_LIFE, lake.snapshot());
        const state = new Map<number, Row>();
        const regions = new Map<string, Row>();
        const build = async (target: typeof releases) => {
          const run = await buildAndPublish({
            dir: own,
            releases: target,
            project,
            bronze: lake.snapshot(),
            limits: { maxTouchedShare },
          });
          for (const { action } of run.outcomes) if (action === 'refreshed' || action === 'rebuilt') seen[action] += 1;
          return run.release;
        };
        for (const next of steps) {
          if (next.kind === 'build') await build(releases);
          else {
            await lake.commit({
              orders: toChanges(state, next.changes),
              customers: toRegionChanges(regions, next.regions),
            });
          }
        }
        const grown = await build(releases);
        const fresh = openTestReleases(join(own, 'rebuilt'));
        const rebuilt = await build(fresh);
        for (const table of TABLES) {
          const sql = `select * from gold.main.${table} order by all`;
          assert.deepEqual(await readGold(releases, grown, sql), await readGold(fresh, rebuilt, sql), table);
        }
        const ids = await readGold(releases, grown, 'select id from gold.main.fct_orders order by id');
        assert.deepEqual(
          ids.flat(),
          [...state.keys()].toSorted((a, b) => a - b),
        );
      },
    ),
    { numRuns: 8, seed: 20261121 },
  );
  assert.ok(seen.refreshed > 10, `only ${seen.refreshed} refreshes were compared`);
});

test('every split of the same ten commits into builds gives the same gold', async (t) => {
  const results: unknown[] = [];
  for (const every of [1, 3, 10]) {
    const { lake, run, gold } = await openShop(t);
    const state = new Map<number, Row>();
    for (let n = 1; n <= 10; n++) {
      const wishes = [0, 1, 2].map((i) => ({
        id: ((n * 3 + i * 5) % 8) + 1,
        remove: (n + i) % 4 === 0,
        customer: ['a', 'b', null][(n + i) % 3] ?? null,
        amount: `${n}.${i}0`,
      }));
      await lake.commit({ orders: toChanges(state, wishes) });
      if (n % every === 0) await run();
    }
    await run();
    results.push(await Promise.all(TABLES.slice(0, 4).map(gold)));
  }
  assert.deepEqual(results[1], results[0]);
  assert.deepEqual(results[2], results[0]);
});
