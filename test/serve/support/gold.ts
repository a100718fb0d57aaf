import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DuckDBConnection } from '@duckdb/node-api';
import type { Dataset } from '../../../warehouse/core/dataset.ts';
import { DuckDBInstance } from '../../../warehouse/core/duckdb-bindings.ts';
import { createLog, type Log } from '../../../warehouse/core/log.ts';
import type { Release } from '../../../warehouse/core/release.ts';
import type { Caller, PinnedRelease } from '../../../warehouse/serve/index.ts';

/** A real gold file with two tenants, canaries in the second, one empty tenant, and rows of nobody. */

export const silent: Log = createLog({ level: 'silent' });

/** Text that stands in rows of others only: it must never leave. */
export const CANARY = 'canary-of-another-tenant';

export const ALICE: Caller = { sub: '11', orgId: '1', role: 'viewer' };
/** Another user of the same org. */
export const ALAN: Caller = { sub: '12', orgId: '1', role: 'viewer' };
export const BORIS: Caller = { sub: '21', orgId: '2', role: 'viewer' };
/** Of an org without a row. */
export const CARLA: Caller = { sub: '31', orgId: '3', role: 'viewer' };

export const ALICE_ACCOUNT = '00000000-0000-4000-8000-000000000001';
export const ALICE_SECOND_ACCOUNT = '00000000-0000-4000-8000-000000000002';
export const ALAN_ACCOUNT = '00000000-0000-4000-8000-000000000003';
export const BORIS_ACCOUNT = '00000000-0000-4000-8000-00000000000b';
export const NO_ACCOUNT = '00000000-0000-4000-8000-0000000000ff';
export const ALICE_TAG = '10000000-0000-4000-8000-000000000001';
export const ALICE_SECOND_TAG = '10000000-0000-4000-8000-000000000002';
export const BORIS_TAG = '10000000-0000-4000-8000-00000000000b';

const OWNED = { kind: 'owned', org: 'org_id', user: 'user_id' } as const;

export const DIM_ACCOUNTS: Dataset = {
  id: 'dim_accounts',
  friendlyName: 'Accounts',
  description: 'One row per account.',
  group: 'dimensions',
  key: ['account_id'],
  columns: [
    { name: 'account_id', type: 'UUID', description: 'The account.' },
    { name: 'org_id', type: 'BIGINT' },
    { name: 'user_id', type: 'BIGINT' },
    { name: 'name', type: 'VARCHAR' },
    { name: 'secret', type: 'VARCHAR' },
  ],
  owner: OWNED,
  filters: { ids: { account: 'account_id' } },
  entity: 'account',
};

const DIM_TAGS: Dataset = {
  id: 'dim_tags',
  friendlyName: 'Tags',
  description: 'One row per tag.',
  group: 'dimensions',
  key: ['tag_id'],
  columns: [
    { name: 'tag_id', type: 'UUID' },
    { name: 'org_id', type: 'BIGINT' },
    { name: 'user_id', type: 'BIGINT' },
    { name: 'name', type: 'VARCHAR' },
  ],
  owner: OWNED,
  filters: { ids: { tag: 'tag_id' } },
  entity: 'tag',
};

export const FCT_TRANSACTIONS: Dataset = {
  id: 'fct_transactions',
  friendlyName: 'Transactions',
  description: 'One row per transaction.',
  group: 'facts',
  timeGrain: 'transaction',
  key: ['transaction_id'],
  columns: [
    { name: 'transaction_id', type: 'BIGINT' },
    { name: 'org_id', type: 'BIGINT' },
    { name: 'user_id', type: 'BIGINT' },
    { name: 'account_id', type: 'UUID' },
    { name: 'booking_date', type: 'DATE' },
    { name: 'amount', type: 'DECIMAL(18,2)' },
    { name: 'currency', type: 'VARCHAR' },
    { name: 'description', type: 'VARCHAR' },
    { name: 'tag_ids', type: 'UUID[]' },
    { name: 'small', type: 'INTEGER' },
    { name: 'ratio', type: 'DOUBLE' },
    { name: 'pending', type: 'BOOLEAN' },
    { name: 'created_at', type: 'TIMESTAMP WITH TIME ZONE' },
  ],
  owner: OWNED,
  filters: { dateColumn: 'booking_date', ids: { account: 'account_id', tag: 'tag_ids' } },
};

/** A view so heavy that no request over it ends in time. */
const SLOW: Dataset = {
  id: 'slow',
  friendlyName: 'Slow',
  description: 'A cross join.',
  group: 'aggregations',
  key: ['n'],
  columns: [
    { name: 'org_id', type: 'BIGINT' },
    { name: 'n', type: 'BIGINT' },
  ],
  owner: { kind: 'owned', org: 'org_id' },
  filters: { ids: {} },
};

/** Rows of 16 KB and one of 8 MB. */
export const WIDE: Dataset = {
  id: 'wide',
  friendlyName: 'Wide',
  description: 'Long texts.',
  group: 'facts',
  key: ['n'],
  columns: [
    { name: 'org_id', type: 'BIGINT' },
    { name: 'n', type: 'BIGINT' },
    { name: 'body', type: 'VARCHAR' },
  ],
  owner: { kind: 'owned', org: 'org_id' },
  filters: { ids: {} },
};

const CURRENCIES: Dataset = {
  id: 'currencies',
  friendlyName: 'Currencies',
  description: 'Public.',
  group: 'dimensions',
  key: ['code'],
  columns: [{ name: 'code', type: 'VARCHAR' }],
  owner: { kind: 'public', reason: 'a list of ISO codes' },
  filters: { ids: {} },
};

export const DATASETS = [DIM_ACCOUNTS, DIM_TAGS, FCT_TRANSACTIONS, SLOW, WIDE, CURRENCIES] as const;

