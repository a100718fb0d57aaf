import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RowValue } from '../../warehouse/core/duckdb.ts';
import { quoteLiteral } from '../../warehouse/core/quote.ts';
import { builder, EUR, lifeOf, onPostgres, rowsOf, USD, withGold, writeExamples } from './examples.ts';
import { dayAt, insertRows, LIFE_AS_OF, uuidOf } from './random-lives.ts';

/** Balances, trends, spending and tags by example: expected figures are written out by hand. */

test('every incremental model is refreshed by the users, accounts or keys that a change touches', () => {
  const rules = builder.project.models
    .filter(({ materialized }) => materialized === 'incremental')
    .map(({ name, refresh }) => [name, refresh.kind === 'partition' ? refresh.by.join() : refresh.kind]);
  assert.deepEqual(Object.fromEntries(rules), {
    'silver.stg_transactions': 'transaction_id',
    'silver.stg_transaction_tags': 'transaction_id,tag_id',
    'silver.stg_balance_snapshots': 'snapshot_id',
    'silver.int_transfers': 'user_id',
    'gold.dim_accounts': 'user_id',
    'gold.dim_tags': 'user_id',
    'gold.fct_transactions': 'user_id',
    'gold.fct_daily_spending_by_tag': 'user_id',
    'gold.fct_daily_balance_history': 'account_id',
    'gold.fct_monthly_trends': 'user_id',
  });
  // A table that cannot be cut is read whole and forces a rebuild when it changes: there is none.
  for (const { name, refresh } of builder.project.models) {
    if (refresh.kind === 'partition') assert.deepEqual(refresh.others, {}, name);
  }
});

test('a balance history has every day, loses nothing booked, and measures drift', async () => {
  const accounts = [
    { ...EUR, opened: -3, balance: 100 },
    { ...EUR, kind: 'credit', opened: -4, open: 2, balance: -40 },
    { ...EUR, opened: 2, balance: 7 },
    { ...EUR, opened: 0, open: 0, balance: 1 },
  ];
  const life = {
    ...lifeOf(accounts, [
      [0, -90, -1], // before opening: counts on the first day
      [0, -2, -10],
      [0, -2, 0.5],
      [0, -1, -99, true], // pending: never
      [0, 1, -1000], // later than the logical date: not yet
      [1, -3, -60],
      [1, -1, 25], // after closing: counts on the last day
    ]),
    snapshots: [
      { account: 0, day: -2, balance: 89.5 },
      { account: 0, day: 0, balance: 80.25 },
      { account: 0, day: -5, balance: 5 },
      { account: 1, day: -4, balance: -40 },
    ],
  };
  await writeExamples([life]);
  await withGold(LIFE_AS_OF, async (db, failures) => {
    const history = (n: number) =>
      rowsOf(
        db,
        `select day, booked_amount, booked_count, closing_balance, reported_balance, drift from gold.fct_daily_balance_history
         where account_id = ${quoteLiteral(uuidOf('account', 1, n))} order by day`,
      );
    assert.deepEqual(await history(0), [
      [dayAt(-3), '-1.00', 1n, '99.00', null, null],
      [dayAt(-2), '-9.50', 2n, '89.50', '89.50', '0.00'],
      [dayAt(-1), '0.00', 0n, '89.50', null, null],
      [dayAt(0), '0.00', 0n, '89.50', '80.25', '-9.25'],
    ]);
    assert.deepEqual(await history(1), [
      [dayAt(-4), '0.00', 0n, '-40.00', '-40.00', '0.00'],
      [dayAt(-3), '-60.00', 1n, '-100.00', null, null],
      [dayAt(-2), '25.00', 1n, '-75.00', null, null],
    ]);
    assert.deepEqual(await history(2), []);
    assert.deepEqual(await history(3), [[dayAt(0), '0.00', 0n, '1.00', null, null]]);
    assert.deepEqual(
      await rowsOf(
        db,
        `select closed_on, is_closed, current_balance, transaction_count, first_transaction_on, last_transaction_on
        from gold.dim_accounts order by current_balance`,
      ),
      [
        [dayAt(-2), true, '-75.00', 2n, dayAt(-3), dayAt(-1)],
        [dayAt(0), true, '1.00', 0n, null, null],
        [null, false, '89.50', 4n, dayAt(-90), dayAt(-1)],
      ],
    );
    assert.deepEqual(failures, { 'tests.app_balances_drift_little': 1 });
  });
});

test('a closing that comes after the logical date has not happened yet', async () => {
  await writeExamples([lifeOf([{ ...EUR, opened: -5, open: 4 }], [])]);
  const seen = (asOf: string, expected: RowValue[]) =>
    withGold(asOf, async (db) => {
      const found = await rowsOf(
        db,
        `select closed_on, is_closed, (select max(day) from gold.fct_daily_balance_history), (select count(*) from gold.fct_daily_balance_history) from gold.dim_accounts`,
      );
      assert.deepEqual(found, [expected]);
    });
  await seen(dayAt(-2), [null, false, dayAt(-2), 4n]);
  await seen(dayAt(-1), [dayAt(-1), true, dayAt(-1), 5n]);
  await seen(dayAt(0), [dayAt(-1), true, dayAt(-1), 5n]);
});

