import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { CHECKPOINT_EVERY, listCheckpoints } from '../../warehouse/bronze/checkpoint.ts';
import { logKey } from '../../warehouse/bronze/commit-log.ts';
import { openBronze, sweepBronze } from '../../warehouse/bronze/index.ts';
import { writeQuarantine } from '../../warehouse/core/bronze-quarantine.ts';
import { isSluiceError } from '../../warehouse/core/errors.ts';
import { createFolderStore } from '../../warehouse/core/folder-store.ts';
import { type Garbage, storeNow } from '../../warehouse/core/garbage.ts';
import { createLog } from '../../warehouse/core/log.ts';
import type { ObjectStore } from '../../warehouse/core/object-store.ts';
import { commitDraft, tableDraft } from './drafts.ts';

const log = createLog({ level: 'silent' });
const DAY = 24 * 3_600_000;
const corrupt = (error: unknown): boolean => isSluiceError(error, 'LAKE_CORRUPT');
let root: string;
let dir: string;
let store: ObjectStore;
let count = 0;
before(async () => {
  root = await mkdtemp(join(tmpdir(), 'sluice-janitor-'));
});
beforeEach(() => {
  dir = join(root, `lake-${count++}`);
  store = createFolderStore(dir);
});
after(() => rm(root, { recursive: true, force: true }));

/** As if the objects of now were `days` old. */
const sweep = (days: number, options: { dryRun?: boolean; on?: ObjectStore } = {}): AsyncGenerator<Garbage> =>
  sweepBronze({
    store: options.on ?? store,
    olderThanMs: DAY,
    nowMs: Date.now() + days * DAY,
    dryRun: options.dryRun ?? false,
  });
const places = async (found: AsyncIterable<Garbage>): Promise<string[]> =>
  (await Array.fromAsync(found)).map((garbage) => garbage.place);
const keys = async (prefix = ''): Promise<string[]> =>
  (await Array.fromAsync(store.list(prefix))).map(({ key }) => key);

const put = (key: string): Promise<boolean> => store.putIfAbsent(key, Buffer.from('x'));

async function commit(number: number, batch = `b${number}`, source = 'app'): Promise<void> {
  const aside = await writeQuarantine(join(root, `q-${count++}`), [
    { key: { id: '1' }, column: 'c', value: 'v', reason: 'r' },
  ]);
  const facts = { quarantined: aside === undefined ? [] : [aside], replaced: number % 3 === 0 };
  const tables = { t: await tableDraft(root, `content ${number}`, facts) };
  await openBronze({ store, log }).commit(source, commitDraft(number, batch, tables, source));
}

test('removes what no commit names, and only that: replaced files, logs and what is not ours stay', async () => {
  for (const number of [1, 2, 3, 4]) await commit(number);
  await commit(1, 'b1', 'app-2');
  const kept = await keys();
  const orphans = [
    'bronze/app/t/killed/00000.parquet',
    'bronze/app/t/killed/quarantine-00000.ndjson',
    'bronze/app/t/killed/00017.parquet',
    'bronze/app/gone%2E/killed/00000.parquet',
    'bronze/app-2/t/killed/00000.parquet',
    'bronze/never_committed/t/killed/00000.parquet',
  ];
  const strangers = [
    'bronze/README',
    'bronze/app/notes.txt',
    'bronze/app/t/killed/metadata.json',
    'bronze/app/t/killed/00000.parquet.crc',
    'bronze/app/_other/b/00000.parquet',
    'bronze/app/t/00000.parquet',
    'other/app/t/killed/00000.parquet',
  ];
  for (const key of [...orphans, ...strangers]) await put(key);
  assert.deepEqual(await places(sweep(0)), [], 'nothing is old enough');
  assert.deepEqual((await places(sweep(2, { dryRun: true }))).sort(), [...orphans].sort());
  assert.deepEqual((await keys()).length, kept.length + orphans.length + strangers.length, 'a dry run removes nothing');
  const found = await Array.fromAsync(sweep(2));
  assert.deepEqual(found.map(({ place }) => place).sort(), [...orphans].sort());
  for (const { bytes, ageMs, kind } of found) assert.deepEqual([bytes, ageMs > DAY, kind], [1, true, 'bronze']);
  assert.deepEqual((await keys()).sort(), [...kept, ...strangers].sort());
  assert.deepEqual(await places(sweep(2)), []);
});

test('a batch that commits while the janitor works keeps its files, whatever their age', async () => {
  await commit(1);
  // The files stand, two days old by the janitor's clock; the entry comes after he has read the log and listed the objects.
  let committed = false;
  const late: ObjectStore = {
    ...store,
    list: async function* (prefix, options) {
      yield* store.list(prefix, options);
      if (prefix !== 'bronze/app/' || committed) return;
      committed = true;
      await commit(2, 'late');
    },
  };
  const entry = commitDraft(2, 'late', { t: await tableDraft(root, 'content 2') });
  const stopped: ObjectStore = {
    ...store,
    putIfAbsent: (key, bytes) =>
      key.includes('_log') ? Promise.reject(new Error('killed')) : store.putIfAbsent(key, bytes),
  };
  await assert.rejects(openBronze({ store: stopped, log }).commit('app', entry), /killed/);
  await put('bronze/app/t/lost/00000.parquet');
  assert.deepEqual(await places(sweep(2, { on: late })), ['bronze/app/t/lost/00000.parquet']);
  assert.ok(committed);
  for (const { path } of (await openBronze({ store, log }).snapshot(['app'])).tables[0]?.files ?? [])
    assert.match(await readFile(path, 'utf8'), /^content \d$/);
});

