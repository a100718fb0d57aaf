import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { ignoreProgress } from '../../../warehouse/core/progress.ts';
import type { Release } from '../../../warehouse/core/release.ts';
import type { Releases } from '../../../warehouse/release/index.ts';
import { diffWarehouses, type ModelDifference, planBuild } from '../../../warehouse/transform/index.ts';
import { createRandom } from '../../support/random.ts';
import { order, SHOP_TABLES } from '../build/shop.ts';
import { buildAndPublish, compileFiles, createTestLake, openTestReleases, testFolder } from '../build/support.ts';

/** Random edits of models, one after another: what the plan says stays must stay, and the release must be what a rebuild gives. */

const CHOICES = {
  amount: ['o.amount', 'o.amount + 1', 'plus(o.amount)', 'cast(o.amount as decimal(18, 2))'],
  note: ["o.customer || '!'", 'upper(o.customer)', "coalesce(o.customer, 'none')", 'mark(o.customer)'],
  filter: ['true', 'o.id <> 3', 'o.amount > 2', 'o.customer is not null'],
  plus: ['x + 2', 'x * 2', 'x + 2 + 0'],
  mark: ["x || '?'", "x || '.'"],
  view: ['view', 'table'],
  star: ['id, customer, amount, note', '*', 'id, customer, amount, note, day', 'customer, note, id, amount'],
  rank: ['', 'qualify row_number() over (partition by customer order by amount desc, id) <= 2'],
  fct: ['id, amount', 'id, amount, note', 'amount, id', 'id, amount * 2 as amount', 'id, amount as value'],
  whole: ['count(*)', 'count(note)', 'sum(id)::bigint', 'max(amount)'],
} as const;
type Params = { readonly [Name in keyof typeof CHOICES]: string };

function filesOf(p: Params): Readonly<Record<string, string>> {
  const names = p.fct.split(', ').map((item) => item.split(' ').at(-1) ?? '');
  return {
    'macros/plus.sql': `create macro plus(x) as ${p.plus}`,
    'macros/mark.sql': `create macro mark(x) as ${p.mark}`,
    'silver/shop/stg.sql': `/*\ndescription: a test\n*/
select o.id, o.customer, o.day, ${p.amount} as amount, ${p.note} as note from bronze.app.orders as o where ${p.filter}`,
    'silver/shop/mid.sql': `/*\ndescription: a test\nmaterialized: ${p.view}\n*/
with step as (select id, customer, day, amount, note from silver.stg), ranked as (select * from step ${p.rank})
select ${p.star} from ranked`,
    'gold/shop/fct.sql': `/*\ndescription: a test\nmaterialized: table\nowner: { public: a test }
columns: { ${names.map((name) => `${name}: {}`).join(', ')} }\n*/
select ${p.fct} from silver.mid`,
    'gold/shop/agg.sql': `/*\ndescription: a test\nmaterialized: incremental\nkey: [customer]\nowner: { public: a test }
columns: { customer: {}, total: {} }\n*/
select customer, cast(sum(amount) as decimal(18, 2)) as total from silver.mid group by customer`,
    'gold/shop/notes.sql': `/*\ndescription: a test\nmaterialized: table\nowner: { public: a test }\ncolumns: { note: {}, n: {} }\n*/
select s.note, count(*) as n from silver.stg as s group by s.note`,
    'gold/shop/whole.sql': `/*\ndescription: a test\nmaterialized: table\nowner: { public: a test }\ncolumns: { n: {} }\n*/
select ${p.whole} as n from silver.mid`,
  };
}

test('after any edit the release equals a rebuild, and what the plan called untouched is untouched', async (t) => {
  const dir = await testFolder(t);
  const lake = createTestLake(dir, SHOP_TABLES);
  await lake.commit({
    orders: Array.from({ length: 12 }, (_, i) => ({
      op: 'read' as const,
      row: order(i + 1, ['ann', 'bob', null][i % 3] ?? null, `${(i * 7) % 5}.50`),
    })),
  });
  const releases = openTestReleases(dir);
  const random = createRandom(11);
  let params: Params = Object.fromEntries(
    Object.entries(CHOICES).map(([name, [first]]) => [name, first]),
  ) as unknown as Params;
  const run = async (into: Releases, where: string) =>
    buildAndPublish({
      dir: where,
      releases: into,
      project: await compileFiles(dir, filesOf(params), lake.snapshot()),
      bronze: lake.snapshot(),
      limits: { maxTouchedShare: 1 },
    });
  const compare = async (
    one: { releases: Releases; release: Release },
    other: { releases: Releases; release: Release },
  ) =>
    diffWarehouses({
      before: { paths: await one.releases.fetch(one.release), models: one.release.models },
      after: { paths: await other.releases.fetch(other.release), models: other.release.models },
      keys: new Map([['gold.agg', ['customer']]]),
      sample: 2,
      workDir: dir,
      limits: { threads: 1 },
      onProgress: ignoreProgress,
    });
  const differing = (found: readonly ModelDifference[]) => found.filter(({ kind }) => kind !== 'same');
  let last = (await run(releases, dir)).release;
  const seen = { untouched: 0, spared: 0, sameRows: 0 };
  for (let round = 1; round <= 14; round++) {
    const name = random.pick(Object.keys(CHOICES) as (keyof Params)[]);
    params = { ...params, [name]: random.pick(CHOICES[name].filter((choice) => choice !== params[name])) };
    const told = `round ${round}: ${name} = ${params[name]}`;
    const project = await compileFiles(dir, filesOf(params), lake.snapshot());
    const plan = planBuild({ project, previous: last, bronze: lake.snapshot(), asOf: '2026-01-31' });
    const { release } = await run(releases, dir);
    const aside = join(dir, `aside-${round}`);
    await mkdir(aside);
    const fresh = openTestReleases(aside);
    const rebuilt = (await run(fresh, aside)).release;
    assert.deepEqual(
      differing(await compare({ releases, release }, { releases: fresh, release: rebuilt })),
      [],
      `${told}: the release is not what a rebuild gives`,
    );
    const moved = await compare({ releases, release: last }, { releases, release });
    for (const step of plan.steps) {
      const difference = moved.find(({ model }) => model === step.model);
      if (step.impact === 'none') {
        assert.equal(difference?.kind, 'same', `${told}: ${step.model} was to stay as it was`);
        seen.untouched += 1;
      }
      if (difference?.rows !== undefined && !step.otherRows) {
        assert.equal(difference.rows.rowsAfter, difference.rows.rowsBefore, `${told}: other rows of ${step.model}`);
        seen.sameRows += 1;
      }
    }
    for (const name of plan.spared)
      assert.equal(moved.find(({ model }) => model === name)?.kind, 'same', `${told}: ${name}`);
    seen.spared += plan.spared.length;
    last = release;
  }
  assert.ok(seen.untouched > 10 && seen.spared > 0 && seen.sameRows > 5, JSON.stringify(seen));
});
