import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { z } from 'zod';
import { CONFIG_OPTIONS, loadConfig } from '../../infra/config.ts';
import { SEARCH_ATTRIBUTES, TOOL_PINS } from '../../infra/provision/index.ts';
import { SLUICE_VERSION } from '../../infra/version.ts';
import { testMinio } from '../support/servers.ts';

/** The files for Docker users, read as Docker reads them. */

const root = fileURLToPath(new URL('../..', import.meta.url));
const infra = join(root, 'infra');

const service = z.object({
  image: z.string(),
  build: z.object({ context: z.string(), dockerfile: z.string() }).optional(),
  user: z.string().optional(),
  profiles: z.array(z.string()).optional(),
  entrypoint: z.array(z.string()).optional(),
  command: z.array(z.string()).optional(),
  environment: z.record(z.string(), z.string()).optional(),
  ports: z.array(z.string()).optional(),
  volumes: z.array(z.string()).optional(),
  healthcheck: z.object({ test: z.array(z.string()), interval: z.string(), retries: z.number() }).optional(),
  depends_on: z.record(z.string(), z.object({ condition: z.string(), required: z.boolean().optional() })).optional(),
});
const compose = z
  .object({ services: z.record(z.string(), service), volumes: z.record(z.string(), z.null()) })
  .parse(parse(readFileSync(join(infra, 'compose.yaml'), 'utf8'), { merge: true }));
const services = Object.entries(compose.services);

const dockerfiles = (await readdir(infra)).filter((name) => name.endsWith('Dockerfile'));
const stagesOf = (name: string): string[][] =>
  readFileSync(join(infra, name), 'utf8')
    .split('\n')
    .map((line) => line.trim())
    .reduce<string[][]>((stages, line) => {
      if (line.startsWith('FROM ')) stages.push([]);
      stages.at(-1)?.push(line);
      return stages;
    }, []);

/** A version and not a name that moves. */
const PINNED = /^[\w./-]+:v?\d+(\.\d+)*[\w.-]*$/;

test('the services are those of the pipeline', () => {
  assert.deepEqual(
    services.map(([name]) => name),
    ['postgres', 'temporal', 'versitygw', 'minio', 'bucket', 'worker', 'service'],
  );
});

test('every image is pinned by version, in compose and in every stage of every Dockerfile', () => {
  for (const [name, { image, build }] of services) {
    assert.match(image, PINNED, name);
    if (build !== undefined)
      assert.ok(existsSync(join(infra, build.context, build.dockerfile)), `${name}: its Dockerfile`);
  }
  assert.ok(dockerfiles.length >= 4);
  for (const name of dockerfiles) {
    for (const [from = ''] of stagesOf(name)) {
      assert.match(from.split(/\s+/)[1] ?? '', PINNED, name);
      assert.doesNotMatch(from, /latest/);
    }
  }
});

test('the versions are those that infra:up brings', () => {
  const text = (name: string) => readFileSync(join(infra, name), 'utf8');
  assert.ok(text('temporal.Dockerfile').includes(`temporalio/temporal:${TOOL_PINS.temporal.build.version}`));
  assert.ok(text('versitygw.Dockerfile').includes(`versity/versitygw:v${TOOL_PINS.versitygw.build.version}`));
  assert.ok(text('minio.Dockerfile').includes(TOOL_PINS.minio.build.module));
  assert.equal(compose.services['worker']?.image, `sluice:${SLUICE_VERSION}`);
  assert.match(compose.services['postgres']?.image ?? '', /^postgres:18\./);
  assert.match(readFileSync(join(infra, 'compose.yaml'), 'utf8'), /MinIO.*archived/);
});

test('nothing runs as root', () => {
  for (const name of dockerfiles) {
    const last = stagesOf(name).at(-1) ?? [];
    const user = last.findLast((line) => line.startsWith('USER '))?.slice('USER '.length);
    assert.ok(user !== undefined && !/^(root|0)(:|$)/.test(user), `${name} ends as ${user}`);
    const after = last.slice(last.findLastIndex((line) => line.startsWith('USER ')));
    assert.ok(!after.some((line) => line.startsWith('RUN ')), name);
  }
  for (const [name, { build, user }] of services) {
    assert.ok(build !== undefined || (user !== undefined && user !== 'root'), `${name} has a user`);
  }
  assert.ok(stagesOf('Dockerfile').length > 1, 'built in stages: no build tools in the image');
});