test('a commit called again days later puts its files up anew, so that no janitor takes them from under it', async () => {
  const drafts = async () => commitDraft(1, 'b', { t: await tableDraft(root, 'content') });
  const stopped: ObjectStore = {
    ...store,
    putIfAbsent: (key, bytes) =>
      key.includes('_log') ? Promise.reject(new Error('killed')) : store.putIfAbsent(key, bytes),
  };
  await assert.rejects(openBronze({ store: stopped, log }).commit('app', await drafts()), /killed/);
  const key = 'bronze/app/t/b/00000.parquet';
  const [first] = await Array.fromAsync(store.list(key));
  const clock = { now: () => new Date(Date.now() + 3 * DAY) };
  await openBronze({ store, log, clock }).commit('app', await drafts());
  const [second] = await Array.fromAsync(store.list(key));
  assert.ok((second?.modifiedMs ?? 0) > (first?.modifiedMs ?? 0), 'as young as the call');
});

test('a commit whose machine slept so long that its files were taken is refused, not made', async () => {
  let reads = 0;
  const clock = { now: () => new Date(Date.now() + (reads++ > 1 ? 2 * DAY : 0)) };
  const slow: ObjectStore = {
    ...store,
    putFile: async (key, path) => {
      await store.putFile(key, path);
      if (key.includes('/u/')) await Array.fromAsync(sweep(2));
    },
  };
  const tables = { t: await tableDraft(root, 'one'), u: await tableDraft(root, 'two') };
  await assert.rejects(
    openBronze({ store: slow, log, clock }).commit('app', commitDraft(1, 'b', tables)),
    (error: unknown) => isSluiceError(error, 'LAKE_UNREACHABLE') && error.retryable,
  );
  assert.equal(await openBronze({ store, log }).head('app'), 0);
});

test('killed half-way or run twice at once, the janitor leaves commits whole', async () => {
  for (const number of [1, 2, 3]) await commit(number);
  const kept = await keys();
  for (let i = 0; i < 230; i++) await put(`bronze/app/t/killed/${String(i).padStart(5, '0')}.parquet`);
  let seen = 0;
  for await (const _garbage of sweep(2)) if (++seen === 120) break;
  assert.equal((await keys()).length, kept.length + 230 - 120);
  const both = await Promise.all([places(sweep(2)), places(sweep(2))]);
  assert.equal(new Set(both.flat()).size, 110);
  assert.deepEqual(await keys(), kept);
  await openBronze({ store, log }).snapshot(['app']);
});

test('a log with a gap, a damaged commit or a cut end stops the janitor before he removes anything', async () => {
  for (let number = 1; number <= CHECKPOINT_EVERY; number++) await commit(number);
  await put('bronze/app/t/killed/00000.parquet');
  const last = await store.get(logKey('app', CHECKPOINT_EVERY));
  const middle = await store.get(logKey('app', 7));
  const before = (await keys()).length;
  await store.delete(logKey('app', 7));
  await assert.rejects(places(sweep(2)), corrupt);
  await put(logKey('app', 7));
  await assert.rejects(places(sweep(2)), corrupt);
  await store.delete(logKey('app', 7));
  await store.putIfAbsent(logKey('app', 7), middle);
  // Only the checkpoint still knows that there was a hundredth commit.
  await store.delete(logKey('app', CHECKPOINT_EVERY));
  await assert.rejects(places(sweep(2)), /ends at 99, but .*_checkpoints.* after commit 100/);
  await store.putIfAbsent(logKey('app', CHECKPOINT_EVERY), last);
  assert.equal((await keys()).length, before);
  assert.deepEqual(await places(sweep(2)), ['bronze/app/t/killed/00000.parquet']);
});

test('checkpoints of another log go, those that fit stay', async () => {
  for (let number = 1; number <= CHECKPOINT_EVERY; number++) await commit(number);
  const [fits] = await listCheckpoints(store, 'app');
  const foreign = `bronze/app/_checkpoints/${'7'.padStart(20, '0')}-${'0'.repeat(16)}.json.zst`;
  await put(foreign);
  assert.deepEqual(await places(sweep(2)), [foreign]);
  assert.deepEqual(
    (await listCheckpoints(store, 'app')).map(({ key }) => key),
    [fits?.key],
  );
});

test('a file that was written long before it came into the lake is as young as its coming', async () => {
  const entry = await tableDraft(root, 'content');
  const path = entry.files[0]?.localPath ?? '';
  const { utimes } = await import('node:fs/promises');
  await utimes(path, new Date(0), new Date(0));
  await store.putFile('bronze/app/t/pending/00000.parquet', path);
  assert.deepEqual(await places(sweep(0)), []);
});

test('the store’s clock is asked, and leaves nothing behind', async () => {
  const now = await storeNow(store);
  assert.ok(Math.abs(now - Date.now()) < DAY);
  assert.deepEqual(await keys(), []);
});
