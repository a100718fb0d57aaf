import assert from 'node:assert/strict';
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import pg from 'pg';
import { schemaSql } from '../../demo/index.ts';
import { openDuckDb } from '../../warehouse/core/duckdb.ts';
import { quoteLiteral } from '../../warehouse/core/quote.ts';
import { type TestDatabase, testDatabase } from '../support/postgres.ts';
import { createModelBuilder, type Mutation } from './build-models.ts';
import { compareWithOracle, type DatasetDifference, describeDifferences } from './compare-with-oracle.ts';
import { dayAt, LIFE_AS_OF, life, writeLives } from './random-lives.ts';

/** The models against the oracle on random lives, and both against deliberate mistakes: a comparison that cannot fail proves nothing. */

let database: TestDatabase;
let dir: string;

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sluice-oracle-test-'));
  database = await testDatabase();
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  await client.query(await schemaSql());
  await client.end();
});

after(async () => {
  await database.drop();
  await rm(dir, { recursive: true, force: true });
});

let files = 0;
const newGoldPath = (): string => join(dir, `gold-${(files += 1)}.duckdb`);

test('the models equal the Postgres oracle on hundreds of crowded lives, and the data tests find nothing', async () => {
  const builder = await createModelBuilder(database.url);
  const lives = fc.array(life, { minLength: 60, maxLength: 60, size: 'max' });
  await fc.assert(
    fc.asyncProperty(lives, fc.integer({ min: -8, max: 4 }), async (each, offset) => {
      await writeLives(database.url, each);
      const goldPath = newGoldPath();
      const asOf = dayAt(offset);
      const { 'tests.app_balances_drift_little': _, ...failures } = await builder.build({ goldPath, asOf });
      const differences = await compareWithOracle({ postgresUrl: database.url, goldPath, asOf });
      assert.equal(describeDifferences(differences), '');
      assert.deepEqual(failures, {});
      await rm(goldPath);
    }),
    {
      numRuns: 6,
      endOnFailure: true,
      // The lives themselves fill screens; the seed brings them back.
      asyncReporter: async ({ failed, seed, counterexamplePath, errorInstance }) => {
        if (failed) throw new Error(`fails with seed ${seed}, path ${counterexamplePath}`, { cause: errorInstance });
      },
    },
  );
});

/** Mistakes that are easily made, each with the dataset in which it must show. */
const MUTATIONS: readonly (Mutation & { readonly shows: string })[] = [
  { table: 'int_transfers', from: 'where not pending\n', to: 'where true\n', shows: 'fct_transactions' },
  { table: 'int_transfers', from: '[-3, -2, -1, 0, 1, 2, 3]', to: '[-3, -2, -1, 0, 1, 2]', shows: 'fct_transactions' },
  {
    table: 'int_transfers',
    from: 'order by days_apart, in_date, in_id',
    to: 'order by in_date, in_id',
    shows: 'fct_transactions',
  },
  {
    table: 'int_transfers',
    from: 'order by days_apart, out_date, out_id',
    to: 'order by days_apart, out_id',
    shows: 'fct_transactions',
  },
  {
    table: 'int_transfers',
    from: 'where rank_for_out = 1\n    and rank_for_in = 1',
    to: 'where rank_for_out = 1',
    shows: 'fct_transactions',
  },
  { table: 'int_transfers', from: 'min(transaction_id)', to: 'max(transaction_id)', shows: 'fct_transactions' },
  { table: 'int_transfers', from: 'incoming.account_id <> outgoing.account_id', to: 'true', shows: 'fct_transactions' },
  {
    table: 'fct_transactions',
    from: 'list(tag_name order by tag_name, tag_id)',
    to: 'list(tag_name order by tag_id)',
    shows: 'fct_transactions',
  },
  {
    table: 'fct_transactions',
    from: 'where booking_date <= as_of()',
    to: 'where booking_date < as_of()',
    shows: 'fct_transactions',
  },
  { table: 'fct_daily_spending_by_tag', from: 'and not pending', to: '', shows: 'fct_daily_spending_by_tag' },
  { table: 'fct_daily_spending_by_tag', from: 'left join', to: 'inner join', shows: 'fct_daily_spending_by_tag' },
  {
    table: 'fct_daily_balance_history',
    from: 'where not transactions.pending\n    and',
    to: 'where',
    shows: 'fct_daily_balance_history',
  },
  { table: 'fct_monthly_trends', from: 'lag(net)', to: 'lead(net)', shows: 'fct_monthly_trends' },
  {
    table: 'fct_monthly_trends',
    from: 'rows between 2 preceding',
    to: 'rows between 3 preceding',
    shows: 'fct_monthly_trends',
  },
  { table: 'dim_accounts', from: '\n  or activity.first_transaction_on is not null', to: '', shows: 'dim_accounts' },
  {
    table: 'dim_tags',
    from: 'max(transactions.booking_date)',
    to: 'min(transactions.booking_date)',
    shows: 'dim_tags',
  },
];

