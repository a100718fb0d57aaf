import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BronzeSnapshot } from '../../../warehouse/core/bronze-table.ts';
import { isSluiceError } from '../../../warehouse/core/errors.ts';
import {
  type CompiledProject,
  comparePlanFacts,
  type Plan,
  type PlanOptions,
  planBuild,
} from '../../../warehouse/transform/index.ts';
import { bronzeOf, releaseOf } from '../compile/built-release.ts';
import { BRONZE, compile, modelText } from '../compile/project.ts';

/** bronze → silver.stg (a view) → silver.kept (a table) → gold.fct, gold.totals; gold.names reads stg's names only. */
const GOLD = ['owner: { public: a test }', 'materialized: table'];
const FILES = {
  'sql/macros/cents.sql': 'create macro cents(x) as (x * 100)::bigint',
  'sql/silver/app/stg.sql': modelText(
    'select p.id, p.user_id, cents(p.amount) as cents, p.note from bronze.app.payments as p where p.paid_on is not null',
  ),
  'sql/silver/app/kept.sql': modelText(
    'with step as (select id, user_id, cents, upper(note) as note from silver.stg) select id, user_id, cents, note from step',
    ['materialized: table'],
  ),
  'sql/gold/app/fct.sql': modelText('select id, cents, note from silver.kept', [
    ...GOLD,
    'key: [id]',
    'dataset: { friendly_name: Payments, group: facts }',
    'columns: { id: , cents: , note: }',
  ]),
  'sql/gold/app/totals.sql': modelText(
    'select user_id, cast(sum(cents) as bigint) as total from silver.kept group by user_id',
    [...GOLD, 'columns: { user_id: , total: }'],
  ),
  'sql/gold/app/people.sql': modelText('select distinct user_id from silver.stg', [...GOLD, 'columns: { user_id: }']),
};
type Files = Readonly<Record<string, string>>;

const COMMITTED = bronzeOf(BRONZE, 1);
const built = (project: CompiledProject) => releaseOf(project, COMMITTED, '2026-01-01');

async function planOf(changed: Files, options: Partial<PlanOptions> = {}): Promise<Plan> {
  const previous = built(await compile(FILES));
  const project = await compile({ ...FILES, ...changed });
  return planBuild({ project, previous, bronze: COMMITTED, asOf: '2026-01-01', ...options });
}

const impacts = (plan: Plan) =>
  Object.fromEntries(plan.steps.filter(({ impact }) => impact !== 'none').map(({ model, impact }) => [model, impact]));
const columnsOf = (plan: Plan, model: string) =>
  plan.steps.find((step) => step.model === model)?.columns.map(({ kind, column }) => `${kind} ${column}`);
const runs = (plan: Plan) =>
  plan.steps.flatMap(({ model, action }) => (action === 'unchanged' ? [] : [`${action} ${model}`]));
const edit = (file: keyof typeof FILES, from: string, to: string): Files => {
  assert.ok(FILES[file].includes(from), from);
  return { [file]: FILES[file].replaceAll(from, to) };
};

test('the values of one column of a view reach the columns made of it, and the models that read none of them are left alone', async () => {
  const plan = await planOf(edit('sql/silver/app/stg.sql', 'p.note from', 'lower(p.note) as note from'));
  assert.deepEqual(impacts(plan), { 'silver.stg': 'changed', 'silver.kept': 'affected', 'gold.fct': 'affected' });
  assert.deepEqual(columnsOf(plan, 'silver.stg'), ['values note']);
  assert.deepEqual(columnsOf(plan, 'silver.kept'), ['values note']);
  assert.deepEqual(plan.steps.find(({ model }) => model === 'gold.fct')?.through, ['silver.kept.note']);
  assert.deepEqual([...plan.spared].sort(), ['gold.people', 'gold.totals']);
  assert.ok(!runs(plan).includes('rebuild gold.people'), 'it reads the view, but not the column');
  assert.ok(plan.steps.every(({ breaking, otherRows }) => !breaking && !otherRows));
});

