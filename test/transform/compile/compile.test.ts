import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compile, modelText } from './project.ts';

const STG = modelText('select id, user_id, amount, paid_on from bronze.app.payments where amount <> 0');
const TOTALS = `/*
description: Paid per user and day.
materialized: incremental
key: [user_id, paid_on]
owner: { public: a test }
columns:
  user_id: { type: BIGINT, tests: [not_null] }
  paid_on: { type: DATE }
  total: { type: "DECIMAL(18,2)", tests: [{ range: { min: 0 }, severity: warn }] }
tests: [{ expression: total >= 0 }]
*/
select user_id, paid_on, sum(amount)::decimal(18, 2) as total
from silver.stg_payments group by user_id, paid_on;
`;

test('compiles two models end to end, in build order', async () => {
  const project = await compile({ 'sql/gold/app/totals.sql': TOTALS, 'sql/silver/app/stg_payments.sql': STG });
  assert.deepEqual(
    project.models.map(({ name, materialized, dependencies, inputs }) => ({
      name,
      materialized,
      dependencies,
      inputs,
    })),
    [
      {
        name: 'silver.stg_payments',
        materialized: 'view',
        dependencies: ['bronze.app.payments'],
        inputs: ['bronze.app.payments'],
      },
      {
        name: 'gold.totals',
        materialized: 'incremental',
        dependencies: ['silver.stg_payments'],
        inputs: ['bronze.app.payments'],
      },
    ],
  );
  assert.deepEqual(project.models[1]?.boundColumns, [
    { name: 'user_id', type: 'BIGINT' },
    { name: 'paid_on', type: 'DATE' },
    { name: 'total', type: 'DECIMAL(18,2)' },
  ]);
  assert.deepEqual(
    project.models[1]?.tests.map(({ name, kind, severity }) => [name, kind, severity]),
    [
      ['gold.totals.unique(user_id,paid_on)', 'unique', 'error'],
      ['gold.totals.user_id.not_null', 'not_null', 'error'],
      ['gold.totals.total.range', 'range', 'warn'],
      ['gold.totals.expression', 'expression', 'error'],
    ],
  );
});
