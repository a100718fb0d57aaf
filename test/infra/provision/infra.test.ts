import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { loadConfig, readHost } from '../../../infra/config.ts';
import { openLake } from '../../../infra/lake.ts';
import {
  findTool,
  type InfraState,
  infraDown,
  infraStatus,
  infraUp,
  readRecord,
  SEARCH_ATTRIBUTES,
  startOf,
} from '../../../infra/provision/index.ts';
import { createLog } from '../../../warehouse/core/log.ts';
import { testTemporal } from '../../support/servers.ts';
import { searchAttributesOf } from './search-attributes.ts';

const log = createLog({ level: 'silent' });
const main = fileURLToPath(new URL('../../../infra/provision/main.ts', import.meta.url));

function pidOf(state: InfraState, name: string): number {
  return state.servers.find((server) => server.name === name)?.pid ?? 0;
}

/** Runs one of the npm scripts' programs; its exit code and what it printed. */
function runMain(...args: string[]): Promise<{ code: number; stdout: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, ['--disable-warning=ExperimentalWarning', main, ...args], (error, stdout) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : error === null ? 0 : 1, stdout });
    });
  });
}

test('all servers come up, are joined, healed after a kill -9 with their data, and ended for good', async (t) => {
  const project = await mkdtemp(join(tmpdir(), 'sluice-infra-'));
  const dir = join(project, '.sluice', 'infra');
  await mkdir(join(project, 'models'));
  t.after(async () => {
    await infraDown({ dir, log });
    await rm(project, { recursive: true, force: true });
  });
  const up = () => infraUp({ dir, log, host: readHost(), anyPorts: true });

  const first = await up();
  assert.deepEqual(
    first.servers.map(({ name, started, healthy }) => [name, started, healthy]),
    [
      ['postgres', true, true],
      ['temporal', true, true],
      ['minio', true, true],
    ],
  );

  // What the .env file says is what Sluice needs, and it works.
  assert.equal((await stat(first.envFile)).mode & 0o077, 0, 'secrets are the user’s own');
  const config = loadConfig(project, first.environment);
  assert.equal(await openLake(config, log).putIfAbsent('kept/1', new TextEncoder().encode('kept')), true);
  const client = new pg.Client({ connectionString: config.sourceUrl });
  await client.connect();
  await client.query('create table kept as select 42 as answer');
  await client.end();
  const temporal = await readRecord(dir, 'temporal');
  assert.ok(temporal !== undefined);
  assert.deepEqual(
    await searchAttributesOf(temporal.program, `127.0.0.1:${temporal.ports['grpc']}`, 'default'),
    SEARCH_ATTRIBUTES,
  );

  const second = await up();
  assert.ok(second.servers.every((server) => !server.started && server.healthy));
  assert.deepEqual(
    second.servers.map((server) => server.pid),
    first.servers.map((server) => server.pid),
  );
  assert.deepEqual(second.environment, first.environment);

  const status = await runMain('status', '--json', '--project', project);
  assert.equal(status.code, 0);
  assert.deepEqual((JSON.parse(status.stdout) as InfraState).servers.length, 3);

  for (const name of ['postgres', 'temporal', 'minio']) {
    const pid = pidOf(await infraStatus({ dir }), name);
    process.kill(pid, 'SIGKILL');
    while (startOf(pid) !== '') await new Promise((resolve) => setTimeout(resolve, 10));
    const broken = await runMain('status', '--project', project);
    assert.equal(broken.code, 1);
    assert.match(broken.stdout, new RegExp(`✗ ${name} +FAILS: it does not run`));
    assert.match(broken.stdout, /npm run infra:up brings up what fails/);
    const healed = await up();
    assert.ok(
      healed.servers.every((server) => server.healthy),
      name,
    );
    assert.deepEqual(
      healed.servers.filter((server) => server.started).map((server) => server.name),
      [name],
    );
    assert.deepEqual(healed.environment, first.environment, 'the same ports and secrets');
  }
  assert.equal(new TextDecoder().decode(await openLake(config, log).get('kept/1')), 'kept');
  const again = new pg.Client({ connectionString: config.sourceUrl });
  await again.connect();
  assert.deepEqual((await again.query('select answer from kept')).rows, [{ answer: 42 }]);
  await again.end();

  const pids = (await infraStatus({ dir })).servers.map((server) => server.pid);
  const down = await runMain('down', '--json', '--project', project);
  assert.deepEqual(JSON.parse(down.stdout), { ended: ['postgres', 'temporal', 'minio'] });
  assert.match((await runMain('status', '--project', project)).stdout, /Ended by infra:down; npm run infra:up starts/);
  for (const pid of pids) assert.equal(startOf(pid), '', `process ${pid} is gone`);
  assert.deepEqual(await infraDown({ dir, log }), [], 'a second time there is nothing to end');
});

