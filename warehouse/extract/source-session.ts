import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { messageOf, SluiceError } from '../core/errors.ts';
import { quoteLiteral } from '../core/quote.ts';
import { maskSettings } from './mask.ts';
import { createSourceSocket } from './source-socket.ts';

/** One read-only connection to the source, its session pinned so that every value prints the same everywhere. */

export interface SessionOptions {
  readonly url: string;
  /** Shown in pg_stat_activity, e.g. `sluice/0.1.0 extract app`. */
  readonly applicationName: string;
  readonly statementTimeoutMs: number;
  readonly lockTimeoutMs: number;
  /** With it the session can hash masked columns. */
  readonly maskSecret?: string | undefined;
  /** Aborting cancels the running statement in the server and ends the session. */
  readonly signal?: AbortSignal | undefined;
}

export interface SourceSession {
  readonly client: pg.Client;
  rows<T extends object>(sql: string, params?: readonly unknown[]): Promise<T[]>;
  /** Turns whatever a statement threw into an error of ours. */
  mapError(error: unknown): unknown;
  close(): Promise<void>;
}

/** Connects. Throws SOURCE_UNREACHABLE or SOURCE_AUTH_FAILED; messages name the server, never the password. */
export async function openSession(options: SessionOptions): Promise<SourceSession> {
  const where = describeUrl(options.url);
  options.signal?.throwIfAborted();
  const socket = createSourceSocket();
  const client = new pg.Client({
    connectionString: options.url,
    stream: () => socket,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    application_name: options.applicationName.slice(0, 63),
  });
  // A connection that breaks between two statements reports here; the next statement then fails and is mapped.
  client.on('error', () => undefined);
  const mapError = (error: unknown): unknown => mapSourceError(error, where, options);
  try {
    await client.connect();
    await client.query(pinSql(options));
    for (const { name, value } of options.maskSecret === undefined ? [] : maskSettings(options.maskSecret))
      await client.query('select set_config($1, $2, false)', [name, value]);
  } catch (error) {
    await client.end().catch(() => undefined);
    throw mapError(error);
  }
  const { rows: own } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
  let cancelled: Promise<void> | undefined;
  const cancel = (): void => {
    cancelled = cancelBackend(options.url, own[0]?.pid ?? 0);
  };
  options.signal?.addEventListener('abort', cancel, { once: true });
  return {
    client,
    mapError,
    rows: async <T extends object>(sql: string, params: readonly unknown[] = []) => {
      try {
        return (await client.query<T>(sql, [...params])).rows;
      } catch (error) {
        throw mapError(error);
      }
    },
    close: async () => {
      options.signal?.removeEventListener('abort', cancel);
      await cancelled;
      // A COPY left in the middle never drains by itself: the goodbye gets a moment, then the socket goes.
      const left = new AbortController();
      await Promise.race([
        client.end().catch(() => undefined),
        sleep(GOODBYE_MS, undefined, { signal: left.signal }).catch(() => undefined),
      ]);
      left.abort();
      socket.destroy();
    },
  };
}

const GOODBYE_MS = 500;
const CONNECT_TIMEOUT_MS = 15_000;

/** row_security off: rows hidden by a policy are an error, not rows that seem deleted. */
function pinSql(options: SessionOptions): string {
  const settings: Readonly<Record<string, string>> = {
    client_encoding: 'UTF8',
    DateStyle: 'ISO, YMD',
    TimeZone: 'UTC',
    IntervalStyle: 'postgres',
    extra_float_digits: '3',
    bytea_output: 'hex',
    xmloption: 'content',
    lc_monetary: 'C',
    search_path: 'pg_catalog',
    row_security: 'off',
    default_transaction_read_only: 'on',
    statement_timeout: String(options.statementTimeoutMs),
    lock_timeout: String(options.lockTimeoutMs),
    idle_in_transaction_session_timeout: '0',
  };
  return Object.entries(settings)
    .map(([name, value]) => `set ${name} = ${quoteLiteral(value)}`)
    .join('; ');
}

