import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { evolveDemo, loadDemo } from '../../demo/index.ts';
import { type Config, loadConfig } from '../../infra/config.ts';
import { openProject, type Project } from '../../infra/project.ts';
import { runProject } from '../../infra/run-project.ts';
import { connectTemporal, type TemporalClient } from '../../infra/temporal-connection.ts';
import { startBackfill, startElt, waitForRun } from '../../infra/temporal-runs.ts';
import { isSluiceError } from '../../warehouse/core/errors.ts';
import { loadSources, verifySource } from '../../warehouse/extract/index.ts';
import type { BackfillResult } from '../../workflows/backfill.ts';
import type { EltResult } from '../../workflows/contract.ts';
import { type TestDatabase, testDatabase } from '../support/postgres.ts';
import { startTestTemporal, type TestTemporal } from '../support/temporal.ts';
import { log, writeQuickBundle } from './support.ts';

/** Workers that are processes of their own, a real server, a real source: what is killed here is killed by SIGKILL. */

const projectDir = fileURLToPath(new URL('../..', import.meta.url));
const never = new AbortController().signal;

let server: TestTemporal;
let bundle: Awaited<ReturnType<typeof writeQuickBundle>>;

before(async () => {
  [server, bundle] = await Promise.all([startTestTemporal(), writeQuickBundle()]);
});

after(async () => {
  await bundle.remove();
  await server.close();
});

interface Lake {
  readonly project: Project;
  readonly config: Config;
  readonly environment: Readonly<Record<string, string>>;
  readonly database: TestDatabase;
  readonly temporal: TemporalClient;
  readonly workers: Set<ChildProcess>;
  close(): Promise<void>;
}

