import { createWriteStream } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import pg from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import type { AsOf } from '../../warehouse/core/bronze-table.ts';
import { type DuckDb, openDuckDb } from '../../warehouse/core/duckdb.ts';
import { quoteIdentifier, quoteLiteral, quotePath } from '../../warehouse/core/quote.ts';
import { readCsvSql } from './build-models.ts';

/**
 * The six datasets of gold against the same figures computed by Postgres from the source tables: oracle/*.sql, written in another shape.
 *
 *   Postgres ──COPY (oracle/<dataset>.sql)──► CSV ──► DuckDB ◄── gold.<dataset>
 *                                                       └─ full join on the key, column by column, both directions
 */

/** Dataset → its key, by which rows of both sides are matched. */
const ORACLE_KEYS = {
  dim_accounts: ['account_id'],
  dim_tags: ['tag_id'],
  fct_transactions: ['transaction_id'],
  fct_daily_spending_by_tag: ['user_id', 'tag_id', 'currency', 'day'],
  fct_daily_balance_history: ['account_id', 'day'],
  fct_monthly_trends: ['user_id', 'currency', 'month'],
} as const satisfies Record<string, readonly string[]>;

export type OracleDataset = keyof typeof ORACLE_KEYS;
export const ORACLE_DATASETS = Object.keys(ORACLE_KEYS) as OracleDataset[];

export interface DatasetDifference {
  readonly dataset: OracleDataset;
  readonly goldRows: number;
  readonly oracleRows: number;
  /** Rows of the oracle whose key gold lacks. */
  readonly missing: number;
  /** Rows of gold whose key the oracle lacks. */
  readonly extra: number;
  /** Keys that stand more than once on either side. */
  readonly repeated: number;
  /** Column → rows of the same key whose values differ. */
  readonly columns: Readonly<Record<string, number>>;
  /** Columns that only one side has. */
  readonly unmatchedColumns: readonly string[];
  /** Up to 5 differing rows: key, then gold and oracle values of the columns that differ. */
  readonly sample: readonly string[];
}

export interface OracleRequest {
  /** The source database, with schema app. */
  readonly postgresUrl: string;
  /** The gold file of a release, or of any build. */
  readonly goldPath: string;
  readonly asOf: AsOf;
}

