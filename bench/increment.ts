import { mkdtemp, rm } from 'node:fs/promises';
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
 * A fact with a join and a daily aggregate: builds after a share of its rows changed, each against a rebuild of the same bronze. Clone, audit and
 * publication are in both. Corrections hit the newest rows (`--spread`: rows anywhere).
 */
export async function benchIncrement({ rounds, args }: BenchOptions): Promise<Record<string, unknown>> {
  const rows = readNumber(args, 'rows', 5_000_000);
  const spread = args.includes('--spread');
  const dir = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
  try {
    await writeProject(dir, { orders: ORDERS, products: PRODUCTS }, MODELS);
    await commitRows(dir, {
      orders: { table: ORDERS, sql: ordersSql(rows) },
      products: { table: PRODUCTS, sql: productsSql },
    });
    const project = openProject(loadConfig(dir, { SLUICE_LOG_LEVEL: 'error' }), createLog({ level: 'error' }));
    const build = (fullRefresh: boolean) =>
      time(() => runProject(project, { steps: 'build', asOf: '2026-01-01', fullRefresh }));
    await build(false);
    const measured = new Map<number, { increment: Step[]; rebuild: Step[] }>(
      SHARES.map((share) => [share, { increment: [], rebuild: [] }]),
    );
    for (let index = 0; index < rounds; index++) {
      for (const share of SHARES) {
        const sql = changeSql(rows, share, spread, index);
        await commitRows(dir, { orders: { table: ORDERS, sql } });
        measured.get(share)?.increment.push(toStep(await build(false)));
        measured.get(share)?.rebuild.push(toStep(await build(true)));
      }
    }
    const curve = SHARES.map((share) => {
      const { increment = [], rebuild = [] } = measured.get(share) ?? {};
      const of = (steps: readonly Step[], field: 'ms' | 'models' | 'publish') =>
        round(median(steps.map((step) => step[field])), 0);
      return {
        changed: share,
        increment_ms: of(increment, 'ms'),
        rebuild_ms: of(rebuild, 'ms'),
        increment_models_ms: of(increment, 'models'),
        rebuild_models_ms: of(rebuild, 'models'),
        increment_publish_ms: of(increment, 'publish'),
        ratio: round(of(increment, 'ms') / of(rebuild, 'ms')),
        actions: increment.at(-1)?.actions ?? '',
      };
    });
    console.table(curve);
    return {
      rows,
      rounds,
      ratio_to_rebuild: curve.find(({ changed }) => changed === 0.001)?.ratio,
      curve,
      at: toIsoDate(systemClock.now()),
    };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

const SHARES = [0.0001, 0.001, 0.01, 0.1] as const;

interface Step {
  readonly ms: number;
  readonly models: number;
  readonly publish: number;
  readonly actions: string;
}

function toStep({ ms, value }: { readonly ms: number; readonly value: EltResult }): Step {
  return {
    ms,
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