test('a changed filter may bring other rows everywhere below', async () => {
  const plan = await planOf(edit('sql/silver/app/stg.sql', 'is not null', "> date '2020-01-01'"));
  assert.deepEqual(Object.keys(impacts(plan)).sort(), [
    'gold.fct',
    'gold.people',
    'gold.totals',
    'silver.kept',
    'silver.stg',
  ]);
  assert.ok(plan.steps.every(({ otherRows }) => otherRows));
  assert.deepEqual(plan.spared, []);
});

test('an added column breaks nobody and rebuilds nobody else', async () => {
  const plan = await planOf(edit('sql/silver/app/stg.sql', 'p.note from', 'p.note, p.tags from'));
  assert.deepEqual(columnsOf(plan, 'silver.stg'), ['added tags']);
  assert.deepEqual(runs(plan), ['view silver.stg']);
  assert.equal(plan.steps[0]?.breaking, false);
});

test('a column removed, renamed or of another type breaks whom reads it, by name', async () => {
  const removed = await planOf({
    'sql/gold/app/fct.sql': FILES['sql/gold/app/fct.sql'].replace('cents, note', 'cents').replace(', note: ', ''),
  });
  assert.deepEqual(columnsOf(removed, 'gold.fct'), ['removed note']);
  const [lost] = removed.steps.find(({ model }) => model === 'gold.fct')?.columns ?? [];
  assert.deepEqual([lost?.breaking, lost?.readers], [true, ['dataset gold.fct']]);

  const renamed = await planOf({
    'sql/gold/app/fct.sql': FILES['sql/gold/app/fct.sql']
      .replace('note from', 'note as remark from')
      .replace('note: ', 'remark: '),
  });
  assert.deepEqual(
    renamed.steps
      .find(({ model }) => model === 'gold.fct')
      ?.columns.map(({ kind, from, to, breaking }) => [kind, from, to, breaking]),
    [['renamed', 'note', 'remark', true]],
  );

  const retyped = await planOf({ 'sql/macros/cents.sql': 'create macro cents(x) as (x * 100)::decimal(18, 0)' });
  const stg = retyped.steps.find(({ model }) => model === 'silver.stg');
  assert.deepEqual(stg?.columns.map(({ kind, from, to, readers }) => [kind, from, to, readers])[0], [
    'retyped',
    'BIGINT',
    'DECIMAL(18,0)',
    ['silver.kept'],
  ]);
  assert.equal(stg?.breaking, true);
});

test('a removed silver column that nobody reads breaks nobody; a removed gold model does', async () => {
  const unread = {
    ...FILES,
    'sql/silver/app/stg.sql': FILES['sql/silver/app/stg.sql'].replace('p.note from', 'p.note, p.tags from'),
  };
  const plan = planBuild({
    project: await compile(FILES),
    previous: built(await compile(unread)),
    bronze: COMMITTED,
    asOf: '2026-01-01',
  });
  assert.deepEqual([columnsOf(plan, 'silver.stg'), plan.steps[0]?.breaking], [['removed tags'], false]);
  const { 'sql/gold/app/people.sql': _gone, ...fewer } = FILES;
  const dropped = planBuild({
    project: await compile(fewer),
    previous: built(await compile(FILES)),
    bronze: COMMITTED,
    asOf: '2026-01-01',
  });
  assert.deepEqual(
    dropped.steps.filter(({ impact }) => impact === 'removed').map(({ model, breaking }) => [model, breaking]),
    [['gold.people', true]],
  );
});

test('comments, layout and the letter case of table aliases and columns change nothing', async () => {
  const plan = await planOf({
    'sql/silver/app/stg.sql': modelText(
      '-- payments\nSELECT P.ID, P.User_Id,\n  CENTS(P.Amount) AS cents /* hundred */, P.NOTE\nFROM bronze.app.Payments AS P WHERE P.paid_ON IS NOT NULL',
    ),
  });
  const names = (await compile(FILES)).models[0]?.boundColumns;
  assert.deepEqual(
    names?.map(({ name }) => name),
    ['id', 'user_id', 'cents', 'note'],
  );
  assert.deepEqual(runs(plan), []);
  const quoted = await planOf(edit('sql/silver/app/stg.sql', 'p.note from', `p.note || 'A' as note from`));
  const lower = await planOf(edit('sql/silver/app/stg.sql', 'p.note from', `p.note || 'a' as note from`));
  assert.notEqual(quoted.facts.models['silver.stg'], lower.facts.models['silver.stg'], 'text in quotes keeps its case');
});

