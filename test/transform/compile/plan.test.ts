import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BronzeSnapshot } from '../../../warehouse/core/bronze-table.ts';
import { isSluiceError } from '../../../warehouse/core/errors.ts';
import { type Plan, planBuild, selectModels } from '../../../warehouse/transform/index.ts';
import { releaseOf } from './built-release.ts';
import { BRONZE, compile, modelText } from './project.ts';

const BY_USER = ['materialized: incremental', 'key: [id]', 'incremental: { by: [user_id] }'];
const OWNER = ['owner: { public: a test }', 'tags: [money]'];
const FILES = {
  'sql/silver/app/seen.sql': modelText('select id, user_id, amount from bronze.app.payments where amount > 0'),
  'sql/silver/app/stored.sql': modelText('select id, user_id, amount from silver.seen', BY_USER),
  'sql/silver/app/names.sql': modelText('select id, name from bronze.app.accounts', ['materialized: table']),
  'sql/gold/app/per_user.sql': modelText(
    'select user_id, sum(amount)::decimal(18, 2) as total from silver.stored group by user_id',
    [...OWNER, 'materialized: incremental', 'key: [user_id]', 'columns: { user_id: , total: }'],
  ),
  'sql/gold/web/today.sql': modelText('select as_of() as day, count(*) as n from silver.names', [
    ...OWNER,
    'as_of: recompute',
    'columns: { day: , n: }',
  ]),
};

function bronzeAt(payments: number, accounts: number): BronzeSnapshot {
  const at = (table: string, lastCommit: number) => {
    const facts = BRONZE.find((other) => other.table === table);
    assert.ok(facts);
    const files = Array.from({ length: lastCommit }, (_, i) => ({
      commit: i + 1,
      path: `/${i + 1}`,
      // A first batch, and small ones after it.
      rows: i === 0 ? 1000 : 10 * (i + 1),
    }));
    return { ...facts, files, lastCommit, replacedAt: 0 };
  };
  return {
    tables: [at('payments', payments), at('accounts', accounts)],
    commits: { app: Math.max(payments, accounts) },
  };
}

const show = (plan: Plan) =>
  Object.fromEntries(plan.steps.map(({ model, action, why }) => [model, `${action}: ${why}`]));

test('a first build makes everything', async () => {
  const project = await compile(FILES);
  const plan = planBuild({ project, previous: undefined, bronze: bronzeAt(1, 1), asOf: '2026-01-01' });
  assert.equal(plan.toRun, 5);
  assert.ok(plan.steps.every(({ action, why }) => action !== 'unchanged' && why === 'new'));
});

test('nothing new, nothing to do', async () => {
  const project = await compile(FILES);
  const bronze = bronzeAt(2, 2);
  const plan = planBuild({ project, previous: releaseOf(project, bronze, '2026-01-01'), bronze, asOf: '2026-01-01' });
  assert.equal(plan.toRun, 0);
});

test('new commits refresh what reads them, tell how many rows, and make what is downstream likely', async () => {
  const project = await compile(FILES);
  const previous = releaseOf(project, bronzeAt(2, 2), '2026-01-01');
  const plan = planBuild({ project, previous, bronze: bronzeAt(4, 2), asOf: '2026-01-01' });
  assert.deepEqual(show(plan), {
    'silver.names': 'unchanged: nothing it reads changed',
    'gold.today': 'unchanged: nothing it reads changed',
    'silver.seen': 'unchanged: a view reads its inputs anew',
    'silver.stored': 'refresh: changed: bronze.app.payments',
    'gold.per_user': 'refresh: if changed: silver.stored',
  });
  assert.equal(plan.toRun, 2);
  const changes = plan.steps.flatMap((step) => step.changes);
  assert.deepEqual(changes, [
    { input: 'bronze.app.payments', from: 2, to: 4, commits: 2, rows: 70 },
    { input: 'silver.stored', from: 1, to: 2, pending: true },
  ]);
});

