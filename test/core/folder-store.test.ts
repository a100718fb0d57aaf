import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { isSluiceError } from '../../warehouse/core/errors.ts';
import { createFolderStore } from '../../warehouse/core/folder-store.ts';
import { objectStoreContract } from './object-store-contract.ts';

let root: string;
let count = 0;
before(async () => {
  root = await mkdtemp(join(tmpdir(), 'sluice-folder-'));
});
after(() => rm(root, { recursive: true, force: true }));

objectStoreContract('folder', async () => {
  const dir = join(root, `contract-${count++}`, 'not', 'yet', 'made');
  return () => createFolderStore(dir);
});

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

test('nothing stays in staging after any write, won or lost', async () => {
  const dir = join(root, 'staging');
  const store = createFolderStore(dir);
  await store.putIfAbsent('a', bytes('1'));
  await store.putIfAbsent('a', bytes('2'));
  const file = join(root, 'staged-file');
  await writeFile(file, 'x');
  await store.putFile('b', file);
  await writeFile(file, 'y');
  await assert.rejects(store.putFile('b', file));
  assert.deepEqual(await readdir(join(dir, '.staging')), []);
});

test('what a killed writer left in staging is never listed, and goes after a day', async () => {
  const dir = join(root, 'sweep');
  await mkdir(join(dir, '.staging'), { recursive: true });
  for (const name of ['old', 'young']) await writeFile(join(dir, '.staging', name), 'half a');
  const dayBefore = new Date(Date.now() - 25 * 3600 * 1000);
  await utimes(join(dir, '.staging', 'old'), dayBefore, dayBefore);
  const store = createFolderStore(dir);
  await store.putIfAbsent('whole', bytes('x'));
  const keys = [];
  for await (const { key } of store.list('')) keys.push(key);
  assert.deepEqual(keys, ['whole']);
  assert.deepEqual(await readdir(join(dir, '.staging')), ['young']);
  await assert.rejects(store.get('.staging/young'));
});

test('a path that is a file where a folder must be is a clear error', async () => {
  const file = join(root, 'a-file');
  await writeFile(file, '');
  await assert.rejects(
    createFolderStore(join(file, 'lake')).putIfAbsent('k', bytes('x')),
    (error: unknown) => isSluiceError(error, 'LAKE_UNREACHABLE') && error.remedy !== undefined,
  );
});