export interface Gold {
  readonly dir: string;
  /** Writes a gold file of its own and gives it as a release. `label` is in every description of ALICE's rows. */
  release(
    version: string,
    options?: {
      readonly label?: string;
      readonly datasets?: readonly Dataset[];
      readonly number?: number;
      readonly sql?: string;
    },
  ): Promise<PinnedRelease>;
  remove(): Promise<void>;
}

export async function createGold(): Promise<Gold> {
  const dir = await mkdtemp(join(tmpdir(), 'sluice-gold-'));
  return {
    dir,
    release: async (version, options = {}) => {
      const goldPath = join(dir, `${version}.duckdb`);
      const instance = await DuckDBInstance.create(':memory:');
      const connection = await instance.connect();
      await connection.run(`attach '${goldPath}' as gold`);
      await connection.run('use gold');
      await fill(connection, options.label ?? 'first');
      if (options.sql !== undefined) await connection.run(options.sql);
      await connection.run('use memory');
      await connection.run('checkpoint gold');
      await connection.run('detach gold');
      connection.closeSync();
      instance.closeSync();
      return { goldPath, release: releaseOf(version, options.datasets ?? DATASETS, options.number ?? 1) };
    },
    remove: () => rm(dir, { recursive: true, force: true }),
  };
}

async function fill(connection: DuckDBConnection, label: string): Promise<void> {
  await connection.run(`
    create table dim_accounts (account_id uuid, org_id bigint, user_id bigint, name varchar, secret varchar);
    insert into dim_accounts values
      ('${ALICE_ACCOUNT}', 1, 11, 'Girokonto', 'mine'),
      ('${ALICE_SECOND_ACCOUNT}', 1, 11, 'Sparbuch 🐷', null),
      ('${ALAN_ACCOUNT}', 1, 12, '${CANARY}', '${CANARY}'),
      ('${BORIS_ACCOUNT}', 2, 21, '${CANARY}', '${CANARY}'),
      ('00000000-0000-4000-8000-00000000000c', null, 11, '${CANARY}', '${CANARY}'),
      ('00000000-0000-4000-8000-00000000000d', 1, null, '${CANARY}', '${CANARY}'),
      ('00000000-0000-4000-8000-00000000000e', null, null, '${CANARY}', '${CANARY}');
    create table dim_tags (tag_id uuid, org_id bigint, user_id bigint, name varchar);
    insert into dim_tags values
      ('${ALICE_TAG}', 1, 11, 'food'), ('${ALICE_SECOND_TAG}', 1, 11, 'rent'), ('${BORIS_TAG}', 2, 21, '${CANARY}');
    create table fct_transactions as
      select
        i as transaction_id,
        case i % 4 when 0 then 1 when 1 then 1 when 2 then 2 else null end::bigint as org_id,
        case i % 4 when 0 then 11 when 1 then 12 when 2 then 21 else 11 end::bigint as user_id,
        case i % 4 when 0 then (case when i % 8 = 0 then '${ALICE_ACCOUNT}' else '${ALICE_SECOND_ACCOUNT}' end)
          when 1 then '${ALAN_ACCOUNT}' else '${BORIS_ACCOUNT}' end::uuid as account_id,
        date '2026-01-01' + (i % 365)::integer as booking_date,
        case when i % 4 = 0 then (i * 7919 % 1000003)::decimal(18,2) / 100 else 9999999999.99 end::decimal(18,2) as amount,
        case when i % 3 = 0 then 'EUR' else 'USD' end as currency,
        case when i % 4 = 0 then (case when i % 5 = 0 then null else '${label} ' || i end) else '${CANARY}' end as description,
        case when i % 4 <> 0 then ['${BORIS_TAG}']
          when i % 12 = 0 then ['${ALICE_TAG}', '${ALICE_SECOND_TAG}'] when i % 12 = 4 then ['${ALICE_TAG}'] else null end::uuid[] as tag_ids,
        case when i % 7 = 0 then null else (i % 100)::integer end as small,
        case i when 4 then 'nan'::double when 8 then 'infinity'::double else i / 8 end as ratio,
        i % 2 = 0 as pending,
        timestamptz '2026-01-01 00:00:00+00' + interval (i) minute as created_at
      from range(4000) as r(i);
    create table base as select i::bigint as n from range(200000) as r(i);
    create view slow as select 1::bigint as org_id, (a.n * b.n % 1000003)::bigint as n from gold.main.base as a, gold.main.base as b where (a.n * b.n) % 1000003 > 5;
    create table wide as
      select case when i < 400 then 1 else 2 end::bigint as org_id, i::bigint as n,
        case when i = 399 then repeat('x', 8000000) when i < 399 then repeat(chr(97 + (i % 26)::integer), 16384) else '${CANARY}' end as body
      from range(410) as r(i);
    create table currencies as select unnest(['EUR', 'USD', 'CHF']) as code;
  `);
}

function releaseOf(version: string, datasets: readonly Dataset[], number: number): Release {
  const file = { key: 'unused', bytes: 0, sha256: '' };
  return {
    format: 1,
    version,
    number,
    kind: 'publish',
    publishedAt: '2026-11-21T08:00:00.000Z',
    asOf: '2026-11-20',
    commits: { app: 1 },
    models: [],
    datasets,
    declarations: '',
    tests: [
      { name: 'a', model: 'gold.dim_tags', severity: 'error', status: 'pass', failures: 0, sample: [] },
      {
        name: 'b',
        model: 'gold.dim_tags',
        severity: 'warn',
        status: 'warn',
        failures: 1,
        sample: [{ secret: CANARY }],
      },
    ],
    files: { silver: file, gold: file },
  };
}