test('monthly trends have every month, per currency, without transfers and pending rows', async () => {
  // The logical date is 2026-03-10: day -69 is 2025-12-31, -68 is 2026-01-01, -9 is 2026-03-01.
  const moves = lifeOf(
    [EUR, EUR, USD],
    [
      [0, -99, 1000], // 2025-12-01
      [0, -69, -250],
      [0, -9, 3], // March
      [0, -9, -4],
      [0, -8, -500, true],
      [0, -7, -70],
      [1, -7, 70], // a transfer
      [0, -6, 0],
      [2, -40, -12.34], // USD, 2026-01-29
    ],
  );
  await writeExamples([moves]);
  await withGold(LIFE_AS_OF, async (db) => {
    const trends = await rowsOf(
      db,
      `select currency, month, income, spending, net, savings_rate, transaction_count, income_change, spending_change, net_change,
              months_3m, income_avg_3m, spending_avg_3m, net_avg_3m
       from gold.fct_monthly_trends order by currency, month`,
    );
    assert.deepEqual(trends, [
      [
        'EUR',
        '2025-12-01',
        '1000.00',
        '250.00',
        '750.00',
        '0.750000',
        2n,
        null,
        null,
        null,
        1n,
        '1000.000000',
        '250.000000',
        '750.000000',
      ],
      [
        'EUR',
        '2026-01-01',
        '0.00',
        '0.00',
        '0.00',
        null,
        0n,
        '-1000.00',
        '-250.00',
        '-750.00',
        2n,
        '500.000000',
        '125.000000',
        '375.000000',
      ],
      [
        'EUR',
        '2026-02-01',
        '0.00',
        '0.00',
        '0.00',
        null,
        0n,
        '0.00',
        '0.00',
        '0.00',
        3n,
        '333.333333',
        '83.333333',
        '250.000000',
      ],
      [
        'EUR',
        '2026-03-01',
        '3.00',
        '4.00',
        '-1.00',
        '-0.333333',
        2n,
        '3.00',
        '4.00',
        '-1.00',
        3n,
        '1.000000',
        '1.333333',
        '-0.333333',
      ],
      [
        'USD',
        '2026-01-01',
        '0.00',
        '12.34',
        '-12.34',
        null,
        1n,
        null,
        null,
        null,
        1n,
        '0.000000',
        '12.340000',
        '-12.340000',
      ],
      [
        'USD',
        '2026-02-01',
        '0.00',
        '0.00',
        '0.00',
        null,
        0n,
        '0.00',
        '-12.34',
        '12.34',
        2n,
        '0.000000',
        '6.170000',
        '-6.170000',
      ],
      [
        'USD',
        '2026-03-01',
        '0.00',
        '0.00',
        '0.00',
        null,
        0n,
        '0.00',
        '0.00',
        '0.00',
        3n,
        '0.000000',
        '4.113333',
        '-4.113333',
      ],
    ]);
  });
});

test('spending counts in each of its tags, and without tags under none', async () => {
  const base = lifeOf(
    [EUR, EUR, USD],
    [
      [0, -1, -10],
      [0, -1, -5],
      [2, -1, -5],
      [0, -1, 99],
      [0, -1, -7, true],
      [0, -2, -30],
      [1, -2, 30],
    ],
  );
  const tags = [[0, 1], [], [0], [0], [0], [1], []];
  await writeExamples([
    {
      ...base,
      tags: ['rent', 'food', 'idle'],
      transactions: base.transactions.map((row, n) => ({ ...row, tags: tags[n] ?? [] })),
    },
  ]);
  await withGold(LIFE_AS_OF, async (db) => {
    assert.deepEqual(
      await rowsOf(
        db,
        'select tag_name, currency, day, spending, transaction_count from gold.fct_daily_spending_by_tag order by all',
      ),
      [
        ['food', 'EUR', dayAt(-1), '10.00', 1n],
        ['rent', 'EUR', dayAt(-1), '10.00', 1n],
        ['rent', 'USD', dayAt(-1), '5.00', 1n],
        [null, 'EUR', dayAt(-1), '5.00', 1n],
      ],
    );
    assert.deepEqual(await rowsOf(db, 'select name, uses, last_used_on from gold.dim_tags order by name'), [
      ['food', 2n, dayAt(-1)],
      ['idle', 0n, null],
      ['rent', 4n, dayAt(-1)],
    ]);
    assert.deepEqual(
      await rowsOf(
        db,
        `select tag_names from gold.fct_transactions where length(tag_names) > 1 or amount = -5 order by length(tag_names)`,
      ),
      [[[]], [['rent']], [['food', 'rent']]],
    );
  });
});

test('the data tests name rows that cross users, organisations or currencies, and their links are not carried', async () => {
  const life = { ...lifeOf([EUR], [[0, -1, -10]]), tags: ['mine'] };
  await writeExamples([life, life]);
  await onPostgres(async (client) => {
    const theirs = { transaction_id: uuidOf('transaction', 1, 0), tag_id: uuidOf('tag', 2, 0) };
    await insertRows(client, 'transaction_tags', [{ org_id: 1, user_id: 2, ...theirs }]);
  });
  await withGold(LIFE_AS_OF, async (db, failures) => {
    assert.deepEqual(failures, { 'tests.app_rows_stay_with_their_owner': 1 });
    assert.deepEqual(await rowsOf(db, 'select distinct tag_names, tag_ids from gold.fct_transactions'), [[[], []]]);
    assert.deepEqual(await rowsOf(db, 'select distinct uses from gold.dim_tags'), [[0n]]);
  });

  await writeExamples([life, life]);
  await onPostgres(async (client) => {
    await client.query(`update app.transactions set currency = 'CHF' where user_id = 1`);
    await client.query(`update app.accounts set org_id = 3 - org_id where user_id = 2`);
  });
  await withGold(LIFE_AS_OF, async (_, failures) => {
    assert.equal(failures['tests.app_amounts_are_in_the_accounts_currency'], 1);
    assert.equal(failures['tests.app_rows_stay_with_their_owner'], 1);
  });
});