test('each of the usual mistakes in a model shows in the comparison', async () => {
  const lives = fc.sample(fc.array(life, { minLength: 60, maxLength: 60, size: 'max' }), {
    numRuns: 1,
    seed: 20_260_310,
  });
  await writeLives(database.url, lives[0] ?? []);
  const builder = await createModelBuilder(database.url);
  const unnoticed: string[] = [];
  for (const { shows, ...mutation } of MUTATIONS) {
    const goldPath = newGoldPath();
    await builder.build({ goldPath, asOf: LIFE_AS_OF, mutation });
    const differences = await compareWithOracle({ postgresUrl: database.url, goldPath, asOf: LIFE_AS_OF });
    await rm(goldPath);
    if (!differences.some(({ dataset }) => dataset === shows)) unnoticed.push(`${mutation.table}: ${mutation.to}`);
  }
  assert.deepEqual(unnoticed, []);
});

test('the comparison names every kind of difference in the rows and columns of gold', async () => {
  const [lives] = fc.sample(fc.array(life, { minLength: 20, maxLength: 20, size: 'max' }), { numRuns: 1, seed: 7 });
  await writeLives(database.url, lives ?? []);
  const goldPath = newGoldPath();
  await (await createModelBuilder(database.url)).build({ goldPath, asOf: LIFE_AS_OF });
  const compareAfter = async (sql: string): Promise<DatasetDifference[]> => {
    const changed = newGoldPath();
    await copyFile(goldPath, changed);
    const db = await openDuckDb({ threads: 1 });
    await db.run(`attach ${quoteLiteral(changed)} as gold; ${sql}; detach gold`);
    db.close();
    return await compareWithOracle({ postgresUrl: database.url, goldPath: changed, asOf: LIFE_AS_OF });
  };
  assert.deepEqual(await compareAfter('select 1'), []);

  const [cent] = await compareAfter(`update gold.fct_transactions set amount = amount + 0.01
    where transaction_id = (select min(transaction_id) from gold.fct_transactions)`);
  assert.deepEqual([cent?.dataset, cent?.columns], ['fct_transactions', { amount: 1 }]);
  assert.match(cent?.sample[0] ?? '', /^different, transaction_id \S+, amount \S+ instead of \S+$/);

  const [missing] = await compareAfter(
    'delete from gold.dim_accounts where account_id = (select min(account_id) from gold.dim_accounts)',
  );
  assert.deepEqual([missing?.dataset, missing?.missing, missing?.extra], ['dim_accounts', 1, 0]);

  const [extra] = await compareAfter(`insert into gold.fct_monthly_trends by name
    select * replace ('XXX' as currency) from gold.fct_monthly_trends order by user_id, currency, month limit 1`);
  assert.deepEqual([extra?.dataset, extra?.missing, extra?.extra], ['fct_monthly_trends', 0, 1]);

  const [twice] = await compareAfter('insert into gold.dim_tags select * from gold.dim_tags order by tag_id limit 1');
  assert.deepEqual([twice?.dataset, twice?.repeated, twice?.goldRows], ['dim_tags', 1, (twice?.oracleRows ?? 0) + 1]);

  const [order] = await compareAfter(`update gold.fct_transactions set tag_names = list_reverse(tag_names)
    where length(list_distinct(tag_names)) > 1`);
  assert.deepEqual(Object.keys(order?.columns ?? {}), ['tag_names']);

  const [nulled] = await compareAfter("update gold.fct_transactions set merchant = coalesce(merchant, '')");
  assert.deepEqual(Object.keys(nulled?.columns ?? {}), ['merchant']);

  const [rate] = await compareAfter(`update gold.fct_monthly_trends set savings_rate = savings_rate + 0.000001`);
  assert.deepEqual(Object.keys(rate?.columns ?? {}), ['savings_rate']);

  const [untagged] = await compareAfter('delete from gold.fct_daily_spending_by_tag where tag_id is null');
  assert.equal(untagged?.dataset, 'fct_daily_spending_by_tag');
  assert.ok((untagged?.missing ?? 0) > 0);

  const [column] = await compareAfter(
    'alter table gold.dim_tags drop column color; alter table gold.dim_tags add column shade varchar',
  );
  assert.deepEqual(column?.unmatchedColumns, ['color (oracle)', 'shade (gold)']);
});
