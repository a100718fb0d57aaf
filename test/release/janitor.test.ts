import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { createFolderStore } from '../../warehouse/core/folder-store.ts';
import type { Garbage } from '../../warehouse/core/garbage.ts';
import type { ObjectStore } from '../../warehouse/core/object-store.ts';
import { sweepReleases } from '../../warehouse/release/index.ts';
import { openTestReleases, publishMark, readMarks, testFolder, withHook } from './support.ts';

const DAY = 24 * 3_600_000;

const sweep = (store: ObjectStore, days: number, dryRun = false): AsyncGenerator<Garbage> =>
  sweepReleases({ store, olderThanMs: DAY, nowMs: Date.now() + days * DAY, dryRun });
const places = async (found: AsyncIterable<Garbage>): Promise<string[]> =>
  (await Array.fromAsync(found)).map((garbage) => garbage.place);
const keys = async (store: ObjectStore): Promise<string[]> =>
  (await Array.fromAsync(store.list('warehouse/'))).map(({ key }) => key);

test('what killed publishers left goes; every release in the log can still be read and rolled back to', async (t) => {
  const dir = await testFolder(t);
  const store = createFolderStore(join(dir, 'lake'));
  const releases = openTestReleases(dir, store);
  for (const mark of ['1', '2', '3']) await publishMark(releases, dir, mark);
  await releases.rollback(1);
  const kept = await keys(store);
  // Killed at each write of a publication: before the second file, the version, the pointer.
  for (const nth of [2, 3, 4]) {
    let writes = 0;
    const dying = withHook(store, () => {
      if (++writes === nth) throw new Error('killed');
    });
    await assert.rejects(publishMark(openTestReleases(dir, dying), dir, `killed-${nth}`), /killed/);
  }
  const orphans = (await keys(store)).filter((key) => !kept.includes(key));
  assert.equal(orphans.length, 1 + 2 + 3);
  assert.deepEqual(await places(sweep(store, 0)), []);
  assert.deepEqual((await places(sweep(store, 2, true))).sort(), [...orphans].sort());
  assert.equal((await keys(store)).length, kept.length + orphans.length);
  assert.deepEqual((await places(sweep(store, 2))).sort(), [...orphans].sort());
  assert.deepEqual(await keys(store), kept);
  for (const number of [1, 2, 3, 4]) {
    const release = await openTestReleases(dir, store).get(number);
    const mark = number === 4 ? '1' : String(number);
    assert.deepEqual(await readMarks(await releases.fetch(release)), [`silver ${mark}`, `gold ${mark}`]);
  }
});

test('a release published while the janitor works keeps its files', async (t) => {
  const dir = await testFolder(t);
  const store = createFolderStore(join(dir, 'lake'));
  const releases = openTestReleases(dir, store);
  await publishMark(releases, dir, '1');
  let published = false;
  const late: ObjectStore = {
    ...store,
    list: async function* (prefix, options) {
      if (prefix === 'warehouse/files/' && !published) {
        published = true;
        await publishMark(releases, dir, '2');
      }
      yield* store.list(prefix, options);
    },
  };
  assert.deepEqual(await places(sweep(late, 2)), []);
  assert.ok(published);
  const release = await openTestReleases(dir, store).get(2);
  assert.deepEqual(await readMarks(await releases.fetch(release)), ['silver 2', 'gold 2']);
});

test('a log of releases that cannot be read stops the janitor before he removes anything', async (t) => {
  const dir = await testFolder(t);
  const store = createFolderStore(join(dir, 'lake'));
  const release = await publishMark(openTestReleases(dir, store), dir, '1');
  await store.putIfAbsent('warehouse/files/orphan.duckdb', Buffer.from('x'));
  const document = `warehouse/versions/${release.version}.json`;
  const bytes = await store.get(document);
  await store.delete(document);
  await assert.rejects(places(sweep(store, 2)), /holds no object named/);
  await store.putIfAbsent(document, Buffer.from('{}'));
  await assert.rejects(places(sweep(store, 2)));
  await store.delete(document);
  await store.putIfAbsent(document, bytes);
  assert.deepEqual(await places(sweep(store, 2)), ['warehouse/files/orphan.duckdb']);
});
