import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { ListMultipartUploadsCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { type ErrorCode, isSluiceError } from '../../warehouse/core/errors.ts';
import { type Fault, s3Error, startFaultProxy } from '../support/fault-proxy.ts';
import { S3_TEST_SERVERS, type TestBucket } from '../support/servers.ts';
import { objectStoreContract } from './object-store-contract.ts';
import { bytes, openTestStore, s3TestFolder, text } from './s3-support.ts';

const MB = 1024 * 1024;
const PARTS = { partBytes: 5 * MB, parallelParts: 2 };
const withCode = (code: ErrorCode) => (error: unknown) => isSluiceError(error, code) && error.remedy !== undefined;

for (const [server, freshBucket] of Object.entries(S3_TEST_SERVERS)) {
  let bucket: TestBucket;
  let root: string;
  let count = 0;
  before(async () => {
    bucket = await freshBucket();
    root = await mkdtemp(join(tmpdir(), 'sluice-s3-'));
  });
  after(() => rm(root, { recursive: true, force: true }));

  objectStoreContract(`s3 on ${server}`, async () => {
    const prefix = `contract/${count++}`;
    return () => openTestStore(bucket, join(root, prefix), { prefix });
  });

  describe(`s3 on ${server}`, () => {
    test('a large file goes up in parts, comes back byte for byte, and its name stays taken', async (t) => {
      const dir = await s3TestFolder(t);
      const store = openTestStore(bucket, dir, { prefix: 'parts', upload: PARTS });
      const content = randomBytes(12 * MB + 123);
      const path = join(dir, 'large');
      await writeFile(path, content);
      await store.putFile('large', path);
      assert.equal(existsSync(path), false, 'the local file was consumed');
      assert.deepEqual(await store.head('large'), { key: 'large', bytes: content.length });
      const other = openTestStore(bucket, join(dir, 'other'), { prefix: 'parts' });
      assert.deepEqual(await readFile(await other.toLocalFile('large')), content);
      await writeFile(path, content);
      await assert.rejects(store.putFile('large', path), withCode('LAKE_CORRUPT'));
      assert.equal(existsSync(path), true, 'the caller keeps a file that was refused');
      assert.equal(await store.putIfAbsent('large', bytes('x')), false);
    });

    test('of many who upload one large name exactly one wins, whole, and the others leave nothing behind', async (t) => {
      const dir = await s3TestFolder(t);
      const contents = Array.from({ length: 4 }, () => randomBytes(6 * MB));
      const results = await Promise.allSettled(
        contents.map(async (content, index) => {
          const path = join(dir, `rival-${index}`);
          await writeFile(path, content);
          await openTestStore(bucket, join(dir, String(index)), { prefix: 'rivals', upload: PARTS }).putFile(
            'one',
            path,
          );
        }),
      );
      const winners = results.flatMap((result, index) => (result.status === 'fulfilled' ? [index] : []));
      assert.equal(winners.length, 1);
      for (const result of results) {
        if (result.status === 'rejected') assert.ok(withCode('LAKE_CORRUPT')(result.reason), String(result.reason));
      }
      const reader = openTestStore(bucket, join(dir, 'reader'), { prefix: 'rivals' });
      assert.deepEqual(await readFile(await reader.toLocalFile('one')), contents[winners[0] ?? -1]);
      const open = await rawClient(bucket).send(new ListMultipartUploadsCommand({ Bucket: bucket.bucket }));
      assert.deepEqual(open.Uploads ?? [], []);
    });

    test('a commit whose answer was lost is known as one’s own, and another’s is not', async (t) => {
      const dir = await s3TestFolder(t);
      for (const faults of [1, 2, 3]) {
        const proxy = await startFaultProxy(t, bucket.endpoint, (request, seen) =>
          request.method === 'PUT' && seen <= faults ? { kind: 'lose' } : undefined,
        );
        const store = openTestStore(bucket, dir, { prefix: `lost-${faults}`, endpoint: proxy.endpoint });
        assert.equal(await store.putIfAbsent('log/1', bytes('mine')), true);
        assert.equal(text(await store.get('log/1')), 'mine');
      }
      const proxy = await startFaultProxy(t, bucket.endpoint, (request, seen) =>
        request.method === 'PUT' && seen === 1 ? { kind: 'lose' } : undefined,
      );
      const direct = openTestStore(bucket, dir, { prefix: 'lost-1' });
      const late = openTestStore(bucket, dir, { prefix: 'lost-1', endpoint: proxy.endpoint });
      assert.equal(await late.putIfAbsent('log/1', bytes('mine')), false, 'the same words of another writer');
      assert.equal(text(await direct.get('log/1')), 'mine');
    });

    test('a large upload whose completion was answered to nobody is done all the same', async (t) => {
      const dir = await s3TestFolder(t);
      const proxy = await startFaultProxy(t, bucket.endpoint, (request, seen) =>
        request.method === 'POST' && request.url?.includes('uploadId=') === true && seen < 20 ? lostOnce() : undefined,
      );
      let lost = false;
      const lostOnce = (): Fault | undefined => {
        if (lost) return undefined;
        lost = true;
        return { kind: 'lose' };
      };
      const store = openTestStore(bucket, dir, { prefix: 'completed', endpoint: proxy.endpoint, upload: PARTS });
      const content = randomBytes(7 * MB);
      await writeFile(join(dir, 'f'), content);
      await store.putFile('f', join(dir, 'f'));
      assert.equal(lost, true);
      const reader = openTestStore(bucket, join(dir, 'reader'), { prefix: 'completed' });
      assert.deepEqual(await readFile(await reader.toLocalFile('f')), content);
    });

    test('transient answers are tried again: conflict, slow down, refused, cut and silent', async (t) => {
      const dir = await s3TestFolder(t);
      const faults: Fault[] = [
        { kind: 'answer', status: 409, body: s3Error('ConditionalRequestConflict') },
        { kind: 'answer', status: 503, body: s3Error('SlowDown') },
        { kind: 'answer', status: 500, body: s3Error('InternalError') },
        { kind: 'refuse' },
        { kind: 'stall' },
      ];
      for (const operation of ['putIfAbsent', 'get', 'head', 'list', 'delete'] as const) {
        const waiting = [...faults];
        const proxy = await startFaultProxy(t, bucket.endpoint, () => waiting.shift());
        const store = openTestStore(bucket, dir, {
          prefix: `transient-${operation}`,
          endpoint: proxy.endpoint,
          patience: { silenceMs: 500 },
        });
        if (operation !== 'putIfAbsent') {
          await openTestStore(bucket, dir, { prefix: `transient-${operation}` }).putIfAbsent('k', bytes('v'));
        }
        if (operation === 'putIfAbsent') assert.equal(await store.putIfAbsent('k', bytes('v')), true);
        if (operation === 'get') assert.equal(text(await store.get('k')), 'v');
        if (operation === 'head') assert.equal((await store.head('k'))?.bytes, 1);
        if (operation === 'list') assert.equal((await Array.fromAsync(store.list(''))).length, 1);
        if (operation === 'delete') {
          await store.delete('k');
          assert.equal(await store.head('k'), undefined);
        }
        assert.deepEqual(waiting, [], `${operation} met every fault`);
      }
    });

    test('a download that breaks goes on where it broke', async (t) => {
      const dir = await s3TestFolder(t);
      const content = randomBytes(3 * MB);
      await writeFile(join(dir, 'f'), content);
      await openTestStore(bucket, join(dir, 'writer'), { prefix: 'broken' }).putFile('f', join(dir, 'f'));
      let cuts = 0;
      const ranges: (string | undefined)[] = [];
      const proxy = await startFaultProxy(t, bucket.endpoint, (request) => {
        if (request.method !== 'GET') return undefined;
        ranges.push(request.headers.range);
        cuts += 1;
        return cuts <= 3 ? { kind: 'cut', afterBytes: MB / 2 } : undefined;
      });
      const store = openTestStore(bucket, dir, { prefix: 'broken', endpoint: proxy.endpoint });
      assert.deepEqual(await readFile(await store.toLocalFile('f')), content);
      assert.equal(ranges.length, 4);
      assert.equal(ranges[0], undefined);
      assert.match(ranges[3] ?? '', /^bytes=\d{6,}-$/, 'not from the beginning again');
    });

    test('an object whose bytes are not those that were written is LAKE_CORRUPT, and no copy stays', async (t) => {
      const dir = await s3TestFolder(t);
      await rawClient(bucket).send(
        new PutObjectCommand({
          Bucket: bucket.bucket,
          Key: 'damaged/k',
          Body: 'other bytes',
          Metadata: { 'sluice-sha256': '0'.repeat(64) },
        }),
      );
      const store = openTestStore(bucket, dir, { prefix: 'damaged' });
      await assert.rejects(store.get('k'), withCode('LAKE_CORRUPT'));
      await assert.rejects(store.toLocalFile('k'), withCode('LAKE_CORRUPT'));
    });

    test('objects of other programs are read too', async (t) => {
      const dir = await s3TestFolder(t);
      await rawClient(bucket).send(new PutObjectCommand({ Bucket: bucket.bucket, Key: 'foreign/k', Body: 'plain' }));
      const store = openTestStore(bucket, dir, { prefix: 'foreign' });
      assert.equal(text(await store.get('k')), 'plain');
      assert.equal(await readFile(await store.toLocalFile('k'), 'utf8'), 'plain');
    });

    test('lists past the size of a page, from any key on', async (t) => {
      const dir = await s3TestFolder(t);
      const store = openTestStore(bucket, dir, { prefix: 'many' });
      const keys = Array.from({ length: 1_050 }, (_, index) => `log/${String(index).padStart(20, '0')}.json`);
      for (let start = 0; start < keys.length; start += 25) {
        await Promise.all(keys.slice(start, start + 25).map((key) => store.putIfAbsent(key, bytes('x'))));
      }
      const listed = async (startAfter?: string) =>
        (await Array.fromAsync(store.list('log/', startAfter === undefined ? {} : { startAfter }))).map(
          ({ key }) => key,
        );
      assert.deepEqual(await listed(), keys);
      assert.deepEqual(await listed(keys[1_000]), keys.slice(1_001));
      assert.deepEqual(await listed(keys.at(-1)), []);
    });

    test('a lake that cannot be reached says so, names the remedy and does not take long', async (t) => {
      const dir = await s3TestFolder(t);
      const wrong = {
        'a port where nobody listens': { endpoint: 'http://127.0.0.1:9' },
        'a host that does not exist': { endpoint: 'http://nowhere.invalid:9000' },
      };
      for (const [name, options] of Object.entries(wrong)) {
        const begin = performance.now();
        const store = openTestStore(bucket, dir, { ...options, patience: { firstContactMs: 1_500 } });
        await assert.rejects(
          store.get('k'),
          (error: unknown) => withCode('LAKE_UNREACHABLE')(error) && isSluiceError(error) && error.retryable,
          name,
        );
        assert.ok(performance.now() - begin < 4_000, `${name} took ${performance.now() - begin} ms`);
      }
      const page = createServer((_, answer) => answer.writeHead(200, { 'content-type': 'text/html' }).end('<html>hi'));
      await new Promise<void>((resolve) => page.listen(0, '127.0.0.1', resolve));
      t.after(() => page.close());
      const notS3 = openTestStore(bucket, dir, {
        endpoint: `http://127.0.0.1:${(page.address() as AddressInfo).port}`,
        patience: { firstContactMs: 500, outageMs: 500 },
      });
      await assert.rejects(Array.fromAsync(notS3.list('')), withCode('LAKE_UNREACHABLE'));
    });

    test('a missing bucket and a wrong key are told apart from a missing object', async (t) => {
      const dir = await s3TestFolder(t);
      const nowhere = openTestStore(
        { ...bucket, location: { ...bucket.location, bucket: 'no-such-bucket-here' } },
        dir,
      );
      const credentials = { accessKeyId: bucket.accessKeyId, secretAccessKey: 'not the secret' };
      const stranger = openTestStore({ ...bucket, location: { ...bucket.location, credentials } }, dir);
      await writeFile(join(dir, 'f'), 'x');
      for (const [store, said] of [
        [nowhere, /NoSuchBucket/],
        [stranger, /SignatureDoesNotMatch|InvalidAccessKeyId|AccessDenied|403|Forbidden/],
      ] as const) {
        const tries: Record<string, () => Promise<unknown>> = {
          get: () => store.get('k'),
          head: () => store.head('k'),
          list: () => Array.fromAsync(store.list('')),
          putIfAbsent: () => store.putIfAbsent('k', bytes('x')),
          putFile: () => store.putFile('k', join(dir, 'f')),
          toLocalFile: () => store.toLocalFile('k'),
        };
        for (const [name, attempt] of Object.entries(tries)) {
          await assert.rejects(
            attempt(),
            (error: unknown) =>
              withCode('LAKE_UNREACHABLE')(error) &&
              isSluiceError(error) &&
              !error.retryable &&
              said.test(error.message),
            `${name} ${said}`,
          );
        }
      }
    });
  });
}

function rawClient(bucket: TestBucket): S3Client {
  const { endpoint, accessKeyId, secretAccessKey } = bucket;
  return new S3Client({
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
  });
}
