import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { DeleteObjectCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';
import { connectTemporal } from '../../infra/temporal-connection.ts';
import { applySchedules } from '../../infra/temporal-schedules.ts';
import { ensureSearchAttributes } from '../../infra/temporal-search-attributes.ts';
import { assertNoStack, parseJson } from '../support/cli.ts';
import { type Fault, s3Error, startFaultProxy } from '../support/fault-proxy.ts';
import { type TestProject, testProject } from '../support/project.ts';
import { type TestBucket, testMinio, testVersity } from '../support/servers.ts';
import { startTestTemporal, type TestTemporal } from '../support/temporal.ts';

/** What sluice doctor finds on real servers, whole and broken in the ways that people meet. */

interface Finding {
  readonly check: string;
  readonly status: string;
  readonly detail: string;
  readonly remedy?: string;
}

let project: TestProject;
before(async () => {
  project = await testProject();
});
after(() => project[Symbol.asyncDispose]());

async function examine(env: Readonly<Record<string, string>>, code: number): Promise<(check: string) => Finding> {
  const result = await project.sluice(['doctor', '--json'], { env });
  assert.equal(result.code, code, result.stdout + result.stderr);
  assertNoStack(result);
  const findings = parseJson(result)['findings'] as Finding[];
  return (check) => {
    const found = findings.find((finding) => finding.check === check);
    assert.ok(found, `no finding ${check} among ${findings.map((finding) => finding.check).join(', ')}`);
    return found;
  };
}

async function keysOf(bucket: TestBucket): Promise<readonly (string | undefined)[]> {
  const { endpoint, accessKeyId, secretAccessKey } = bucket;
  const credentials = { accessKeyId, secretAccessKey };
  const client = new S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true, credentials });
  try {
    const { Contents } = await client.send(new ListObjectsV2Command({ Bucket: bucket.bucket }));
    for (const { Key } of Contents ?? []) await client.send(new DeleteObjectCommand({ Bucket: bucket.bucket, Key }));
    return (Contents ?? []).map(({ Key }) => Key);
  } finally {
    client.destroy();
  }
}

describe('the lake in S3', () => {
  let bucket: TestBucket;
  before(async () => {
    bucket = await testMinio();
  });

  test('is read, written with a condition and left as it was, on both servers', async () => {
    const examineOn = async (place: TestBucket): Promise<void> => {
      const found = await examine(place.environment, 0);
      assert.equal(found('lake').status, 'ok');
      assert.match(found('lake').detail, /^s3:\/\/t-.* at http:.*conditional writes hold, probe removed$/);
      assert.deepEqual(await keysOf(place), []);
      assert.equal(found('temporal').status, 'ok');
      assert.match(found('temporal').detail, /no server is named/);
    };
    await Promise.all([bucket, await testVersity()].map(examineOn));
  });

  test('a wrong port, password or bucket fails with its remedy, and what rests on the lake is not tried', async () => {
    const broken = [
      [{ SLUICE_S3_ENDPOINT: 'http://127.0.0.1:9' }, /LAKE_UNREACHABLE.*ECONNREFUSED/, /infra:up/],
      [{ SLUICE_S3_SECRET_ACCESS_KEY: 'not the password' }, /SignatureDoesNotMatch/, /SLUICE_S3_SECRET_ACCESS_KEY/],
      [{ SLUICE_LAKE: 's3://no-such-bucket-here' }, /NoSuchBucket/, /Create the bucket no-such-bucket-here/],
    ] as const;
    const examineWith = async ([wrong, detail, remedy]: (typeof broken)[number]): Promise<void> => {
      const found = await examine({ ...bucket.environment, ...wrong }, 1);
      assert.equal(found('lake').status, 'fail');
      assert.match(found('lake').detail, detail);
      assert.match(found('lake').remedy ?? '', remedy);
      assert.equal(found('source').status, 'ok', 'Postgres is looked at all the same');
      for (const check of ['models', 'release']) assert.match(found(check).detail, /not looked at: the lake failed/);
    };
    // Most of it is waiting for the port where nobody is.
    await Promise.all(broken.map(examineWith));
  });

  test('a server that takes the second write, or no write, is no lake', async (t) => {
    let puts = 0;
    const faults: Record<string, (method: string | undefined) => Fault | undefined> = {
      'no condition': (method) =>
        method === 'PUT' && ++puts % 2 === 0 ? { kind: 'answer', status: 200, body: '' } : undefined,
      'read only': (method) =>
        method === 'PUT' ? { kind: 'answer', status: 403, body: s3Error('AccessDenied') } : undefined,
    };
    const proxyFor = async (name: string): Promise<Record<string, string>> => {
      const { endpoint } = await startFaultProxy(t, bucket.endpoint, ({ method }) => faults[name]?.(method));
      return { ...bucket.environment, SLUICE_S3_ENDPOINT: endpoint };
    };
    const loose = await examine(await proxyFor('no condition'), 1);
    assert.equal(loose('lake').status, 'fail');
    assert.match(loose('lake').detail, /If-None-Match: \* was taken where 412 was due/);
    assert.match(loose('lake').remedy ?? '', /conditional writes/);
    const closed = await examine(await proxyFor('read only'), 1);
    assert.match(closed('lake').detail, /AccessDenied/);
    assert.match(closed('lake').remedy ?? '', /s3:PutObject/);
    assert.deepEqual(await keysOf(bucket), [], 'the probe is gone in both cases');
  });
});

