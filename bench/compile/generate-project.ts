import type { BronzeTableFacts } from '../../warehouse/transform/index.ts';

/**
 * A project as large warehouses look, from a seed: of ten models three are staging views over sources, four joins, unions and rankings in silver,
 * three aggregates and facts in gold, in domains of 40 files. The same seed gives the same text on every machine.
 */
export interface GeneratedProject {
  /** Path → text, as in a project folder. */
  readonly files: ReadonlyMap<string, string>;
  readonly bronzeTables: readonly BronzeTableFacts[];
}

const SOURCES = ['app', 'billing', 'support'] as const;
const TABLES_PER_SOURCE = 40;
const FILES_PER_DOMAIN = 40;

/** What every model gives, so that any can be read by any. */
const COMMON = [
  ['org_id', 'BIGINT'],
  ['customer_id', 'BIGINT'],
  ['status', 'VARCHAR'],
  ['amount', 'DECIMAL(14,2)'],
  ['created_on', 'DATE'],
] as const;

type Random = () => number;

export function generateProject({
  models,
  seed,
}: {
  readonly models: number;
  readonly seed: number;
}): GeneratedProject {
  const random = createRandom(seed);
  const files = new Map<string, string>([
    ['sql/macros/clean_status.sql', "create macro clean_status(s) as lower(trim(coalesce(s, 'unknown')));\n"],
    ['sql/macros/net_of.sql', 'create macro net_of(amount, fee) as amount - coalesce(fee, 0);\n'],
  ]);
  const staging: string[] = [];
  const silver: string[] = [];
  const gold: string[] = [];
  const counts = { staging: Math.ceil(models * 0.3), silver: Math.ceil(models * 0.4) };
  for (let index = 0; index < models; index++) {
    const number = String(index).padStart(5, '0');
    const domain = `d${String(Math.floor(index / FILES_PER_DOMAIN)).padStart(3, '0')}`;
    const add = (layer: 'silver' | 'gold', table: string, text: string): string => {
      files.set(`sql/${layer}/${domain}/${table}.sql`, text);
      return `${layer}.${table}`;
    };
    if (index < counts.staging) staging.push(add('silver', `stg_${number}`, stagingModel(random)));
    else if (index < counts.staging + counts.silver) {
      // Reading what stands shortly before gives chains of a dozen models, as grown projects have.
      const pool = silver.length > 0 && random() < 0.4 ? silver.slice(-200) : staging;
      silver.push(add('silver', `int_${number}`, silverModel(random, pool, staging)));
    } else gold.push(add('gold', `fct_${number}`, goldModel(random, silver.length > 0 ? silver : staging)));
  }
  return { files, bronzeTables: SOURCES.flatMap(bronzeTables) };
}

function bronzeTables(source: string): BronzeTableFacts[] {
  const types = {
    id: 'BIGINT',
    org_id: 'BIGINT',
    customer_id: 'BIGINT',
    status: 'VARCHAR',
    currency: 'VARCHAR',
    amount: 'DECIMAL(14,2)',
    fee: 'DECIMAL(14,2)',
    created_on: 'DATE',
    updated_at: 'TIMESTAMPTZ',
    note: 'VARCHAR',
    quantity: 'INTEGER',
    is_active: 'BOOLEAN',
  };
  return Array.from({ length: TABLES_PER_SOURCE }, (_, index) => ({
    source,
    table: `table_${index}`,
    contract: {
      key: ['id'],
      columns: Object.entries(types).map(([name, duckdbType]) => ({
        name,
        postgresType: duckdbType.toLowerCase(),
        duckdbType,
        nullable: name !== 'id' && name !== 'org_id',
        policy: 'error' as const,
      })),
    },
  }));
}

function stagingModel(random: Random): string {
  const table = `bronze.${pick(random, SOURCES)}.table_${Math.floor(random() * TABLES_PER_SOURCE)}`;
  return `/*
description: Rows of ${table}, cleaned.
key: [id]
columns:
  id: { type: BIGINT, description: "Number of the row.", tests: [not_null, unique] }
  org_id: { type: BIGINT, description: "The tenant.", tests: [not_null] }
  status: { tests: [{ accepted_values: [open, paid, void, unknown], severity: warn }] }
  amount: { type: "DECIMAL(14,2)", description: "Amount after fees, in the currency of the row." }
tags: [staging]
*/
-- ${words(random, 12)}
select
  id,
  org_id,
  customer_id,
  clean_status(status) as status,
  upper(currency) as currency,
  cast(net_of(amount, fee) as decimal(14, 2)) as amount,
  fee,
  created_on,
  case when quantity > ${Math.floor(random() * 100)} then 'bulk' when quantity is null then 'none' else 'single' end as size_class,
  is_active and amount > 0 as counts
from ${table}
where amount is not null
  and created_on >= date '20${10 + Math.floor(random() * 10)}-01-01'
`;
}

