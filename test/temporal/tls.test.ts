import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { createWorkerActivities } from '../../infra/temporal-activities.ts';
import { connectTemporal, connectWorker } from '../../infra/temporal-connection.ts';
import { startElt, waitForRun } from '../../infra/temporal-runs.ts';
import { ensureSearchAttributes } from '../../infra/temporal-search-attributes.ts';
import { createHostQueue, installRuntime, serve } from '../../infra/temporal-worker.ts';
import { isSluiceError, type SluiceError } from '../../warehouse/core/errors.ts';
import { startTestTemporal, type TestTemporal } from '../support/temporal.ts';
import { makeCertificates, startTlsProxy, type TestCertificates, type TlsProxy } from '../support/tls-proxy.ts';
import { createScript } from '../workflows/scripted-activities.ts';
import { bundleQuickly, log } from './support.ts';

/** TLS, client certificates and API keys in Temporal's own variables, against a real server behind a proxy that ends the TLS. */

let dir: string;
let files: TestCertificates;
let server: TestTemporal;
let open: TlsProxy;
let closed: TlsProxy;
let workflowBundle: { readonly code: string };

before(async () => {
  dir = mkdtempSync(join(tmpdir(), 'sluice-tls-'));
  files = makeCertificates(dir);
  // Before the proxies, whose process is held up by it.
  workflowBundle = await bundleQuickly();
  server = await startTestTemporal();
  open = await startTlsProxy(server.address, files);
  closed = await startTlsProxy(server.address, files, { requireClient: true });
});
after(async () => {
  await open.close();
  await closed.close();
  await server.close();
  rmSync(dir, { recursive: true });
});

type Environment = Readonly<Record<string, string>>;
const configOf = (temporalEnvironment: Environment) => ({ temporalEnvironment, temporalUi: 'http://127.0.0.1:8233' });
const trusting = (proxy: TlsProxy): Environment => ({
  TEMPORAL_ADDRESS: proxy.address,
  TEMPORAL_TLS_SERVER_CA_CERT_PATH: files.ca,
});
const withClient = (): Environment => ({
  TEMPORAL_TLS_CLIENT_CERT_PATH: files.client.cert,
  TEMPORAL_TLS_CLIENT_KEY_PATH: files.client.key,
});

async function namespaceThrough(environment: Environment): Promise<string | null | undefined> {
  const temporal = await connectTemporal(configOf(environment));
  try {
    const found = await temporal.connection.workflowService.describeNamespace({ namespace: temporal.namespace });
    return found.namespaceInfo?.name;
  } finally {
    await temporal.close();
  }
}

/** The same for clients and for workers, whose TLS is another program's. */
async function refusals(environment: Environment): Promise<readonly SluiceError[]> {
  const attempts = await Promise.allSettled([
    connectTemporal(configOf(environment)),
    connectWorker(configOf(environment)),
  ]);
  return attempts.map((attempt) => {
    assert.equal(attempt.status, 'rejected');
    assert.ok(isSluiceError(attempt.reason), String(attempt.reason));
    return attempt.reason;
  });
}

test('with the authority’s certificate the server is reached, by files, by contents and by a profile', async () => {
  assert.equal(await namespaceThrough(trusting(open)), 'default');
  assert.equal(
    await namespaceThrough({ ...trusting(open), TEMPORAL_TLS_SERVER_NAME: 'temporal.test' }),
    'default',
    'under another name of the certificate',
  );
  const toml = join(dir, 'temporal.toml');
  writeFileSync(
    toml,
    `[profile.far]\naddress = "${closed.address}"\nnamespace = "default"\n[profile.far.tls]\nserver_ca_cert_path = "${files.ca}"\nclient_cert_path = "${files.client.cert}"\nclient_key_path = "${files.client.key}"\n`,
  );
  assert.equal(await namespaceThrough({ TEMPORAL_CONFIG_FILE: toml, TEMPORAL_PROFILE: 'far' }), 'default');
});

