import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { openBronze } from '../../warehouse/bronze/index.ts';
import type { BronzeCommitDraft, BronzeTableDraft } from '../../warehouse/core/bronze-commit.ts';
import { isSluiceError } from '../../warehouse/core/errors.ts';
import { createFolderStore } from '../../warehouse/core/folder-store.ts';
import { createLog } from '../../warehouse/core/log.ts';
import type { ObjectStore } from '../../warehouse/core/object-store.ts';

const log = createLog({ level: 'silent' });
let root: string;
let dir: string;
let store: ObjectStore;
let count = 0;
before(async () => {
  root = await mkdtemp(join(tmpdir(), 'sluice-bronze-'));
});
beforeEach(() => {
  dir = join(root, `lake-${count++}`);
  store = createFolderStore(dir);
});
after(() => rm(root, { recursive: true, force: true }));

async function draft(
  number: number,
  batch: string,
  tables: Record<string, Partial<BronzeTableDraft> | string>,
): Promise<BronzeCommitDraft> {
  const entries = Object.entries(tables).map(async ([name, table]) => {
    const content = typeof table === 'string' ? table : undefined;
    const localPath = join(root, `${batch}-${name.replaceAll('/', '_')}`);
    if (content !== undefined) await writeFile(localPath, content);
    const bytes = Buffer.byteLength(content ?? '');
    const sha256 = createHash('sha256')
      .update(content ?? '')
      .digest('hex');
    const file = {
      localPath,
      rows: 1,
      bytes,
      sha256,
      ops: { read: 1 },
      firstSeq: '1',
      lastSeq: '1',
      keyMin: '1',
      keyMax: '1',
    };
    const entry: BronzeTableDraft = {
      mode: 'full',
      contract: { key: ['id'], columns: [] },
      files: content === undefined ? [] : [file],
      replaced: false,
      read: { how: 'whole', rows: 1, why: null },
      watermark: { before: null, after: null },
      ...(typeof table === 'string' ? {} : table),
    };
    return [name, entry] as const;
  });
  return {
    source: 'app',
    number,
    batch,
    identity: { systemIdentifier: '1', databaseOid: '2', database: 'd', schema: 'app' },
    snapshot: { id: '1:1:', at: '2026-01-01T00:00:00.000000Z', lsn: null },
    tables: Object.fromEntries(await Promise.all(entries)),
  };
}

async function keysUnder(prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix)) keys.push(key);
  return keys;
}

function logKey(number: number): string {
  return `bronze/app/_log/${String(number).padStart(20, '0')}.json`;
}

const conflict = (error: unknown): boolean => isSluiceError(error, 'COMMIT_CONFLICT') && error.retryable;
const corrupt = (error: unknown): boolean => isSluiceError(error, 'LAKE_CORRUPT');

test('an empty lake has no commits', async () => {
  const bronze = openBronze({ store, log });
  assert.equal(await bronze.head('app'), 0);
  assert.deepEqual(await bronze.snapshot(['app']), { tables: [], commits: { app: 0 } });
});

test('commits are read in order by any instance, and a table keeps its files until it is replaced', async () => {
  const writer = openBronze({ store, log });
  const reader = openBronze({ store, log });
  await writer.commit('app', await draft(1, 'b1', { t: 'one', u: 'other' }));
  assert.equal(await reader.head('app'), 1);
  await writer.commit('app', await draft(2, 'b2', { t: 'two' }));
  await writer.commit(
    'app',
    await draft(3, 'b3', { u: { watermark: { before: null, after: { column: 'c', value: 'v', proof: 'p' } } } }),
  );
  const first = await reader.snapshot(['app']);
  const shape = first.tables.map(({ table, files, lastCommit, replacedAt }) => [
    table,
    files.map((file) => file.commit),
    lastCommit,
    replacedAt,
  ]);
  assert.deepEqual(shape, [
    ['t', [1, 2], 2, 0],
    ['u', [1], 1, 0],
  ]);
  assert.equal((await reader.state(['app'])).sources[0]?.tables.get('u')?.watermark?.value, 'v');
  const four = await draft(4, 'b4', { t: 'four' });
  await writer.commit('app', { ...four, tables: { t: { ...(four.tables['t'] as BronzeTableDraft), replaced: true } } });
  const after = (await reader.snapshot(['app'])).tables.find((table) => table.table === 't');
  assert.deepEqual([after?.files.map((file) => file.commit), after?.replacedAt], [[4], 4]);
  const numbers = [];
  for await (const commit of reader.commits('app', 2)) numbers.push(commit.number);
  assert.deepEqual(numbers, [3, 4]);
});

test('the second of two runs for one number gets COMMIT_CONFLICT and leaves no file behind', async () => {
  const [one, two] = [openBronze({ store, log }), openBronze({ store, log })];
  await one.commit('app', await draft(1, 'first', { t: 'x' }));
  await assert.rejects(two.commit('app', await draft(1, 'second', { t: 'y' })), conflict);
  assert.deepEqual(await keysUnder('bronze/app/t/'), ['bronze/app/t/first/00000.parquet']);
});

test('of many commits at the same moment exactly one wins', async () => {
  const drafts = await Promise.all(Array.from({ length: 8 }, (_, i) => draft(1, `race${i}`, { t: `content ${i}` })));
  const results = await Promise.allSettled(drafts.map((entry) => openBronze({ store, log }).commit('app', entry)));
  const won = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value.batch] : []));
  assert.equal(won.length, 1);
  for (const result of results) assert.ok(result.status === 'fulfilled' || conflict(result.reason));
  const snapshot = await openBronze({ store, log }).snapshot(['app']);
  assert.deepEqual(
    snapshot.tables[0]?.files.map((file) => file.path.includes(`/${won[0]}/`)),
    [true],
  );
  assert.equal((await keysUnder('bronze/app/t/')).length, 1, 'losers removed their files');
});

