import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { loadDemo } from '../../demo/index.ts';
import { parseJson, runCli } from '../support/cli.ts';
import { testDatabase } from '../support/postgres.ts';
import { startTestTemporal } from '../support/temporal.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

async function startWorker(env: Readonly<Record<string, string>>): Promise<ChildProcess> {
  const child = spawn(process.execPath, ['cli/bin.js', 'worker', '--json'], {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  return child;
}

test('without a server every command says where it looked and what to do', async () => {
  const env = { TEMPORAL_ADDRESS: '127.0.0.1:1' };
  for (const args of [['runs'], ['run', '--temporal'], ['worker'], ['schedule', 'apply'], ['backfill', 'app.tags']]) {
    const result = await runCli(args, { cwd: root, env });
    assert.equal(result.code, 3, `${args.join(' ')}: ${result.stderr}`);
    assert.match(result.stderr, /error TEMPORAL_UNREACHABLE No Temporal server answers at 127\.0\.0\.1:1\./);
    assert.match(result.stderr, /infra:up.*TEMPORAL_ADDRESS/s);
  }
  const profile = await runCli(['runs', '--json'], { cwd: root, env: { ...env, TEMPORAL_PROFILE: 'nowhere' } });
  assert.equal((parseJson(profile)['error'] as { code: string }).code, 'CONFIG_INVALID');
});

test('worker, schedule, run --temporal, backfill and runs do what they say from the command line', async () => {
  const [server, database, dir] = await Promise.all([
    startTestTemporal(),
    testDatabase(),
    mkdtemp(join(tmpdir(), 'sluice-temporal-cli-')),
  ]);
  await loadDemo({ url: database.url, scale: 0.05, seed: 2, asOf: '2026-06-30', onProgress: () => undefined });
  const env = {
    ...server.environment,
    SLUICE_SOURCE_URL: database.url,
    SLUICE_LAKE: join(dir, 'lake'),
    SLUICE_CACHE: join(dir, 'cache'),
    SLUICE_LOG_LEVEL: 'error',
  };
  const json = async (...args: string[]): Promise<Record<string, unknown>> => {
    const result = await runCli([...args, '--json'], { cwd: root, env });
    assert.equal(result.code, 0, `${args.join(' ')}: ${result.stdout}${result.stderr}`);
    return parseJson(result);
  };
  let worker: ChildProcess | undefined;
  try {
    const { schedules } = await json('schedule', 'apply');
    assert.equal((schedules as { id: string; created: boolean }[])[0]?.created, true);
    worker = await startWorker(env);
    const run = await json('run', '--temporal');
    assert.equal(run['as_of'], '2026-06-30');
    assert.equal((run['release'] as { number: number }).number, 1);
    const backfill = await json('backfill', 'app.tags');
    assert.deepEqual([backfill['deleted'], backfill['table']], [0, 'tags']);

    const refused = await runCli(['backfill', 'app.tgas'], { cwd: root, env });
    assert.equal(refused.code, 2);
    assert.match(refused.stderr, /error USAGE The source app has no table "tgas"\.\s+Did you mean tags\?/);
    const wrongRange = await runCli(['backfill', 'app.orgs', '--key-from', 'x'], { cwd: root, env });
    assert.match(wrongRange.stderr, /"x".*not a value of the type bigint/);
    assert.equal((await runCli(['backfill', 'tags'], { cwd: root, env })).code, 2);
    assert.equal((await runCli(['runs', '--limit', '0'], { cwd: root, env })).code, 2);

    const { runs } = await json('runs');
    const states = (runs as { type: string; state: string; kind: string }[]).map(({ type, state, kind }) => [
      type,
      state,
      kind,
    ]);
    assert.deepEqual(
      states.toSorted((a, b) => a.join().localeCompare(b.join())),
      [
        ['backfill', 'completed', 'backfill'],
        ['backfill', 'failed', 'backfill'],
        ['backfill', 'failed', 'backfill'],
        ['elt', 'completed', 'backfill'],
        ['elt', 'completed', 'manual'],
      ],
    );
    const people = await runCli(['runs'], { cwd: root, env });
    assert.match(
      people.stdout,
      /backfill app\.tags.*completed.*http:\/\/127\.0\.0\.1:8233\/namespaces\/default\/workflows\//,
    );

    worker.kill('SIGTERM');
    const [code] = (await once(worker, 'exit')) as [number | null];
    assert.equal(code, 0);
    worker = undefined;
  } finally {
    worker?.kill('SIGKILL');
    await server.close();
    await database.drop();
    await rm(dir, { recursive: true, force: true });
  }
});
