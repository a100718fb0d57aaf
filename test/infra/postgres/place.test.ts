import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { chmod, cp, mkdir, readFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { canRun, findAccount } from '../../../infra/postgres/account.ts';
import { findBinaries } from '../../../infra/postgres/binaries.ts';
import { startEmbeddedPostgres } from '../../../infra/postgres/index.ts';
import { placeBinaries } from '../../../infra/postgres/place.ts';
import { ask, clusterFolder, log } from './support.ts';

// As root the server runs as another account, which a folder of mode 700 shuts out; an ordinary user owns such a folder.
const isRoot = process.getuid?.() === 0;

test('a folder of mode 700 works: as root the data lies elsewhere and is found again', async (t) => {
  const outer = await clusterFolder(t);
  await chmod(outer, 0o700);
  const dir = join(outer, 'project', '.sluice', 'postgres');
  const first = await startEmbeddedPostgres({ dir, durable: false, log });
  await ask(first.url, 'create table kept as select 7 as x');
  await first.stop();
  const second = await startEmbeddedPostgres({ dir, durable: false, log });
  assert.deepEqual(await ask(second.url, 'select x from kept'), [{ x: 7 }]);
  const [place] = await ask<{ dir: string }>(second.url, `select current_setting('data_directory') as dir`);
  await second.stop();
  if (isRoot && place !== undefined) await rm(dirname(place.dir), { recursive: true });
  assert.equal(place?.dir.startsWith(outer), !isRoot);
  assert.equal(existsSync(join(dir, 'elsewhere.json')), isRoot);
});

test('a folder that was deleted starts empty, and what lay elsewhere is removed', async (t) => {
  const outer = await clusterFolder(t);
  await chmod(outer, 0o700);
  const dir = join(outer, 'postgres');
  const first = await startEmbeddedPostgres({ dir, durable: false, log });
  await ask(first.url, 'create table gone as select 1');
  const [before] = await ask<{ dir: string }>(first.url, `select current_setting('data_directory') as dir`);
  await first.stop();
  await rm(dir, { recursive: true });
  const second = await startEmbeddedPostgres({ dir, durable: false, log });
  const [after] = await ask<{ dir: string }>(second.url, `select current_setting('data_directory') as dir`);
  assert.deepEqual(await ask(second.url, `select to_regclass('gone') is null as gone`), [{ gone: true }]);
  await second.stop();
  assert.ok(before && after);
  assert.equal(existsSync(before.dir), before.dir === after.dir);
  if (isRoot) await rm(dirname(after.dir), { recursive: true });
});

test('programs in a folder of mode 700 are copied to where the account can run them, once', async (t) => {
  const outer = await clusterFolder(t);
  await chmod(outer, 0o700);
  const account = await findAccount();
  const real = await findBinaries();
  const root = join(outer, 'native');
  await mkdir(root);
  await cp(real.root, root, { recursive: true, verbatimSymlinks: true });
  const shut = {
    ...real,
    version: `test-${process.pid}`,
    root,
    postgres: join(root, 'bin', 'postgres'),
    initdb: join(root, 'bin', 'initdb'),
  };
  const placed = await placeBinaries(shut, account);
  t.after(() => (placed.root === root ? undefined : rm(placed.root, { recursive: true, force: true })));
  assert.equal(placed.root === root, !isRoot);
  assert.ok(canRun(account, placed.postgres));
  const marker = await readFile(placed.postgres).then((bytes) => bytes.length);
  assert.equal((await placeBinaries(shut, account)).postgres, placed.postgres);
  assert.equal(await readFile(placed.postgres).then((bytes) => bytes.length), marker);
});
