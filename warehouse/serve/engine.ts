import { type ChildProcess, fork } from 'node:child_process';
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { messageOf, SluiceError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { ColumnType } from './column-type.ts';
import type { Statement } from './compile.ts';
import type { AnswerFormat, EngineAnswer, EngineFailure, EngineReply, EngineRequest } from './engine-protocol.ts';
import type { ServingLimits } from './limits.ts';

/** One engine process over one gold file, seen from the service. */
export interface Engine {
  readonly pid: number;
  /**
   * Runs one SELECT. `answer` settles at the latest at the deadline; `settled` when the engine has truly let go of the query,
   * which is when its place may be given to another.
   */
  run(query: EngineQuery): { readonly answer: Promise<EngineAnswer>; readonly settled: Promise<void> };
  /** Binds a statement and gives its columns, without running it. */
  check(sql: string): Promise<readonly { readonly name: string; readonly type: string }[]>;
  /** Resolves when the process has ended, for whatever reason. */
  readonly exited: Promise<void>;
  /** Ends the process at once and removes what it spilled. */
  stop(): Promise<void>;
}

export interface EngineQuery extends Statement {
  readonly columns: readonly { readonly name: string; readonly type: ColumnType }[];
  readonly format: AnswerFormat;
  readonly maxRows: number;
  /** When the answer is due, on the clock of performance.now(). */
  readonly deadline: number;
  readonly signal?: AbortSignal | undefined;
}

const START_TIMEOUT_MS = 20_000;
/** Heap of the engine process beside DuckDB: a few answers while they become text. */
const HEAP_MB = 512;

interface Pending {
  settle(reply: EngineReply): void;
  abandon(error: SluiceError): void;
}

/** Starts the process and opens the file. Throws QUERY_FAILED when the file cannot be opened. */
export async function startEngine(goldPath: string, limits: ServingLimits, log: Log): Promise<Engine> {
  const path = await realpath(goldPath).catch((cause: unknown) => {
    throw new SluiceError('QUERY_FAILED', 'The gold file of the release is not there.', {
      remedy: 'Fetch the release again.',
      retryable: true,
      cause,
    });
  });
  const spillDirectory = await mkdtemp(join(tmpdir(), 'sluice-serve-'));
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  const child = fork(fileURLToPath(new URL(`./engine-process.${extension}`, import.meta.url)), [], {
    // The bindings do their work on libuv's threads: more of them than connections, or connecting and timers starve (node-neo#325).
    // Nothing else of this process's environment is handed on: the engine needs no secret.
    env: { UV_THREADPOOL_SIZE: String(limits.poolSize + 4), TZ: 'UTC' },
    execArgv: ['--disable-warning=ExperimentalWarning', `--max-old-space-size=${HEAP_MB}`],
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });

  const pending = new Map<number, Pending>();
  let nextId = 1;
  let stderr = '';
  child.stderr?.on('data', (bytes: Buffer) => {
    stderr = (stderr + bytes.toString()).slice(-2_000);
  });
  const exited = new Promise<void>((resolve) => {
    child.once('exit', (code, signal) => {
      log.debug({ pid: child.pid, code, signal, stderr }, 'engine process ended');
      for (const query of pending.values()) query.abandon(restarted());
      pending.clear();
      resolve();
    });
  });
  const cleaned = exited.then(() => rm(spillDirectory, { recursive: true, force: true }).catch(() => undefined));
  child.on('error', (error) => log.error({ pid: child.pid, error: messageOf(error) }, 'engine process'));
  child.on('message', (reply: EngineReply) => {
    if (reply.kind === 'ready' || reply.kind === 'not_ready') return;
    const query = pending.get(reply.id);
    pending.delete(reply.id);
    query?.settle(reply);
    if (reply.kind === 'failure' && reply.failure === 'fatal') {
      log.error({ pid: child.pid, message: reply.message }, 'engine is broken; it is replaced');
      kill(child);
    }
  });

  const send = (request: EngineRequest): void => {
    if (child.connected) child.send(request, () => undefined);
  };
  const stop = async (): Promise<void> => {
    kill(child);
    await cleaned;
  };

  try {
    await opened(child, exited, () => {
      send({
        kind: 'open',
        settings: {
          path,
          spillDirectory,
          threads: limits.threads,
          memoryMb: limits.memoryMb,
          spillMb: limits.spillMb,
          poolSize: limits.poolSize,
        },
      });
    });
  } catch (error) {
    await stop();
    throw error;
  }

  return {
    pid: child.pid ?? 0,
    exited,
    stop,
    check: (sql) =>
      new Promise((resolve, reject) => {
        const id = nextId++;
        if (!child.connected) return reject(restarted());
        pending.set(id, {
          abandon: reject,
          settle: (reply) => {
            if (reply.kind === 'checked') resolve(reply.columns);
            else reject(new Error(reply.kind === 'failure' ? reply.message : 'unexpected reply'));
          },
        });
        send({ kind: 'check', id, sql });
      }),
    run: (query) => {
      const budgetMs = query.deadline - performance.now();
      if (budgetMs <= 0) return { answer: Promise.reject(timedOut(limits)), settled: Promise.resolve() };
      const id = nextId++;
      const answer = Promise.withResolvers<EngineAnswer>();
      const settled = Promise.withResolvers<void>();
      let killTimer: NodeJS.Timeout | undefined;

      // The caller is told at once; the engine is given `graceMs` to let go, then its process ends.
      const giveUp = (error: SluiceError): void => {
        answer.reject(error);
        send({ kind: 'cancel', id });
        killTimer ??= setTimeout(() => {
          log.error({ pid: child.pid, sql: query.sql }, 'a query did not stop; its engine is killed');
          kill(child);
        }, limits.graceMs);
      };
      const deadline = setTimeout(() => giveUp(timedOut(limits)), budgetMs);
      const onAbort = (): void => giveUp(cancelled());
      query.signal?.addEventListener('abort', onAbort, { once: true });
      const finish = (): void => {
        clearTimeout(deadline);
        clearTimeout(killTimer);
        query.signal?.removeEventListener('abort', onAbort);
        settled.resolve();
      };

      pending.set(id, {
        abandon: (error) => {
          answer.reject(error);
          finish();
        },
        settle: (reply) => {
          if (reply.kind === 'answer') answer.resolve(reply.answer);
          else if (reply.kind === 'failure') {
            answer.reject(errorOf(reply.failure, reply.message, limits));
          }
          finish();
        },
      });
      if (query.signal?.aborted === true) onAbort();
      if (child.connected) {
        const { sql, values, columns, format, maxRows } = query;
        send({ kind: 'query', id, sql, values, columns, format, maxRows, maxBytes: limits.maxBytes, budgetMs });
      } else {
        pending.get(id)?.abandon(restarted());
        pending.delete(id);
      }
      return { answer: answer.promise, settled: settled.promise };
    },
  };
}

async function opened(child: ChildProcess, exited: Promise<void>, begin: () => void): Promise<void> {
  const reply = Promise.withResolvers<EngineReply>();
  child.once('message', reply.resolve);
  child.once('error', reply.reject);
  const timer = setTimeout(() => reply.reject(new Error(`no answer in ${START_TIMEOUT_MS} ms`)), START_TIMEOUT_MS);
  void exited.then(() => reply.reject(new Error('the process ended')));
  try {
    begin();
    const first = await reply.promise;
    if (first.kind !== 'ready') throw new Error(first.kind === 'not_ready' ? first.message : 'unexpected reply');
  } catch (cause) {
    throw new SluiceError('QUERY_FAILED', 'The query engine could not open the gold file.', {
      remedy: 'Check the memory and disk of this machine, and that the release’s gold file is whole.',
      retryable: true,
      cause,
    });
  } finally {
    clearTimeout(timer);
  }
}

function kill(child: ChildProcess): void {
  if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
}

/** `message` is DuckDB's own, which may hold anybody's values: it goes to the log as the cause and nowhere else. */
function errorOf(failure: EngineFailure, message: string, limits: ServingLimits): SluiceError {
  switch (failure) {
    case 'timeout':
      return timedOut(limits);
    case 'cancelled':
      return cancelled();
    case 'too_large':
      return new SluiceError('QUERY_TOO_LARGE', `The answer is larger than ${limits.maxBytes} bytes.`, {
        remedy: 'Ask for fewer rows with a smaller limit or narrower dates.',
      });
    case 'memory':
      return new SluiceError('QUERY_TOO_LARGE', 'The query needs more memory than the service gives it.', {
        remedy: 'Ask for fewer rows with a smaller limit or narrower dates.',
      });
    case 'fatal':
      return restarted();
    case 'failed':
      return new SluiceError('QUERY_FAILED', 'The query failed.', {
        cause: new Error(message),
        remedy: 'Give the request id to whoever runs the service.',
      });
    default:
      return failure satisfies never;
  }
}

function timedOut(limits: ServingLimits): SluiceError {
  return new SluiceError('QUERY_TIMEOUT', `The query took longer than ${limits.timeoutMs} ms and was stopped.`, {
    remedy: 'Ask for fewer rows with narrower dates, or try again later.',
    retryable: true,
  });
}

function cancelled(): SluiceError {
  return new SluiceError('CANCELLED', 'The request was cancelled by its caller.');
}

function restarted(): SluiceError {
  return new SluiceError('ENGINE_BUSY', 'The query engine is being restarted.', {
    remedy: 'Send the same request again in a second.',
    retryable: true,
    details: { retryAfterSeconds: 1 },
  });
}