test('a run goes through: worker and client give their certificate and the API key with every call', async () => {
  const config = configOf({ ...trusting(closed), ...withClient(), TEMPORAL_API_KEY: 'the key' });
  closed.calls.length = 0;
  installRuntime(log);
  await ensureSearchAttributes(config);
  const worker = await connectWorker(config);
  const temporal = await connectTemporal(config);
  const stop = new AbortController();
  const hostQueue = createHostQueue();
  const script = createScript();
  const steps = {
    ...script.activities,
    prepare: async () => ({ asOf: '2026-06-30', sources: ['shop'] }),
    backfillSlice: () => Promise.reject(new Error('not asked for')),
  };
  const activities = createWorkerActivities({ createSteps: () => steps, hostQueue, log, stopping: stop.signal });
  const { connection, namespace } = worker;
  const ready = Promise.withResolvers<void>();
  const serving = serve(
    { connection, namespace, activities, hostQueue, workflowBundle, log, signal: stop.signal },
    ready.resolve,
  );
  try {
    await Promise.race([ready.promise, serving]);
    const run = await startElt(temporal, { asOf: '2026-06-30' });
    const result = await waitForRun(temporal, run, { signal: new AbortController().signal });
    assert.equal((result as { release?: { number: number } }).release?.number, 1);
  } finally {
    stop.abort();
    await serving;
    await connection.close();
    await temporal.close();
  }
  const names = closed.calls.map(({ path }) => path.split('/').at(-1));
  for (const name of ['StartWorkflowExecution', 'PollActivityTaskQueue', 'RespondActivityTaskCompleted'])
    assert.ok(names.includes(name), `${name} went through the proxy`);
  assert.deepEqual([...new Set(closed.calls.map(({ authorization }) => authorization))], ['Bearer the key']);
  assert.deepEqual([...new Set(closed.calls.map(({ client }) => client))], ['client']);
});

// At the same time: most of it is waiting for answers that do not come.
describe('a server that cannot be reached as it is asked for', { concurrency: true }, () => {
  test('a wrong authority, a wrong name, no client certificate, no TLS: each says what is wrong and which variable mends it', async () => {
    const cases = [
      [
        'another authority',
        { ...trusting(open), TEMPORAL_TLS_SERVER_CA_CERT_PATH: files.otherCa },
        /No TLS connection .*(unable to verify|self.signed|issuer)/i,
        /TEMPORAL_TLS_SERVER_CA_CERT_PATH/,
      ],
      [
        'the system’s authorities',
        { TEMPORAL_ADDRESS: open.address, TEMPORAL_TLS: 'true' },
        /unable to verify|self.signed|issuer/i,
        /TEMPORAL_TLS_SERVER_CA_CERT_PATH/,
      ],
      [
        'another name',
        { ...trusting(open), TEMPORAL_TLS_SERVER_NAME: 'elsewhere.test' },
        /elsewhere\.test/,
        /TEMPORAL_TLS_SERVER_NAME/,
      ],
      ['no client certificate', trusting(closed), /certificate required/i, /TEMPORAL_TLS_CLIENT_CERT_PATH/],
      ['no TLS where it is due', { TEMPORAL_ADDRESS: open.address }, /speaks TLS and this client/, /TEMPORAL_TLS=true/],
      [
        'TLS where there is none',
        { TEMPORAL_ADDRESS: server.address, TEMPORAL_API_KEY: 'the key' },
        /speaks no TLS/,
        /TEMPORAL_TLS=false/,
      ],
    ] as const;
    await Promise.all(
      cases.map(async ([name, environment, message, remedy]) => {
        for (const error of await refusals(environment)) {
          assert.equal(error.code, 'TEMPORAL_REFUSED', `${name}: ${error.message}`);
          assert.match(error.message, message, name);
          assert.match(error.remedy ?? '', remedy, name);
          assert.doesNotMatch(`${error.message}${error.remedy}`, /the key/);
        }
      }),
    );
  });

  test('nobody at the address stays unreachable with TLS too', async () => {
    for (const error of await refusals({ ...trusting(open), TEMPORAL_ADDRESS: '127.0.0.1:1' }))
      assert.equal(error.code, 'TEMPORAL_UNREACHABLE');
  });
});

test('certificates that cannot be used are a matter of the configuration', async () => {
  const noPem = join(dir, 'no.pem');
  writeFileSync(noPem, 'not a certificate');
  const cases: readonly (readonly [Environment, RegExp])[] = [
    [{ ...withClient(), TEMPORAL_TLS_CLIENT_KEY_PATH: files.server.key }, /certificates cannot be used.*mismatch/i],
    [{ ...withClient(), TEMPORAL_TLS_CLIENT_CERT_PATH: noPem }, /certificates cannot be used/],
    [{ TEMPORAL_TLS_CLIENT_CERT_PATH: files.client.cert }, /certificate and its key must be given together/],
    [{ TEMPORAL_TLS_SERVER_CA_CERT_PATH: join(dir, 'nowhere.pem') }, /ENOENT.*nowhere\.pem/],
    [{ ...trusting(open), TEMPORAL_TLS_SERVER_CA_CERT_DATA: 'x' }, /both server_ca_cert_path and server_ca_cert_data/],
  ];
  for (const [environment, message] of cases) {
    for (const error of await refusals({ TEMPORAL_ADDRESS: open.address, ...environment })) {
      assert.equal(error.code, 'CONFIG_INVALID', error.message);
      assert.match(error.message, message);
    }
  }
});

test('an empty variable is as good as none', async () => {
  assert.equal(
    await namespaceThrough({
      TEMPORAL_ADDRESS: server.address,
      TEMPORAL_API_KEY: '',
      TEMPORAL_TLS_CLIENT_CERT_PATH: '',
    }),
    'default',
  );
});
