import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import pg from 'pg';
import { loadDemo } from '../../demo/index.ts';
import { type TestDatabase, testDatabase } from '../support/postgres.ts';
import type { Session } from './support.ts';

// Nothing here writes: one load serves all.
let database: TestDatabase;
let client: pg.Client;

before(async () => {
  database = await testDatabase();
  await loadDemo({ url: database.url });
  client = new pg.Client({ connectionString: database.url });
  await client.connect();
});

after(async () => {
  await client.end();
  await database.drop();
});

const session: Pick<Session, 'rows'> = { rows: async (sql) => (await client.query(sql)).rows };

/** A booked, settled balance up to a day, as any reader of the tables would compute it. */
const COMPUTED = `a.opening_balance + coalesce((select sum(t.amount) from app.transactions t
  where t.account_id = a.id and not t.pending and t.booking_date <= s.as_of), 0)`;

async function isTrue(claims: Readonly<Record<string, string>>): Promise<void> {
  const [row] = await session.rows<Record<string, boolean | null>>(
    `select ${Object.entries(claims)
      .map(([name, sql]) => `(${sql}) as "${name}"`)
      .join(',\n')}`,
  );
  assert.deepEqual(
    Object.entries(row ?? {})
      .filter(([, holds]) => holds !== true)
      .map(([name]) => name),
    [],
  );
}

test('the demo holds what makes real data hard', async () => {
  await isTrue({
    'several orgs in several time zones and currencies': `select count(distinct time_zone) >= 3 and count(distinct currency) >= 3 from app.orgs`,
    'an org with several users': `select max(n) >= 3 from (select count(*) as n from app.users group by org_id) x`,
    'a user id that no double can hold': `select count(*) = 1 from app.users where id > 9007199254740992 and id::float8::numeric <> id`,
    'a user without accounts': `select exists (select from app.users u where not exists (select from app.accounts a where a.user_id = u.id))`,
    'a user with transactions but without tags': `select exists (select from app.users u where exists (select from app.transactions x where x.user_id = u.id)
       and not exists (select from app.tags g where g.user_id = u.id))`,
    'a tag never used': `select exists (select from app.tags g where not exists (select from app.transaction_tags l where l.tag_id = g.id))
       or (select min(n) < 60 from (select count(*) as n from app.transaction_tags group by tag_id) x)`,
    'an account without transactions': `select exists (select from app.accounts a where not exists (select from app.transactions x where x.account_id = a.id))`,
    'a closed account': `select exists (select from app.accounts where closed_on is not null)`,
    'an account without a connection': `select exists (select from app.accounts where connection_id is null)`,
    'accounts of every kind': `select count(distinct kind) = 5 from app.accounts`,
    'a user with accounts in two currencies': `select exists (select from app.accounts group by user_id having count(distinct currency) > 1)`,
    'connections of two providers, one revoked': `select count(distinct provider) >= 2 and bool_or(status = 'revoked') from app.connections`,
    'pending rows, some dated after the last day': `select bool_or(booking_date > '2025-06-30') and count(*) > 3 from app.transactions where pending`,
    'NULL merchants, categories, value dates and external ids': `select bool_or(merchant is null) and bool_or(category is null)
       and bool_or(value_date is null) and bool_or(external_id is null) from app.transactions`,
    'empty text beside NULL': `select exists (select from app.transactions where description = '')`,
    'line breaks, tabs, quotes and backslashes': `select bool_or(description like e'%\\n%') and bool_or(description like e'%\\t%')
       and bool_or(description like '%"%') and bool_or(description like '%\\\\%') from app.transactions`,
    'text that looks like NULL to COPY': `select exists (select from app.transactions where description = '\\N')`,
    'letters outside ASCII, beyond the basic plane too': `select bool_or(octet_length(description) > length(description)) and bool_or(description ~ '🧾') from app.transactions`,
    'amounts of nothing': `select exists (select from app.transactions where amount = 0)`,
    'no hundredths in yen': `select count(*) > 100 and bool_and(amount = trunc(amount)) from app.transactions where currency = 'JPY'`,
    'a long tail': `select max(-amount) > 10 * percentile_cont(0.5) within group (order by -amount) from app.transactions
       where amount < 0 and currency = 'EUR' and category = 'shopping'`,
    'a weekly cycle': `select count(*) filter (where extract(isodow from created_at) = 6) > 2 * count(*) filter (where extract(isodow from created_at) = 1)
       from app.transactions where category = 'groceries' and external_id like 'plaid%'`,
    'salaries on working days only': `select count(*) > 80 and bool_and(extract(isodow from booking_date) < 6) from app.transactions where category = 'salary'`,
    'rows that arrived days after they were booked': `select count(*) filter (where created_at::date - booking_date between 2 and 15) > 100 from app.transactions`,
    'months without a transaction': `select count(distinct date_trunc('month', booking_date)) between 4 and 16 from app.transactions where user_id = 9007199254740993`,
    'nothing from the future': `select max(updated_at) < now() and max(created_at) <= max(updated_at) from app.transactions`,
    'tags and links where they belong': `select bool_and(l.created_at >= t.created_at) from app.transaction_tags l join app.transactions t on t.id = l.transaction_id`,
  });
});

