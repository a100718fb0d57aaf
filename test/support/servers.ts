import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readHost } from '../../infra/config.ts';
import { onProcessEnd } from '../../infra/postgres/process-end.ts';
import {
  bringUp,
  createTemporalNamespace,
  deleteTemporalNamespace,
  endServerNow,
  ensureBucket,
  isSameProcess,
  minioServer,
  type RunningServer,
  S3_ACCESS_KEY_ID,
  type ServerSpec,
  s3Endpoint,
  startOf,
  temporalServer,
  versitygwServer,
} from '../../infra/provision/index.ts';
import { createLog } from '../../warehouse/core/log.ts';
import type { S3Location } from '../../warehouse/core/s3-store.ts';

/**
 * Real servers for tests, one of each per machine and user, joined by every test process and ended by the last one to leave. They are
 * found or built by the same code as `npm run infra:up`; one that cannot be had fails the test that asks for it.
 */

export interface TestTemporal {
  /** host:port of the gRPC front end. */
  readonly address: string;
  /** A namespace of the caller's own, with the search attributes. */
  readonly namespace: string;
  /** The HTTP API that the Web UI uses. */
  readonly httpUrl: string;
  readonly uiUrl: string;
  /** Deletes the namespace. */
  drop(): Promise<void>;
}

export interface TestBucket {
  readonly endpoint: string;
  readonly bucket: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** The same as what createS3Store takes; the lake is the whole bucket. */
  readonly location: S3Location;
  /** The same as options of the configuration, SLUICE_LAKE included. */
  readonly environment: Readonly<Record<string, string>>;
}

export async function testTemporal(): Promise<TestTemporal> {
  const server = await joinShared(temporalServer);
  const namespace = freshName('sluice-test');
  await createTemporalNamespace(server, namespace);
  return {
    address: `127.0.0.1:${server.ports['grpc']}`,
    namespace,
    httpUrl: `http://127.0.0.1:${server.ports['http']}`,
    uiUrl: `http://127.0.0.1:${server.ports['ui']}`,
    drop: () => deleteTemporalNamespace(server, namespace),
  };
}

export function testMinio(): Promise<TestBucket> {
  return freshBucket(minioServer);
}

export function testVersity(): Promise<TestBucket> {
  return freshBucket(versitygwServer);
}

/** Both kinds, for tests that hold for every S3. */
export const S3_TEST_SERVERS = { minio: testMinio, versitygw: testVersity } as const;

/** A server of the caller's own, which may be killed; its folder is `dir`, and `end` ends it. */
export async function ownServer(
  spec: ServerSpec,
  dir: string,
): Promise<RunningServer & { readonly restart: () => Promise<RunningServer>; readonly end: () => void }> {
  const start = (): Promise<RunningServer> => bringUp(spec, { ...bringUpOptions(dir) });
  let server = await start();
  const end = (): void => endServerNow(server);
  onProcessEnd(end);
  return {
    ...server,
    restart: async () => {
      server = await start();
      return server;
    },
    end,
  };
}

export async function bucketOn(server: RunningServer): Promise<TestBucket> {
  const bucket = freshName('t');
  await ensureBucket(server, bucket);
  const endpoint = s3Endpoint(server);
  const credentials = { accessKeyId: S3_ACCESS_KEY_ID, secretAccessKey: server.secret };
  return {
    endpoint,
    bucket,
    ...credentials,
    location: { bucket, prefix: '', endpoint, credentials },
    environment: {
      SLUICE_LAKE: `s3://${bucket}`,
      SLUICE_S3_ENDPOINT: endpoint,
      SLUICE_S3_ACCESS_KEY_ID: credentials.accessKeyId,
      SLUICE_S3_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    },
  };
}

/** Brings all three up and keeps them until this process ends, so that test processes that follow each other share them. */
export async function holdTestServers(onProgress: (server: string, note: string) => void): Promise<void> {
  const specs = [temporalServer, minioServer, versitygwServer];
  const servers = await Promise.allSettled(
    specs.map((spec) => joinShared(spec, (note) => onProgress(spec.name, note))),
  );
  for (const server of servers) if (server.status === 'rejected') throw server.reason;
}

const SHARED_DIR = join(tmpdir(), `sluice-test-servers-${userInfo().uid}`);
const joined = new Map<string, Promise<RunningServer>>();

function joinShared(spec: ServerSpec, onProgress?: (note: string) => void): Promise<RunningServer> {
  const before = joined.get(spec.name);
  if (before !== undefined) return before;
  const server = enterShared(spec, onProgress);
  joined.set(spec.name, server);
  return server;
}

/**
 * Who comes writes a mark and then looks whether somebody is ending the server; who goes says that he may end it and then looks for marks.
 * Each writes before he looks, so of two that meet at least one sees the other.
 */
async function enterShared(spec: ServerSpec, onProgress?: (note: string) => void): Promise<RunningServer> {
  const self = `${spec.name}-${process.pid}-${startOf(process.pid)}`;
  const using = join(SHARED_DIR, 'using', self);
  const ending = join(SHARED_DIR, 'ending', self);
  for (const dir of ['using', 'ending']) mkdirSync(join(SHARED_DIR, dir), { recursive: true });
  writeFileSync(using, '');
  try {
    while (marksOf(spec.name, 'ending').length > 0) await sleep(20);
    const running = await bringUp(spec, {
      ...bringUpOptions(SHARED_DIR),
      discardData: true,
      ...(onProgress && { onProgress }),
    });
    onProcessEnd(() => {
      writeFileSync(ending, '');
      rmSync(using, { force: true });
      if (marksOf(spec.name, 'using').length === 0) endServerNow(running);
      rmSync(ending, { force: true });
    });
    return running;
  } catch (error) {
    rmSync(using, { force: true });
    throw error;
  }
}

async function freshBucket(spec: ServerSpec): Promise<TestBucket> {
  return bucketOn(await joinShared(spec));
}

function bringUpOptions(dir: string) {
  return {
    dir,
    host: readHost(),
    log: createLog({ level: 'error' }),
    anyPorts: true,
    makeSecret: () => randomBytes(16).toString('hex'),
    onProgress: reportBuilds,
  };
}

/** A build takes minutes: whoever watches the tests should know why nothing moves. */
let reportedAt = 0;
function reportBuilds(note: string): void {
  if (!note.startsWith('building') || Date.now() - reportedAt < 20_000) return;
  reportedAt = Date.now();
  process.stderr.write(`${note}\n`);
}

function marksOf(name: string, kind: 'using' | 'ending'): string[] {
  const dir = join(SHARED_DIR, kind);
  return readdirSync(dir).filter((mark) => {
    const [, server, pid, start] = /^(\w+)-(\d+)-(\d+)$/.exec(mark) ?? [];
    if (server !== name) return false;
    const live = isSameProcess(Number(pid), start ?? '');
    if (!live) rmSync(join(dir, mark), { force: true });
    return live;
  });
}

function freshName(prefix: string): string {
  return `${prefix}-${process.pid}-${randomBytes(5).toString('hex')}`;
}