test('the body of a macro is part of each column that calls it, and of no other', async () => {
  const plan = await planOf({ 'sql/macros/cents.sql': 'create macro cents(x) as (x * 100 + 0)::bigint' });
  assert.deepEqual(columnsOf(plan, 'silver.stg'), ['values cents']);
  assert.deepEqual([...plan.spared].sort(), ['gold.people']);
  const blind = await planOf({ 'sql/macros/cents.sql': 'create macro cents(x) as (x*100)::BIGINT -- hundred' });
  assert.deepEqual(runs(blind), []);
});

test('a change of type upstream counts where the column is read, and only there', async () => {
  const retyped = (column: string) =>
    BRONZE.map((table) => ({
      ...table,
      contract: {
        ...table.contract,
        columns: table.contract.columns.map((each) =>
          each.name === column ? { ...each, duckdbType: 'VARCHAR' } : each,
        ),
      },
    }));
  const before = await compile(FILES);
  const after = async (column: string) => {
    const project = await compile(FILES, retyped(column));
    return project.models
      .filter(({ fingerprint }, i) => fingerprint !== before.models[i]?.fingerprint)
      .map(({ name }) => name);
  };
  assert.deepEqual(await after('account_id'), [], 'no model names it');
  assert.ok((await after('user_id')).includes('gold.people'));
});

test('a plan has one id for one set of inputs, and says what is no longer as planned', async () => {
  const plan = await planOf({});
  assert.equal((await planOf({})).id, plan.id);
  const moved: BronzeSnapshot = {
    ...COMMITTED,
    tables: COMMITTED.tables.map((table) => (table.table === 'payments' ? { ...table, lastCommit: 2 } : table)),
  };
  const others: Readonly<Record<string, Plan>> = {
    'bronze app.payments is at commit 2, was 1': await planOf({}, { bronze: moved }),
    'as of 2026-01-02, was 2026-01-01': await planOf({}, { asOf: '2026-01-02' }),
    'gold.people changed': await planOf(edit('sql/gold/app/people.sql', 'user_id from', 'user_id + 0 as user_id from')),
    'gold.fct, gold.people, gold.totals no longer selected': await planOf({}, { exclude: ['gold'] }),
    'full refresh or not': await planOf({}, { fullRefresh: true }),
  };
  const ids = new Set([plan.id]);
  for (const [words, other] of Object.entries(others)) {
    assert.ok(
      comparePlanFacts(plan.facts, other.facts).includes(words),
      `${words} in ${comparePlanFacts(plan.facts, other.facts).join('; ')}`,
    );
    ids.add(other.id);
  }
  assert.equal(ids.size, 6);
  assert.deepEqual(comparePlanFacts(plan.facts, plan.facts), []);
});

test('a selection that leaves out a changed view, or a table never built, below what it builds is refused', async () => {
  const view = edit('sql/silver/app/stg.sql', 'is not null', "> date '2020-01-01'");
  await assert.rejects(
    planOf(view, { select: ['silver.kept'] }),
    (error) => isSluiceError(error, 'MODEL_SELECT_INCOMPLETE') && /silver\.kept.*silver\.stg/.test(error.message),
  );
  assert.deepEqual(runs(await planOf(view, { select: ['changed+'] })).length, 5);
  const fresh = {
    'sql/silver/app/fresh.sql': modelText('select id from bronze.app.accounts', ['materialized: table']),
    'sql/gold/app/reader.sql': modelText('select id from silver.fresh', [...GOLD, 'columns: { id: }']),
  };
  await assert.rejects(
    planOf(fresh, { select: ['gold.reader'] }),
    (error) => isSluiceError(error, 'MODEL_SELECT_INCOMPLETE') && /silver\.fresh.*never built/.test(error.message),
  );
});
