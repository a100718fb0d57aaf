import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../infra/config.ts';
import { openProject } from '../infra/project.ts';
import { runProject } from '../infra/run-project.ts';
import { systemClock, toIsoDate } from '../warehouse/core/clock.ts';
import { createLog } from '../warehouse/core/log.ts';
import type { EltResult } from '../workflows/contract.ts';
import { type BenchTable, commitRows, writeProject } from './bench-lake.ts';
import { type BenchOptions, median, readNumber, round, time } from './support.ts';

/**
 * A fact with a join and a daily aggregate, in two lakes that get the same commits: after each, one is refreshed and the other rebuilt, so that
 * both find, write and publish the same changes. Clone, audit and publication are in both. Corrections hit the newest rows (`--spread`: rows
 * anywhere). CPU times stand beside the clock's, for machines that do other things too.
 */
export async function benchIncrement({ rounds, args }: BenchOptions): Promise<Record<string, unknown>> {
  const rows = readNumber(args, 'rows', 5_000_000);
  const spread = args.includes('--spread');
  const dir = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
  const lakes = [join(dir, 'refreshed'), join(dir, 'rebuilt')] as const;
  try {
    const refresh = await openLake(lakes[0], rows);
    const rebuild = await openLake(lakes[1], rows);
    // The second build is the first that runs warm.
    for (const share of [0, SHARES[0]]) {
      if (share > 0) await commitChange(lakes, changeSql(rows, share, spread, 0));
      await refresh(false);
      await rebuild(share > 0);
    }
    const measured = SHARES.map((share) => ({ share, increment: [] as Step[], rebuild: [] as Step[] }));
    for (let index = 1; index <= rounds; index++) {
      for (const { share, increment, rebuild: rebuilt } of measured) {
        await commitChange(lakes, changeSql(rows, share, spread, index));
        increment.push(await refresh(false));
        rebuilt.push(await rebuild(true));
      }
    }
    const curve = measured.map(({ share, increment, rebuild: rebuilt }) => {
      const of = (steps: readonly Step[], field: 'ms' | 'cpu' | 'models' | 'publish') =>
        round(median(steps.map((step) => step[field])), 0);
      return {
        changed: share,
        increment_ms: of(increment, 'ms'),
        rebuild_ms: of(rebuilt, 'ms'),
        ratio: round(of(increment, 'ms') / of(rebuilt, 'ms')),
        increment_cpu_ms: of(increment, 'cpu'),
        rebuild_cpu_ms: of(rebuilt, 'cpu'),
        cpu_ratio: round(of(increment, 'cpu') / of(rebuilt, 'cpu')),
        increment_models_ms: of(increment, 'models'),
        rebuild_models_ms: of(rebuilt, 'models'),
        increment_publish_ms: of(increment, 'publish'),
        actions: increment.at(-1)?.actions ?? '',
      };
    });
    console.table(curve);
    const small = curve.find(({ changed }) => changed === 0.001);
    return {
      rows,
      rounds,
      ratio_to_rebuild: small?.ratio,
      cpu_ratio_to_rebuild: small?.cpu_ratio,
      worst_cpu_ratio: Math.max(...curve.map((point) => point.cpu_ratio)),
      curve,
      at: toIsoDate(systemClock.now()),
    };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

const SHARES = [0.0001, 0.001, 0.01, 0.1, 0.5] as const;

interface Step {
  readonly ms: number;
  readonly cpu: number;
  readonly models: number;
  readonly publish: number;
  readonly actions: string;
}

type BuildLake = (fullRefresh: boolean) => Promise<Step>;

async function openLake(dir: string, rows: number): Promise<BuildLake> {
  await mkdir(dir, { recursive: true });
  await writeProject(dir, { orders: ORDERS, products: PRODUCTS }, MODELS);
  await commitRows(dir, {
    orders: { table: ORDERS, sql: ordersSql(rows) },
    products: { table: PRODUCTS, sql: productsSql },
  });
  const project = openProject(loadConfig(dir, { SLUICE_LOG_LEVEL: 'error' }), createLog({ level: 'error' }));
  return async (fullRefresh) => {
    const before = process.cpuUsage();
    const { ms, value } = await time(() => runProject(project, { steps: 'build', asOf: '2026-01-01', fullRefresh }));
    const { user, system } = process.cpuUsage(before);
    return { ms, cpu: (user + system) / 1000, ...summarize(value) };
  };
}

async function commitChange(lakes: readonly string[], sql: string): Promise<void> {
  for (const lake of lakes) await commitRows(lake, { orders: { table: ORDERS, sql } });
}

function summarize(value: EltResult): Pick<Step, 'models' | 'publish' | 'actions'> {
  return {
    models: value.models.reduce((sum, model) => sum + model.ms, 0),
    publish: value.release?.ms ?? 0,
    actions: value.models.map(({ name, action, ms: took }) => `${name} ${action} ${took}`).join(', '),
  };
}

const ORDERS: BenchTable = {
  key: ['id'],
  columns: {
    id: 'BIGINT',
    org_id: 'BIGINT',
    customer_id: 'BIGINT',
    product_id: 'BIGINT',
    ordered_on: 'DATE',
    quantity: 'INTEGER',
    amount: 'DECIMAL(14,2)',
    status: 'VARCHAR',
  },
};
const PRODUCTS: BenchTable = { key: ['id'], columns: { id: 'BIGINT', category: 'VARCHAR', price: 'DECIMAL(14,2)' } };

/** Two years of orders in the order of their days. */
const ordersSql = (rows: number): string => `select i as id, hash(i) % 50 as org_id, hash(i, 1) % 20000 as customer_id,
  hash(i, 2) % 1000 as product_id, date '2024-01-01' + (i * 730 // ${rows})::integer as ordered_on, 1 + hash(i, 3) % 5 as quantity,
  (hash(i, 4) % 100000) / 100 as amount, ['open', 'paid', 'void'][1 + (hash(i, 5) % 3)::integer] as status, 'read' as _op
  from range(${rows}) as t(i)`;

const productsSql = `select i as id, 'category ' || (i % 20) as category, (i % 500) / 10 as price, 'read' as _op from range(1000) as t(i)`;

function changeSql(rows: number, share: number, spread: boolean, seed: number): string {
  const which = spread
    ? `hash(id, ${seed}) % ${Math.round(1 / share)} = 0`
    : `id >= ${rows - Math.round(rows * share)}`;
  return `select * exclude (_op, amount, _seq, _extracted_at), amount + ${seed + 1} as amount, 'update' as _op
    from (select * from before where _seq < 2::bigint << 32) where ${which}`;
}

const MODELS: ReadonlyMap<string, string> = new Map([
  [
    'sql/silver/shop/stg_orders.sql',
    `/*
description: Orders that count.
*/
select id, org_id, customer_id, product_id, ordered_on, quantity, amount, status from bronze.app.orders where status <> 'void'
`,
  ],
  [
    'sql/gold/shop/fct_orders.sql',
    `/*
description: Each order with its product's category.
materialized: incremental
key: [id]
owner: { org: org_id, user: customer_id }
columns:
  id: { type: BIGINT, description: "The order.", tests: [not_null] }
  org_id: { type: BIGINT, description: "The tenant.", tests: [not_null] }
  customer_id: { type: BIGINT, description: "Who ordered." }
  ordered_on: { type: DATE, description: "Calendar day.", tests: [not_null] }
  category: { type: VARCHAR, description: "Category of the product.", tests: [not_null] }
  amount: { type: "DECIMAL(14,2)", description: "Amount.", tests: [{ range: { min: 0 } }] }
  status: { type: VARCHAR, description: "State of the order.", tests: [{ accepted_values: [open, paid] }] }
*/
select o.id, o.org_id, o.customer_id, o.ordered_on, p.category, o.amount, o.status
from silver.stg_orders as o
join bronze.app.products as p on p.id = o.product_id
`,
  ],
  [
    'sql/gold/shop/agg_daily.sql',
    `/*
description: Orders per day and category.
materialized: incremental
key: [org_id, ordered_on, category]
owner: { org: org_id }
columns:
  org_id: { type: BIGINT, description: "The tenant.", tests: [not_null] }
  ordered_on: { type: DATE, description: "Calendar day.", tests: [not_null] }
  category: { type: VARCHAR, description: "Category." }
  orders: { type: BIGINT, description: "Number of orders.", tests: [{ range: { min: 1 } }] }
  total: { type: "DECIMAL(18,2)", description: "Sum of the amounts." }
*/
select org_id, ordered_on, category, count(*) as orders, cast(sum(amount) as decimal(18, 2)) as total
from gold.fct_orders
group by org_id, ordered_on, category
`,
  ],
]);