test('a later as_of rebuilds exactly the models that reach it', async () => {
  const project = await compile(FILES);
  const bronze = bronzeAt(2, 2);
  const plan = planBuild({ project, previous: releaseOf(project, bronze, '2026-01-01'), bronze, asOf: '2026-01-02' });
  assert.deepEqual(
    plan.steps.filter(({ action }) => action !== 'unchanged').map(({ model, action }) => [model, action]),
    [['gold.today', 'rebuild']],
  );
});

test('a changed view rebuilds what reads it, and a removed model is dropped', async () => {
  const before = await compile({
    ...FILES,
    'sql/silver/app/gone.sql': modelText('select 1 as x', ['materialized: table']),
  });
  const bronze = bronzeAt(2, 2);
  const after = await compile({
    ...FILES,
    'sql/silver/app/seen.sql': modelText('select id, user_id, amount from bronze.app.payments'),
  });
  const plan = planBuild({
    project: after,
    previous: releaseOf(before, bronze, '2026-01-01'),
    bronze,
    asOf: '2026-01-01',
  });
  const steps = show(plan);
  assert.equal(steps['silver.seen'], 'view: its definition changed');
  assert.equal(steps['silver.stored'], 'rebuild: its definition changed');
  assert.match(steps['gold.per_user'] ?? '', /^re(fresh|build): if changed: silver\.stored$/);
  assert.equal(steps['silver.gone'], 'drop: the project no longer has it');
  assert.equal(plan.toRun, 4);
});

test('what is not selected is named and left alone', async () => {
  const project = await compile(FILES);
  const previous = releaseOf(project, bronzeAt(2, 2), '2026-01-01');
  const plan = planBuild({ project, previous, bronze: bronzeAt(4, 4), asOf: '2026-01-01', select: ['per_user'] });
  assert.deepEqual(
    plan.steps.filter(({ action }) => action !== 'unchanged').map(({ model, action }) => [model, action]),
    [
      ['silver.names', 'not selected'],
      ['silver.stored', 'not selected'],
    ],
  );
  assert.equal(plan.toRun, 0);
});

test('a full refresh recomputes every table; a view holds nothing to recompute', async () => {
  const project = await compile(FILES);
  const bronze = bronzeAt(2, 2);
  const plan = planBuild({
    project,
    previous: releaseOf(project, bronze, '2026-01-01'),
    bronze,
    asOf: '2026-01-01',
    fullRefresh: true,
  });
  assert.equal(plan.toRun, 4);
  assert.deepEqual(
    plan.steps.flatMap(({ model, why }) => (why === 'a full refresh was asked for' ? [] : [[model, why]])),
    [['silver.seen', 'a view reads its inputs anew']],
  );
});

const SELECTIONS: Readonly<Record<string, readonly string[]>> = {
  'silver.stored': ['silver.stored'],
  per_user: ['gold.per_user'],
  '+per_user': ['gold.per_user', 'silver.seen', 'silver.stored'],
  'seen+': ['gold.per_user', 'silver.seen', 'silver.stored'],
  '+stored+': ['gold.per_user', 'silver.seen', 'silver.stored'],
  'tag:money': ['gold.per_user', 'gold.today'],
  '+tag:money': ['gold.per_user', 'gold.today', 'silver.names', 'silver.seen', 'silver.stored'],
  gold: ['gold.per_user', 'gold.today'],
  'gold/web': ['gold.today'],
  'names seen': ['silver.names', 'silver.seen'],
};

test('selectors choose by name, layer, folder and tag, with + for what is around', async () => {
  const { models } = await compile(FILES);
  for (const [selector, names] of Object.entries(SELECTIONS))
    assert.deepEqual([...selectModels(models, [selector])].sort(), names, selector);
  assert.equal(selectModels(models).size, models.length);
});

test('a selector that chooses nothing says so, with the nearest name', async () => {
  const { models } = await compile(FILES);
  assert.throws(
    () => selectModels(models, ['+per_usr']),
    (error) => isSluiceError(error, 'MODEL_SELECT_UNKNOWN') && /did you mean per_user\?/.test(error.message),
  );
  assert.throws(
    () => selectModels(models, ['tag:nope']),
    (error) => isSluiceError(error, 'MODEL_SELECT_UNKNOWN') && /Tags: money/.test(error.remedy ?? ''),
  );
});
