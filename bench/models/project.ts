import type { BenchTable } from '../bench-lake.ts';

/** Models that cost a database next to nothing, so that what is measured is the tool around it: each a few rows, each with two tests. */

export const ITEMS: BenchTable = { key: ['id'], columns: { id: 'BIGINT', amount: 'DECIMAL(14,2)' } };
export const ITEMS_SQL = `select i as id, i / 10 as amount, 'read' as _op from range(100) as t(i)`;
/** What stands in for bronze where there is none. */
export const ITEMS_TABLE_SQL = 'select i::bigint as id, (i / 10)::decimal(14, 2) as amount from range(100) as t(i)';

export interface TrivialModel {
  readonly layer: 'silver' | 'gold';
  readonly table: string;
  /** Name of the table it reads, as `ref` writes it. */
  readonly sql: (ref: (layer: 'bronze' | 'silver', table: string) => string) => string;
}

/** Half in silver over the one source table, half in gold over those. */
export function trivialModels(count: number): readonly TrivialModel[] {
  const half = Math.ceil(count / 2);
  return Array.from({ length: count }, (_, index) => {
    const inSilver = index < half;
    const number = String(inSilver ? index : index - half).padStart(4, '0');
    return {
      layer: inSilver ? 'silver' : 'gold',
      table: `${inSilver ? 's' : 'g'}_${number}`,
      sql: (ref) =>
        `select id, amount + ${index} as amount from ${inSilver ? ref('bronze', 'items') : ref('silver', `s_${number}`)}`,
    };
  });
}

export function ourFiles(models: readonly TrivialModel[]): ReadonlyMap<string, string> {
  return new Map(
    models.map(({ layer, table, sql }) => [
      `sql/${layer}/bench/${table}.sql`,
      `/*
description: Model ${table}.
materialized: table
owner: { public: "a benchmark" }
columns:
  id: { type: BIGINT, description: "Number.", tests: [not_null] }
  amount: { description: "Amount.", tests: [not_null] }
*/
${sql((from, name) => (from === 'bronze' ? `bronze.app.${name}` : `${from}.${name}`))}
`,
    ]),
  );
}

/** The same as a dbt project over DuckDB. */
export function dbtFiles(models: readonly TrivialModel[]): ReadonlyMap<string, string> {
  const yaml = models.map(
    ({ table }) =>
      `  - name: ${table}\n    columns:\n      - name: id\n        data_tests: [not_null]\n      - name: amount\n        data_tests: [not_null]`,
  );
  return new Map([
    [
      'dbt_project.yml',
      "name: bench\nversion: '1.0'\nprofile: bench\nmodels:\n  bench:\n    +materialized: table\nflags:\n  send_anonymous_usage_stats: false\n",
    ],
    ['profiles.yml', 'bench:\n  target: dev\n  outputs:\n    dev: { type: duckdb, path: bench.duckdb, threads: 1 }\n'],
    ['models/items.sql', ITEMS_TABLE_SQL],
    ['models/schema.yml', `version: 2\nmodels:\n${yaml.join('\n')}\n`],
    ...models.map(({ table, sql }): [string, string] => [
      `models/${table}.sql`,
      sql((_, name) => `{{ ref('${name}') }}`),
    ]),
  ]);
}

/** The same as a SQLMesh project over DuckDB. */
export function sqlmeshFiles(models: readonly TrivialModel[]): ReadonlyMap<string, string> {
  const model = (name: string, sql: string) =>
    `model (name bench.${name}, kind full, audits (not_null(columns := (id)), not_null(columns := (amount))));\n${sql}\n`;
  return new Map([
    [
      'config.yaml',
      'gateways:\n  dev:\n    connection: { type: duckdb, database: bench.duckdb }\ndefault_gateway: dev\nmodel_defaults: { dialect: duckdb, start: 2026-01-01 }\ndisable_anonymized_analytics: true\n',
    ],
    ['models/items.sql', model('items', ITEMS_TABLE_SQL)],
    ...models.map(({ table, sql }): [string, string] => [
      `models/${table}.sql`,
      model(
        table,
        sql((_, name) => `bench.${name}`),
      ),
    ]),
  ]);
}
