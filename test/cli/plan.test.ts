import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { parseJson } from '../support/cli.ts';
import { SHOP_FILES, type TestProject, testProject } from '../support/project.ts';

/** What was planned is what is built: plan, and build --plan. */

let project: TestProject;
before(async () => {
  project = await testProject();
  await project.machine(['run', '--as-of', '2026-03-01']);
});
after(() => project[Symbol.asyncDispose]());

const TOTALS = 'sql/gold/shop/customer_totals.sql';
const FACTS = 'sql/gold/shop/fct_orders.sql';

test('build --plan does what the plan said, or names what is no longer as planned and does nothing', async () => {
  await project.write(TOTALS, SHOP_FILES[TOTALS].replace('sum(amount)', 'sum(amount + 5)'));
  const plan = await project.machine<{ plan_id: string; to_run: number; base_release: number }>([
    'plan',
    '--select',
    'changed+',
  ]);
  assert.equal(plan.to_run, 1);
  await project.write(FACTS, SHOP_FILES[FACTS].replace('org_id, day', 'org_id, day::date as day'));
  await project.client.query(`insert into shop.orders values (901, 2, '2026-01-05', 10)`);
  await project.machine(['extract']);
  const state = await project.state();
  const stale = await project.refused(['build', '--plan', plan.plan_id], 'PLAN_STALE');
  assert.match(stale.message, /bronze shop\.orders is at commit \d+, was \d+/);
  assert.match(stale.message, /gold\.fct_orders changed/);
  assert.deepEqual((await project.state()).releases, state.releases);
  await project.refused(['build', '--plan', '0123456789abcdef'], 'PLAN_NOT_FOUND');
  await project.refused(['build', '--plan', TOTALS], 'PLAN_NOT_FOUND');
  await project.refused(['build', '--plan', plan.plan_id, '--select', 'gold'], 'USAGE');

  await project.write(FACTS, SHOP_FILES[FACTS]);
  const again = await project.sluice(['plan', '--exclude', 'gold.customer_totals', '--json']);
  assert.equal(again.code, 0, again.stdout);
  const steps = parseJson(again)['steps'] as { model: string; action: string }[];
  const planned = steps.filter(({ action }) => action === 'refresh' || action === 'rebuild').map(({ model }) => model);
  assert.deepEqual(planned, ['gold.fct_orders']);
  await project.write('plan.json', again.stdout);
  const built = await project.machine<{ models: { name: string; action: string }[]; release: { number: number } }>([
    'build',
    '--plan',
    join(project.dir, 'plan.json'),
  ]);
  assert.deepEqual(
    built.models.filter(({ action }) => action !== 'unchanged' && action !== 'not selected').map(({ name }) => name),
    planned,
  );
  const twice = await project.refused(['build', '--plan', join(project.dir, 'plan.json')], 'PLAN_STALE');
  assert.match(twice.message, /the current release is \d+, was \d+/);
});
