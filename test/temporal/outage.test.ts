import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { S3_SERVERS } from '../../infra/provision/index.ts';
import { connectTemporal } from '../../infra/temporal-connection.ts';
import { startElt, waitForRun } from '../../infra/temporal-runs.ts';
import { isSluiceError } from '../../warehouse/core/errors.ts';
import type { EltResult } from '../../workflows/contract.ts';
import { bucketOn, ownServer } from '../support/servers.ts';
import { startTestTemporal } from '../support/temporal.ts';
import { assertNothingLeft, assertSame, type Lake, openLake, startWorker } from './lake-support.ts';
import { writeBundle } from './support.ts';

/** Servers that are gone for 20 s in the middle of a run, with the patience and the retries that everybody has. */

const OUTAGE_MS = 20_000;
const never = new AbortController().signal;
let bundle: Awaited<ReturnType<typeof writeBundle>>;

before(async () => {
  bundle = await writeBundle('real');
});
after(() => bundle.remove());

/** Carried once, published once, nothing left to do. */
async function assertOnce(lake: Lake, result: EltResult): Promise<void> {
  assert.equal(result.asOf, '2026-06-30');
  assert.equal(result.release?.number, 1);
  const commits = await Array.fromAsync(lake.project.bronze.commits('app'));
  assert.deepEqual(
    commits.map(({ number }) => number),
    [1],
  );
  assert.equal((await Array.fromAsync(lake.project.releases.list())).length, 1);
  const named = commits.flatMap(({ tables }) =>
    Object.values(tables).flatMap(({ files }) => files.map(({ key }) => key)),
  );
  const stored = (await Array.fromAsync(lake.project.store.list('bronze/'))).map(({ key }) => key);
  assert.deepEqual(
    stored.filter((key) => key.endsWith('.parquet') && !named.includes(key)),
    [],
    'no file that nobody names',
  );
  await assertSame(lake);
  await assertNothingLeft(lake);
}

// At the same time: they share nothing, and most of it is waiting.
describe('away for 20 s in the middle of a run', { concurrency: true }, () => {
  test('the S3 server, killed once the first file is in the lake: the run ends right without a hand', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'sluice-outage-'));
    const [server, s3] = await Promise.all([startTestTemporal(), ownServer(S3_SERVERS.minio, join(dir, 'minio'))]);
    const bucket = await bucketOn(s3);
    const lake = await openLake(server, { place: bucket.environment });
    const worker = startWorker(lake, bundle.path);
    try {
      await worker.ready;
      const run = await startElt(lake.temporal, {});
      const waiting = waitForRun<EltResult>(lake.temporal, run, { signal: never });
      while ((await Array.fromAsync(lake.project.store.list('bronze/'))).length === 0) await sleep(5);
      s3.end();
      await sleep(OUTAGE_MS);
      assert.equal((await lake.temporal.client.workflow.getHandle(run.workflowId).describe()).status.name, 'RUNNING');
      await s3.restart();
      await assertOnce(lake, await waiting);
      assert.equal(await worker.stop('SIGTERM'), '0');
    } finally {
      await lake.close();
      s3.end();
      await server.close();
      await rm(dir, { recursive: true, force: true });
    }
  });

  test('the Temporal server, killed while steps are under way: run, worker and waiting client go on', async () => {
    const server = await startTestTemporal();
    const lake = await openLake(server);
    const worker = startWorker(lake, bundle.path);
    try {
      await worker.ready;
      const run = await startElt(lake.temporal, {});
      const waiting = waitForRun<EltResult>(lake.temporal, run, { signal: never });
      await sleep(700);
      await server.kill();
      await assert.rejects(connectTemporal(lake.config), (error) => isSluiceError(error, 'TEMPORAL_UNREACHABLE'));
      await sleep(OUTAGE_MS);
      await server.start();
      await assertOnce(lake, await waiting);
      assert.equal(await worker.stop('SIGTERM'), '0');
    } finally {
      await lake.close();
      await server.close();
    }
  });
});
