import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { isSluiceError } from '../../../warehouse/core/errors.ts';
import { createLog } from '../../../warehouse/core/log.ts';
import {
  type Diagnostic,
  formatLocation,
  runUnitTests,
  type UnitTestResult,
} from '../../../warehouse/transform/index.ts';
import { filesOf } from '../compile/project.ts';

/** What can be wrong with a unit test is found before it runs, at its line; what is not as expected is shown by key. */

const PROJECT = {
  'sql/silver/shop/stg_orders.sql': `/*
description: Orders.
materialized: incremental
key: [id]
*/
select id, customer, amount, day, tags from bronze.shop.orders`,
  'sql/gold/shop/totals.sql': `/*
description: Totals.
materialized: incremental
key: [customer]
owner: { public: a test }
columns: { customer: {}, total: { type: "DECIMAL(18,2)" } }
*/
select customer, cast(sum(amount) as decimal(18, 2)) as total from silver.stg_orders group by customer`,
};

const BRONZE = `shop.orders:
  key: [id]
  columns: { id: BIGINT, customer: VARCHAR, amount: "DECIMAL(14,2)", day: DATE, tags: "VARCHAR[]" }
`;

async function runFiles(t: TestContext, units: Readonly<Record<string, string>>, select?: readonly string[]) {
  const workDir = await mkdtemp(join(tmpdir(), 'sluice-unit-'));
  t.after(() => rm(workDir, { recursive: true, force: true }));
  const texts = { 'bronze.yaml': BRONZE, ...units };
  return runUnitTests({
    files: filesOf(PROJECT),
    unitFiles: Object.entries(texts).map(([file, text]) => ({ file: `sql/unit/${file}`, text })),
    bronze: new Map(),
    workDir,
    limits: { threads: 1, memoryLimitMb: 400 },
    log: createLog({ level: 'silent' }),
    ...(select && { select }),
  });
}

async function problemsOf(t: TestContext, units: Readonly<Record<string, string>>): Promise<readonly string[]> {
  try {
    await runFiles(t, units);
  } catch (error) {
    assert.ok(isSluiceError(error, 'UNIT_TEST_INVALID'), String(error));
    const list = error.details['diagnostics'] as readonly Diagnostic[] | undefined;
    if (list === undefined) return [error.message];
    return list.map(({ at, message }) => `${formatLocation(at).replace('sql/unit/', '')}: ${message}`);
  }
  throw new assert.AssertionError({ message: 'the test was not refused' });
}

const failuresOf = ([result]: readonly UnitTestResult[]) => result?.failures ?? [];

test('a value that is not of its column’s type, or would be rounded into it, stands at its line', async (t) => {
  const problems = await problemsOf(t, {
    'types/given/bronze.shop.orders.csv':
      'id,amount,day\n1,1.00,2026-01-01\nx,1.005,2026-02-30\n3.5,1e2,2026-01-01 10:00:00\n',
    'types/test.yaml':
      'description: Types.\nmode: rebuild\nexpect:\n  gold.totals:\n    - { customer: a, total: much }\n',
  });
  assert.deepEqual(problems, [
    'types/given/bronze.shop.orders.csv:3:1: id: "x" is not a BIGINT',
    'types/given/bronze.shop.orders.csv:3:1: amount: "1.005" is not a DECIMAL(14,2)',
    'types/given/bronze.shop.orders.csv:3:1: day: "2026-02-30" is not a DATE',
    'types/given/bronze.shop.orders.csv:4:1: id: "3.5" is not a BIGINT',
    'types/given/bronze.shop.orders.csv:4:1: amount: "1e2" is not a DECIMAL(14,2)',
    'types/given/bronze.shop.orders.csv:4:1: day: "2026-01-01 10:00:00" is not a DATE',
    'types/test.yaml:5:7: total: "much" is not a DECIMAL(18,2)',
  ]);
});

