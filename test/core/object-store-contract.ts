import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { isSluiceError } from '../../warehouse/core/errors.ts';
import type { ObjectInfo, ObjectStore } from '../../warehouse/core/object-store.ts';

/** What every object store must do. `open` gives a store over one and the same empty place each time it is called within a test. */
export function objectStoreContract(name: string, open: () => Promise<() => ObjectStore>): void {
  describe(`object store contract: ${name}`, () => {
    let dir: string;
    before(async () => {
      dir = await mkdtemp(join(tmpdir(), 'sluice-contract-'));
    });
    after(() => rm(dir, { recursive: true, force: true }));

    const localFile = async (content: string): Promise<string> => {
      const path = join(dir, `file-${Math.random().toString(36).slice(2)}`);
      await writeFile(path, content);
      return path;
    };
    test('an object is read as it was written, by any handle', async () => {
      const handle = await open();
      const every = Uint8Array.from({ length: 70_000 }, (_, i) => i % 256);
      assert.equal(await handle().putIfAbsent('a/b/c.bin', every), true);
      assert.deepEqual(new Uint8Array(await handle().get('a/b/c.bin')), every);
      assert.deepEqual(await handle().head('a/b/c.bin'), { key: 'a/b/c.bin', bytes: 70_000 });
      assert.deepEqual(new Uint8Array(await readFile(await handle().toLocalFile('a/b/c.bin'))), every);
    });

    test('an empty object exists', async () => {
      const store = (await open())();
      assert.equal(await store.putIfAbsent('empty', new Uint8Array()), true);
      assert.deepEqual(await store.head('empty'), { key: 'empty', bytes: 0 });
      assert.equal((await store.get('empty')).length, 0);
    });

    test('what does not exist is named', async () => {
      const store = (await open())();
      await assert.rejects(store.get('none/at/all'), missing);
      await assert.rejects(store.toLocalFile('none/at/all'), missing);
      assert.equal(await store.head('none/at/all'), undefined);
      assert.deepEqual(await listed(store.list('none/')), []);
      await store.delete('none/at/all');
    });

    test('a taken key is left as it was', async () => {
      const store = (await open())();
      assert.equal(await store.putIfAbsent('log/1', bytes('first')), true);
      assert.equal(await store.putIfAbsent('log/1', bytes('second')), false);
      assert.equal(text(await store.get('log/1')), 'first');
      const path = await localFile('third');
      await assert.rejects(store.putFile('log/1', path), (error: unknown) => isSluiceError(error, 'LAKE_CORRUPT'));
      assert.equal(text(await store.get('log/1')), 'first');
      assert.equal(await readFile(path, 'utf8'), 'third', 'the caller keeps a file that was refused');
    });

    test('of many writers of one key exactly one wins, and its bytes are whole', async () => {
      const handle = await open();
      for (let round = 0; round < 10; round++) {
        const key = `race/${round}`;
        const contents = Array.from({ length: 16 }, (_, i) => `${i}:${'x'.repeat(50_000)}`);
        const won = await Promise.all(contents.map((content) => handle().putIfAbsent(key, bytes(content))));
        const winners = won.flatMap((win, i) => (win ? [i] : []));
        assert.equal(winners.length, 1);
        assert.equal(text(await handle().get(key)), contents[winners[0] ?? -1]);
      }
    });

    test('a file becomes an object', async () => {
      const store = (await open())();
      await store.putFile('files/x.parquet', await localFile('rows'));
      assert.equal(text(await store.get('files/x.parquet')), 'rows');
      await assert.rejects(store.putFile('files/y', join(dir, 'not-there')));
      assert.equal(await store.head('files/y'), undefined);
    });

    test('lists by prefix in the order of the keys’ bytes', async () => {
      const store = (await open())();
      const keys = ['p/a-b', 'p/a/b', 'p/a.c', 'p/ab', 'p/a/é', 'p/a/z', 'p/a/😀', 'p/a/\uFFFD', 'q', 'p/B', 'pp'];
      for (const key of keys) await store.putIfAbsent(key, bytes(key));
      assert.deepEqual(await listed(store.list('')), order([...keys]));
      for (const prefix of ['p/', 'p', 'p/a', 'p/a/', 'p/ab', 'nothing', 'p/a/z']) {
        const wanted = order(keys.filter((key) => key.startsWith(prefix)));
        assert.deepEqual(await listed(store.list(prefix)), wanted, `prefix ${prefix}`);
        for (const startAfter of [...keys, 'p/a', 'p/a/', 'o', 'zz', 'p/a/b0']) {
          const rest = wanted.filter((key) => Buffer.compare(Buffer.from(key), Buffer.from(startAfter)) > 0);
          assert.deepEqual(
            await listed(store.list(prefix, { startAfter })),
            rest,
            `prefix ${prefix} after ${startAfter}`,
          );
        }
      }
    });

    test('an object can be deleted and its key used again', async () => {
      const store = (await open())();
      await store.putIfAbsent('d/1', bytes('one'));
      await store.delete('d/1');
      assert.equal(await store.head('d/1'), undefined);
      assert.deepEqual(await listed(store.list('d/')), []);
      assert.equal(await store.putIfAbsent('d/1', bytes('two')), true);
      assert.equal(text(await store.get('d/1')), 'two');
    });

    test('a key that leaves the store is refused', async () => {
      const store = (await open())();
      for (const key of ['../x', 'a/../../x', '/etc/x', 'a//b', '', 'a/', 'a/./b', 'a\0b']) {
        await assert.rejects(store.putIfAbsent(key, bytes('x')), `putIfAbsent ${JSON.stringify(key)}`);
        await assert.rejects(store.get(key), `get ${JSON.stringify(key)}`);
        await assert.rejects(store.putFile(key, await localFile('x')), `putFile ${JSON.stringify(key)}`);
        await assert.rejects(store.delete(key), `delete ${JSON.stringify(key)}`);
      }
    });

    test('the bytes given may change afterwards', async () => {
      const store = (await open())();
      const content = bytes('before');
      await store.putIfAbsent('mutable', content);
      content.fill(0);
      assert.equal(text(await store.get('mutable')), 'before');
    });
  });
}

function bytes(content: string): Uint8Array {
  return new TextEncoder().encode(content);
}

function text(content: Uint8Array): string {
  return new TextDecoder().decode(content);
}

function missing(error: unknown): boolean {
  return isSluiceError(error, 'OBJECT_NOT_FOUND');
}

function order(keys: string[]): string[] {
  return keys.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

async function listed(iterable: AsyncIterable<ObjectInfo>): Promise<string[]> {
  const keys: string[] = [];
  for await (const object of iterable) keys.push(object.key);
  return keys;
}
