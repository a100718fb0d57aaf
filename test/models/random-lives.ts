import { createHash } from 'node:crypto';
import fc from 'fast-check';
import pg from 'pg';
import { type AsOf } from '../../warehouse/core/bronze-table.ts';
import { quoteIdentifier, quotePath } from '../../warehouse/core/quote.ts';

/** Small, crowded finances: few amounts, few days, so that ties, twins and edges of time meet often. Users never meet, so one database holds many lives. */

export const LIFE_AS_OF: AsOf = '2026-03-10';

/** One user's rows; days are offsets from LIFE_AS_OF, references are positions in the lists above. */
export interface Life {
  readonly connections: readonly { readonly provider: string; readonly status: string; readonly synced: boolean }[];
  readonly accounts: readonly {
    readonly connection: number;
    readonly kind: string;
    readonly currency: string;
    readonly opened: number;
    readonly open: number | null;
    readonly balance: number;
  }[];
  readonly transactions: readonly {
    readonly account: number;
    readonly day: number;
    readonly amount: number;
    readonly pending: boolean;
    readonly merchant: string | null;
    readonly tags: readonly number[];
  }[];
  readonly tags: readonly string[];
  readonly snapshots: readonly { readonly account: number; readonly day: number; readonly balance: number }[];
}

const day = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: -9, max: 0 }) },
  { weight: 2, arbitrary: fc.integer({ min: -130, max: 5 }) },
);
const amount = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(-20, -10, 10, 20) },
  { weight: 2, arbitrary: fc.constantFrom(0, 0.01, -0.01, 9999999.99, -9999999.99) },
  { weight: 2, arbitrary: fc.integer({ min: -100_000, max: 100_000 }).map((cents) => cents / 100) },
);
/** Trimmed, some are one and the same name; their order tells collations apart. */
const NAMES = ['a', ' a', 'a ', '\u00a0a', 'B', 'b', 'é', 'e\u0301', 'z', 'Ω', '🦉', '"q", \\', "it's", '\u3000'];

export const life: fc.Arbitrary<Life> = fc.record({
  connections: fc.array(
    fc.record({
      provider: fc.constantFrom('csv', 'plaid', 'manual'),
      status: fc.constantFrom('active', 'error', 'revoked'),
      synced: fc.boolean(),
    }),
    { maxLength: 2 },
  ),
  accounts: fc.array(
    fc.record({
      connection: fc.integer({ min: 0, max: 2 }),
      kind: fc.constantFrom('checking', 'savings', 'credit', 'loan', 'investment'),
      currency: fc.constantFrom('EUR', 'EUR', 'EUR', 'USD'),
      opened: day,
      /** Days from opening to closing; NULL while open. */
      open: fc.option(fc.integer({ min: 0, max: 12 }), { freq: 3 }),
      balance: amount,
    }),
    { minLength: 1, maxLength: 4, size: 'max' },
  ),
  transactions: fc.array(
    fc.record({
      account: fc.nat(),
      day,
      amount,
      pending: fc.integer({ min: 0, max: 7 }).map((n) => n === 0),
      merchant: fc.option(fc.constantFrom('', ' ', 'Café', ' Café ', 'x\ny', 'NULL', '\r\n', '","')),
      tags: fc.uniqueArray(fc.nat({ max: 3 }), { maxLength: 3 }),
    }),
    { minLength: 5, maxLength: 40, size: 'max' },
  ),
  tags: fc.uniqueArray(fc.constantFrom(...NAMES), { maxLength: 4 }),
  snapshots: fc.uniqueArray(fc.record({ account: fc.nat({ max: 3 }), day, balance: amount }), {
    maxLength: 5,
    selector: (report) => `${report.account} ${report.day}`,
  }),
});

type Row = Readonly<Record<string, unknown>>;

/** Replaces all rows of schema app by the lives given, user 1 being the first. */
export async function writeLives(postgresUrl: string, lives: readonly Life[]): Promise<void> {
  const tables: Record<string, Row[]> = {
    orgs: [1, 2].map((id) => ({ id, name: ` Org ${id}`, time_zone: id === 1 ? 'UTC' : 'Asia/Tokyo', currency: 'EUR' })),
    users: [],
    institutions: [],
    connections: [],
    accounts: [],
    transactions: [],
    tags: [],
    transaction_tags: [],
    balance_snapshots: [],
  };
  for (const [index, each] of lives.entries()) addLife(tables, index + 1, each);
  const client = new pg.Client({ connectionString: postgresUrl });
  await client.connect();
  try {
    await client.query('begin');
    await client.query(
      `truncate ${Object.keys(tables)
        .map((table) => quotePath('app', table))
        .join(', ')}`,
    );
    for (const [table, rows] of Object.entries(tables)) await insertRows(client, table, rows);
    await client.query('commit');
  } finally {
    await client.end();
  }
}

