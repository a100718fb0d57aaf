import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { openBronze } from '../../warehouse/bronze/index.ts';
import { type ErrorCode, isSluiceError } from '../../warehouse/core/errors.ts';
import { createFolderStore } from '../../warehouse/core/folder-store.ts';
import type { ObjectStore } from '../../warehouse/core/object-store.ts';
import { extractBatch, type SourceDefinition } from '../../warehouse/extract/index.ts';
import { log, sourceOf, type TestLake, testLake } from './lake.ts';

const run = promisify(execFile);
const source = sourceOf({ t: { mode: 'full', key: ['id'], columns: ['id', 'v'] } });

let lake: TestLake;
before(async () => {
  lake = await testLake();
  await lake.client.query(
    `create table app.t (id int primary key, v text); insert into app.t select i, md5(i::text) || repeat(md5((i * 7)::text), 20) from generate_series(1, 20000) i`,
  );
});
after(() => lake[Symbol.asyncDispose]());

const isCode =
  (code: ErrorCode, pattern: RegExp) =>
  (error: unknown): boolean => {
    assert.ok(isSluiceError(error, code), `${code} expected, got ${String(error)}`);
    assert.match(error.message, pattern);
    assert.ok(error.remedy, 'a remedy');
    assert.doesNotMatch(`${error.message} ${error.remedy}`, /hunter2/, 'no password in a message');
    return true;
  };

function withUrl(change: (url: URL) => void): string {
  const url = new URL(lake.url);
  change(url);
  return url.href;
}

test('a server that is not there, a wrong password, an unknown user and an unknown database are each their own error', async () => {
  const closed = withUrl((url) => {
    url.port = '1';
    url.password = 'hunter2';
  });
  await assert.rejects(
    lake.extract(source, { url: closed }),
    isCode('SOURCE_UNREACHABLE', /127\.0\.0\.1:1|localhost:1/),
  );
  const nowhere = withUrl((url) => {
    url.hostname = 'no-such-host.invalid';
  });
  await assert.rejects(lake.extract(source, { url: nowhere }), isCode('SOURCE_UNREACHABLE', /no-such-host/));
  const password = withUrl((url) => {
    url.password = 'hunter2-wrong';
  });
  await assert.rejects(lake.extract(source, { url: password }), isCode('SOURCE_AUTH_FAILED', /password/));
  const user = withUrl((url) => {
    url.username = 'nobody-here';
    url.password = 'hunter2';
  });
  await assert.rejects(lake.extract(source, { url: user }), isCode('SOURCE_AUTH_FAILED', /./));
  const database = withUrl((url) => {
    url.pathname = '/no_such_database';
  });
  await assert.rejects(lake.extract(source, { url: database }), isCode('SOURCE_UNREACHABLE', /no_such_database/));
  assert.deepEqual(await readdir(join(lake.dir, 'work')).catch(() => []), [], 'nothing half-written');
});

test('a table locked by a migration is waited for so long and no longer', async () => {
  const other = await lake.connect();
  await other.query('begin; lock table app.t in access exclusive mode');
  await assert.rejects(lake.extract(source, { limits: { lockTimeoutMs: 200 } }), isCode('SOURCE_QUERY_FAILED', /lock/));
  await other.query('rollback');
});

test('a statement beyond its time is stopped by the server', async () => {
  await lake.client.query(`create view app.slow as select 1 as id, 'x'::text as v from (select pg_sleep(20)) s`);
  const slow = sourceOf({ slow: { mode: 'full', key: ['id'], columns: ['id', 'v'] } });
  const started = performance.now();
  await assert.rejects(
    lake.extract(slow, { limits: { statementTimeoutMs: 300 } }),
    isCode('SOURCE_QUERY_FAILED', /timeout/),
  );
  assert.ok(performance.now() - started < 5000);
});

test('cancelling stops the statement in the server within seconds', async () => {
  await lake.client.query(
    `create or replace view app.slow as select 1 as id, 'x'::text as v from (select pg_sleep(20)) s`,
  );
  const slow = sourceOf({ slow: { mode: 'full', key: ['id'], columns: ['id', 'v'] } });
  const controller = new AbortController();
  const started = performance.now();
  const ended = lake.extract(slow, { signal: controller.signal, version: 'cancel-test' });
  void sleep(500).then(() => controller.abort());
  await assert.rejects(ended, (error: unknown) => isSluiceError(error, 'CANCELLED'));
  assert.ok(performance.now() - started < 5000, `took ${performance.now() - started} ms`);
  let active: string | undefined;
  for (let attempt = 0; active !== '0'; attempt++) {
    assert.ok(attempt < 50, `${active} statements still run`);
    await sleep(100);
    const { rows } = await lake.client.query<{ n: string }>(
      `select count(*) as n from pg_stat_activity where application_name like '%cancel-test%' and state = 'active'`,
    );
    active = rows[0]?.n;
  }
});

