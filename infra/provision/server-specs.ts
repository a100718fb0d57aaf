import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { BucketAlreadyExists, BucketAlreadyOwnedByYou, CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { SEARCH_ATTRIBUTES as RUN_ATTRIBUTES } from '../../temporal.config.ts';
import { HOST } from '../ports.ts';
import type { ServerPlace, ServerSpec } from './background-server.ts';

/** How each server is started, asked for its health and made ready. All listen on this machine only. */

const run = promisify(execFile);

/** Name of the first key; the secret is made at random. */
export const S3_ACCESS_KEY_ID = 'sluice';

const CLI_TYPES = { KEYWORD: 'Keyword', INT: 'Int' } as const;

/** The search attributes of runs with their types as Temporal's own command line writes them. */
export const SEARCH_ATTRIBUTES: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(RUN_ATTRIBUTES).map(([name, type]) => [name, CLI_TYPES[type]]),
);

export const temporalServer: ServerSpec = {
  name: 'temporal',
  ports: { grpc: 7233, ui: 8233, http: 7243, metrics: 7253 },
  command: ({ dataDir, ports }) => ({
    args: [
      'server',
      'start-dev',
      ...flags({
        ip: HOST,
        port: ports['grpc'],
        'ui-ip': HOST,
        'ui-port': ports['ui'],
        'http-port': ports['http'],
        'metrics-port': ports['metrics'],
        'db-filename': join(dataDir, 'temporal.db'),
        'log-level': 'warn',
      }),
      ...Object.entries(SEARCH_ATTRIBUTES).flatMap(([name, type]) => ['--search-attribute', `${name}=${type}`]),
    ],
    env: {},
  }),
  checkHealth: async ({ ports }) => {
    await expectOk(`http://${HOST}:${ports['http']}/api/v1/namespaces/default`);
    await expectOk(`http://${HOST}:${ports['ui']}/`);
  },
};

/** The server's words for a namespace of a test: made with the same search attributes. */
export async function createTemporalNamespace(place: ServerPlace, namespace: string): Promise<void> {
  const address = ['--address', `${HOST}:${place.ports['grpc']}`];
  await run(place.program, [
    'operator',
    'namespace',
    'create',
    '--namespace',
    namespace,
    '--retention',
    '24h',
    ...address,
  ]);
  const attributes = Object.entries(SEARCH_ATTRIBUTES).flatMap(([name, type]) => ['--name', name, '--type', type]);
  await run(place.program, [
    'operator',
    'search-attribute',
    'create',
    '--namespace',
    namespace,
    ...attributes,
    ...address,
  ]);
}

export async function deleteTemporalNamespace(place: ServerPlace, namespace: string): Promise<void> {
  const address = ['--address', `${HOST}:${place.ports['grpc']}`];
  await run(place.program, ['operator', 'namespace', 'delete', '--namespace', namespace, '--yes', ...address]);
}

export const minioServer: ServerSpec = {
  name: 'minio',
  ports: { s3: 9000, console: 9001 },
  command: ({ dataDir, ports, secret }) => ({
    args: [
      'server',
      dataDir,
      ...flags({
        address: `${HOST}:${ports['s3']}`,
        'console-address': `${HOST}:${ports['console']}`,
        'certs-dir': join(dataDir, '..', 'minio-certs'),
      }),
    ],
    env: {
      MINIO_ROOT_USER: S3_ACCESS_KEY_ID,
      MINIO_ROOT_PASSWORD: secret,
      // asks the maker's servers otherwise
      MINIO_UPDATE: 'off',
      MINIO_CALLHOME_ENABLE: 'off',
    },
  }),
  checkHealth: ({ ports }) => expectOk(`http://${HOST}:${ports['s3']}/minio/health/ready`),
};

export const versitygwServer: ServerSpec = {
  name: 'versitygw',
  ports: { s3: 7070 },
  command: ({ dataDir, ports, secret }) => ({
    args: ['--port', `${HOST}:${ports['s3']}`, '--health', '/health', '--keep-alive', '--quiet', 'posix', dataDir],
    env: { ROOT_ACCESS_KEY_ID: S3_ACCESS_KEY_ID, ROOT_SECRET_ACCESS_KEY: secret },
  }),
  checkHealth: ({ ports }) => expectOk(`http://${HOST}:${ports['s3']}/health`),
};

export const S3_SERVERS = { minio: minioServer, versitygw: versitygwServer } as const;
export type S3ServerName = keyof typeof S3_SERVERS;

export function s3Endpoint(place: ServerPlace): string {
  return `http://${HOST}:${place.ports['s3']}`;
}

/** Makes the bucket unless it exists. */
export async function ensureBucket(place: ServerPlace, bucket: string): Promise<void> {
  const client = new S3Client({
    endpoint: s3Endpoint(place),
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: S3_ACCESS_KEY_ID, secretAccessKey: place.secret },
  });
  try {
    await client.send(new CreateBucketCommand({ Bucket: bucket }));
  } catch (error) {
    if (!(error instanceof BucketAlreadyOwnedByYou) && !(error instanceof BucketAlreadyExists)) throw error;
  } finally {
    client.destroy();
  }
}

function flags(values: Readonly<Record<string, string | number | undefined>>): string[] {
  return Object.entries(values).flatMap(([name, value]) => [`--${name}`, String(value)]);
}

async function expectOk(url: string): Promise<void> {
  const response = await fetch(url, { signal: AbortSignal.timeout(3_000) });
  await response.arrayBuffer();
  if (!response.ok) throw new Error(`${url} answered ${response.status}`);
}