/** Inserts rows that all have the columns of the first. */
export async function insertRows(client: pg.Client, table: string, rows: readonly Row[]): Promise<void> {
  const [first] = rows;
  if (first === undefined) return;
  const path = quotePath('app', table);
  const columns = Object.keys(first).map(quoteIdentifier).join(', ');
  await client.query(
    `insert into ${path} (${columns}) select ${columns} from jsonb_populate_recordset(null::${path}, $1::jsonb)`,
    [JSON.stringify(rows)],
  );
}

/** A UUID decided by the words given, in no order of theirs. */
export function uuidOf(...words: readonly (string | number)[]): string {
  const hex = createHash('sha256').update(words.join(' ')).digest('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join('-');
}

/** An ISO date, `offset` days from LIFE_AS_OF. */
export function dayAt(offset: number): string {
  return new Date(Date.parse(LIFE_AS_OF) + offset * 86_400_000).toISOString().slice(0, 10);
}

function addLife(tables: Record<string, Row[]>, user: number, each: Life): void {
  const owner = { org_id: (user % 2) + 1, user_id: user };
  const add = (table: string, row: Row): void => void tables[table]?.push(row);
  const id = (what: string, n: number): string => uuidOf(what, user, n);
  const at = (n: number): number => n % each.accounts.length;
  const currencyOf = (n: number): string => each.accounts[at(n)]?.currency ?? 'EUR';
  add('users', {
    id: user,
    org_id: owner.org_id,
    email: `user${user}@example.test`,
    hashed_password: 'x',
    role: 'member',
  });
  add('institutions', { id: id('institution', 0), ...owner, name: ' Bank\u00a0', country: 'de' });
  for (const [n, { provider, status, synced }] of each.connections.entries()) {
    const last_synced_at = synced ? '2026-03-09T23:59:59.123456+02:00' : null;
    add('connections', {
      id: id('connection', n),
      ...owner,
      institution_id: id('institution', 0),
      provider,
      status,
      last_synced_at,
    });
  }
  for (const [n, account] of each.accounts.entries()) {
    add('accounts', {
      id: id('account', n),
      ...owner,
      connection_id: account.connection < each.connections.length ? id('connection', account.connection) : null,
      name: ` Account ${n} `,
      kind: account.kind,
      currency: account.currency,
      opened_on: dayAt(account.opened),
      closed_on: account.open === null ? null : dayAt(account.opened + account.open),
      opening_balance: account.balance.toFixed(2),
    });
  }
  for (const [n, name] of each.tags.entries()) {
    add('tags', { id: id('tag', n), ...owner, name, color: n % 2 === 0 ? null : ' ' });
  }
  for (const [n, transaction] of each.transactions.entries()) {
    add('transactions', {
      id: id('transaction', n),
      ...owner,
      account_id: id('account', at(transaction.account)),
      booking_date: dayAt(transaction.day),
      value_date: n % 3 === 0 ? null : dayAt(transaction.day + 1),
      amount: transaction.amount.toFixed(2),
      currency: currencyOf(transaction.account),
      description: transaction.merchant ?? 'booking',
      merchant: transaction.merchant,
      category: n % 2 === 0 ? null : ' food',
      pending: transaction.pending,
    });
    for (const tag of transaction.tags.filter((position) => position < each.tags.length)) {
      add('transaction_tags', { ...owner, transaction_id: id('transaction', n), tag_id: id('tag', tag) });
    }
  }
  const seen = new Set<string>();
  for (const [n, { account, day: offset, balance }] of each.snapshots.entries()) {
    const key = `${at(account)} ${offset}`;
    if (seen.has(key)) continue;
    seen.add(key);
    add('balance_snapshots', {
      id: id('snapshot', n),
      ...owner,
      account_id: id('account', at(account)),
      as_of: dayAt(offset),
      balance: balance.toFixed(2),
      currency: currencyOf(account),
    });
  }
}
