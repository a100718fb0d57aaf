import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import pg from 'pg';
import { type CliOptions, type CliResult, parseError, parseJson, runCli } from './cli.ts';
import { type TestDatabase, testDatabase } from './postgres.ts';

/** A small project of its own, a shop, against a database of its own: customers by cursor, orders compared whole, three models, one dataset. */
export interface TestProject extends AsyncDisposable {
  readonly dir: string;
  readonly database: TestDatabase;
  /** Connected to the database. */
  readonly client: pg.Client;
  /** The project's options as environment variables. */
  readonly env: Readonly<Record<string, string>>;
  /** `sluice ARGS --project DIR` with the project's options; `env` overrides them. */
  sluice(args: readonly string[], options?: CliOptions): Promise<CliResult>;
  /** `sluice ARGS --json`: the object it prints. It must end with `code`, 0 when left out. */
  machine<T = Record<string, unknown>>(args: readonly string[], code?: number): Promise<T>;
  /** The error of `sluice ARGS --json`, which must be of this code. */
  refused(args: readonly string[], code: string): Promise<{ readonly message: string; readonly remedy: string }>;
  write(path: string, text: string): Promise<void>;
  remove(path: string): Promise<void>;
  /** What a failed command must leave as it was, and what it must not leave behind. */
  state(): Promise<ProjectState>;
}

export interface ProjectState {
  readonly commits: readonly string[];
  readonly releases: readonly string[];
  /** Folders under .sluice/cache/work. */
  readonly work: readonly string[];
}

export async function testProject(): Promise<TestProject> {
  const database = await testDatabase();
  const dir = await mkdtemp(join(tmpdir(), 'sluice-project-'));
  const client = new pg.Client({ connectionString: database.url });
  client.on('error', () => undefined);
  await client.connect();
  await client.query(SHOP_SCHEMA);
  const env = { SLUICE_SOURCE_URL: database.url, SLUICE_THREADS: '1', SLUICE_MEMORY_MB: '512' };
  const write = async (path: string, text: string): Promise<void> => {
    await mkdir(dirname(join(dir, path)), { recursive: true });
    await writeFile(join(dir, path), text);
  };
  for (const [path, text] of Object.entries(SHOP_FILES)) await write(path, text);
  const names = (path: string): Promise<string[]> => readdir(join(dir, path)).catch(() => []);
  const sluice: TestProject['sluice'] = (args, options = {}) =>
    runCli([...args, '--project', dir], { ...options, env: { ...env, ...options.env } });
  return {
    dir,
    database,
    client,
    env,
    write,
    sluice,
    machine: async <T>(args: readonly string[], code = 0) => {
      const result = await sluice([...args, '--json']);
      assert.equal(result.code, code, result.stdout + result.stderr);
      return parseJson(result) as T;
    },
    refused: async (args, code) => {
      const error = parseError(await sluice([...args, '--json']));
      assert.equal(error.code, code, error.message);
      return error;
    },
    remove: (path) => rm(join(dir, path), { recursive: true }),
    state: async () => ({
      commits: await names('.sluice/lake/bronze/shop/_log'),
      releases: await names('.sluice/lake/warehouse/_log'),
      work: await names('.sluice/cache/work'),
    }),
    [Symbol.asyncDispose]: async () => {
      await client.end();
      await database.drop();
      if (existsSync(dir)) await rm(dir, { recursive: true, force: true });
    },
  };
}

const SHOP_SCHEMA = `
  create schema shop;
  create table shop.customers (
    id bigint primary key, org_id bigint not null, name text not null, updated_at timestamptz not null default now()
  );
  create function shop.touch() returns trigger language plpgsql as $$ begin new.updated_at := now(); return new; end $$;
  create trigger touch before insert or update on shop.customers for each row execute function shop.touch();
  create table shop.orders (
    id bigint primary key, customer_id bigint not null references shop.customers, day date not null, amount numeric(12, 2) not null
  );
  insert into shop.customers (id, org_id, name) select i, 1 + i % 2, 'customer ' || i from generate_series(1, 5) i;
  insert into shop.orders select i, 1 + i % 5, date '2026-01-01' + i % 60, i * 1.25 from generate_series(1, 200) i;`;

export const SHOP_FILES = {
  'models/sources/shop.ts': `export const shop = {
  kind: 'postgres',
  name: 'shop',
  schema: 'shop',
  tables: {
    customers: {
      mode: 'cursor',
      key: ['id'],
      columns: ['id', 'org_id', 'name', 'updated_at'],
      cursor: { column: 'updated_at', setBy: 'database' },
    },
    orders: { mode: 'full', key: ['id'], columns: ['id', 'customer_id', 'day', 'amount'] },
  },
};
`,
  'sql/silver/shop/stg_orders.sql': `/*
description: Orders with their customer's org.
key: [order_id]
columns:
  order_id: { tests: [not_null, unique] }
*/
select
  orders.id as order_id,
  orders.customer_id,
  customers.org_id,
  orders.day,
  orders.amount
from bronze.shop.orders
join bronze.shop.customers on customers.id = orders.customer_id
`,
  'sql/gold/shop/fct_orders.sql': `/*
description: Orders.
materialized: incremental
key: [order_id]
incremental: { by: [customer_id] }
owner: { org: org_id, user: customer_id }
dataset:
  friendly_name: Orders
  group: facts
  time_grain: transaction
  filters: { date_column: day }
columns:
  order_id: { type: BIGINT, description: "The order.", tests: [not_null, unique] }
  customer_id: { type: BIGINT, description: "Who ordered.", tests: [not_null] }
  org_id: { type: BIGINT, description: "The org." }
  day: { type: DATE, description: "When." }
  amount: { type: "DECIMAL(12,2)", description: "How much.", tests: [{ range: { min: 0 } }] }
*/
select order_id, customer_id, org_id, day, amount from silver.stg_orders
`,
  'sql/gold/shop/customer_totals.sql': `/*
description: Totals per customer up to the logical date.
materialized: table
key: [customer_id]
as_of: recompute
owner: { org: org_id, user: customer_id }
columns:
  customer_id: { type: BIGINT, description: "Who.", tests: [not_null, unique] }
  org_id: { type: BIGINT, description: "The org." }
  orders: { type: BIGINT, description: "How many." }
  total: { type: "DECIMAL(18,2)", description: "How much." }
tags: [totals]
*/
select customer_id, org_id, count(*) as orders, cast(sum(amount) as decimal(18, 2)) as total
from gold.fct_orders
where day <= as_of()
group by customer_id, org_id
`,
} as const;