test('a commit called again, its answer lost, is the same commit', async () => {
  const entry = await draft(1, 'again', { t: 'x' });
  const first = await openBronze({ store, log }).commit('app', entry);
  assert.deepEqual(await openBronze({ store, log }).commit('app', entry), first);
  assert.equal(await openBronze({ store, log }).head('app'), 1);
});

test('a commit whose uploads stand already goes on from there', async () => {
  const entry = await draft(1, 'resumed', { t: 'x', u: 'y' });
  let puts = 0;
  const failing: ObjectStore = {
    ...store,
    putFile: async (key, path) => (++puts === 2 ? Promise.reject(new Error('gone')) : store.putFile(key, path)),
  };
  await assert.rejects(openBronze({ store: failing, log }).commit('app', entry), /gone/);
  assert.equal(await openBronze({ store, log }).head('app'), 0);
  await openBronze({ store, log }).commit('app', entry);
  assert.equal(await openBronze({ store, log }).head('app'), 1);
});

test('a batch that skips a number is refused', async () => {
  await assert.rejects(openBronze({ store, log }).commit('app', await draft(2, 'skips', { t: 'x' })), corrupt);
});

test('a damaged log is an error that names the commit, never a shorter history', async () => {
  const bronze = openBronze({ store, log });
  for (const number of [1, 2, 3]) await bronze.commit('app', await draft(number, `b${number}`, { t: `${number}` }));
  const second = await store.get(logKey(2));
  await store.delete(logKey(2));
  await assert.rejects(openBronze({ store, log }).head('app'), corrupt);
  await store.putIfAbsent(logKey(2), second.subarray(0, 40));
  await assert.rejects(openBronze({ store, log }).head('app'), corrupt);
  await store.delete(logKey(2));
  await store.putIfAbsent(logKey(2), await store.get(logKey(3)));
  await assert.rejects(openBronze({ store, log }).head('app'), /calls itself app number 3/);
  await store.delete(logKey(2));
  await store.putIfAbsent(logKey(2), new TextEncoder().encode('{"format": 3}'));
  await assert.rejects(openBronze({ store, log }).head('app'), (error: unknown) =>
    isSluiceError(error, 'LAKE_FORMAT_UNKNOWN'),
  );
});

test('a file that a commit names and the lake lacks is LAKE_CORRUPT', async () => {
  const bronze = openBronze({ store, log });
  await bronze.commit('app', await draft(1, 'b', { t: 'x' }));
  await store.delete('bronze/app/t/b/00000.parquet');
  await assert.rejects(bronze.snapshot(['app']), corrupt);
});

test('a table’s name cannot leave its folder or act as a pattern', async () => {
  const names = ['../../x', '.', '..', 'a/b', 'a*b?[c]', 'ü "q"', "it's"];
  const tables = Object.fromEntries(names.map((name) => [name, 'x']));
  await openBronze({ store, log }).commit('app', await draft(1, 'odd', tables));
  const snapshot = await openBronze({ store, log }).snapshot(['app']);
  assert.deepEqual(snapshot.tables.map((table) => table.table).sort(), [...names].sort());
  for (const table of snapshot.tables) {
    const path = table.files[0]?.path ?? '';
    assert.match(path.slice(dir.length), /^\/bronze\/app\/[^/*?[\]']+\/odd\/00000\.parquet$/);
  }
});

test('a commit that no reader would take is not written', async () => {
  const bronze = openBronze({ store, log });
  const bad = await draft(1, 'bad', { t: 'x' });
  const facts = bad.tables['t'] as BronzeTableDraft;
  const internal = (error: unknown): boolean => isSluiceError(error, 'INTERNAL');
  for (const tables of [
    { t: { ...facts, mode: 'cdc' as 'full' } },
    { t: { ...facts, files: facts.files.map((file) => ({ ...file, sha256: 'none' })) } },
    { ['__proto__']: facts },
  ])
    await assert.rejects(bronze.commit('app', { ...bad, tables }), internal);
  assert.equal(await openBronze({ store, log }).head('app'), 0);
});

test('a snapshot brings at most eight files here at once, and lists them in the order of their commits', async () => {
  const names = Array.from({ length: 12 }, (_, index) => `t${index}`);
  for (const number of [1, 2]) {
    const tables = Object.fromEntries(names.map((name) => [name, `${name} in commit ${number}`]));
    await openBronze({ store, log }).commit('app', await draft(number, `batch-${number}`, tables));
  }
  let running = 0;
  let most = 0;
  const counting: ObjectStore = {
    ...store,
    toLocalFile: async (key) => {
      most = Math.max(most, ++running);
      try {
        return await store.toLocalFile(key);
      } finally {
        running--;
      }
    },
  };
  const { tables } = await openBronze({ store: counting, log }).snapshot(['app']);
  assert.equal(most, 8);
  for (const name of names) {
    const files = tables.find(({ table }) => table === name)?.files ?? [];
    const contents = await Promise.all(files.map(({ path }) => readFile(path, 'utf8')));
    assert.deepEqual(contents, [`${name} in commit 1`, `${name} in commit 2`]);
  }
});
