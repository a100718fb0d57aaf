import pg from 'pg';
import type { IsoDate } from '../warehouse/core/clock.ts';
import { messageOf, SluiceError } from '../warehouse/core/errors.ts';
import { dayOf } from './calendar.ts';
import type { World } from './world.ts';

/** What the demo remembers of itself, in the database it lives in. */
export interface DemoState {
  readonly scale: number;
  readonly seed: number;
  /** The last day of life in the tables. */
  readonly asOf: IsoDate;
  /** The last day that was loaded; the days since were played by evolve. */
  readonly loadedAsOf: IsoDate;
}

const STATE_SQL = `
  create schema if not exists sluice_demo;
  create table if not exists sluice_demo.state (
    only_row     boolean primary key default true check (only_row),
    seed         bigint not null,
    scale        double precision not null,
    loaded_as_of date not null,
    as_of        date not null
  )`;

/** Runs something with a connection of its own. Connection failures become SOURCE_UNREACHABLE or SOURCE_AUTH_FAILED. */
export async function withClient<T>(url: string, run: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = await connect(url);
  try {
    return await run(client);
  } finally {
    await client.end().catch(() => undefined);
  }
}

export async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString: url,
    application_name: 'sluice demo',
    connectionTimeoutMillis: 10_000,
  });
  // An idle connection that breaks is reported by the next query.
  client.on('error', () => undefined);
  try {
    await client.connect();
  } catch (cause) {
    const { host, port, database, user = '' } = client;
    const refused = cause instanceof pg.DatabaseError && cause.code?.startsWith('28') === true;
    throw refused
      ? new SluiceError(
          'SOURCE_AUTH_FAILED',
          `Postgres at ${host}:${port} refuses the user ${user}: ${cause.message}.`,
          {
            remedy: 'Check user and password in the URL.',
            cause,
          },
        )
      : new SluiceError(
          'SOURCE_UNREACHABLE',
          `Postgres at ${host}:${port}/${database} cannot be opened: ${reasonOf(cause)}.`,
          {
            remedy: 'Check host, port and database in the URL, and that the server runs.',
            retryable: true,
            cause,
          },
        );
  }
  return client;
}

/** Several addresses that fail come as one error without a message of its own. */
function reasonOf(cause: unknown): string {
  return messageOf(cause) || (cause instanceof AggregateError ? messageOf(cause.errors[0]) : 'it does not answer');
}

/** The state of the demo in a database; undefined where none was loaded. */
export async function demoState(url: string): Promise<DemoState | undefined> {
  return await withClient(url, readState);
}

export async function readState(client: pg.ClientBase, lock = false): Promise<DemoState | undefined> {
  const exists = await client.query<{ found: boolean }>(`select to_regclass('sluice_demo.state') is not null as found`);
  if (exists.rows[0]?.found !== true) return undefined;
  const result = await client.query<{ seed: string; scale: number; as_of: IsoDate; loaded_as_of: IsoDate }>(
    `select seed, scale, as_of::text, loaded_as_of::text from sluice_demo.state ${lock ? 'for update' : ''}`,
  );
  const row = result.rows[0];
  if (row === undefined) return undefined;
  return { scale: row.scale, seed: Number(row.seed), asOf: row.as_of, loadedAsOf: row.loaded_as_of };
}

export async function writeState(client: pg.ClientBase, state: DemoState): Promise<void> {
  await client.query(STATE_SQL);
  await client.query(
    `insert into sluice_demo.state (seed, scale, loaded_as_of, as_of) values ($1, $2, $3, $4)
     on conflict (only_row) do update set
       seed = excluded.seed, scale = excluded.scale, loaded_as_of = excluded.loaded_as_of, as_of = excluded.as_of`,
    [state.seed, state.scale, state.loadedAsOf, state.asOf],
  );
}

export function worldOf(state: DemoState): World {
  return { seed: state.seed, scale: state.scale, epoch: dayOf(state.loadedAsOf) };
}