test('money moves between own accounts, as clear pairs and as doubtful ones', async () => {
  const candidates = `select o.id as out_id, i.id as in_id, abs(o.booking_date - i.booking_date) as apart
    from app.transactions o join app.transactions i on i.user_id = o.user_id and i.currency = o.currency and i.amount = -o.amount
      and i.account_id <> o.account_id and abs(o.booking_date - i.booking_date) <= 3
    where o.amount < 0 and not o.pending and not i.pending`;
  await isTrue({
    'hundreds of pairs': `select count(*) > 200 from (${candidates}) c`,
    'on the same day and up to three apart': `select count(distinct apart) = 4 from (${candidates}) c`,
    'some with more than one candidate': `select count(*) > 5 from (select out_id from (${candidates}) c group by out_id having count(*) > 1) d`,
    'some halves without the other': `select count(*) > 5 from app.transactions x where x.category = 'transfer'
       and not exists (select from (${candidates}) c where x.id in (c.out_id, c.in_id))`,
  });
});

test('banks report mostly what the transactions add up to, owed money negative, with a drift now and then', async () => {
  const compared = `select a.kind, s.as_of, s.balance, s.balance - (${COMPUTED}) as drift
    from app.balance_snapshots s join app.accounts a on a.id = s.account_id`;
  const [seen] = await session.rows<{ share: number; drifting: number; settled: number; owed: boolean }>(
    `select avg((drift = 0)::int)::float8 as share, count(*) filter (where drift <> 0)::int as drifting,
       (avg((drift = 0)::int) filter (where as_of < '2025-06-10' and kind in ('checking', 'savings')))::float8 as settled,
       bool_and(balance < 0) filter (where kind = 'loan') as owed
     from (${compared}) x`,
  );
  assert.ok(seen);
  assert.ok(seen.share > 0.85, `equal in ${seen.share}`);
  assert.ok(seen.settled > 0.93 && seen.settled < 1, `long settled and equal in ${seen.settled}`);
  assert.ok(seen.drifting > 20, `${seen.drifting} differ`);
  assert.equal(seen.owed, true);
});

test('a closed account ends at nothing and has no row after its end', async () => {
  const closed = await session.rows<{ balance: string; later: number }>(
    `select (a.opening_balance + sum(t.amount))::text as balance, count(*) filter (where t.booking_date > a.closed_on)::int as later
     from app.accounts a join app.transactions t on t.account_id = a.id where a.closed_on is not null group by a.id, a.opening_balance`,
  );
  assert.ok(closed.length > 0);
  for (const account of closed) assert.deepEqual(account, { balance: '0.00', later: 0 });
});