async function cancelBackend(url: string, pid: number): Promise<void> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: CONNECT_TIMEOUT_MS });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query('select pg_cancel_backend($1)', [pid]);
  } catch {
    // The statement then ends by its own time-out.
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** host:port/database, without user and password. */
export function describeUrl(url: string): string {
  try {
    const parsed = new URL(url);
    return `${parsed.hostname || 'localhost'}:${parsed.port || '5432'}${parsed.pathname}`;
  } catch {
    return 'the source';
  }
}

interface Mapping {
  readonly code: 'SOURCE_UNREACHABLE' | 'SOURCE_AUTH_FAILED' | 'SOURCE_QUERY_FAILED';
  readonly remedy: string;
  readonly retryable: boolean;
}

const UNREACHABLE: Mapping = {
  code: 'SOURCE_UNREACHABLE',
  remedy: 'Check that Postgres runs and that SLUICE_SOURCE_URL names its host, port and database.',
  retryable: true,
};
const AUTH_FAILED: Mapping = {
  code: 'SOURCE_AUTH_FAILED',
  remedy: 'Correct the user and password in SLUICE_SOURCE_URL.',
  retryable: false,
};
const failed = (remedy: string, retryable: boolean): Mapping => ({ code: 'SOURCE_QUERY_FAILED', remedy, retryable });

/** By SQLSTATE or system error code; prefixes of two characters are SQLSTATE classes. */
const MAPPINGS: Readonly<Record<string, Mapping>> = {
  '28': AUTH_FAILED,
  '08': failed('The connection broke; run again.', true),
  '3D': { ...UNREACHABLE, remedy: 'Correct the database name in SLUICE_SOURCE_URL.', retryable: false },
  '42501': failed(
    'Grant the role what it lacks: usage on the schema, select on the columns listed; BYPASSRLS where policies hide rows.',
    false,
  ),
  '40': failed('The server cancelled the read in favour of its own work; run again.', true),
  '53': failed('The server is short of a resource; run again later.', true),
  '55P03': failed('Another session holds a lock on the table; run again, or raise SLUICE_LOCK_TIMEOUT_S.', true),
  '57014': failed('Raise SLUICE_STATEMENT_TIMEOUT_S if the table needs longer, then run again.', true),
  '57P01': failed('The server was shut down; run again when it is back.', true),
  '57P02': failed('The server crashed; run again when it is back.', true),
  '57P03': { ...UNREACHABLE, remedy: 'The server is starting or stopping; run again in a moment.' },
};
const NETWORK = /^(ECONN|ENOTFOUND|EAI_|ETIMEDOUT|EHOST|ENET|EPIPE|ENOENT)/;

function mapSourceError(error: unknown, where: string, options: SessionOptions): unknown {
  if (error instanceof SluiceError) return error;
  if (options.signal?.aborted === true) {
    return new SluiceError('CANCELLED', `Reading ${where} was cancelled.`, { cause: error });
  }
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
  const message = messageOf(error) || (error instanceof AggregateError ? messageOf(error.errors[0]) : '');
  const mapping = MAPPINGS[code] ?? MAPPINGS[code.slice(0, 2)] ?? byMessage(code, message);
  if (mapping === undefined) {
    if (code === '') return error;
    const remedy = 'Look the message up in the Postgres documentation; the server’s log holds the statement.';
    return new SluiceError('SOURCE_QUERY_FAILED', `Postgres at ${where} refused a statement: ${message}.`, {
      remedy,
      cause: error,
    });
  }
  const subject = mapping.code === 'SOURCE_QUERY_FAILED' ? 'stopped a read' : 'cannot be opened';
  const { remedy, retryable } = mapping;
  return new SluiceError(mapping.code, `Postgres at ${where} ${subject}: ${message}.`, {
    remedy,
    retryable,
    cause: error,
  });
}

/** What the driver throws without a SQLSTATE. */
function byMessage(code: string, message: string): Mapping | undefined {
  if (NETWORK.test(code) || /timeout exceeded|timeout expired/i.test(message)) return UNREACHABLE;
  if (/password|SASL|SCRAM/i.test(message)) return AUTH_FAILED;
  if (/Connection terminated|connection error|not queryable/i.test(message)) return MAPPINGS['08'];
  return undefined;
}
