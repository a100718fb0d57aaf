import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf, SluiceError } from '../../warehouse/core/errors.ts';
import { HOST } from '../ports.ts';
import { type Account, asAccount } from './account.ts';
import type { Binaries } from './binaries.ts';
import { findPostmaster, isServerOf } from './postmaster.ts';

export interface ServerOptions {
  readonly binaries: Binaries;
  readonly account: Account | undefined;
  readonly durable: boolean;
}

/** How a start ended. `busy`: another server of this folder lives or is still dying; look again. */
export type StartOutcome =
  | { readonly kind: 'ready'; readonly pid: number }
  | { readonly kind: 'busy'; readonly reason: string }
  | { readonly kind: 'port-in-use'; readonly reason: string }
  | { readonly kind: 'failed'; readonly reason: string };

const LOG_BYTES_MAX = 4_000_000;

/** Starts the server as a process of its own session, so that a Ctrl-C of the terminal reaches only the owner, who stops it in order. */
export async function startServer(
  home: string,
  port: number,
  options: ServerOptions,
  deadline: number,
): Promise<StartOutcome> {
  const dataDir = join(home, 'data');
  const logPath = join(home, 'postgres.log');
  if (existsSync(logPath) && statSync(logPath).size > LOG_BYTES_MAX) renameSync(logPath, `${logPath}.1`);
  const logFd = openSync(logPath, 'a');
  const logStart = statSync(logPath).size;
  let child: ChildProcess;
  try {
    child = spawn(options.binaries.postgres, ['-D', dataDir, ...settings(port, options.durable)], {
      ...asAccount(options.account),
      cwd: dataDir,
      detached: true,
      env: { LC_ALL: 'C', TZ: 'UTC' },
      stdio: ['ignore', logFd, logFd],
    });
  } finally {
    closeSync(logFd);
  }
  child.unref();
  let failure: unknown;
  child.once('error', (error) => (failure = error));
  while (Date.now() < deadline) {
    if (failure !== undefined) return { kind: 'failed', reason: messageOf(failure) };
    if (child.exitCode !== null || child.signalCode !== null) {
      return explainExit(readFileSync(logPath).subarray(logStart).toString('utf8'));
    }
    const postmaster = findPostmaster(dataDir);
    if (postmaster?.pid === child.pid && postmaster?.status === 'ready') return { kind: 'ready', pid: postmaster.pid };
    await sleep(10);
  }
  child.kill('SIGQUIT');
  return { kind: 'failed', reason: 'the server did not get ready in time' };
}

/** Stops a server and waits for its end: in order first, at once when that takes over 30 s. */
export async function stopServer(dataDir: string, pid: number): Promise<void> {
  for (const [signal, patienceMs] of [
    ['SIGINT', 30_000],
    ['SIGQUIT', 5_000],
    ['SIGKILL', 5_000],
  ] as const) {
    signalServer(dataDir, pid, signal);
    const until = Date.now() + patienceMs;
    while (Date.now() < until) {
      // The pid file goes a moment before the process does.
      if (!isServerOf(pid, dataDir)) return;
      await sleep(10);
    }
  }
  throw new SluiceError('POSTGRES_START_FAILED', `The Postgres server ${pid} of ${dataDir} does not stop.`, {
    remedy: `End the process ${pid} by hand.`,
  });
}

/** SIGINT is Postgres's fast shutdown. Only the server of this folder is ever signalled. */
export function signalServer(dataDir: string, pid: number, signal: NodeJS.Signals): void {
  if (!isServerOf(pid, dataDir)) return;
  try {
    process.kill(pid, signal);
  } catch {
    // it ended in between
  }
}

function settings(port: number, durable: boolean): string[] {
  const pairs: Record<string, string> = {
    port: String(port),
    listen_addresses: HOST,
    // TCP only: the path of a socket file in a deep folder exceeds the 107 bytes that Unix allows.
    unix_socket_directories: '',
    timezone: 'UTC',
    log_timezone: 'UTC',
    max_connections: '200',
    // What change data capture and prepared transactions need; both are off in a stock server.
    wal_level: 'logical',
    max_prepared_transactions: '16',
    // A bulk load of 2 million rows must not stop for checkpoints.
    max_wal_size: '4GB',
    checkpoint_timeout: '15min',
    // Lets a test or a curious user see in which order transactions became visible.
    track_commit_timestamp: 'on',
    ...(durable ? {} : { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' }),
  };
  return Object.entries(pairs).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
}

function explainExit(log: string): StartOutcome {
  const fatal = log.split('\n').filter((line) => /FATAL|PANIC|could not|error while loading/.test(line));
  const reason = (fatal.length > 0 ? fatal.join(' ') : log.trim().slice(-2000)) || 'it ended without a word';
  if (/lock file "postmaster\.pid" already exists|pre-existing shared memory block/.test(log))
    return { kind: 'busy', reason };
  if (/Address already in use/.test(log)) return { kind: 'port-in-use', reason };
  return { kind: 'failed', reason };
}
