import { randomBytes, randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { messageOf } from '../../warehouse/core/errors.ts';
import type { Log } from '../../warehouse/core/log.ts';
import type { Host } from '../config.ts';
import { HOST, nextFreePort } from '../ports.ts';
import { startEmbeddedPostgres } from '../postgres/index.ts';
import { bringUp, readRecord, type ServerRecord, type ServerSpec, takeDown } from './background-server.ts';
import { isRunning, isSameProcess, startOf } from './processes.ts';
import {
  ensureBucket,
  S3_ACCESS_KEY_ID,
  S3_SERVERS,
  type S3ServerName,
  s3Endpoint,
  temporalServer,
} from './server-specs.ts';

/** All servers of a project on this machine, brought up and ended together. Their state lies in .sluice/infra. */

export interface InfraOptions {
  /** .sluice/infra of the project. */
  readonly dir: string;
  readonly host: Host;
  readonly log: Log;
  readonly onProgress?: (server: string, note: string) => void;
  /** Which S3 server: minio by default. */
  readonly s3?: S3ServerName;
  /** For tests: any free ports instead of the usual ones. */
  readonly anyPorts?: boolean;
}

export interface InfraServer {
  readonly name: string;
  readonly pid: number;
  /** true: this call started it. */
  readonly started: boolean;
  readonly healthy: boolean;
  /** Why it is not healthy. */
  readonly reason: string | null;
  /** By purpose: what to open or connect to. */
  readonly addresses: Readonly<Record<string, string>>;
}

export interface InfraState {
  readonly servers: readonly InfraServer[];
  /** Lines of a .env file with which Sluice uses these servers; secrets of this machine only. */
  readonly environment: Readonly<Record<string, string>>;
  /** The same as a file. */
  readonly envFile: string;
}

const POSTGRES_PORT = 5433;
const DATABASE = 'app';
const BUCKET = 'sluice';

interface PostgresRecord {
  readonly pid: number;
  readonly start: string;
  readonly port: number;
  readonly url: string;
}

/** Brings everything up or joins it, all servers at once; heals what was killed. */
export async function infraUp(options: InfraOptions): Promise<InfraState> {
  const { dir, onProgress = () => undefined } = options;
  await mkdir(dir, { recursive: true });
  const s3 = S3_SERVERS[options.s3 ?? (await chosenS3(dir)) ?? 'minio'];
  const start = async (spec: ServerSpec): Promise<{ record: ServerRecord; started: boolean }> => {
    const running = await bringUp(spec, {
      ...options,
      onProgress: (note) => onProgress(spec.name, note),
      makeSecret: () => randomBytes(18).toString('base64url'),
    });
    if (spec !== temporalServer) await ensureBucket(running, BUCKET);
    onProgress(spec.name, `ready on port ${Object.values(running.ports)[0]}`);
    return { record: running, started: running.started };
  };
  const results = await Promise.allSettled([upPostgres(options), start(temporalServer), start(s3)]);
  // All have ended one way or another before a failure is told: nothing goes on in the background.
  const failed = results.find((result) => result.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
  const [postgres, temporal, lake] = results.map((result) =>
    result.status === 'fulfilled' ? result.value.started : false,
  );
  await writeFile(join(dir, 's3'), `${s3.name}\n`);
  const state = await infraStatus(options);
  const startedNow: Readonly<Record<string, boolean>> = {
    postgres: postgres === true,
    temporal: temporal === true,
    [s3.name]: lake === true,
  };
  await writeEnvFile(state);
  return {
    ...state,
    servers: state.servers.map((server) => ({ ...server, started: startedNow[server.name] === true })),
  };
}

/** Addresses and health of what runs; starts nothing. */
export async function infraStatus({ dir }: Pick<InfraOptions, 'dir'>): Promise<InfraState> {
  const servers: InfraServer[] = [];
  const environment: Record<string, string> = {};
  const postgres = await readPostgres(dir);
  if (postgres !== undefined) {
    servers.push({
      name: 'postgres',
      pid: postgres.pid,
      started: false,
      ...(await healthOf(isSameProcess(postgres.pid, postgres.start), () => askPostgres(postgres.url))),
      addresses: { postgres: postgres.url },
    });
    environment['SLUICE_SOURCE_URL'] = postgres.url;
  }
  const temporal = await readRecord(dir, 'temporal');
  if (temporal !== undefined) {
    const { grpc, ui, http } = temporal.ports;
    servers.push({
      name: 'temporal',
      pid: temporal.process.pid,
      started: false,
      ...(await healthOf(isRunning(temporal.process), () => temporalServer.checkHealth(temporal))),
      addresses: { grpc: `${HOST}:${grpc}`, web_ui: `http://${HOST}:${ui}`, http_api: `http://${HOST}:${http}` },
    });
    environment['TEMPORAL_ADDRESS'] = `${HOST}:${grpc}`;
    environment['TEMPORAL_NAMESPACE'] = 'default';
    environment['SLUICE_TEMPORAL_UI'] = `http://${HOST}:${ui}`;
  }
  const chosen = await chosenS3(dir);
  for (const [name, spec] of Object.entries(S3_SERVERS)) {
    const record = await readRecord(dir, spec.name);
    if (record === undefined || (name !== chosen && !isRunning(record.process))) continue;
    const console = record.ports['console'];
    servers.push({
      name,
      pid: record.process.pid,
      started: false,
      ...(await healthOf(isRunning(record.process), () => spec.checkHealth(record))),
      addresses: { s3: s3Endpoint(record), ...(console !== undefined && { console: `http://${HOST}:${console}` }) },
    });
    if (name !== chosen) continue;
    environment['SLUICE_LAKE'] = `s3://${BUCKET}/lake`;
    environment['SLUICE_S3_ENDPOINT'] = s3Endpoint(record);
    environment['SLUICE_S3_ACCESS_KEY_ID'] = S3_ACCESS_KEY_ID;
    environment['SLUICE_S3_SECRET_ACCESS_KEY'] = record.secret;
  }
  return { servers, environment, envFile: join(dir, 'env') };
}

/** Ends what infraUp started, in order; data and ports are kept for the next time. Gives the names of those that ran. */
export async function infraDown({ dir, log }: Pick<InfraOptions, 'dir' | 'log'>): Promise<string[]> {
  const ended: string[] = [];
  const postgres = await readPostgres(dir);
  if (postgres !== undefined && isSameProcess(postgres.pid, postgres.start)) {
    // Joined only to be left by its last user, which ends it.
    await (await startEmbeddedPostgres({ dir: join(dir, 'postgres'), log })).stop();
    if (!isSameProcess(postgres.pid, postgres.start)) ended.push('postgres');
  }
  for (const name of ['temporal', 'minio', 'versitygw'] as const) {
    if (await takeDown(name, dir)) ended.push(name);
  }
  await rm(join(dir, 'env'), { force: true });
  return ended;
}

async function upPostgres({
  dir,
  log,
  onProgress = () => undefined,
  anyPorts,
}: InfraOptions): Promise<{ started: boolean }> {
  const before = await readPostgres(dir);
  const running = before !== undefined && isSameProcess(before.pid, before.start);
  const wanted = before?.port ?? POSTGRES_PORT;
  const port = running ? wanted : anyPorts === true && before === undefined ? 0 : await nextFreePort(wanted);
  if (port !== 0 && port !== wanted) onProgress('postgres', `port ${wanted} is in use, ${port} instead`);
  onProgress('postgres', running ? 'runs already' : 'starting');
  const postgres = await startEmbeddedPostgres({ dir: join(dir, 'postgres'), port, log });
  try {
    const url = await postgres.createDatabase(DATABASE);
    const record: PostgresRecord = { pid: postgres.pid, start: startOf(postgres.pid), port: postgres.port, url };
    await writePrivate(join(dir, 'postgres.json'), `${JSON.stringify(record, null, 2)}\n`);
  } finally {
    postgres.detach();
  }
  onProgress('postgres', `ready on port ${postgres.port}`);
  return { started: postgres.started };
}

async function readPostgres(dir: string): Promise<PostgresRecord | undefined> {
  try {
    return JSON.parse(await readFile(join(dir, 'postgres.json'), 'utf8')) as PostgresRecord;
  } catch {
    return undefined;
  }
}

async function askPostgres(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 3_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query('select 1');
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function healthOf(
  alive: boolean,
  check: () => Promise<void>,
): Promise<{ readonly healthy: boolean; readonly reason: string | null }> {
  if (!alive) return { healthy: false, reason: 'it does not run' };
  try {
    await check();
    return { healthy: true, reason: null };
  } catch (error) {
    return { healthy: false, reason: messageOf(error) };
  }
}

async function chosenS3(dir: string): Promise<S3ServerName | undefined> {
  const name = (await readFile(join(dir, 's3'), 'utf8').catch(() => '')).trim();
  return Object.keys(S3_SERVERS).includes(name) ? (name as S3ServerName) : undefined;
}

async function writeEnvFile({ environment, envFile }: InfraState): Promise<void> {
  await writePrivate(
    envFile,
    `${Object.entries(environment)
      .map(([name, value]) => `${name}=${value}`)
      .join('\n')}\n`,
  );
}

async function writePrivate(path: string, text: string): Promise<void> {
  // Two who come at once must not take each other's file.
  const draft = `${path}.${randomUUID()}.tmp`;
  await writeFile(draft, text, { mode: 0o600 });
  await rename(draft, path);
}
