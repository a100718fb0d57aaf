import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { DuckDBConnection } from '@duckdb/node-api';
import fc from 'fast-check';
import { DuckDBInstance } from '../../warehouse/core/duckdb-bindings.ts';
import { isSluiceError } from '../../warehouse/core/errors.ts';
import {
  type Caller,
  type DatasetRequest,
  type Filter,
  openServing,
  type Serving,
} from '../../warehouse/serve/index.ts';
import {
  ALAN,
  ALICE,
  ALICE_ACCOUNT,
  ALICE_SECOND_TAG,
  ALICE_TAG,
  BORIS,
  BORIS_ACCOUNT,
  BORIS_TAG,
  CANARY,
  createGold,
  type Gold,
  silent,
} from './support/gold.ts';

/** The service against plain SQL over a copy that holds one caller's rows and nothing else. */

let gold: Gold;
let serving: Serving;
let instance: DuckDBInstance;
let reference: DuckDBConnection;
before(async () => {
  gold = await createGold();
  const pinned = await gold.release('filters');
  serving = await openServing({ pinned, log: silent });
  instance = await DuckDBInstance.create(':memory:');
  reference = await instance.connect();
  await reference.run("set TimeZone = 'UTC'");
  await reference.run(`attach '${pinned.goldPath}' as whole (read_only)`);
  for (const caller of [ALICE, ALAN, BORIS]) {
    await reference.run(
      `create table rows_${caller.sub} as from whole.main.fct_transactions where org_id = ${caller.orgId} and user_id = ${caller.sub}`,
    );
  }
  await reference.run('detach whole');
});
after(async () => {
  reference.closeSync();
  instance.closeSync();
  await serving.close();
  await gold.remove();
});

const VALUES: Readonly<Record<string, fc.Arbitrary<string>>> = {
  transaction_id: fc.integer({ min: -10, max: 4_010 }).map(String),
  org_id: fc.constantFrom('1', '2', '3', '-1'),
  user_id: fc.constantFrom('11', '12', '21', '0'),
  account_id: fc.constantFrom(ALICE_ACCOUNT, BORIS_ACCOUNT, '00000000-0000-4000-8000-0000000000ff'),
  booking_date: fc.constantFrom('2025-12-31', '2026-01-01', '2026-03-15', '2026-12-31', '9999-12-31'),
  amount: fc.oneof(
    fc.integer({ min: -100, max: 1_000_000 }).map((cents) => (cents / 100).toFixed(2)),
    fc.constant('9999999999.99'),
  ),
  currency: fc.constantFrom('EUR', 'USD', 'eur', ''),
  description: fc.oneof(
    fc.integer({ min: 0, max: 4_000 }).map((id) => `first ${id}`),
    fc.constant(CANARY),
    fc.constant("' or true --"),
  ),
  small: fc.integer({ min: -1, max: 101 }).map(String),
  ratio: fc.double({ min: -1, max: 600, noNaN: true }).map((value) => value.toFixed(2)),
  pending: fc.constantFrom('true', 'false'),
  created_at: fc.constantFrom('2026-01-01T00:00:00Z', '2026-01-02T12:30:00+02:00', '2026-01-03T00:00:00.5Z'),
};
const columns = Object.keys(VALUES);
const tag = fc.constantFrom(ALICE_TAG, ALICE_SECOND_TAG, BORIS_TAG);