test('unknown columns, tables and fields stand at their line, all at once', async (t) => {
  const problems = await problemsOf(t, {
    'a/test.yaml': `description: Columns.
given: { bronze.shop.orders: [{ id: 1, custmer: ann }] }
expect: { gold.totals: { types: { total: BIGINT }, rows: [{ total: 1 }] } }
`,
    'b/test.yaml': `description: Tables.
given: { bronze.shop.oders: [] }
expect: { gold.total: [] }
`,
    'c/test.yaml': 'description: Fields.\nexpects: {}\n',
    'd/test.yaml': 'description: Nothing.\ngiven: { bronze.shop.orders: [] }\n',
    'e/test.yaml': 'description: A file.\ngiven: { bronze.shop.orders: orders.csv }\nexpect: { gold.totals: [] }\n',
    'f/test.yaml': 'description: Rows.\nexpect: { gold.totals: [] }\n',
    'f/given/bronze.shop.orders.csv': 'id,customer\n1\n2,"ann\n',
    'g/given/orders.csv': 'id\n1\n',
    'g/test.yaml': 'description: Names.\ngiven: { bronze.shop.orders: [] }\nexpect: { gold.totals: [] }\n',
    'h/given/bronze.shop.orders.csv': 'id,customer\n1,a"n\n',
    'h/test.yaml': 'description: Quotes.\nexpect: { gold.totals: [] }\n',
  });
  assert.deepEqual(problems, [
    'a/test.yaml:2:40: bronze.shop.orders has no column custmer; did you mean customer?',
    'a/test.yaml:3:35: total is DECIMAL(18,2) in gold.totals, not BIGINT',
    'b/test.yaml:2:10: there is no table bronze.shop.oders; did you mean bronze.shop.orders?',
    'b/test.yaml:3:11: there is no table gold.total; did you mean gold.totals?',
    'c/test.yaml:2:1: expects is not a known field',
    'd/test.yaml:1:1: the test expects nothing',
    'e/test.yaml:2:10: orders.csv is not in sql/unit/e/',
    'f/given/bronze.shop.orders.csv:2:1: the row has 1 values for 2 columns',
    'f/given/bronze.shop.orders.csv:3:3: a quoted field is not closed',
    'g/given/orders.csv:1:1: the file name orders.csv is not that of a table',
    'h/given/bronze.shop.orders.csv:2:4: a quote stands within a field',
  ]);
});

test('a table that the models read must be given, and what is given must be read', async (t) => {
  const problems = await problemsOf(t, {
    'missing/test.yaml': 'description: Missing.\nexpect: { gold.totals: [] }\n',
    'idle/test.yaml': `description: Idle.
given: { bronze.shop.orders: [], silver.stg_orders: [] }
expect: { gold.totals: [] }
`,
    'both/test.yaml': 'description: Both.\ngiven: { gold.totals: [] }\nexpect: { gold.totals: [] }\n',
  });
  assert.deepEqual(problems, [
    'both/test.yaml:3:11: gold.totals is given and expected at once',
    'idle/test.yaml:2:10: nothing the test builds reads bronze.shop.orders',
    'missing/test.yaml:1:1: silver.stg_orders reads bronze.shop.orders, for which the test gives no rows',
  ]);
});

test('keys that no Postgres table could hold are refused', async (t) => {
  const failures = failuresOf(
    await runFiles(t, {
      'twice/test.yaml': `description: Twice.
given: { bronze.shop.orders: [{ id: 1 }, { id: 1 }] }
expect: { gold.totals: [] }
`,
    }),
  );
  assert.deepEqual(
    failures.map((failure) => (failure.kind === 'error' ? failure.problem : failure.kind)),
    ['sql/unit/twice/test.yaml:2:10: bronze.shop.orders: the key id = 1 stands 2 times'],
  );
  const gone = failuresOf(
    await runFiles(t, {
      'gone/test.yaml': `description: Gone.
given: { bronze.shop.orders: [{ id: 1 }] }
steps: [{ given: { bronze.shop.orders: { delete: [{ id: 2 }] } } }]
expect: { gold.totals: [] }
`,
    }),
  );
  assert.match(JSON.stringify(gone), /there is no row id = 2 to delete/);
});

