import assert from 'node:assert/strict';
import type pg from 'pg';
import { currentRowsSql } from '../../../warehouse/core/bronze-sql.ts';
import type { SourceDefinition } from '../../../warehouse/extract/index.ts';
import { query, type RunResult, type TestLake } from '../lake.ts';

/** Rows as texts in an order of their own: with or without a key, double ones count twice. */
export async function sourceRows(client: pg.Client, table: string): Promise<string[]> {
  const { rows } = await client.query<{ row: string }>(
    `select concat_ws('|', id, v, (extract(epoch from updated_at) * 1000000)::bigint) as row from app.${table}`,
  );
  return rows.map(({ row }) => row).sort();
}

export async function bronzeRows(lake: TestLake, table: string): Promise<string[]> {
  const rows = await query(
    `select concat_ws('|', id, v, epoch_us(updated_at)) as row from (${currentRowsSql(await lake.table('app', table))})`,
  );
  return rows.map((row) => String(row['row'])).sort();
}

/** Extracts, commits, and holds bronze against what Postgres shows at the very snapshot of the run, table by table. */
export async function runAndCompare(lake: TestLake, observer: pg.Client, source: SourceDefinition): Promise<RunResult> {
  const tables = Object.keys(source.tables);
  const expected: string[][] = [];
  const result = await lake.run(source, {
    onSnapshot: async (exported) => {
      await observer.query(`begin isolation level repeatable read; set transaction snapshot '${exported}'`);
      for (const table of tables) expected.push(await sourceRows(observer, table));
      await observer.query('commit');
    },
  });
  for (const [i, table] of tables.entries())
    assert.deepEqual(await bronzeRows(lake, table), expected[i], `${table} as of the snapshot`);
  return result;
}