const leaf: fc.Arbitrary<Filter> = fc.oneof(
  fc.constantFrom(...columns).chain((column) =>
    fc.record({
      kind: fc.constant('compare' as const),
      column: fc.constant(column),
      op: fc.constantFrom('eq' as const, 'ne' as const, 'lt' as const, 'le' as const, 'gt' as const, 'ge' as const),
      value: VALUES[column] ?? fc.constant(''),
    }),
  ),
  fc.constantFrom(...columns).chain((column) =>
    fc.record({
      kind: fc.constant('in' as const),
      column: fc.constant(column),
      values: fc.array(VALUES[column] ?? fc.constant(''), { maxLength: 5 }),
    }),
  ),
  fc.record({
    kind: fc.constant('has_any' as const),
    column: fc.constant('tag_ids'),
    values: fc.array(tag, { maxLength: 3 }),
  }),
  fc.record({ kind: fc.constant('is_null' as const), column: fc.constantFrom(...columns, 'tag_ids') }),
  fc.record(
    {
      kind: fc.constant('days' as const),
      column: fc.constantFrom('booking_date', 'created_at'),
      from: fc.constantFrom('2026-01-01', '2026-01-02', '2026-06-30'),
      to: fc.constantFrom('2026-01-01', '2026-01-02', '2026-12-31'),
    },
    { requiredKeys: ['kind', 'column'] },
  ),
);

const filters = fc.letrec<{ node: Filter }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    leaf,
    fc.record({ kind: fc.constantFrom('and' as const, 'or' as const), of: fc.array(tie('node'), { maxLength: 4 }) }),
    fc.record({ kind: fc.constant('not' as const), of: tie('node') }),
  ),
})).node;