test('missing, extra and changed rows are told apart by key, and NULL from the empty text', async (t) => {
  const [result] = await runFiles(t, {
    'diff/given/bronze.shop.orders.csv': 'id,customer,amount\n1,ann,1.00\n2,,2.00\n3,"",3.00\n4,bob,4.00\n',
    'diff/expect/gold.totals.csv': 'customer,total\nann,1.50\n"",3.00\ncy,9.00\nbob,4.00\n',
    'diff/test.yaml': 'description: Differences.\nmode: rebuild\n',
  });
  assert.deepEqual(result?.failures, [
    {
      step: 'run',
      kind: 'rows',
      subject: 'gold.totals',
      differences: {
        key: ['customer'],
        missing: [{ customer: 'cy', total: '9.00' }],
        extra: [{ customer: null, total: '2.00' }],
        changed: [{ key: { customer: 'ann' }, columns: { total: { expected: '1.50', found: '1.00' } } }],
      },
    },
  ]);
});

test('a row that stands twice is not one that stands once', async (t) => {
  const [result] = await runFiles(t, {
    'bag/test.yaml': `description: Without their key three rows look the same.
mode: rebuild
given: { bronze.shop.orders: [{ id: 1, customer: ann }, { id: 2, customer: ann }, { id: 3, customer: ann }] }
expect: { silver.stg_orders: [{ customer: ann }, { customer: ann }] }
`,
  });
  const [failure] = result?.failures ?? [];
  assert.ok(failure?.kind === 'rows');
  assert.deepEqual([failure.differences.missing, failure.differences.extra], [[], [{ customer: 'ann' }]]);
});

test('a model that is given is not built, and lists, exact numbers and odd texts arrive as they are', async (t) => {
  const results = await runFiles(t, {
    'given/test.yaml': `description: Given rows of a silver model.
given:
  silver.stg_orders:
    - { id: 9007199254740993, customer: "O'Neil, \\"x\\"\\n", amount: 999999999999.99, tags: [a, "b, c", null] }
steps:
  - given: { silver.stg_orders: { insert: [{ id: 2, customer: ann, amount: 0.01, tags: [] }] } }
    actions: { gold.totals: refreshed }
expect:
  gold.totals: [{ customer: ann, total: 0.010 }, { customer: "O'Neil, \\"x\\"\\n", total: 999999999999.99 }]
`,
    'lists/given/bronze.shop.orders.csv': 'id,tags\n1,"[a, b]"\n2,\n',
    'lists/test.yaml': `description: Lists.
expect: { silver.stg_orders: [{ ID: 1, tags: [a, b] }, { ID: 2, tags: null }] }
`,
  });
  assert.deepEqual(
    results.map(({ failures }) => failures),
    results.map(() => []),
  );
  assert.equal(results.length, 4);
});

test('tests are chosen by their name, by a folder of them or by the model they expect', async (t) => {
  const unit = (model: string) =>
    `description: x\nmode: rebuild\ngiven: { bronze.shop.orders: [] }\nexpect: { ${model}: [] }\n`;
  const units = {
    'shop/one/test.yaml': unit('gold.totals'),
    'shop/two/test.yaml': unit('silver.stg_orders'),
    'other/test.yaml': unit('gold.totals'),
  };
  const chosen = async (...select: string[]) => (await runFiles(t, units, select)).map(({ name }) => name);
  assert.deepEqual(await chosen('shop'), ['shop/one', 'shop/two']);
  assert.deepEqual(await chosen('gold.totals'), ['shop/one', 'other']);
  assert.deepEqual(await chosen('stg_orders', 'other'), ['shop/two', 'other']);
  await assert.rejects(chosen('oter'), /did you mean other\?/);
});
