import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { evolveDemo } from '../../demo/index.ts';
import { openProjectSteps } from '../../infra/project-steps.ts';
import { createWorkerActivities } from '../../infra/temporal-activities.ts';
import { connectWorker } from '../../infra/temporal-connection.ts';
import { startElt, waitForRun } from '../../infra/temporal-runs.ts';
import { ensureSearchAttributes } from '../../infra/temporal-search-attributes.ts';
import { createHostQueue, installRuntime, serve } from '../../infra/temporal-worker.ts';
import { WORKER } from '../../temporal.config.ts';
import type { EltResult } from '../../workflows/contract.ts';
import { testMinio } from '../support/servers.ts';
import { startTestTemporal, type TestTemporal } from '../support/temporal.ts';
import { assertNothingLeft, assertSame, openLake, startWorker } from './lake-support.ts';
import { log, writeBundle } from './support.ts';

/** What a worker leaves to others, and what it throws away: builds when it stops, builds that nobody came back for, local copies of the lake. */

const never = new AbortController().signal;
let server: TestTemporal;
let bundle: Awaited<ReturnType<typeof writeBundle>>;

before(async () => {
  // The real patience: what is handed over must not wait for it.
  [server, bundle] = await Promise.all([startTestTemporal(), writeBundle('real')]);
});
after(async () => {
  await bundle.remove();
  await server.close();
});

test('SIGTERM in the middle of a build: the step is given up at once, another worker builds, nothing is left behind', async () => {
  const lake = await openLake(server);
  const first = startWorker(lake, bundle.path, 'hold:runModels');
  try {
    const run = await startElt(lake.temporal, {});
    await first.holding;
    const second = startWorker(lake, bundle.path);
    assert.equal(await first.stop('SIGTERM'), '0');
    assert.match(first.words(), /released: /);
    assert.doesNotMatch(first.words(), /WORKER_SHUTDOWN/, 'that is the word at the end of the grace time');
    const result = await waitForRun<EltResult>(lake.temporal, run, { signal: never });
    assert.equal(result.release?.number, 1);
    assert.equal(await lake.project.bronze.head('app'), 1, 'carried once');
    const { events } = await lake.temporal.client.workflow.getHandle(run.workflowId).fetchHistory();
    const failures = (events ?? []).flatMap(({ activityTaskFailedEventAttributes: failed }) =>
      failed?.failure?.applicationFailureInfo?.type ? [failed.failure.applicationFailureInfo.type] : [],
    );
    assert.deepEqual(failures, ['BUILD_HOST_LOST'], 'told by the worker itself');
    assert.equal(
      (events ?? []).some(({ activityTaskTimedOutEventAttributes: late }) => late),
      false,
      'no silence was waited for',
    );
    await assertSame(lake);
    await assertNothingLeft(lake);
    assert.equal(await second.stop('SIGTERM'), '0');
    assert.deepEqual(await readdir(join(lake.config.cacheDir, 'work')), []);
  } finally {
    await lake.close();
  }
});

test('SIGTERM between two steps of a build: the next step is refused or not taken, and another worker builds', async () => {
  const lake = await openLake(server);
  const first = startWorker(lake, bundle.path, 'linger:runModels');
  try {
    const run = await startElt(lake.temporal, {});
    await first.holding;
    const second = startWorker(lake, bundle.path);
    await second.ready;
    assert.equal(await first.stop('SIGTERM'), '0');
    const result = await waitForRun<EltResult>(lake.temporal, run, { signal: never });
    assert.equal(result.release?.number, 1);
    const { events } = await lake.temporal.client.workflow.getHandle(run.workflowId).fetchHistory();
    assert.ok(
      (events ?? []).some(
        (event) => event.activityTaskFailedEventAttributes ?? event.activityTaskTimedOutEventAttributes,
      ),
      'the first worker did not go on',
    );
    assert.equal(await lake.project.bronze.head('app'), 1, 'carried once');
    await assertSame(lake);
    assert.equal(await second.stop('SIGTERM'), '0');
  } finally {
    await lake.close();
  }
});

test('a build whose run was terminated is kept for six hours and then thrown away with its folder', async () => {
  const lake = await openLake(server);
  const workDir = join(lake.config.cacheDir, 'work-of-this-test');
  installRuntime(log);
  await ensureSearchAttributes(lake.config);
  const { connection, namespace } = await connectWorker(lake.config);
  const steps = await openProjectSteps(lake.project, workDir);
  const stop = new AbortController();
  const hostQueue = createHostQueue();
  const left = Promise.withResolvers<void>();
  const activities = createWorkerActivities({
    hostQueue,
    log,
    stopping: stop.signal,
    createSteps: ({ signal, onProgress }) => {
      const own = steps.forScope({ signal, onProgress, sourceUrl: lake.database.url });
      return {
        ...own,
        prepare: async () => ({ asOf: '2026-06-30', sources: ['app'] }),
        runModels: async (request) => {
          const models = await own.runModels(request);
          await lake.temporal.client.workflow.getHandle('terminated').terminate('by the test');
          left.resolve();
          return models;
        },
      };
    },
  });
  const serving = serve(
    {
      connection,
      namespace,
      activities,
      hostQueue,
      workflowBundle: { codePath: bundle.path },
      log,
      signal: stop.signal,
    },
    () => undefined,
  );
  try {
    await startElt(lake.temporal, {}, 'terminated');
    await Promise.race([left.promise, serving]);
    const [folder = ''] = [...steps.builds.values()].map(({ dir }) => dir);
    assert.ok(existsSync(folder));
    const soon = Date.now() + WORKER.abandonedBuildMs - 60_000;
    assert.equal(await activities.sweep(soon), 0);
    assert.ok(existsSync(folder), 'its run could still come back');
    let thrown = 0;
    // Until the step's own end is noted.
    for (let look = 0; look < 600 && thrown === 0; look++) {
      thrown = await activities.sweep(Date.now() + WORKER.abandonedBuildMs + 60_000);
      await sleep(50);
    }
    assert.equal(thrown, 1);
    assert.equal(existsSync(folder), false);
    assert.deepEqual([steps.builds.size, activities.openBuilds()], [0, 0]);
    assert.equal(await activities.sweep(Number.MAX_SAFE_INTEGER), 0, 'once');
  } finally {
    stop.abort();
    await serving;
    await connection.close();
    await lake.close();
  }
});

test('a worker of many runs on a lake in S3 holds no local copy after any of them', async () => {
  const bucket = await testMinio();
  const lake = await openLake(server, { place: bucket.environment });
  const worker = startWorker(lake, bundle.path);
  const lent = async (): Promise<string[]> => readdir(join(lake.config.cacheDir, 'lake', 'lent')).catch(() => []);
  try {
    for (let number = 1; number <= 2; number++) {
      if (number > 1) await evolveDemo({ url: lake.database.url, days: 1, seed: 7, onProgress: () => undefined });
      const run = await startElt(lake.temporal, {});
      const result = await waitForRun<EltResult>(lake.temporal, run, { signal: never });
      assert.equal(result.release?.number, number);
      for (let look = 0; look < 600 && (await lent()).length > 0; look++) await sleep(50);
      assert.deepEqual(await lent(), [], `after run ${number}`);
    }
    assert.ok((await readdir(join(lake.config.cacheDir, 'lake', 'contents'))).length > 0, 'it did go by the cache');
    assert.equal(await worker.stop('SIGTERM'), '0');
  } finally {
    await lake.close();
  }
});