/** Differences per dataset; a dataset that is equal in every row and column is left out, so an empty list means equal. */
export async function compareWithOracle(request: OracleRequest): Promise<DatasetDifference[]> {
  const dir = await mkdtemp(join(tmpdir(), 'sluice-oracle-'));
  try {
    const columns = await writeOracle(request, dir);
    const db = await openDuckDb({ threads: 2 });
    try {
      await db.run(`attach ${quoteLiteral(request.goldPath)} as gold (read_only)`);
      const compared: DatasetDifference[] = [];
      for (const dataset of ORACLE_DATASETS)
        compared.push(
          await compareDataset(db, dataset, readCsvSql(join(dir, `${dataset}.csv`), columns[dataset] ?? [])),
        );
      return compared.filter(isDifferent);
    } finally {
      db.close();
    }
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** One line per difference, for assertion messages; empty when there is none. */
export function describeDifferences(differences: readonly DatasetDifference[]): string {
  return differences
    .map((found) => {
      const columns = Object.entries(found.columns).map(([column, rows]) => `${column} in ${rows}`);
      return [
        `${found.dataset}: gold ${found.goldRows} rows, oracle ${found.oracleRows}; ${found.missing} missing, ${found.extra} extra, ${found.repeated} repeated`,
        ...(columns.length === 0 ? [] : [`  values differ: ${columns.join(', ')}`]),
        ...(found.unmatchedColumns.length === 0
          ? []
          : [`  columns of one side only: ${found.unmatchedColumns.join(', ')}`]),
        ...found.sample.map((line) => `  ${line}`),
      ].join('\n');
    })
    .join('\n');
}

function isDifferent(found: DatasetDifference): boolean {
  const rows = found.missing + found.extra + found.repeated + Object.keys(found.columns).length;
  return rows > 0 || found.unmatchedColumns.length > 0 || found.goldRows !== found.oracleRows;
}

/** Runs every oracle query at one Postgres snapshot; the transaction, with its temporary tables, is rolled back. Gives the columns of each. */
async function writeOracle({ postgresUrl, asOf }: OracleRequest, dir: string): Promise<Record<string, string[]>> {
  const client = new pg.Client({ connectionString: postgresUrl, application_name: 'sluice oracle' });
  await client.connect();
  try {
    await client.query('begin isolation level repeatable read');
    await client.query(`set local time zone 'UTC'`);
    await client.query(`set local datestyle = 'ISO'`);
    await client.query('create temporary table run (as_of date not null) on commit drop');
    await client.query('insert into run values ($1)', [asOf]);
    await client.query(await readOracle('prepare'));
    const columns: Record<string, string[]> = {};
    for (const dataset of ORACLE_DATASETS) {
      const query = await readOracle(dataset);
      columns[dataset] = (await client.query(`select * from (${query}) as oracle limit 0`)).fields.map(
        ({ name }) => name,
      );
      // Postgres prints the values itself; FORCE_QUOTE tells '' from NULL.
      const stream = client.query(copyTo(`copy (${query}) to stdout with (format csv, force_quote *)`));
      await pipeline(stream, createWriteStream(join(dir, `${dataset}.csv`)));
    }
    await client.query('rollback');
    return columns;
  } finally {
    await client.end();
  }
}

async function readOracle(name: string): Promise<string> {
  return await readFile(new URL(`./oracle/${name}.sql`, import.meta.url), 'utf8');
}

async function compareDataset(db: DuckDb, dataset: OracleDataset, oracleSql: string): Promise<DatasetDifference> {
  const gold = await db.rows<{ column_name: string; column_type: string }>(
    `describe ${quotePath('gold', 'main', dataset)}`,
  );
  const typeOf = new Map(gold.map((column) => [column.column_name, column.column_type]));
  await db.run(`create or replace temp table raw_oracle as select * from ${oracleSql}`);
  const oracle = (await db.rows<{ column_name: string }>('describe raw_oracle')).map((column) => column.column_name);
  const shared = oracle.filter((name) => typeOf.has(name));
  const unmatchedColumns = [
    ...oracle.filter((name) => !typeOf.has(name)).map((name) => `${name} (oracle)`),
    ...[...typeOf.keys()].filter((name) => !oracle.includes(name)).map((name) => `${name} (gold)`),
  ];
  const project = (side: 'gold' | 'oracle'): string =>
    shared.map((name) => `${asText(name, typeOf.get(name) ?? '', side)} as ${quoteIdentifier(name)}`).join(', ');
  await db.run(`create or replace temp table oracle_side as select ${project('oracle')} from raw_oracle`);
  await db.run(
    `create or replace temp table gold_side as select ${project('gold')} from ${quotePath('gold', 'main', dataset)}`,
  );
  return { dataset, unmatchedColumns, ...(await compareSides(db, ORACLE_KEYS[dataset], shared)) };
}

/** The one text of a value that both sides print alike: exact digits, instants as microseconds, lists as JSON. */
function asText(name: string, type: string, side: 'gold' | 'oracle'): string {
  const column = quoteIdentifier(name);
  if (type.endsWith('[]')) {
    const list = side === 'gold' ? `cast(${column} as varchar[])` : `from_json(${column}, '["VARCHAR"]')`;
    return `cast(to_json(${list}) as varchar)`;
  }
  if (side === 'oracle') return column;
  if (type === 'TIMESTAMP WITH TIME ZONE') return `cast(epoch_us(${column}) as varchar)`;
  if (type === 'BOOLEAN') return `case when ${column} then 't' when not ${column} then 'f' end`;
  return `cast(${column} as varchar)`;
}

type Comparison = Omit<DatasetDifference, 'dataset' | 'unmatchedColumns'>;

async function compareSides(db: DuckDb, key: readonly string[], columns: readonly string[]): Promise<Comparison> {
  const keyList = key.map(quoteIdentifier).join(', ');
  const rest = columns.filter((name) => !key.includes(name));
  const sameKey = key
    .map((name) => `g.${quoteIdentifier(name)} is not distinct from o.${quoteIdentifier(name)}`)
    .join(' and ');
  const differs = (name: string): string =>
    `(g._here and o._here and g.${quoteIdentifier(name)} is distinct from o.${quoteIdentifier(name)})`;
  const anyDiffers = ['g._here is null', 'o._here is null', ...rest.map(differs)].join(' or ');
  const joined = `(select true as _here, * from gold_side) as g full join (select true as _here, * from oracle_side) as o on ${sameKey}`;
  const [totals] = await db.rows<Record<string, bigint>>(`
    select
      (select count(*) from gold_side) as gold_rows,
      (select count(*) from oracle_side) as oracle_rows,
      (select count(*) from (select 1 from gold_side group by ${keyList} having count(*) > 1))
        + (select count(*) from (select 1 from oracle_side group by ${keyList} having count(*) > 1)) as repeated,
      count(*) filter (where g._here is null) as missing,
      count(*) filter (where o._here is null) as extra,
      ${rest.map((name) => `count(*) filter (where ${differs(name)}) as ${quoteIdentifier(`differs ${name}`)}`).join(', ')}
    from ${joined}`);
  const counts = totals ?? {};
  const number = (name: string): number => Number(counts[name] ?? 0n);
  const [show, ...more] = [...key, ...rest].map(
    (name) =>
      `case when ${key.includes(name) ? 'true' : differs(name)} then concat(${quoteLiteral(name)}, ' ', ${shown(name, key)}) end`,
  );
  const sample = await db.rows<{ line: string }>(`
    select concat_ws(', ', case when g._here is null then 'missing' when o._here is null then 'extra' else 'different' end, ${[show, ...more].join(', ')}) as line
    from ${joined} where ${anyDiffers} order by line limit 5`);
  return {
    goldRows: number('gold_rows'),
    oracleRows: number('oracle_rows'),
    missing: number('missing'),
    extra: number('extra'),
    repeated: number('repeated'),
    columns: Object.fromEntries(
      rest.map((name) => [name, number(`differs ${name}`)] as const).filter(([, rows]) => rows > 0),
    ),
    sample: sample.map(({ line }) => line),
  };
}

function shown(name: string, key: readonly string[]): string {
  const [gold, oracle] = ['g', 'o'].map((side) => `${side}.${quoteIdentifier(name)}`);
  if (key.includes(name)) return `coalesce(${gold}, ${oracle}, 'NULL')`;
  return `coalesce(${gold}, 'NULL'), ' instead of ', coalesce(${oracle}, 'NULL')`;
}
