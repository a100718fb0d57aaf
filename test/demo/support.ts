import type { TestContext } from 'node:test';
import pg from 'pg';
import { keyOf } from '../../demo/apply.ts';
import { type Day, dayOf } from '../../demo/calendar.ts';
import type { Entity } from '../../demo/entity.ts';
import { TABLE_NAMES, type TableName } from '../../demo/index.ts';
import { peopleThrough } from '../../demo/people.ts';
import { TABLES } from '../../demo/rows.ts';
import { orgEntities, type World } from '../../demo/world.ts';
import { testDatabase } from '../support/postgres.ts';

export interface Session {
  readonly url: string;
  rows<T extends pg.QueryResultRow>(sql: string, values?: readonly unknown[]): Promise<T[]>;
}

/** A database of this test's own and a connection to it. */
export async function openSession(t: TestContext): Promise<Session> {
  const database = await testDatabase();
  const client = new pg.Client({ connectionString: database.url });
  client.on('error', () => undefined);
  await client.connect();
  t.after(async () => {
    await client.end();
    await database.drop();
  });
  return {
    url: database.url,
    rows: async (sql, values = []) => (await client.query(sql, [...values])).rows,
  };
}

/** The columns that a replay gives again: all of them, or all but those that follow the real clock. */
function replayedColumns(table: TableName, clock: 'loaded' | 'evolved'): readonly string[] {
  return TABLES[table].filter((column) => clock === 'loaded' || column !== 'updated_at');
}

/** A checksum per table over every row and column, in order of the key. */
export async function checksums(session: Session, clock: 'loaded' | 'evolved'): Promise<Record<TableName, string>> {
  const sums: Partial<Record<TableName, string>> = {};
  for (const table of TABLE_NAMES) {
    const row = `row(${replayedColumns(table, clock).join(', ')})::text`;
    const [found] = await session.rows<{ sum: string }>(
      `select count(*) || ' ' || coalesce(md5(string_agg(${row}, e'\\n' order by ${keyOf(table).join(', ')})), '-') as sum from app.${table}`,
    );
    sums[table] = found?.sum ?? '';
  }
  return sums as Record<TableName, string>;
}

/** Rows that a table has and should not have, or should have and has not, against the generator's own idea of the day. */
export async function differences(session: Session, world: World, date: string): Promise<Record<string, number>> {
  const expected = new Map<TableName, unknown[]>(TABLE_NAMES.map((table) => [table, []]));
  const day: Day = dayOf(date);
  const add = (entity: Entity): void => {
    const row = entity.at(day);
    if (row !== undefined) expected.get(entity.table)?.push(row);
  };
  orgEntities(world).forEach(add);
  for (const { entities } of peopleThrough(world, day)) entities.forEach(add);
  const found: Record<string, number> = {};
  for (const [table, rows] of expected) {
    const columns = replayedColumns(table, 'evolved').join(', ');
    const [counted] = await session.rows<{ n: number }>(
      `with expected as (select ${columns} from json_populate_recordset(null::app.${table}, $1)),
            actual as (select ${columns} from app.${table})
       select (select count(*) from (select * from expected except all select * from actual) x)::int
            + (select count(*) from (select * from actual except all select * from expected) x)::int as n`,
      [JSON.stringify(rows)],
    );
    if (counted?.n !== 0) found[table] = counted?.n ?? -1;
  }
  return found;
}
