import assert from 'node:assert/strict';
import { appendFile, chmod, readdir, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { isSluiceError, mapSystemError } from '../../warehouse/core/errors.ts';
import { createFolderStore } from '../../warehouse/core/folder-store.ts';
import { contentOf, openTestReleases, publishMark, readMarks, testFolder, withHook, writeDraft } from './support.ts';

const withCode = (code: Parameters<typeof isSluiceError>[1]) => (error: unknown) => isSluiceError(error, code);

test('a lake without releases has no current one and checks out files to be created', async (t) => {
  const dir = await testFolder(t);
  const releases = openTestReleases(dir);
  assert.equal(await releases.current(), undefined);
  const paths = await releases.checkout(undefined, join(dir, 'work'));
  assert.deepEqual(await readdir(join(dir, 'work')), []);
  assert.equal(paths.gold, join(dir, 'work', 'gold.duckdb'));
});

test('what is published is current, found by number and by version, and fetched byte for byte', async (t) => {
  const dir = await testFolder(t);
  const releases = openTestReleases(dir);
  const published = await publishMark(releases, dir, '1');
  assert.equal(published.number, 1);
  assert.equal(published.kind, 'publish');
  assert.match(published.version, /^\d{8}T\d{6}Z-[0-9a-f]{8}$/);
  const other = openTestReleases(dir);
  assert.deepEqual(await other.current(), published);
  assert.deepEqual(await other.get(1), published);
  assert.deepEqual(await other.get(published.version), published);
  assert.deepEqual(await readMarks(await other.fetch(published)), ['silver 1', 'gold 1']);
});

test('the list goes from the newest to the oldest, past the ninth', async (t) => {
  const dir = await testFolder(t);
  const releases = openTestReleases(dir);
  for (let n = 1; n <= 11; n++) await publishMark(releases, dir, String(n));
  const numbers = (await Array.fromAsync(releases.list())).map((release) => release.number);
  assert.deepEqual(numbers, [11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
});

test('a file that did not change is stored once', async (t) => {
  const dir = await testFolder(t);
  const uploads: string[] = [];
  const store = withHook(createFolderStore(join(dir, 'lake')), (operation, key) => {
    if (operation === 'putFile') uploads.push(key);
  });
  const releases = openTestReleases(dir, store);
  const first = await publishMark(releases, dir, '1', 'same');
  const second = await publishMark(releases, dir, '2', 'same');
  assert.deepEqual(uploads, [first.files.silver.key, first.files.gold.key, second.files.gold.key]);
  assert.equal(first.files.silver.key, second.files.silver.key);
});

test('a build that began from an older release gets RELEASE_CONFLICT and leaves the newer one current', async (t) => {
  const dir = await testFolder(t);
  const releases = openTestReleases(dir);
  await publishMark(releases, dir, '1');
  const winner = await publishMark(releases, dir, '2');
  const paths = await writeDraft(join(dir, 'late'), 'late');
  await assert.rejects(
    releases.publish({ base: 1, paths, content: contentOf('2026-01-03') }),
    (error: unknown) => isSluiceError(error, 'RELEASE_CONFLICT') && error.retryable && /release 2/.test(error.message),
  );
  assert.deepEqual(await releases.current(), winner);
});

test('of many who publish on one base at the same time exactly one wins', async (t) => {
  const dir = await testFolder(t);
  await publishMark(openTestReleases(dir), dir, '1');
  const attempts = await Promise.allSettled(
    Array.from({ length: 12 }, async (_, n) => {
      const paths = await writeDraft(join(dir, `rival-${n}`), `rival ${n}`);
      return openTestReleases(dir).publish({ base: 1, paths, content: contentOf('2026-01-02') });
    }),
  );
  const won = attempts.filter((attempt) => attempt.status === 'fulfilled');
  const lost = attempts.filter((attempt) => attempt.status === 'rejected');
  assert.equal(won.length, 1);
  assert.ok(lost.every((attempt) => isSluiceError(attempt.reason, 'RELEASE_CONFLICT')));
  const current = await openTestReleases(dir).current();
  assert.deepEqual(current, won[0]?.value);
});

test('publishing the same draft again gives the same release, so that a lost answer does no harm', async (t) => {
  const dir = await testFolder(t);
  const releases = openTestReleases(dir);
  const content = contentOf('2026-01-01');
  const first = await releases.publish({ base: 0, paths: await writeDraft(join(dir, 'a'), 'x'), content });
  const again = await releases.publish({ base: 0, paths: await writeDraft(join(dir, 'b'), 'x'), content });
  assert.deepEqual(again, first);
  assert.equal((await Array.fromAsync(releases.list())).length, 1);
});

test('a draft with a write-ahead log beside it is refused', async (t) => {
  const dir = await testFolder(t);
  const releases = openTestReleases(dir);
  const paths = await writeDraft(join(dir, 'work'), 'x');
  await writeFile(`${paths.gold}.wal`, 'unfinished');
  await assert.rejects(releases.publish({ base: 0, paths, content: contentOf('2026-01-01') }), /write-ahead log/);
  assert.equal(await releases.current(), undefined);
});

test('a checkout is private: what is written to it reaches neither the store nor other checkouts', async (t) => {
  const dir = await testFolder(t);
  const releases = openTestReleases(dir);
  const release = await publishMark(releases, dir, '1');
  const one = await releases.checkout(release, join(dir, 'one'));
  const two = await releases.checkout(release, join(dir, 'two'));
  await appendFile(one.gold, ' scribble');
  await writeFile(`${one.gold}.wal`, 'left by a crash');
  assert.equal(await readFile(two.gold, 'utf8'), 'gold 1');
  assert.deepEqual(await readMarks(await openTestReleases(dir).fetch(release)), ['silver 1', 'gold 1']);
  await releases.checkout(release, join(dir, 'one'));
  assert.deepEqual((await readdir(join(dir, 'one'))).toSorted(), ['gold.duckdb', 'silver.duckdb']);
  assert.equal(await readFile(one.gold, 'utf8'), 'gold 1');
});

test('rolling back makes the old release current under a new number; going on builds upon it', async (t) => {
  const dir = await testFolder(t);
  const releases = openTestReleases(dir);
  const first = await publishMark(releases, dir, '1');
  await publishMark(releases, dir, '2');
  const back = await releases.rollback(1);
  assert.deepEqual(
    { number: back.number, kind: back.kind, version: back.version, files: back.files },
    { number: 3, kind: 'rollback', version: first.version, files: first.files },
  );
  assert.deepEqual(await openTestReleases(dir).current(), back);
  assert.deepEqual(await releases.rollback(1), back, 'again is a no-op');
  assert.equal((await releases.get(first.version)).number, 1);
  const stale = await writeDraft(join(dir, 'stale'), 'stale');
  await assert.rejects(
    releases.publish({ base: 2, paths: stale, content: contentOf('2026-01-09') }),
    withCode('RELEASE_CONFLICT'),
  );
  assert.equal((await publishMark(releases, dir, '4')).number, 4);
  await assert.rejects(releases.rollback(99), withCode('RELEASE_NOT_FOUND'));
});

test('unknown releases are RELEASE_NOT_FOUND, whatever they look like', async (t) => {
  const dir = await testFolder(t);
  const releases = openTestReleases(dir);
  await publishMark(releases, dir, '1');
  for (const id of [2, 0, '20200101T000000Z-00000000', '../../etc/passwd', '']) {
    await assert.rejects(releases.get(id), withCode('RELEASE_NOT_FOUND'), String(id));
  }
});

test('a damaged local copy is found and fetched again, at once and in later processes', async (t) => {
  const dir = await testFolder(t);
  const releases = openTestReleases(dir);
  const release = await publishMark(releases, dir, '1');
  const { gold } = await releases.fetch(release);
  const good = await readFile(gold);
  const damages: [string, () => Promise<void>][] = [
    ['cut short', () => truncate(gold, 3)],
    ['same size, other bytes', () => writeFile(gold, Buffer.from(good).fill(120, 2, 4))],
    ['empty', () => truncate(gold, 0)],
  ];
  for (const [name, damage] of damages) {
    for (const reader of [releases, openTestReleases(dir)]) {
      await chmod(gold, 0o644);
      await damage();
      const fetched = await reader.fetch(release);
      assert.deepEqual(await readFile(fetched.gold), good, name);
    }
  }
});

test('a damaged object in the store is an error that names it, and no copy is left', async (t) => {
  const dir = await testFolder(t);
  const releases = openTestReleases(dir);
  const release = await publishMark(releases, dir, '1');
  await appendFile(join(dir, 'lake', release.files.gold.key), 'x');
  await assert.rejects(
    releases.fetch(release),
    (error: unknown) => isSluiceError(error, 'LAKE_CORRUPT') && error.message.includes(release.files.gold.key),
  );
  await assert.rejects(releases.checkout(release, join(dir, 'work')), withCode('LAKE_CORRUPT'));
  assert.deepEqual(await readdir(join(dir, 'cache', release.files.gold.sha256)), []);
  await assert.rejects(stat(join(dir, 'work', 'gold.duckdb')), /ENOENT/);
});

test('a pointer or version that is not ours to read says so', async (t) => {
  const dir = await testFolder(t);
  const release = await publishMark(openTestReleases(dir), dir, '1');
  const key = join(dir, 'lake', 'warehouse', 'versions', `${release.version}.json`);
  const document = JSON.parse(await readFile(key, 'utf8')) as Record<string, unknown>;
  await writeFile(key, JSON.stringify({ ...document, format: 2 }));
  await assert.rejects(openTestReleases(dir).current(), withCode('LAKE_FORMAT_UNKNOWN'));
  await writeFile(key, JSON.stringify({ ...document, commits: { app: -1 } }));
  await assert.rejects(openTestReleases(dir).current(), /commits/);
  await writeFile(key, '{"format":');
  await assert.rejects(openTestReleases(dir).current(), withCode('LAKE_CORRUPT'));
});

test('a full disk while publishing leaves the last release, and says DISK_FULL', async (t) => {
  const dir = await testFolder(t);
  const release = await publishMark(openTestReleases(dir), dir, '1');
  for (const failAt of ['putFile', 'versions', '_log']) {
    const store = withHook(createFolderStore(join(dir, 'lake')), (operation, key) => {
      if (operation === failAt || key.includes(`/${failAt}/`)) {
        throw mapSystemError(Object.assign(new Error('no space left on device'), { code: 'ENOSPC' }), key);
      }
    });
    await assert.rejects(publishMark(openTestReleases(dir, store), dir, '2'), withCode('DISK_FULL'), failAt);
    assert.deepEqual(await openTestReleases(dir).current(), release);
  }
  assert.equal((await publishMark(openTestReleases(dir), dir, '2')).number, 2);
});
