import { rmSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { DuckDBConnection } from '@duckdb/node-api';
import { DuckDBInstance, StatementType } from '../core/duckdb-bindings.ts';
import { quoteLiteral } from '../core/quote.ts';
import { createAnswerWriter, jsonColumns } from './answer-text.ts';
import type { EngineAnswer, EngineFailure, EngineReply, EngineRequest, EngineSettings } from './engine-protocol.ts';

/**
 * The program of the engine process: DuckDB over one gold file, read-only, without files or network, its settings locked.
 * A crash, a query that will not stop or a leak ends this process and nothing else.
 *
 *   open ──► ready        query ──► answer | failure        cancel: the query ends as `cancelled`
 *
 * An early interrupt is lost (research: ignored when it comes before the query has begun), so it is repeated until the query settles.
 * Rows come from `run()`, never from a stream: streams of this binding swallow errors and end short.
 */

const INTERRUPT_EVERY_MS = 25;

interface Running {
  readonly connection: DuckDBConnection;
  stop: 'timeout' | 'cancelled' | undefined;
  interrupting: NodeJS.Timeout | undefined;
}

const running = new Map<number, Running>();
const free: DuckDBConnection[] = [];
let instance: DuckDBInstance | undefined;
let spillDirectory: string | undefined;

process.on('message', (request: EngineRequest) => {
  void handle(request);
});
// The owner is gone: nobody will read an answer or clean up the spill directory.
process.on('disconnect', () => {
  if (spillDirectory !== undefined) rmSync(spillDirectory, { recursive: true, force: true });
  process.kill(process.pid, 'SIGKILL');
});

async function handle(request: EngineRequest): Promise<void> {
  switch (request.kind) {
    case 'open':
      return open(request.settings);
    case 'query':
      return query(request);
    case 'check':
      return check(request.id, request.sql);
    case 'cancel': {
      const query = running.get(request.id);
      if (query !== undefined) stop(query, 'cancelled');
      return;
    }
    default:
      request satisfies never;
  }
}

async function open(settings: EngineSettings): Promise<void> {
  spillDirectory = settings.spillDirectory;
  try {
    // Attached by name and not opened as the main database: the catalog is `gold` whatever the file is called.
    instance = await DuckDBInstance.create(':memory:', {
      threads: String(settings.threads),
      memory_limit: `${settings.memoryMb}MB`,
      temp_directory: settings.spillDirectory,
      max_temp_directory_size: `${settings.spillMb}MB`,
      autoinstall_known_extensions: 'false',
      autoload_known_extensions: 'false',
      allow_community_extensions: 'false',
      allow_persistent_secrets: 'false',
    });
    const first = await instance.connect();
    await first.run(`attach ${quoteLiteral(settings.path)} as gold (read_only)`);
    // The order counts: after the first of these no file but the attached one opens, after the second nothing is set any more.
    await first.run('set enable_external_access = false');
    await first.run('set lock_configuration = true');
    free.push(first);
    while (free.length < settings.poolSize) free.push(await instance.connect());
    reply({ kind: 'ready' });
  } catch (error) {
    reply({ kind: 'not_ready', message: String(error) });
  }
}

async function query(request: Extract<EngineRequest, { kind: 'query' }>): Promise<void> {
  const connection = free.pop();
  if (connection === undefined) {
    reply({ kind: 'failure', id: request.id, failure: 'failed', message: 'no connection is free' });
    return;
  }
  const query: Running = { connection, stop: undefined, interrupting: undefined };
  running.set(request.id, query);
  const deadline = setTimeout(() => stop(query, 'timeout'), request.budgetMs);
  let healthy = false;
  let outcome: EngineReply;
  try {
    const answer = await run(query, request);
    // An answer that comes after the stop is whole, but its reader has been told otherwise.
    outcome =
      query.stop === undefined
        ? { kind: 'answer', id: request.id, answer }
        : { kind: 'failure', id: request.id, failure: query.stop, message: 'stopped' };
    healthy = query.stop === undefined;
  } catch (error) {
    outcome = { kind: 'failure', id: request.id, failure: query.stop ?? classify(error), message: String(error) };
  } finally {
    clearTimeout(deadline);
    clearInterval(query.interrupting);
    running.delete(request.id);
  }
  // A connection that saw an error or an interrupt is not used again.
  free.push(healthy ? connection : await replace(connection));
  reply(outcome);
}

async function run(query: Running, request: Extract<EngineRequest, { kind: 'query' }>): Promise<EngineAnswer> {
  const prepared = await prepareSelect(query.connection, request.sql);
  try {
    prepared.bind([...request.values]);
    assertNotStopped(query);
    const result = await prepared.run();
    const writer = createAnswerWriter(request.format, request.columns, request.maxBytes);
    const cutColumn = request.columns.length < result.columnCount ? request.columns.length : undefined;
    let seen = 0;
    for (let at = 0; at < result.chunkCount; at += 1) {
      // Lets an interrupt of another query through between two chunks of 2,048 rows.
      await nextTurn();
      assertNotStopped(query);
      const chunk = result.getChunk(at);
      if (cutColumn !== undefined && chunk.getColumnValues(cutColumn).includes(true)) throw new TooLargeError();
      const columns = jsonColumns(chunk, request.columns);
      for (let row = 0; row < chunk.rowCount; row += 1) {
        seen += 1;
        if (seen > request.maxRows) break;
        if (!writer.row(columns.map((column) => column[row] ?? null))) throw new TooLargeError();
      }
    }
    return { ...writer.finish(), more: seen > request.maxRows, rss: process.memoryUsage.rss() };
  } finally {
    prepared.destroySync();
  }
}

/** Exactly one statement, and a SELECT: what the compiler emits, and nothing else even if it erred. */
async function prepareSelect(connection: DuckDBConnection, sql: string) {
  const statements = await connection.extractStatements(sql);
  if (statements.count !== 1) throw new Error(`expected one statement, got ${statements.count}`);
  const prepared = await statements.prepare(0);
  if (prepared.statementType !== StatementType.SELECT) {
    prepared.destroySync();
    throw new Error('expected a SELECT');
  }
  return prepared;
}

async function check(id: number, sql: string): Promise<void> {
  const connection = await instance?.connect();
  try {
    if (connection === undefined) throw new Error('the engine is not open');
    const prepared = await prepareSelect(connection, sql);
    const columns = Array.from({ length: prepared.columnCount }, (_, at) => ({
      name: prepared.columnName(at),
      type: prepared.columnType(at).toString(),
    }));
    prepared.destroySync();
    reply({ kind: 'checked', id, columns });
  } catch (error) {
    reply({ kind: 'failure', id, failure: classify(error), message: String(error) });
  } finally {
    connection?.closeSync();
  }
}

function stop(query: Running, why: 'timeout' | 'cancelled'): void {
  if (query.stop !== undefined) return;
  query.stop = why;
  query.connection.interrupt();
  query.interrupting = setInterval(() => query.connection.interrupt(), INTERRUPT_EVERY_MS);
}

function assertNotStopped(query: Running): void {
  if (query.stop !== undefined) throw new Error('stopped');
}

async function replace(connection: DuckDBConnection): Promise<DuckDBConnection> {
  connection.closeSync();
  if (instance === undefined) throw new Error('the engine is not open');
  return instance.connect();
}

class TooLargeError extends Error {}

function classify(error: unknown): EngineFailure {
  if (error instanceof TooLargeError) return 'too_large';
  const message = String(error);
  if (/Out of Memory Error|failed to (?:pin|allocate|offload)|max_temp_directory_size/i.test(message)) return 'memory';
  return /database has been invalidated|INTERNAL Error|FATAL Error/i.test(message) ? 'fatal' : 'failed';
}

function reply(message: EngineReply): void {
  // A channel that closed while a query ran has nobody at its other end.
  if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
}
