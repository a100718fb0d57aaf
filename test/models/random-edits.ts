import fc from 'fast-check';
import pg from 'pg';
import { dayAt } from './random-lives.ts';

/** Corrections of random lives, as an application would make them: each keeps owners and currencies in order. */

const EDITS = {
  amount: `update app.transactions set amount = $3::int where id = (select id from pick)`,
  day: `update app.transactions set booking_date = $4::date where id = (select id from pick)`,
  pending: `update app.transactions set pending = not pending where id = (select id from pick)`,
  delete: `delete from app.transactions where id = (select id from pick)`,
  copy: `insert into app.transactions (id, org_id, user_id, account_id, booking_date, amount, currency, description)
    select gen_random_uuid(), org_id, user_id, account_id, $4::date, -amount, currency, 'copy' from pick`,
  move: `update app.transactions set account_id = (
      select id from app.accounts where user_id = $1 and currency = (select currency from pick) order by id desc limit 1
    ) where id = (select id from pick)`,
  tag: `insert into app.transaction_tags (org_id, user_id, transaction_id, tag_id)
    select pick.org_id, pick.user_id, pick.id, tags.id from pick join app.tags on tags.user_id = pick.user_id on conflict do nothing`,
  untag: `delete from app.transaction_tags where transaction_id = (select id from pick)`,
  rename: `update app.tags set name = concat('n', $3::int, ' ', id) where id = (select min(id::text)::uuid from app.tags where user_id = $1)`,
  dropTag: `delete from app.tags where id = (select max(id::text)::uuid from app.tags where user_id = $1)`,
  close: `update app.accounts set closed_on = greatest(opened_on, $4::date) where id = (select account_id from pick)`,
  reopen: `update app.accounts set closed_on = null, opening_balance = $3::int where user_id = $1`,
  detach: `update app.accounts set connection_id = null where id = (select account_id from pick)`,
  status: `update app.connections set status = 'error', last_synced_at = $4::date where user_id = $1`,
  bank: `update app.institutions set name = concat('Bank ', $3::int) where user_id = $1`,
  report: `insert into app.balance_snapshots (id, org_id, user_id, account_id, as_of, balance, currency)
    select gen_random_uuid(), org_id, user_id, account_id, $4::date, $3::int, currency from pick
    on conflict (account_id, as_of) do update set balance = excluded.balance`,
} as const satisfies Record<string, string>;

/** Hands an account over to another user of the organisation, with all that is booked on it: rows change their partition. */
const GIVE = [
  `delete from app.transaction_tags where transaction_id in (select id from app.transactions where account_id = $1)`,
  `update app.accounts set user_id = $2, connection_id = null where id = $1`,
  `update app.transactions set user_id = $2 where account_id = $1`,
  `update app.balance_snapshots set user_id = $2 where account_id = $1`,
] as const;

export interface Edit {
  readonly kind: keyof typeof EDITS | 'give';
  readonly user: number;
  readonly position: number;
  readonly value: number;
  readonly day: number;
}

/** Edits of users 1 to `users`. */
export function edits(users: number): fc.Arbitrary<Edit> {
  return fc.record({
    kind: fc.constantFrom(...(Object.keys(EDITS) as (keyof typeof EDITS)[]), 'give' as const),
    user: fc.integer({ min: 1, max: users - 2 }),
    position: fc.nat({ max: 1000 }),
    value: fc.constantFrom(-20, -10, 10, 20, 0, 7),
    day: fc.integer({ min: -9, max: 2 }),
  });
}

/** Makes the edits in one transaction. */
export async function applyEdits(postgresUrl: string, list: readonly Edit[]): Promise<void> {
  const client = new pg.Client({ connectionString: postgresUrl });
  await client.connect();
  try {
    await client.query('begin');
    for (const { kind, user, position, value, day } of list) {
      if (kind === 'give') {
        const found = await client.query<{ id: string }>(
          'select id from app.accounts where user_id = $1 order by id limit 1',
          [user],
        );
        const [account] = found.rows;
        if (account === undefined) continue;
        for (const statement of GIVE) {
          await client.query(statement, statement.includes('$2') ? [account.id, user + 2] : [account.id]);
        }
        continue;
      }
      const pick = `pick as (
        select * from app.transactions where user_id = $1
        order by id offset $2::int % greatest(1, (select count(*)::int from app.transactions where user_id = $1)) limit 1
      ), unused as (select $3::int, $4::date)`;
      await client.query(`with ${pick} ${EDITS[kind]}`, [user, position, value, dayAt(day)]);
    }
    await client.query('commit');
  } finally {
    await client.end();
  }
}
