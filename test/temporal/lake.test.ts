import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { evolveDemo } from '../../demo/index.ts';
import { runProject } from '../../infra/run-project.ts';
import { startBackfill, startElt, waitForRun } from '../../infra/temporal-runs.ts';
import { isSluiceError } from '../../warehouse/core/errors.ts';
import type { BackfillResult } from '../../workflows/backfill.ts';
import type { EltResult } from '../../workflows/contract.ts';
import { startTestTemporal, type TestTemporal } from '../support/temporal.ts';
import { assertNothingLeft, assertSame, type Lake, openLake, silently, startWorker } from './lake-support.ts';
import { writeBundle } from './support.ts';

/** Workers that are processes of their own, a real server, a real source: what is killed here is killed by SIGKILL. */

const never = new AbortController().signal;

let server: TestTemporal;
let bundle: Awaited<ReturnType<typeof writeBundle>>;

before(async () => {
  [server, bundle] = await Promise.all([startTestTemporal(), writeBundle('quick')]);
});

after(async () => {
  await bundle.remove();
  await server.close();
});

test('a worker killed by SIGKILL in every step, one after another: the run ends right without a hand', async () => {
  const lake = await openLake(server);
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
    for (const death of deaths) assert.equal(await startWorker(lake, bundle.path, death).ended, 'SIGKILL', death);
    const survivor = startWorker(lake, bundle.path);
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
  const lake = await openLake(server);
  const pair = [startWorker(lake, bundle.path), startWorker(lake, bundle.path)];
  try {
    await Promise.all(pair.map(({ ready }) => ready));
    const first = await startElt(lake.temporal, {});
    await waitForRun<EltResult>(lake.temporal, first, { signal: never });
    const watermarks = async (): Promise<unknown> =>
      (await lake.project.bronze.state(['app'])).sources[0]?.tables.get('accounts')?.watermark;
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
  const lake = await openLake(server);
  const worker = startWorker(lake, bundle.path);
  try {
    await runProject(lake.project, { steps: 'all' });
    const watermark = async () =>
      (await lake.project.bronze.state(['app'])).sources[0]?.tables.get('accounts')?.watermark;
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
