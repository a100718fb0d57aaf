import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import pg from 'pg';
import { schemaSql } from '../../demo/index.ts';
import { type DuckDb, openDuckDb, type RowValue } from '../../warehouse/core/duckdb.ts';
import { quoteLiteral } from '../../warehouse/core/quote.ts';
import { type TestDatabase, testDatabase } from '../support/postgres.ts';
import { createModelBuilder, type ModelBuilder } from './build-models.ts';
import { type Life, writeLives } from './random-lives.ts';

/** What tests by example share: a database with schema app for the file, lives written in a line, and a look into the gold built from them. */

let database: TestDatabase;
export let builder: ModelBuilder;
let dir: string;

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sluice-definitions-'));
  database = await testDatabase();
  await onPostgres(async (client) => void (await client.query(await schemaSql())));
  builder = await createModelBuilder(database.url);
});

after(async () => {
  await database.drop();
  await rm(dir, { recursive: true, force: true });
});

export async function onPostgres(work: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}

/** Replaces all rows by these users', user 1 being the first. */
export async function writeExamples(lives: readonly Life[]): Promise<void> {
  await writeLives(database.url, lives);
}

let builds = 0;
export async function withGold(
  asOf: string,
  look: (db: DuckDb, failures: Readonly<Record<string, number>>) => Promise<void>,
): Promise<void> {
  builds += 1;
  const goldPath = join(dir, `gold-${builds}.duckdb`);
  const failures = await builder.build({ goldPath, asOf });
  const db = await openDuckDb({ threads: 1 });
  try {
    await db.run(`attach ${quoteLiteral(goldPath)} as gold (read_only)`);
    await look(db, failures);
  } finally {
    db.close();
  }
}

export const rowsOf = async (db: DuckDb, sql: string): Promise<RowValue[][]> =>
  (await db.rows(sql)).map((row) => Object.values(row));

export const EUR = { connection: 9, kind: 'checking', currency: 'EUR', opened: -200, open: null, balance: 0 } as const;
export const USD = { ...EUR, currency: 'USD' } as const;

export function lifeOf(
  accounts: Life['accounts'],
  moves: readonly (readonly [account: number, day: number, amount: number, pending?: boolean])[],
): Life {
  return {
    connections: [],
    accounts,
    transactions: moves.map(([account, day, amount, pending]) => ({
      account,
      day,
      amount,
      pending: pending ?? false,
      merchant: null,
      tags: [],
    })),
    tags: [],
    snapshots: [],
  };
}