function silverModel(random: Random, pool: readonly string[], staging: readonly string[]): string {
  const kind = random();
  if (kind < 0.5) return joinModel(random, pick(random, pool), pick(random, staging));
  if (kind < 0.75) return unionModel(random, [pick(random, pool), pick(random, staging), pick(random, staging)]);
  return dailyModel(random, pick(random, pool));
}

function joinModel(random: Random, left: string, right: string): string {
  return `/*
description: ${words(random, 8)}
materialized: ${random() < 0.5 ? 'table' : 'view'}
columns:
  org_id: { tests: [not_null] }
  other_amount: { description: "Sum of the rows joined.", tests: [{ range: { min: 0 } }] }
*/
with totals as (
  select org_id, customer_id, cast(sum(amount) as decimal(14, 2)) as amount, count(*) as rows_joined
  from ${right}
  where status <> 'void'
  group by org_id, customer_id
)
select
  base.org_id,
  base.customer_id,
  base.status,
  cast(base.amount + coalesce(totals.amount, 0) as decimal(14, 2)) as amount,
  base.created_on,
  coalesce(totals.amount, 0) as other_amount,
  coalesce(totals.rows_joined, 0) as rows_joined
from ${left} as base
left join totals on totals.org_id = base.org_id and totals.customer_id = base.customer_id
`;
}

function unionModel(random: Random, parts: readonly string[]): string {
  const columns = COMMON.map(([name]) => name).join(', ');
  return `/*
description: ${words(random, 8)}
tests: [{ expression: "amount >= 0 or status = 'void'", severity: warn }]
*/
${parts.map((part, index) => `select ${columns}, ${index} as part from ${part}`).join('\nunion all\n')}
`;
}

function dailyModel(random: Random, from: string): string {
  return `/*
description: ${words(random, 8)}
materialized: incremental
key: [org_id, customer_id, created_on]
columns:
  org_id: { tests: [not_null] }
  events: { type: BIGINT, description: "Rows of the day." }
*/
select
  org_id,
  customer_id,
  created_on,
  max(status) as status,
  cast(sum(amount) as decimal(14, 2)) as amount,
  count(*) as events
from ${from}
where org_id is not null and customer_id is not null and created_on is not null
group by org_id, customer_id, created_on
`;
}

function goldModel(random: Random, pool: readonly string[]): string {
  const [first, second] = [pick(random, pool), pick(random, pool)];
  return `/*
description: ${words(random, 10)}
key: [org_id, customer_id, created_on]
owner: { org: org_id, user: customer_id }
dataset:
  friendly_name: ${words(random, 2)}
  group: facts
  time_grain: day
  filters: { date_column: created_on }
columns:
  org_id: { type: BIGINT, description: "The tenant.", tests: [not_null] }
  customer_id: { type: BIGINT, description: "Who it concerns.", tests: [not_null] }
  created_on: { type: DATE, description: "Calendar day.", tests: [not_null, { range: { min: "2000-01-01" } }] }
  status: { type: VARCHAR, description: "The last status of the day." }
  amount: { type: "DECIMAL(14,2)", description: "Sum of the day." }
  share: { type: "DECIMAL(18,6)", description: "Share of the customer's month." }
  place: { type: BIGINT, description: "Rank among the customer's days." }
tests: [{ unique: [org_id, customer_id, created_on] }]
tags: [daily, ${pick(random, SOURCES)}]
*/
with rows_of_both as (
  select org_id, customer_id, created_on, status, amount from ${first}
  union all
  select org_id, customer_id, created_on, status, amount from ${second}
), daily as (
  select
    org_id, customer_id, created_on, max(status) as status, cast(sum(amount) as decimal(14, 2)) as amount
  from rows_of_both
  where org_id is not null and customer_id is not null and created_on is not null
  group by org_id, customer_id, created_on
)
select
  org_id,
  customer_id,
  created_on,
  status,
  amount,
  ratio(amount, sum(amount) over (partition by org_id, customer_id, date_trunc('month', created_on))) as share,
  row_number() over (partition by org_id, customer_id order by amount desc, created_on) as place
from daily
`;
}

const WORDS =
  'orders payments invoices refunds accounts customers per day month of the with and open paid late first last active total net'.split(
    ' ',
  );

function words(random: Random, count: number): string {
  const text = Array.from({ length: count }, () => pick(random, WORDS)).join(' ');
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

function pick<T>(random: Random, list: readonly T[]): T {
  const item = list[Math.floor(random() * list.length)];
  if (item === undefined) throw new RangeError('nothing to pick from');
  return item;
}

/** mulberry32 */
function createRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
