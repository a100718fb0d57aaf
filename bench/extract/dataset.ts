import { createReadStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { readHost } from '../../infra/config.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../infra/postgres/index.ts';
import { openDuckDb } from '../../warehouse/core/duckdb.ts';
import { createLog } from '../../warehouse/core/log.ts';
import { quoteIdentifier, quoteLiteral, quotePath } from '../../warehouse/core/quote.ts';
import { round } from '../support.ts';
import { COLUMNS, SCHEMA } from './table.ts';

/** The table's rows, skewed as payments are, made once and kept between runs. */

/** Part of the tables' names: another definition below is another table. */
const EDITION = 1;

const GIVEN = [
  'Anna',
  'Ben',
  'Chloé',
  'David',
  'Elif',
  'Fatima',
  'Georg',
  'Hanna',
  'Igor',
  'Jürgen',
  'Karin',
  'Łukasz',
];
const FAMILY = ['Müller', 'Schmidt', 'Novák', 'Rossi', 'García', 'Öztürk', 'Dubois', 'Jansen', 'Kowalski', 'Andersen'];
const WORDS = ['Card payment', 'Rent', 'Salary', 'Invoice', 'Groceries', 'Refund', 'Standing order', 'Cash', 'Fee'];

/** Rows per CSV file, so that neither disk nor memory grows with the table. */
const PORTION = 1_000_000;

/** Every value hangs on the row's number only. Three years in order; ranks are drawn from 1/rank (Zipf), amounts from a log-normal. */
function rowsSql(first: number, count: number, total: number): string {
  const share = (salt: string): string => `((hash(i, '${salt}') >> 11) / 9007199254740992.0)`;
  const rank = (salt: string, size: number): string => `floor(${size + 1} ** ${share(salt)})::bigint`;
  const pick = (values: readonly string[], salt: string): string =>
    `([${values.map(quoteLiteral).join(', ')}])[least(${rank(salt, values.length)}, ${values.length})]`;
  const normal = `(sqrt(-2 * ln(${share('n1')} + 1e-12)) * cos(6.283185307 * ${share('n2')}))`;
  return `select md5('row' || i) as id,
       md5('account' || ${rank('account', 50_000)}) as account_id,
       i as sequence_no,
       ${rank('category', 400)} as category_id,
       (case when ${share('sign')} < 0.15 then 1 else -1 end * exp(3.2 + 1.4 * ${normal}))::decimal(14, 2) as amount,
       ${pick(['EUR', 'USD', 'GBP', 'CHF', 'PLN', 'SEK'], 'currency')} as currency,
       ${pick(WORDS, 'word')} || ' ' || (hash(i, 'reference') % 1000000) as description,
       case when ${share('nobody')} < 0.05 then null else ${pick(GIVEN, 'given')} || ' ' || ${pick(FAMILY, 'family')} end as counterparty,
       created_at::date as booking_date,
       created_at,
       created_at + to_seconds(floor(${share('later')} ** 4 * 8640000)) as updated_at,
       case when ${share('plain')} < 0.25 then json_object('channel', ${pick(['app', 'web', 'branch'], 'channel')}, 'merchant', ${rank('merchant', 20_000)}, 'tags', [${pick(WORDS, 'tag')}]) end as details,
       ${share('transfer')} < 0.08 as is_transfer
  from (select i, timestamptz '2022-01-01 00:00:00+00' + to_microseconds((i / ${total} * 94608000000000 + hash(i, 'jitter') % 3600000000)::bigint) as created_at
          from (select unnest(range(${first}, ${first + count})) as i))`;
}

export interface BenchServer {
  readonly url: string;
  /** Process id of the server: its children's CPU time is that of the connections closed so far. */
  readonly pid: number;
  stop(): Promise<void>;
}

/** The benches' own Postgres, kept in the user's cache folder so that a table is loaded once. */
export async function startBenchServer(): Promise<BenchServer> {
  const dir = join(readHost().cacheDir, 'bench', 'postgres');
  const start = (): Promise<EmbeddedPostgres> =>
    startEmbeddedPostgres({ dir, durable: false, log: createLog({ level: 'error' }) });
  let server = await start();
  if (await configure(server.url)) {
    await server.stop();
    server = await start();
  }
  return { url: await server.createDatabase('bench'), pid: server.pid, stop: () => server.stop() };
}

const SETTINGS = {
  shared_buffers: '1GB',
  maintenance_work_mem: '256MB',
  // A background process that wakes in the middle of a round would be measured.
  autovacuum: 'off',
} as const;

/** True when the server must be started again for a setting to hold. */
async function configure(url: string): Promise<boolean> {
  return withClient(url, async (client) => {
    const { rows } = await client.query<{ setting: string }>(
      'select current_setting(name) as setting from unnest($1::text[]) as name',
      [Object.keys(SETTINGS)],
    );
    const wanted = Object.values(SETTINGS);
    if (rows.every((row, index) => row.setting === wanted[index])) return false;
    for (const [name, value] of Object.entries(SETTINGS))
      await client.query(`alter system set ${quoteIdentifier(name)} = ${quoteLiteral(value)}`);
    return true;
  });
}

/** Makes the table unless a former run did, and returns its name. `purpose` sets apart tables that a bench changes. */
export async function ensureTable(url: string, rows: number, purpose: 'read' | 'changed' = 'read'): Promise<string> {
  const table = `payments_${purpose}_${rows}_${EDITION}`;
  return withClient(url, async (client) => {
    await client.query(`create schema if not exists ${SCHEMA}`);
    const { rows: found } = await client.query(
      "select from pg_class where oid = to_regclass($1) and obj_description(oid) = 'ready'",
      [`${SCHEMA}.${table}`],
    );
    if (found.length === 0) await load(client, table, rows);
    await client.query(`select count(*) from ${quotePath(SCHEMA, table)}`);
    return table;
  });
}

async function load(client: pg.Client, table: string, rows: number): Promise<void> {
  const started = performance.now();
  const path = quotePath(SCHEMA, table);
  const columns = Object.entries(COLUMNS).map(([name, type]) => `${name} ${type.replace(' primary key', ' not null')}`);
  await client.query(`drop table if exists ${path}; create table ${path} (${columns.join(', ')})`);
  const dir = await mkdtemp(join(tmpdir(), 'sluice-bench-load-'));
  const db = await openDuckDb();
  try {
    for (let first = 0; first < rows; first += PORTION) {
      const file = join(dir, `${first}.csv`);
      await db.run(
        `copy (${rowsSql(first, Math.min(PORTION, rows - first), rows)}) to ${quoteLiteral(file)} (format csv, header false)`,
      );
      await pipeline(createReadStream(file), client.query(copyFrom(`copy ${path} from stdin (format csv)`)));
      await rm(file);
    }
  } finally {
    db.close();
    await rm(dir, { recursive: true, force: true });
  }
  await client.query(
    `alter table ${path} add primary key (id);
     create index on ${path} (updated_at);
     create or replace function ${SCHEMA}.touch() returns trigger language plpgsql as $$
     begin
       new.updated_at := now();
       return new;
     end $$;
     create trigger touch before insert or update on ${path} for each row execute function ${SCHEMA}.touch()`,
  );
  await client.query(`vacuum (freeze, analyze) ${path}`);
  await client.query(`comment on table ${path} is 'ready'`);
  console.log(`${table} loaded in ${round((performance.now() - started) / 1000, 1)} s`);
}

export async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