describe('the Temporal server', () => {
  let server: TestTemporal;
  before(async () => {
    server = await startTestTemporal();
  });
  after(() => server.close());

  test('nobody there, or no such namespace, fails with its remedy and asks nothing more', async () => {
    const [away, nowhere] = await Promise.all([
      examine({ TEMPORAL_ADDRESS: '127.0.0.1:1' }, 1),
      examine({ ...server.environment, TEMPORAL_NAMESPACE: 'nowhere' }, 1),
    ]);
    assert.equal(away('temporal').status, 'fail');
    assert.match(away('temporal').detail, /TEMPORAL_UNREACHABLE: No Temporal server answers at 127\.0\.0\.1:1/);
    assert.match(away('temporal').remedy ?? '', /infra:up/);
    assert.throws(() => away('worker'), /no finding worker/);
    assert.match(nowhere('temporal').detail, /TEMPORAL_REFUSED: The Temporal server at .* has no namespace nowhere/);
    assert.match(nowhere('temporal').remedy ?? '', /namespace create --address 127.* --namespace nowhere/);
  });

  test('an empty server warns of all that is missing; what is set up is found', async () => {
    const empty = await examine(server.environment, 0);
    assert.equal(empty('temporal').status, 'ok');
    assert.match(empty('temporal').detail, /namespace default, runs are kept for \d+ h/);
    for (const [check, remedy] of [
      ['attributes', /search-attribute create .*--name EltPipeline --type Keyword .*--name EltRows --type Int/],
      ['schedule', /sluice schedule apply/],
      ['worker', /^sluice worker$/],
    ] as const) {
      assert.equal(empty(check).status, 'warn', check);
      assert.match(empty(check).remedy ?? '', remedy);
    }

    const config = { temporalEnvironment: server.environment, temporalUi: 'http://127.0.0.1:8233' };
    await ensureSearchAttributes(config);
    const temporal = await connectTemporal(config);
    await applySchedules(temporal);
    const worker = await startWorker();
    try {
      const whole = await examine(server.environment, 0);
      assert.match(whole('attributes').detail, /^6 search attributes are registered$/);
      assert.match(whole('schedule').detail, /^elt-nightly: next \d{4}-/);
      assert.equal(whole('worker').status, 'ok');
      assert.match(whole('worker').detail, new RegExp(`^1 on the task queue sluice: ${worker.pid}@`));
      await temporal.client.schedule.getHandle('elt-nightly').pause('holidays');
      const paused = await examine(server.environment, 0);
      assert.equal(paused('schedule').status, 'warn');
      assert.match(paused('schedule').detail, /paused \(holidays\)/);
    } finally {
      worker.kill('SIGKILL');
      await once(worker, 'exit');
      await temporal.close();
    }
  });

  test('a search attribute of another type fails: a run would fail of it', async () => {
    const config = { temporalEnvironment: server.environment, temporalUi: 'http://127.0.0.1:8233' };
    const temporal = await connectTemporal(config);
    const namespace = 'default';
    try {
      await ensureSearchAttributes(config);
      await temporal.connection.operatorService.removeSearchAttributes({ namespace, searchAttributes: ['EltRows'] });
      // 1 is text
      await temporal.connection.operatorService.addSearchAttributes({
        namespace,
        searchAttributes: { EltRows: 1 as never },
      });
      const found = await examine(server.environment, 1);
      assert.equal(found('attributes').status, 'fail');
      assert.match(found('attributes').detail, /another type than runs set: EltRows/);
      assert.match(found('attributes').remedy ?? '', /--name EltRows --type Int/);
    } finally {
      await temporal.close();
    }
  });

  async function startWorker(): Promise<ChildProcess> {
    const bin = fileURLToPath(new URL('../../cli/bin.js', import.meta.url));
    const child = spawn(process.execPath, [bin, 'worker', '--json', '--project', project.dir], {
      env: { ...process.env, ...project.env, ...server.environment },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data');
    return child;
  }
});