async function openLake(): Promise<Lake> {
  const dir = await mkdtemp(join(tmpdir(), 'sluice-temporal-lake-'));
  const database = await testDatabase();
  await loadDemo({ url: database.url, scale: 0.05, seed: 7, asOf: '2026-06-30', onProgress: () => undefined });
  const environment = {
    ...server.environment,
    SLUICE_SOURCE_URL: database.url,
    SLUICE_LAKE: join(dir, 'lake'),
    SLUICE_CACHE: join(dir, 'cache'),
    SLUICE_LOG_LEVEL: 'error',
    SLUICE_MEMORY_MB: '256',
    SLUICE_THREADS: '1',
  };
  const config = loadConfig(projectDir, environment);
  const temporal = await connectTemporal(config);
  const workers = new Set<ChildProcess>();
  return {
    workers,
    project: openProject(config, log),
    config,
    environment,
    database,
    temporal,
    close: async () => {
      // One that outlives its test would take the next one's work.
      for (const worker of workers) worker.kill('SIGKILL');
      await temporal.close();
      await database.drop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

interface ChildWorker {
  readonly ready: Promise<void>;
  /** Signal or exit code that it ended with. */
  readonly ended: Promise<string>;
  stop(signal: 'SIGTERM' | 'SIGKILL'): Promise<string>;
}

function startWorker(lake: Lake, death = ''): ChildWorker {
  const child = spawn(
    process.execPath,
    [
      '--disable-warning=ExperimentalWarning',
      fileURLToPath(new URL('worker-child.ts', import.meta.url)),
      projectDir,
      bundle.path,
      death,
    ],
    {
      env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', ...lake.environment },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  lake.workers.add(child);
  const ended = new Promise<string>((resolve) =>
    child.once('exit', (code, signal) => {
      lake.workers.delete(child);
      resolve(signal ?? String(code));
    }),
  );
  const ready = new Promise<void>((resolve, reject) => {
    child.stdout.once('data', () => resolve());
    child.once('exit', () => reject(new Error('the worker ended before it was ready')));
  });
  ready.catch(() => undefined);
  return {
    ready,
    ended,
    stop: (signal) => {
      child.kill(signal);
      return ended;
    },
  };
}

/** Bronze holds exactly what Postgres holds. */
async function assertSame({ project, database }: Lake): Promise<void> {
  const sources = await loadSources(projectDir);
  const report = await verifySource({
    url: database.url,
    sources,
    state: await project.bronze.state(sources.map(({ name }) => name)),
    workDir: project.config.cacheDir,
    version: '0.0.0',
    log,
  });
  const different = report.tables.filter((table) => !table.equal).map(({ table }) => table);
  assert.deepEqual(different, []);
  assert.ok(report.equal);
}

/** The pipeline in this process finds nothing left to do. */
async function assertNothingLeft(lake: Lake): Promise<void> {
  const rest = await runProject(lake.project, { steps: 'all', asOf: '2026-06-30' });
  assert.equal(
    (rest.extract?.tables ?? []).reduce((n, t) => n + t.inserted + t.updated + t.deleted, 0),
    0,
  );
  assert.equal(rest.release, undefined);
}

/** Changes that the cursor of a table does not see. */
async function silently({ database }: Lake, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  try {
    await client.query(`begin; set local session_replication_role = replica; ${sql}; commit`);
  } finally {
    await client.end();
  }
}

test('a worker killed by SIGKILL in every step, one after another: the run ends right without a hand', async () => {
  const lake = await openLake();
  try {
    const run = await startElt(lake.temporal, {});
    const deaths = [
      'after:prepare',
      'after:extract',
      'after:openBuild',
      'after:runModels',
      'before:runTests',
      'before:publish',
      'after:publish',
    ];
    for (const death of deaths) assert.equal(await startWorker(lake, death).ended, 'SIGKILL', death);
    const survivor = startWorker(lake);
    const result = await waitForRun<EltResult>(lake.temporal, run, { signal: never });
    assert.equal(result.asOf, '2026-06-30');
    assert.equal(await lake.project.bronze.head('app'), 1, 'carried once');
    const releases = await Array.fromAsync(lake.project.releases.list());
    assert.equal(releases.length, 1, 'published once, by the worker that died of it');
    assert.deepEqual(
      [result.release?.number, result.release?.version],
      [1, releases[0]?.version],
      'the result names what the dead worker published',
    );
    assert.ok(result.models.length > 0 && result.tests.passed > 0);
    await assertSame(lake);
    await assertNothingLeft(lake);
    assert.equal(await survivor.stop('SIGTERM'), '0');
  } finally {
    await lake.close();
  }
});

test('two runs and a backfill at once, on two workers: all end, nothing is lost or double', async () => {
  const lake = await openLake();
  const pair = [startWorker(lake), startWorker(lake)];
  try {
    await Promise.all(pair.map(({ ready }) => ready));
    const first = await startElt(lake.temporal, {});
    await waitForRun<EltResult>(lake.temporal, first, { signal: never });
    const watermarks = async (): Promise<unknown> =>
      (await lake.project.bronze.state(['app'])).sources[0]?.tables['accounts']?.watermark;
    const before = await watermarks();
    assert.ok(before);
    await silently(lake, `update app.accounts set name = name || ' (mended)'`);
    await evolveDemo({ url: lake.database.url, days: 1, seed: 7, onProgress: () => undefined });
    await silently(
      lake,
      `update app.accounts set updated_at = '2020-01-01' where updated_at > now() - interval '1 hour'`,
    );

    const runs = await Promise.all([startElt(lake.temporal, {}), startElt(lake.temporal, {})]);
    const backfill = await startBackfill(lake.temporal, {
      source: 'app',
      table: 'accounts',
      rowsPerSlice: 3,
      build: false,
    });
    await assert.rejects(startBackfill(lake.temporal, { source: 'app', table: 'accounts' }), (error) =>
      isSluiceError(error, 'RUN_CONFLICT'),
    );
    const results = await Promise.all(runs.map((run) => waitForRun<EltResult>(lake.temporal, run, { signal: never })));
    const carried = await waitForRun<BackfillResult>(lake.temporal, backfill, { signal: never });
    assert.ok(carried.slices > 3, `${carried.slices} slices: more than one run of the workflow holds`);
    assert.ok(carried.updated > 0);
    assert.equal(results.filter((result) => result.release !== undefined).length > 0, true);
    await assertSame(lake);
    const { numbers } = await commitsOf(lake);
    assert.deepEqual(
      numbers,
      Array.from({ length: numbers.length }, (_, i) => i + 1),
    );
    await Promise.all(pair.map((worker) => worker.stop('SIGTERM')));
  } finally {
    await lake.close();
  }
});

async function commitsOf(lake: Lake): Promise<{ numbers: number[] }> {
  const commits = await Array.fromAsync(lake.project.bronze.commits('app'));
  return { numbers: commits.map(({ number }) => number) };
}

test('a backfill moves no watermark, and the run that follows it shows it in gold', async () => {
  const lake = await openLake();
  const worker = startWorker(lake);
  try {
    await runProject(lake.project, { steps: 'all' });
    const watermark = async () => (await lake.project.bronze.state(['app'])).sources[0]?.tables['accounts']?.watermark;
    const before = await watermark();
    await silently(lake, `update app.accounts set name = 'mended', updated_at = '2020-01-01'`);
    const run = await startBackfill(lake.temporal, { source: 'app', table: 'accounts' });
    const result = await waitForRun<BackfillResult>(lake.temporal, run, { signal: never });
    assert.ok(result.updated > 0 && result.release === 2, JSON.stringify(result));
    const commits = await Array.fromAsync(lake.project.bronze.commits('app'));
    const backfilled = commits.find((commit) => commit.tables['accounts']?.read.why === 'backfill');
    assert.ok(backfilled);
    assert.deepEqual(backfilled.tables['accounts']?.watermark.after, before);
    assert.equal(await worker.stop('SIGTERM'), '0');
  } finally {
    await lake.close();
  }
});

test('the server killed in the middle and away for longer than a heartbeat lasts: run, worker and waiting client go on', async () => {
  const lake = await openLake();
  const worker = startWorker(lake);
  try {
    await worker.ready;
    const run = await startElt(lake.temporal, {});
    const waiting = waitForRun<EltResult>(lake.temporal, run, { signal: never });
    await sleep(700);
    await server.kill();
    await assert.rejects(connectTemporal(lake.config), (error) => isSluiceError(error, 'TEMPORAL_UNREACHABLE'));
    await sleep(6_000);
    await server.start();
    const result = await waiting;
    assert.equal(result.asOf, '2026-06-30');
    await assertSame(lake);
    await assertNothingLeft(lake);
    assert.equal(await worker.stop('SIGTERM'), '0');
  } finally {
    await lake.close();
  }
});
