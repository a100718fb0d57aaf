import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EUR, lifeOf, onPostgres, rowsOf, USD, withGold, writeExamples } from './examples.ts';
import { LIFE_AS_OF, type Life, uuidOf } from './random-lives.ts';

/** The definition of a transfer by example, one user per case. */

/** Name of the case → the user's life, and the pairs expected among the positions of its transactions. */
const TRANSFERS: Readonly<
  Record<string, { readonly life: Life; readonly pairs: readonly (readonly [number, number])[] }>
> = {
  'the same day': {
    life: lifeOf(
      [EUR, EUR],
      [
        [0, -5, -50],
        [1, -5, 50],
      ],
    ),
    pairs: [[0, 1]],
  },
  '3 days apart, money arriving first': {
    life: lifeOf(
      [EUR, EUR],
      [
        [0, -2, -50],
        [1, -5, 50],
      ],
    ),
    pairs: [[0, 1]],
  },
  '4 days apart': {
    life: lifeOf(
      [EUR, EUR],
      [
        [0, -5, -50],
        [1, -1, 50],
      ],
    ),
    pairs: [],
  },
  'across a month': {
    life: lifeOf(
      [EUR, EUR],
      [
        [0, -10, -50],
        [1, -7, 50],
      ],
    ),
    pairs: [[0, 1]],
  },
  'another amount': {
    life: lifeOf(
      [EUR, EUR],
      [
        [0, -5, -50],
        [1, -5, 50.01],
      ],
    ),
    pairs: [],
  },
  'the same sign': {
    life: lifeOf(
      [EUR, EUR],
      [
        [0, -5, 50],
        [1, -5, 50],
      ],
    ),
    pairs: [],
  },
  'one account': {
    life: lifeOf(
      [EUR, EUR],
      [
        [0, -5, -50],
        [0, -5, 50],
      ],
    ),
    pairs: [],
  },
  'two currencies': {
    life: lifeOf(
      [EUR, USD],
      [
        [0, -5, -50],
        [1, -5, 50],
      ],
    ),
    pairs: [],
  },
  'one leg pending': {
    life: lifeOf(
      [EUR, EUR],
      [
        [0, -5, -50],
        [1, -5, 50, true],
      ],
    ),
    pairs: [],
  },
  'one leg later than the logical date': {
    life: lifeOf(
      [EUR, EUR],
      [
        [0, 0, -50],
        [1, 1, 50],
      ],
    ),
    pairs: [],
  },
  'amount 0': {
    life: lifeOf(
      [EUR, EUR],
      [
        [0, -5, 0],
        [1, -5, 0],
      ],
    ),
    pairs: [],
  },
  'the nearer partner wins': {
    life: lifeOf(
      [EUR, EUR, EUR],
      [
        [0, -5, -50],
        [1, -7, 50],
        [2, -4, 50],
      ],
    ),
    pairs: [[0, 2]],
  },
  'equally near, the earlier partner wins': {
    life: lifeOf(
      [EUR, EUR, EUR],
      [
        [0, -5, -50],
        [1, -4, 50],
        [2, -6, 50],
      ],
    ),
    pairs: [[0, 2]],
  },
  // The earlier incoming leg has no other choice than the outgoing one, which prefers its neighbour of the same day.
  'a partner that prefers another is not replaced': {
    life: lifeOf(
      [EUR, EUR],
      [
        [0, -6, -50],
        [1, -7, 50],
        [1, -6, 50],
      ],
    ),
    pairs: [[0, 2]],
  },
  'three accounts in a chain': {
    life: lifeOf(
      [EUR, EUR, EUR],
      [
        [0, -9, -50],
        [1, -7, 50],
        [1, -6, -50],
        [2, -6, 50],
      ],
    ),
    pairs: [
      [0, 1],
      [2, 3],
    ],
  },
};

test('transfers are pairs that are each other’s best', async () => {
  const cases = Object.entries(TRANSFERS);
  await writeExamples(cases.map(([, { life }]) => life));
  await withGold(LIFE_AS_OF, async (db) => {
    const legs = await rowsOf(
      db,
      `select transaction_id, transfer_transaction_id from gold.fct_transactions where direction = 'transfer'`,
    );
    const partnerOf = new Map(legs.map(([leg, partner]) => [leg, partner]));
    for (const [index, [name, { life, pairs }]] of cases.entries()) {
      const id = (position: number): string => uuidOf('transaction', index + 1, position);
      const expected = new Map(pairs.flatMap(([a, b]) => [[a, b] as const, [b, a] as const]));
      for (const position of life.transactions.keys()) {
        const partner = expected.get(position);
        assert.equal(
          partnerOf.get(id(position)),
          partner === undefined ? undefined : id(partner),
          `${name}, row ${position}`,
        );
      }
    }
  });
});

test('of twins only the pair of lowest ids is a transfer, whichever account holds them', async () => {
  const life = lifeOf(
    [EUR, EUR, EUR],
    [
      [0, -5, -50],
      [0, -5, -50],
      [1, -5, 50],
      [2, -5, 50],
    ],
  );
  await writeExamples([life]);
  const lowest = (positions: number[]): string => positions.map((n) => uuidOf('transaction', 1, n)).sort()[0] ?? '';
  await withGold(LIFE_AS_OF, async (db) => {
    assert.deepEqual(
      await rowsOf(
        db,
        `select transaction_id, transfer_transaction_id from gold.fct_transactions where direction = 'transfer' and amount < 0`,
      ),
      [[lowest([0, 1]), lowest([2, 3])]],
    );
  });
});

test('thousands of equal bookings of one user are paired without comparing each with each', async () => {
  // 2 × 20,000 equal amounts within a week: 400 million pairs, were they all looked at.
  await writeExamples([lifeOf([EUR, EUR], [])]);
  await onPostgres(async (client) => {
    await client.query(
      `insert into app.transactions (id, org_id, user_id, account_id, booking_date, amount, currency, description)
       select gen_random_uuid(), 2, 1, (array[$1::uuid, $2::uuid])[n % 2 + 1], $3::date - n % 7, case when n % 2 = 0 then -5 else 5 end, 'EUR', 'coin'
       from generate_series(1, 40000) as n`,
      [uuidOf('account', 1, 0), uuidOf('account', 1, 1), LIFE_AS_OF],
    );
  });
  const started = performance.now();
  await withGold(LIFE_AS_OF, async (db) => {
    assert.deepEqual(await rowsOf(db, `select count(*) from gold.fct_transactions where direction = 'transfer'`), [
      [14n],
    ]);
  });
  assert.ok(performance.now() - started < 60_000);
});
