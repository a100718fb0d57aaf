import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { isSluiceError } from '../../warehouse/core/errors.ts';
import type { ObjectStore } from '../../warehouse/core/object-store.ts';
import { createS3Store } from '../../warehouse/core/s3-store.ts';
import { S3_TEST_SERVERS, type TestBucket } from '../support/servers.ts';
import {
  contentOf,
  openTestReleases,
  publishMark,
  readMarks,
  silent,
  testFolder,
  withHook,
  writeDraft,
} from './support.ts';

/** Releases on real S3 servers: publish, conflict, rollback, fetch, and failure at every write. */

for (const [server, freshBucket] of Object.entries(S3_TEST_SERVERS)) {
  describe(`releases on ${server}`, () => {
    let bucket: TestBucket;
    let root: string;
    let count = 0;
    before(async () => {
      bucket = await freshBucket();
      root = await mkdtemp(join(tmpdir(), 'sluice-release-s3-'));
    });
    after(() => rm(root, { recursive: true, force: true }));

    /** Stores over one and the same fresh place, each with its own cache: as on different machines. */
    const freshPlace = (): (() => ObjectStore) => {
      const prefix = `place-${count++}`;
      return () =>
        createS3Store({
          location: { ...bucket.location, prefix },
          cache: { dir: join(root, 'cache', String(count++)), maxBytes: 1e9 },
          log: silent,
        });
    };

    test('what one machine publishes another fetches byte for byte; rolling back and going on', async (t) => {
      const dir = await testFolder(t);
      const open = freshPlace();
      const writer = openTestReleases(dir, open());
      const first = await publishMark(writer, dir, '1');
      await publishMark(writer, dir, '2');
      const reader = openTestReleases(join(dir, 'reader'), open());
      assert.equal((await reader.current())?.number, 2);
      const back = await reader.rollback(1);
      assert.deepEqual([back.number, back.kind, back.version], [3, 'rollback', first.version]);
      const late = openTestReleases(join(dir, 'late'), open());
      const current = await late.current();
      assert.deepEqual(current, back);
      assert.deepEqual(await readMarks(await late.fetch(back)), ['silver 1', 'gold 1']);
      assert.equal((await publishMark(late, dir, '4')).number, 4);
      const numbers = (await Array.fromAsync(openTestReleases(dir, open()).list())).map((release) => release.number);
      assert.deepEqual(numbers, [4, 3, 2, 1]);
    });

    test('of many who publish on one base exactly one wins', async (t) => {
      const dir = await testFolder(t);
      const open = freshPlace();
      await publishMark(openTestReleases(dir, open()), dir, '1');
      const attempts = await Promise.allSettled(
        Array.from({ length: 8 }, async (_, n) => {
          const paths = await writeDraft(join(dir, `rival-${n}`), `rival ${n}`);
          return openTestReleases(dir, open()).publish({ base: 1, paths, content: contentOf('2026-01-02') });
        }),
      );
      const won = attempts.filter((attempt) => attempt.status === 'fulfilled');
      assert.equal(won.length, 1);
      for (const attempt of attempts) {
        if (attempt.status === 'rejected')
          assert.ok(isSluiceError(attempt.reason, 'RELEASE_CONFLICT'), String(attempt.reason));
      }
      assert.deepEqual(await openTestReleases(dir, open()).current(), won[0]?.value);
    });

    test('a publisher that dies before any of its writes leaves the last release, and the next one publishes', async (t) => {
      for (const nth of [1, 2, 3, 4]) {
        const dir = await testFolder(t);
        const open = freshPlace();
        const before = await publishMark(openTestReleases(dir, open()), dir, '1');
        let writes = 0;
        const dying = withHook(open(), () => {
          writes += 1;
          if (writes >= nth) throw new Error('died');
        });
        await assert.rejects(publishMark(openTestReleases(dir, dying), dir, '2'), /died/);
        assert.deepEqual(await openTestReleases(dir, open()).current(), before);
        const next = openTestReleases(dir, open());
        assert.equal((await publishMark(next, dir, '2')).number, 2);
        const current = await next.current();
        assert.ok(current !== undefined);
        assert.deepEqual(await readMarks(await next.fetch(current)), ['silver 2', 'gold 2']);
      }
    });

    test('files larger than a part make a release as well', async (t) => {
      const dir = await testFolder(t);
      const open = freshPlace();
      const content = randomBytes(20 * 1024 * 1024);
      await mkdir(join(dir, 'draft'), { recursive: true });
      const paths = { silver: join(dir, 'draft', 'silver.duckdb'), gold: join(dir, 'draft', 'gold.duckdb') };
      await writeFile(paths.silver, content);
      await writeFile(paths.gold, 'small');
      const release = await openTestReleases(dir, open()).publish({ base: 0, paths, content: contentOf('2026-01-01') });
      const fetched = await openTestReleases(join(dir, 'reader'), open()).fetch(release);
      assert.deepEqual(await readFile(fetched.silver), content);
    });
  });
}