test('ports are published on this machine only, each once', () => {
  const published = services.flatMap(([, { ports = [] }]) => ports);
  const hostPorts = published.map((port) => /^127\.0\.0\.1:(\d+):\d+$/.exec(port)?.[1]);
  assert.ok(
    hostPorts.every((port) => port !== undefined),
    published.join(),
  );
  assert.equal(new Set(hostPorts).size, hostPorts.length);
  assert.deepEqual(
    hostPorts.map(Number).sort((a, b) => a - b),
    [5433, 7070, 7233, 8233, 8787, 9000, 9001],
  );
});

test('everything that stays up has a health check, and nothing starts before what it needs is healthy', () => {
  for (const [name, { healthcheck, depends_on = {} }] of services) {
    assert.ok(healthcheck !== undefined || name === 'bucket', name);
    for (const [on, { condition }] of Object.entries(depends_on)) {
      assert.equal(
        condition,
        on === 'bucket' ? 'service_completed_successfully' : 'service_healthy',
        `${name} on ${on}`,
      );
    }
  }
});

test('secrets can be set from outside, and what stands here calls itself development', () => {
  for (const [name, { environment = {} }] of services) {
    for (const [key, value] of Object.entries(environment)) {
      if (!/SECRET|PASSWORD|_URL$/.test(key)) continue;
      assert.match(value, /^\$\{\w+:-.*sluice-development.*\}$/, `${name}.${key}`);
    }
  }
});

test('data lies in named volumes, and every volume is used', () => {
  const used = services.flatMap(([, { volumes = [] }]) => volumes.map((volume) => volume.split(':')[0] ?? ''));
  assert.deepEqual([...new Set(used)].sort(), Object.keys(compose.volumes).sort());
  assert.equal(
    compose.services['postgres']?.volumes?.[0],
    'postgres:/var/lib/postgresql',
    'as the image wants it since 18',
  );
});

test('Temporal gets the search attributes that the workflows set', () => {
  const given = (compose.services['temporal']?.command ?? []).flatMap(
    (word) => /^--search-attribute=(.*)$/.exec(word)?.[1] ?? [],
  );
  assert.deepEqual(
    given,
    Object.entries(SEARCH_ATTRIBUTES).map(([name, type]) => `${name}=${type}`),
  );
});

test('the environment of worker and service is a configuration that Sluice takes', () => {
  for (const name of ['bucket', 'worker', 'service']) {
    const given = Object.entries(compose.services[name]?.environment ?? {}).map(
      ([key, value]) => [key, value.replace(/\$\{\w+:-(.*)\}/, '$1')] as const,
    );
    for (const [key] of given) assert.ok(key in CONFIG_OPTIONS || key.startsWith('TEMPORAL_'), key);
    const config = loadConfig(root, Object.fromEntries(given));
    assert.equal(config.lake.url, 's3://sluice/lake');
  }
});

test('the image holds every folder of the product, and no local state', () => {
  const copied = new Set(
    (stagesOf('Dockerfile').at(-1) ?? []).flatMap((line) =>
      line.startsWith('COPY ') ? line.split(/\s+/).slice(1, -1) : [],
    ),
  );
  for (const folder of ['activities', 'cli', 'demo', 'infra', 'models', 'service', 'sql', 'warehouse', 'workflows']) {
    assert.ok(copied.has(folder) && existsSync(join(root, folder)), folder);
  }
  const ignored = readFileSync(join(root, '.dockerignore'), 'utf8').split('\n');
  for (const name of ['.git', '.sluice', '.env', 'node_modules']) assert.ok(ignored.includes(name), name);
});

test('the bucket is made once, and again is as well', async () => {
  const { environment } = await testMinio();
  const env = { ...process.env, ...environment, SLUICE_LAKE: `s3://made-${process.pid}-${Date.now()}/lake` };
  for (let n = 0; n < 2; n++) {
    const said = await new Promise<string>((resolve, reject) => {
      execFile(
        process.execPath,
        ['--disable-warning=ExperimentalWarning', 'infra/make-bucket.ts'],
        { cwd: root, env },
        (error, stdout) => (error === null ? resolve(stdout) : reject(error)),
      );
    });
    assert.match(said, /^bucket made-.* is there\n$/);
  }
});
