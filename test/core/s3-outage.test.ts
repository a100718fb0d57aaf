import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { S3_SERVERS } from '../../infra/provision/index.ts';
import { isSluiceError } from '../../warehouse/core/errors.ts';
import { bucketOn, ownServer } from '../support/servers.ts';
import { bytes, openTestStore, s3TestFolder, text } from './s3-support.ts';

for (const [name, spec] of Object.entries(S3_SERVERS)) {
  test(`${name} killed in the middle of work and back after seconds: every call ends well, nothing is double`, async (t) => {
    const dir = await s3TestFolder(t);
    const server = await ownServer(spec, join(dir, 'server'));
    t.after(() => server.end());
    const bucket = await bucketOn(server);
    const store = openTestStore(bucket, dir, { upload: { partBytes: 5 * 1024 * 1024, parallelParts: 2 } });
    await store.putIfAbsent('before', bytes('stands'));
    const content = randomBytes(16 * 1024 * 1024);
    await writeFile(join(dir, 'large'), content);
    const work = Promise.all([
      store.putFile('large', join(dir, 'large')),
      ...Array.from({ length: 20 }, (_, index) => store.putIfAbsent(`log/${index}`, bytes(`entry ${index}`))),
    ]);
    await sleep(15);
    server.end();
    const reads = Promise.all([store.get('before'), store.head('before'), Array.fromAsync(store.list('before'))]);
    await sleep(3_000);
    const again = await server.restart();
    assert.equal(again.ports['s3'], server.ports['s3'], 'it comes back where it was');
    const [, ...won] = await work;
    assert.ok(won.every(Boolean));
    const [read, head, list] = await reads;
    assert.equal(text(read), 'stands');
    assert.equal(head?.bytes, 6);
    assert.equal(list.length, 1);
    const reader = openTestStore(bucket, join(dir, 'reader'));
    assert.deepEqual(await readFile(await reader.toLocalFile('large')), content);
    for (let index = 0; index < 20; index++) assert.equal(text(await reader.get(`log/${index}`)), `entry ${index}`);
    assert.equal((await Array.fromAsync(reader.list('log/'))).length, 20);
  });
}

test('a server that stays away is LAKE_UNREACHABLE, to be tried again, and no write is half done', async (t) => {
  const dir = await s3TestFolder(t);
  const server = await ownServer(S3_SERVERS.versitygw, join(dir, 'server'));
  t.after(() => server.end());
  const bucket = await bucketOn(server);
  const store = openTestStore(bucket, dir, { patience: { outageMs: 1_500 } });
  await store.putIfAbsent('before', bytes('x'));
  server.end();
  const begin = performance.now();
  await assert.rejects(
    store.putIfAbsent('after', bytes('y')),
    (error: unknown) =>
      isSluiceError(error, 'LAKE_UNREACHABLE') && error.retryable && /infra:up/.test(error.remedy ?? ''),
  );
  assert.ok(performance.now() - begin < 6_000);
  await server.restart();
  assert.equal(await store.head('after'), undefined);
  assert.equal(await store.putIfAbsent('after', bytes('y')), true);
});
