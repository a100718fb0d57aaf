import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lintProject } from '../../../warehouse/transform/index.ts';
import { BRONZE, filesOf, modelText } from '../compile/project.ts';

/** Findings as `severity rule line:column`. */
async function lint(sql: string, header: readonly string[] = [], layer = 'silver'): Promise<readonly string[]> {
  const findings = await lintProject({
    files: filesOf({ [`sql/${layer}/app/m.sql`]: modelText(sql, header) }),
    bronzeTables: BRONZE,
  });
  for (const { excerpt, remedy } of findings) {
    assert.match(excerpt, /^ +\d+ \| .*\n +\| +\^$/);
    assert.notEqual(remedy, '');
  }
  return findings.map(({ severity, rule, at }) => `${severity} ${rule} ${at.line}:${at.column}`);
}

const CASES: readonly (readonly [name: string, sql: string, header: readonly string[], expected: readonly string[]])[] =
  [
    ['nothing to say', 'select id from bronze.app.accounts', [], []],
    [
      'a CTE that nothing reads',
      'with a as (select 1 as x), b as (select x from a), c as (select 2 as y) select x from b',
      [],
      ['warn unused_cte 4:52'],
    ],
    [
      'a CTE that only a later CTE or a subquery reads is used',
      'with a as (select id from bronze.app.accounts) select id from bronze.app.accounts x where x.id in (select id from a)',
      [],
      [],
    ],
    [
      'columns without a table in a join',
      'select currency, p.amount from bronze.app.payments p join bronze.app.accounts a on a.id = p.account_id',
      [],
      ['warn unqualified_column 4:8'],
    ],
    [
      'columns of USING, of lambdas, of one table and of an unnest need no table',
      `select user_id, list_filter(p.tags, x -> x <> '') as t, u.tag
     from bronze.app.payments p join bronze.app.accounts a using (user_id), unnest(p.tags) as u(tag)`,
      [],
      [],
    ],
    ['an order that is not kept', 'select id from bronze.app.accounts order by id', [], ['warn useless_order 4:45']],
    ['an order under a limit is', 'select id from bronze.app.accounts order by id limit 3', [], []],
    [
      'a key column without not_null',
      'select id from bronze.app.accounts',
      ['key: [id]', 'columns: { id: { description: "Id." } }'],
      ['warn missing_key_test 4:12'],
    ],
    [
      'a column without a description',
      'select id from bronze.app.accounts',
      ['columns: { id: { type: UUID } }'],
      ['warn missing_description 3:12'],
    ],
    [
      'a stored sum of 38 digits',
      'select sum(amount) as total from bronze.app.payments',
      ['materialized: table'],
      ['warn wide_number 2:1'],
    ],
    [
      'a stored sum of floating-point numbers',
      'select user_id, round(sum(amount::double), 2) as total from bronze.app.payments group by user_id',
      ['materialized: table'],
      ['warn float_sum 5:23'],
    ],
    [
      'a sum in an order, one of decimals that is cast afterwards, and one that is compared are exact',
      `select sum(amount::double order by id) as a, sum(amount)::double as b, sum(amount::double) > 0 as c
     from bronze.app.payments`,
      ['materialized: table'],
      [],
    ],
    ['a view stores nothing', 'select sum(amount) as total from bronze.app.payments', [], []],
    [
      'a header allows a rule for its file',
      'select id from bronze.app.accounts order by id',
      ['lint: { allow: [useless_order] }'],
      [],
    ],
    [
      'an allowance that is not needed is one too many',
      'select id from bronze.app.accounts',
      ['lint: { allow: [useless_order] }'],
      ['warn unneeded_allow 3:17'],
    ],
  ];

for (const [name, sql, header, expected] of CASES) {
  test(name, async () => {
    assert.deepEqual(await lint(sql, header), expected);
  });
}

test('what the compiler refuses comes with it, and is not said twice', async () => {
  const found = await lint(
    'with x as (select 1) select *, now() from bronze.app.accounts',
    ['owner: { public: all }'],
    'gold',
  );
  assert.ok(found.some((finding) => finding.startsWith('error MODEL_LINT')));
  assert.equal(found.filter((finding) => finding.includes('unused_cte')).length, 1);
});

test('an unknown rule in a header is an error at its place', async () => {
  assert.deepEqual(await lint('select 1 as x', ['lint: { allow: [nothing] }']), ['error MODEL_HEADER_INVALID 3:17']);
});