test('a server that goes away in the middle is a retryable error, and nothing is committed', async () => {
  await lake.client.query(
    `create or replace view app.slow as select 1 as id, 'x'::text as v from (select pg_sleep(20)) s`,
  );
  const slow = sourceOf({ slow: { mode: 'full', key: ['id'], columns: ['id', 'v'] } });
  const ended = lake.extract(slow, { version: 'terminate-test' });
  void sleep(500).then(() =>
    lake.client.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where application_name like '%terminate-test%'`,
    ),
  );
  await assert.rejects(
    ended,
    (error: unknown) => isCode('SOURCE_QUERY_FAILED', /./)(error) && isSluiceError(error) && error.retryable,
  );
});

test('a lake that belongs to another database or schema is refused before a row is read', async () => {
  await lake.run(source);
  const other = await testLake();
  try {
    await other.client.query(
      `create table app.t (id int primary key, v text); create schema second; create table second.t (id int primary key, v text)`,
    );
    const state = await lake.bronze.state(['app']);
    await assert.rejects(other.extract(source, { state }), isCode('LAKE_OF_ANOTHER_SOURCE', /schema app of database/));
    await lake.client.query('create schema second; create table second.t (id int primary key, v text)');
    const moved: SourceDefinition = { ...source, schema: 'second' };
    await assert.rejects(lake.extract(moved), isCode('LAKE_OF_ANOTHER_SOURCE', /schema second/));
  } finally {
    await other[Symbol.asyncDispose]();
  }
});

/** A place that holds a few hundred kilobytes: a tmpfs where one can be mounted, a file system in memory that refuses writes where not. */
async function smallDisk(name: string): Promise<{ dir: string; real: boolean; free: () => Promise<void> }> {
  const dir = join(lake.dir, name);
  await mkdir(dir);
  try {
    await run('mount', ['-t', 'tmpfs', '-o', 'size=600k', 'tmpfs', dir]);
    return { dir, real: true, free: async () => void (await run('umount', [dir])) };
  } catch {
    return { dir, real: false, free: async () => undefined };
  }
}

/** A store over a disk that is full after so many bytes. */
function fullAfter(store: ObjectStore, bytes: number): ObjectStore {
  let left = bytes;
  const take = (amount: number): void => {
    left -= amount;
    if (left < 0) throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
  };
  return {
    ...store,
    putIfAbsent: async (key, content) => {
      take(content.length);
      return store.putIfAbsent(key, content);
    },
    putFile: async (key, path) => {
      take((await readFile(path)).length);
      await store.putFile(key, path);
    },
  };
}

test('a full disk under the work folder stops the run with a remedy and leaves no rubbish', async () => {
  const disk = await smallDisk('small-work');
  try {
    if (!disk.real) await writeFile(join(disk.dir, 'not-a-folder'), '');
    const workDir = disk.real ? disk.dir : '/dev/full/work';
    const state = await openBronze({ store: createFolderStore(join(lake.dir, 'empty-lake')), log }).state(['app']);
    const attempt = extractBatch({ url: lake.url, sources: [source], state, workDir, version: '0', log });
    if (disk.real) {
      await assert.rejects(attempt, isCode('DISK_FULL', /disk is full/i));
      assert.deepEqual(await readdir(disk.dir), []);
    } else await assert.rejects(attempt);
  } finally {
    await disk.free();
  }
});

test('a full disk under the lake stops the commit; with space again the same batch goes through', async () => {
  const disk = await smallDisk('small-lake');
  try {
    const folder = createFolderStore(disk.dir);
    const bronze = openBronze({ store: disk.real ? folder : fullAfter(folder, 300_000), log });
    const batch = await extractBatch({
      url: lake.url,
      sources: [source],
      state: await bronze.state(['app']),
      workDir: join(lake.dir, 'work'),
      version: '0',
      log,
    });
    const draft = batch.drafts[0];
    assert.ok(draft !== undefined && (draft.tables['t']?.files[0]?.bytes ?? 0) > 600_000);
    await assert.rejects(bronze.commit('app', draft), isCode('DISK_FULL', /disk is full/i));
    assert.equal(await openBronze({ store: folder, log }).head('app'), 0);
    const keys = [];
    for await (const { key } of folder.list('')) keys.push(key);
    assert.deepEqual(keys, [], 'no half object has a name');
    if (disk.real) await run('mount', ['-o', 'remount,size=50m', disk.dir]);
    const roomy = openBronze({ store: folder, log });
    await roomy.commit('app', draft);
    assert.equal(await roomy.head('app'), 1);
  } finally {
    await disk.free();
  }
});