/** Written apart from the compiler: literals, no parameters, other operators where there are any. */
function sqlOf(filter: Filter): string {
  const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`;
  switch (filter.kind) {
    case 'and':
      return filter.of.reduce((sql, child) => `(${sql} and ${sqlOf(child)})`, '(1 = 1)');
    case 'or':
      return filter.of.reduce((sql, child) => `(${sql} or ${sqlOf(child)})`, '(1 = 0)');
    case 'not':
      return `(not (${sqlOf(filter.of)}))`;
    case 'compare':
      return `${filter.column} ${{ eq: '=', ne: '!=', lt: '<', le: '<=', gt: '>', ge: '>=' }[filter.op]} ${literal(filter.value)}`;
    case 'in':
      return filter.values.length === 0
        ? '(1 = 0)'
        : `(${filter.values.map((value) => `${filter.column} = ${literal(value)}`).join(' or ')})`;
    case 'has_any':
      return filter.values.length === 0
        ? '(1 = 0)'
        : `(tag_ids is not null and (${filter.values.map((value) => `list_contains(tag_ids, ${literal(value)}::uuid)`).join(' or ')}))`;
    case 'is_null':
      return `${filter.column} is null`;
    case 'days': {
      const parts = [
        filter.from === undefined ? '' : `strftime(${filter.column}, '%Y-%m-%d') >= ${literal(filter.from)}`,
        filter.to === undefined ? '' : `strftime(${filter.column}, '%Y-%m-%d') <= ${literal(filter.to)}`,
      ].filter((part) => part !== '');
      return parts.length === 0 ? '(1 = 1)' : `(${parts.join(' and ')})`;
    }
    default:
      return filter satisfies never;
  }
}

async function answerOf(
  caller: Caller,
  request: DatasetRequest,
): Promise<{
  readonly ids: string[];
  readonly hasMore: boolean;
  readonly total: number | undefined;
  readonly text: string;
}> {
  const page = await serving.query('fct_transactions', caller, request);
  assert.ok(page.kind === 'page');
  const rows = JSON.parse(`[${page.text}]`) as { transaction_id: string }[];
  return { ids: rows.map((row) => row.transaction_id), hasMore: page.hasMore, total: page.total, text: page.text };
}

test('for any filter, page and owner the answer is that of plain SQL over a copy of the owner’s rows', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(ALICE, ALAN, BORIS),
      filters,
      fc.integer({ min: 1, max: 1_200 }),
      fc.integer({ min: 0, max: 1_100 }),
      async (caller, where, limit, offset) => {
        const all = await reference.runAndReadAll(
          `select transaction_id::varchar as id from rows_${caller.sub} where ${sqlOf(where)} order by transaction_id`,
        );
        const expected = all.getRowObjectsJson().map((row) => row['id'] as string);
        const answer = await answerOf(caller, { where, limit, offset, total: true });
        assert.deepEqual(answer.ids, expected.slice(offset, offset + limit));
        assert.equal(answer.hasMore, expected.length > offset + limit);
        assert.equal(answer.total, expected.length);
        if (caller !== BORIS && caller !== ALAN) assert.ok(!answer.text.includes(CANARY));
      },
    ),
    { numRuns: 250 },
  );
});

test('asking for the rows of others, however it is put, gives none of them', async () => {
  const others: readonly Filter[] = [
    { kind: 'compare', column: 'org_id', op: 'eq', value: '2' },
    { kind: 'in', column: 'org_id', values: ['1', '2', '3'] },
    {
      kind: 'or',
      of: [
        { kind: 'compare', column: 'org_id', op: 'eq', value: '2' },
        { kind: 'and', of: [] },
      ],
    },
    { kind: 'not', of: { kind: 'compare', column: 'org_id', op: 'eq', value: '1' } },
    { kind: 'not', of: { kind: 'or', of: [] } },
    { kind: 'is_null', column: 'org_id' },
    { kind: 'compare', column: 'description', op: 'eq', value: CANARY },
  ];
  for (const where of others) {
    const answer = await answerOf(ALICE, { where, limit: 10_000, total: true });
    assert.ok(!answer.text.includes(CANARY));
    assert.ok((answer.total ?? 0) === 0 || answer.total === 1_000);
    assert.ok(answer.ids.every((id) => Number(id) % 4 === 0));
  }
});

test('unknown columns, values that do not fit and trees too large are refused', async () => {
  let deep: Filter = { kind: 'is_null', column: 'amount' };
  for (let level = 0; level < 50; level += 1) deep = { kind: 'not', of: deep };
  const bad: readonly Filter[] = [
    { kind: 'is_null', column: 'secret' },
    { kind: 'is_null', column: 'amount" is null or true --' },
    { kind: 'is_null', column: '__proto__' },
    { kind: 'compare', column: 'amount', op: 'gt', value: '1; drop table x' },
    { kind: 'compare', column: 'tag_ids', op: 'eq', value: ALICE_TAG },
    { kind: 'has_any', column: 'amount', values: ['1'] },
    { kind: 'has_any', column: 'tag_ids', values: ['x'] },
    { kind: 'days', column: 'amount', from: '2026-01-01' },
    { kind: 'days', column: 'booking_date', from: '2026-02-30' },
    deep,
    { kind: 'and', of: Array.from({ length: 300 }, () => ({ kind: 'is_null' as const, column: 'amount' })) },
  ];
  for (const where of bad) {
    await assert.rejects(serving.query('fct_transactions', ALICE, { where }), (error) =>
      isSluiceError(error, 'QUERY_INVALID'),
    );
  }
});

test('a known tag spares the rows but never the question whose the ids are', async () => {
  // Knows every tag, the one of the forbidden page too.
  const knownTags = Object.assign([], { includes: () => true });
  const mine = await serving.query('fct_transactions', ALICE, { ids: { account: [ALICE_ACCOUNT] } }, { knownTags });
  assert.equal(mine.kind, 'unchanged');
  await assert.rejects(
    serving.query('fct_transactions', ALICE, { ids: { account: [BORIS_ACCOUNT] } }, { knownTags }),
    (error) => isSluiceError(error, 'FORBIDDEN'),
  );
});

test('ids asked from inside this process are checked like those from outside', async () => {
  await assert.rejects(serving.query('fct_transactions', ALICE, { ids: { account: [BORIS_ACCOUNT] } }), (error) =>
    isSluiceError(error, 'FORBIDDEN'),
  );
  await assert.rejects(serving.query('dim_tags', ALICE, { ids: { account: [ALICE_ACCOUNT] } }), (error) =>
    isSluiceError(error, 'QUERY_INVALID'),
  );
  await assert.rejects(serving.query('fct_transactions', ALICE, { ids: { account: [] }, limit: 0 }), (error) =>
    isSluiceError(error, 'QUERY_INVALID'),
  );
});
