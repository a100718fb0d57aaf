/** The rows of schema app as the generator makes them: text ready for Postgres, null for NULL. */
export type Value = string | number | boolean | null;
export type Row = Readonly<Record<string, Value>>;

/** Tables in an order that foreign keys allow, each with its columns in the order of COPY. */
export const TABLES = {
  orgs: ['id', 'name', 'time_zone', 'currency', 'created_at', 'updated_at'],
  users: ['id', 'org_id', 'email', 'hashed_password', 'role', 'created_at', 'updated_at'],
  institutions: ['id', 'org_id', 'user_id', 'name', 'country', 'updated_at'],
  connections: [
    'id',
    'org_id',
    'user_id',
    'institution_id',
    'provider',
    'status',
    'last_synced_at',
    'created_at',
    'updated_at',
  ],
  accounts: [
    'id',
    'org_id',
    'user_id',
    'connection_id',
    'name',
    'kind',
    'currency',
    'opened_on',
    'closed_on',
    'opening_balance',
    'updated_at',
  ],
  transactions: [
    'id',
    'org_id',
    'user_id',
    'account_id',
    'booking_date',
    'value_date',
    'amount',
    'currency',
    'description',
    'merchant',
    'category',
    'pending',
    'external_id',
    'created_at',
    'updated_at',
  ],
  tags: ['id', 'org_id', 'user_id', 'name', 'color', 'created_at', 'updated_at'],
  transaction_tags: ['org_id', 'user_id', 'transaction_id', 'tag_id', 'created_at'],
  balance_snapshots: [
    'id',
    'org_id',
    'user_id',
    'account_id',
    'as_of',
    'balance',
    'currency',
    'created_at',
    'updated_at',
  ],
} as const satisfies Record<string, readonly string[]>;

export type TableName = keyof typeof TABLES;
export const TABLE_NAMES = Object.keys(TABLES) as readonly TableName[];

/** Money is counted in hundredths, whole numbers, and written as decimal text. */
export function money(cents: number): string {
  const digits = String(Math.abs(cents)).padStart(3, '0');
  return `${cents < 0 ? '-' : ''}${digits.slice(0, -2)}.${digits.slice(-2)}`;
}
