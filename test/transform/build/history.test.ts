import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { openShop, SHOP_FILES, SHOP_RULES, SHOP_TABLES } from './shop.ts';
import {
  buildAndPublish,
  type Change,
  compileFiles,
  createTestLake,
  openTestReleases,
  type Row,
  readGold,
  testFolder,
  withRules,
} from './support.ts';

/** One step of a life: a commit of some changes, or a build. Changes name a key; what they do depends on whether it exists. */
type Step = { readonly kind: 'build' } | { readonly kind: 'commit'; readonly changes: readonly Wish[] };
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
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 1, arbitrary: fc.constant({ kind: 'build' as const }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('commit' as const),
      changes: fc.array(wish, { minLength: 0, maxLength: 5 }),
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

const TABLES = ['fct_orders', 'customer_totals', 'overall', 'averages'];

test('for random histories, split at random into builds, refreshed gold equals gold rebuilt from bronze', async (t) => {
  const dir = await testFolder(t);
  const seen = { refreshed: 0, rebuilt: 0 };
  let life = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 3, maxLength: 9 }),
      fc.constantFrom(0.4, 1),
      async (steps, maxTouchedShare) => {
        life += 1;
        const own = join(dir, `life-${life}`);
        const lake = createTestLake(own, SHOP_TABLES);
        const releases = openTestReleases(own);
        const project = withRules(await compileFiles(dir, SHOP_FILES, lake.snapshot()), SHOP_RULES);
        const state = new Map<number, Row>();
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
          else await lake.commit({ orders: toChanges(state, next.changes) });
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
    { numRuns: 12, seed: 20261121 },
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
    results.push(await Promise.all(TABLES.map(gold)));
  }
  assert.deepEqual(results[1], results[0]);
  assert.deepEqual(results[2], results[0]);
});