test('a taken port makes way for the next free one, which is remembered; two who come at once join', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'sluice-infra-'));
  t.after(async () => {
    await infraDown({ dir, log });
    await rm(dir, { recursive: true, force: true });
  });
  const blockers = [7233, 8233, 7070, 5433].map((port) => {
    const server = createServer();
    server.on('error', () => undefined); // taken already by somebody: as good
    server.listen(port, '127.0.0.1');
    return server;
  });
  t.after(() => blockers.forEach((server) => server.close()));
  const notes: string[] = [];
  const onProgress = (server: string, note: string): void => void notes.push(`${server}: ${note}`);
  const options = { dir, log, host: readHost(), s3: 'versitygw', onProgress } as const;
  const [one, two] = await Promise.all([infraUp(options), infraUp(options)]);
  assert.deepEqual(
    one.servers.map((server) => server.pid),
    two.servers.map((server) => server.pid),
  );
  for (const server of one.servers) {
    assert.equal(
      [one, two].filter((state) => state.servers.find(({ name }) => name === server.name)?.started).length,
      1,
    );
  }
  const ports = JSON.stringify(one.environment);
  for (const port of [7233, 8233, 7070, 5433])
    assert.match(notes.join('\n'), new RegExp(`port ${port} .*is in use, \\d+ instead`), 'who looks for it is told');
  const ui = await fetch(loadConfig(process.cwd(), one.environment).temporalUi);
  assert.match(await ui.text(), /<html/, 'links to runs open the Web UI where it is');
  assert.ok(!/127\.0\.0\.1:(7233|8233|7070|5433)\b/.test(ports), ports);
  await infraDown({ dir, log });
  assert.deepEqual(
    (await infraUp({ dir, log, host: readHost() })).environment,
    one.environment,
    'the server chosen and its ports',
  );
});

test('down ends nobody but its own: a record whose pid is another program’s is left alone', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'sluice-infra-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  for (const start of [startOf(process.pid), '12345']) {
    const record = {
      name: 'minio',
      process: { pid: process.pid, start, marker: join(dir, 'minio') },
      ports: { s3: 1 },
      secret: 'x',
      dataDir: join(dir, 'minio'),
      program: 'x',
      startedAt: '',
    };
    await writeFile(join(dir, 'minio.json'), JSON.stringify(record));
    await writeFile(
      join(dir, 'postgres.json'),
      JSON.stringify({ pid: process.pid, start: '12345', port: 1, url: 'postgres://x' }),
    );
    assert.deepEqual(await infraDown({ dir, log }), []);
  }
  assert.ok((await readFile(join(dir, 'minio.json'), 'utf8')).length > 0);
});

test('wrong words on the command line are USAGE, with help', async () => {
  assert.equal((await runMain('sideways')).code, 2);
  assert.equal((await runMain('up', '--s3', 'gcs')).code, 2);
  assert.equal((await runMain('up', '--nonsense')).code, 2);
  const help = await runMain('--help');
  assert.equal(help.code, 0);
  assert.match(help.stdout, /infra:up/);
});

test('each test gets a namespace of its own with the search attributes, gone when it is dropped', async () => {
  const [one, two] = await Promise.all([testTemporal(), testTemporal()]);
  assert.equal(one.address, two.address);
  assert.notEqual(one.namespace, two.namespace);
  const program = (await findTool('temporal', { host: readHost() })).path;
  for (const { address, namespace } of [one, two]) {
    assert.deepEqual(await searchAttributesOf(program, address, namespace), SEARCH_ATTRIBUTES);
  }
  assert.equal((await fetch(`${one.httpUrl}/api/v1/namespaces/${one.namespace}/workflows`)).status, 200);
  assert.equal((await fetch(one.uiUrl)).status, 200);
  await one.drop();
  await assert.rejects(searchAttributesOf(program, one.address, one.namespace));
  await two.drop();
});
