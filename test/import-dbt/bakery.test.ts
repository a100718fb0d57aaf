import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { openDuckDb } from '../../warehouse/core/duckdb.ts';
import { quoteLiteral } from '../../warehouse/core/quote.ts';
import { parseJson, runCli } from '../support/cli.ts';
import { testDatabase } from '../support/postgres.ts';
import { readText, testFolder } from './support.ts';

/**
 * A project that dbt built, bakery/expected/*.csv, built again by Sluice from what the import made of it, on the same rows in a real Postgres.
 * bakery/make-expected.sh made the files; installing dbt takes too long to do it in each run.
 */

const BAKERY = fileURLToPath(new URL('bakery', import.meta.url));

const SOURCE = `export const bakery = {
  kind: 'postgres',
  name: 'bakery',
  schema: 'bakery',
  tables: {
    customers: { mode: 'full', key: ['id'], columns: ['id', 'shop_id', 'full_name', 'email', 'joined_on', 'is_member'] },
    products: { mode: 'full', key: ['id'], columns: ['id', 'name', 'kind', 'price_cents'] },
    orders: { mode: 'full', key: ['id'], columns: ['id', 'customer_id', 'ordered_at', 'status', 'updated_at'] },
    order_lines: { mode: 'full', key: ['order_id', 'line'], columns: ['order_id', 'line', 'product_id', 'quantity'] },
    payments: { mode: 'full', key: ['id'], columns: ['id', 'order_id', 'method', 'amount'] },
  },
};
`;

/** Table here → dbt's table. */
const TABLES: Readonly<Record<string, string>> = {
  'silver.stg_customers': 'stg_customers',
  'silver.stg_orders': 'stg_orders',
  'silver.stg_order_lines': 'stg_order_lines',
  'silver.stg_products': 'stg_products',
  'silver.stg_payments': 'stg_payments',
  'gold.fct_orders': 'fct_orders',
  'gold.fct_daily_sales': 'fct_daily_sales',
  'gold.dim_customers': 'dim_customers',
  'gold.rpt_shops': 'rpt_shops',
};

test('a project gives the rows that dbt gives, after the first run and after changes', async (t) => {
  const dir = await testFolder(t);
  const database = await testDatabase();
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  t.after(async () => {
    await client.end();
    await database.drop();
  });
  await client.query(await readText(BAKERY, 'raw.sql'));
  await mkdir(join(dir, 'models', 'sources'), { recursive: true });
  await writeFile(join(dir, 'models', 'sources', 'bakery.ts'), SOURCE);
  const env = { SLUICE_SOURCE_URL: database.url, SLUICE_THREADS: '1', SLUICE_MEMORY_MB: '512' };
  const sluice = async (...args: readonly string[]): Promise<Record<string, unknown>> => {
    const result = await runCli([...args, '--json', '--project', dir], { env });
    assert.equal(result.code, 0, `${args.join(' ')}: ${result.stdout}${result.stderr}`);
    return parseJson(result);
  };

  const imported = await sluice('import', 'dbt', join(BAKERY, 'dbt'), '--public', 'a bakery has no secrets');
  assert.equal(imported['compiled'], true);
  assert.deepEqual(imported['left_out'], []);

  await sluice('run', '--as-of', '2024-03-08');
  await assertTables(sluice, 'expected');
  assert.match(await readText(dir, 'sql/gold/sales/fct_orders.sql'), /^materialized: incremental\nkey: \[order_id\]/m);

  await client.query(await readText(BAKERY, 'changes.sql'));
  await sluice('run', '--as-of', '2024-03-09');
  await assertTables(sluice, 'expected-after-changes');
});

/** All tables in one query, each as a list of rows whose values are text. */
async function assertTables(
  sluice: (...args: readonly string[]) => Promise<Record<string, unknown>>,
  folder: string,
): Promise<void> {
  const listOf = (name: string, from: string) =>
    `select ${quoteLiteral(name)} as name, to_json(list(r order by r::varchar))::varchar as rows from (select columns(*)::varchar from ${from}) as r`;
  const ours = Object.keys(TABLES).map((table) => listOf(table, table));
  const theirs = Object.entries(TABLES).map(([table, file]) => {
    const path = quoteLiteral(join(BAKERY, folder, `${file}.csv`));
    return listOf(table, `read_csv(${path}, header = true, all_varchar = true, nullstr = 'NULL')`);
  });
  const found = (await sluice('query', ours.join(' union all ')))['rows'] as readonly NamedRows[];
  const db = await openDuckDb({ threads: 1 });
  const expected = await db.rows<NamedRows>(theirs.join(' union all ')).finally(() => db.close());
  assert.equal(found.length, Object.keys(TABLES).length);
  for (const { name, rows } of expected) {
    const list: unknown = JSON.parse(rows);
    assert.ok(Array.isArray(list) && list.length > 0, `dbt built no rows of ${name}`);
    assert.deepEqual(JSON.parse(found.find((item) => item.name === name)?.rows ?? 'null'), list, name);
  }
}

type NamedRows = { readonly name: string; readonly rows: string };
