import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import fc from 'fast-check';
import { CHECKPOINT_EVERY, listCheckpoints, readCheckpoint } from '../../warehouse/bronze/checkpoint.ts';
import { encodeCommit } from '../../warehouse/bronze/commit-format.ts';
import { logKey, readCommits } from '../../warehouse/bronze/commit-log.ts';
import { openBronze } from '../../warehouse/bronze/index.ts';
import { emptyHistory, foldCommits, type SourceHistory } from '../../warehouse/bronze/source-history.ts';
import { BRONZE_COMMIT_FORMAT, type BronzeCommit } from '../../warehouse/core/bronze-commit.ts';
import { isSluiceError } from '../../warehouse/core/errors.ts';
import { createFolderStore } from '../../warehouse/core/folder-store.ts';
import { createLog } from '../../warehouse/core/log.ts';
import type { ObjectStore } from '../../warehouse/core/object-store.ts';
import { commitDraft, tableDraft } from './drafts.ts';

/** A checkpoint may be lost, stale, damaged, of another lake or of the future: what the log says stays the same. */

const log = createLog({ level: 'silent' });
let root: string;
let dir: string;
let store: ObjectStore;
let count = 0;
before(async () => {
  root = await mkdtemp(join(tmpdir(), 'sluice-checkpoint-'));
});
beforeEach(() => freshLake());
after(() => rm(root, { recursive: true, force: true }));

function freshLake(): void {
  dir = join(root, `lake-${count++}`);
  store = createFolderStore(dir);
}

type Entry = BronzeCommit['tables'][string];

const commitOf = (number: number, tables: Record<string, Partial<Entry>>, batch = `b${number}`): BronzeCommit => ({
  format: BRONZE_COMMIT_FORMAT,
  source: 'app',
  number,
  batch,
  committedAt: '2026-01-01T00:00:00.000Z',
  identity: { systemIdentifier: null, databaseOid: '2', database: 'd', schema: 'app' },
  snapshot: { id: `${number}:${number}:`, at: '2026-01-01T00:00:00.000000Z', lsn: null },
  tables: Object.fromEntries(
    Object.entries(tables).map(([name, facts]) => [
      name,
      {
        mode: 'cursor',
        consistency: 'exact',
        contract: { key: ['id'], columns: [] },
        files: [fileOf(name, number)],
        replaced: false,
        quarantined: { rows: 0, files: [] },
        read: { how: 'cursor', rows: 1, why: null },
        watermark: { before: null, after: null },
        ...facts,
      } satisfies Entry,
    ]),
  ),
});

const fileOf = (table: string, number: number) => ({
  key: `bronze/app/${table}/b${number}/00000.parquet`,
  rows: number,
  bytes: 7,
  sha256: 'a'.repeat(64),
  ops: { read: 1 },
  firstSeq: '1',
  lastSeq: '1',
  keyMin: null,
  keyMax: null,
});

/** Straight into the folder, where flushing each object would only take time. */
async function writeLog(commits: readonly BronzeCommit[]): Promise<void> {
  await mkdir(dirname(join(dir, logKey('app', 1))), { recursive: true });
  for (const commit of commits) await writeFile(join(dir, logKey('app', commit.number)), encodeCommit(commit));
}

const simpleLog = (from: number, to: number): BronzeCommit[] =>
  Array.from({ length: to - from + 1 }, (_, i) => commitOf(from + i, { t: {} }));

const commitNext = async (number: number, from: ObjectStore = store): Promise<void> => {
  const draft = commitDraft(number, `own${number}`, { t: await tableDraft(root, 'x') });
  await openBronze({ store: from, log }).commit('app', draft);
};

const fromLog = (): Promise<SourceHistory> => foldCommits(emptyHistory('app'), readCommits(store, 'app', 0));

async function fromCheckpoint(): Promise<{ used: number; history: SourceHistory }> {
  const start = await readCheckpoint(store, 'app', log);
  const history = await foldCommits(start ?? emptyHistory('app'), readCommits(store, 'app', start?.number ?? 0));
  return { used: start?.number ?? 0, history };
}

const numbers = async (): Promise<number[]> =>
  (await listCheckpoints(store, 'app')).map(({ key }) => Number(/(\d{20})-/.exec(key)?.[1]));

test('any history is the same read from a checkpoint as read whole', async () => {
  const table = fc.record(
    {
      mode: fc.constantFrom('cursor', 'full', 'append'),
      consistency: fc.constantFrom('exact', 'repaired'),
      replaced: fc.boolean(),
      read: fc.record({
        how: fc.constantFrom('whole', 'cursor', 'sweep', 'range'),
        rows: fc.nat(),
        why: fc.constantFrom(null, 'ü\n"'),
      }),
      contract: fc.record({
        key: fc.constantFrom(['id'], ['a', '"b"']),
        columns: fc.constantFrom(
          [],
          [{ name: 'née', postgresType: 'x', duckdbType: 'BLOB', nullable: true, policy: 'quarantine', mask: 'drop' }],
        ),
      }),
      files: fc.constantFrom([], [fileOf('x', 1), fileOf('x', 2)]),
      quarantined: fc.constantFrom(
        { rows: 0, files: [] },
        { rows: 2, files: [{ key: 'q', rows: 2, bytes: 9, sha256: 'b'.repeat(64) }] },
      ),
      watermark: fc.constantFrom(
        { before: null, after: null },
        { before: null, after: { column: 'c', value: 'v', proof: 'p' } },
      ),
    },
    { requiredKeys: [] },
  ) as fc.Arbitrary<Partial<Entry>>;
  const tables = fc.dictionary(fc.constantFrom('t', 'u', '__proto__', 'v w', 'constructor'), table, { maxKeys: 3 });
  await fc.assert(
    fc.asyncProperty(
      fc.array(tables, { minLength: CHECKPOINT_EVERY, maxLength: 2 * CHECKPOINT_EVERY + 30 }),
      async (random) => {
        freshLake();
        const commits = random.map((entries, index) => commitOf(index + 1, entries));
        // The checkpoint lies somewhere inside: what comes after it is folded upon it.
        const cut = Math.min(commits.length, CHECKPOINT_EVERY + (commits.length % 7));
        await writeLog(commits.slice(0, cut - 1));
        await commitNext(cut);
        await writeLog(commits.slice(cut));
        const { used, history } = await fromCheckpoint();
        assert.equal(used, cut >= CHECKPOINT_EVERY ? cut : 0);
        assert.deepEqual(history, await fromLog());
      },
    ),
    { numRuns: 12 },
  );
});

test('a long log is opened by reading its checkpoint and what came after, and the listing starts there', async () => {
  await writeLog(simpleLog(1, 249));
  await commitNext(250);
  await writeLog(simpleLog(251, 290));
  const read: string[] = [];
  const starts: (string | undefined)[] = [];
  const watched: ObjectStore = {
    ...store,
    get: (key) => {
      read.push(key);
      return store.get(key);
    },
    list: (prefix, options) => {
      if (prefix.endsWith('_log/')) starts.push(options?.startAfter);
      return store.list(prefix, options);
    },
  };
  assert.equal(await openBronze({ store: watched, log }).head('app'), 290);
  assert.deepEqual(starts, [logKey('app', 250)]);
  const commits = read.filter((key) => key.includes('/_log/'));
  assert.deepEqual(
    commits.sort(),
    Array.from({ length: 41 }, (_, i) => logKey('app', 250 + i)),
  );
});

test('checkpoints come every hundred commits, and two are kept', async () => {
  await commitNext(1);
  assert.deepEqual(await numbers(), []);
  await writeLog(simpleLog(2, 99));
  const bronze = openBronze({ store, log });
  for (const number of [100, 101, 102])
    await bronze.commit('app', commitDraft(number, `c${number}`, { t: await tableDraft(root, 'x') }));
  assert.deepEqual(await numbers(), [100]);
  for (const next of [200, 300, 417]) {
    await writeLog(simpleLog((await openBronze({ store, log }).head('app')) + 1, next - 1));
    await commitNext(next);
  }
  assert.deepEqual(await numbers(), [300, 417]);
  assert.equal((await fromCheckpoint()).used, 417);
});

test('a checkpoint that is damaged, foreign, of another format or of the future is passed over', async () => {
  await writeLog(simpleLog(1, 99));
  await commitNext(100);
  const [good] = await listCheckpoints(store, 'app');
  const key = good?.key ?? '';
  const bytes = await store.get(key);
  const expected = await fromLog();
  const plain = zstdDecompressSync(bytes).toString('utf8');
  const repack = (text: string): Uint8Array => zstdCompressSync(Buffer.from(text));
  const flipped = Uint8Array.from(bytes);
  flipped[bytes.length >> 1] = (flipped[bytes.length >> 1] ?? 0) ^ 0x10;
  const cases: Record<string, Uint8Array> = {
    empty: new Uint8Array(),
    cut: bytes.subarray(0, bytes.length - 9),
    flipped,
    'not zstd': Buffer.from(plain),
    'a row more': repack(plain.replace('"rows":[1,2', '"rows":[9,2')),
    'another source': repack(plain.replace('"source":"app"', '"source":"abc"')),
    'a later format': repack(plain.replace('"format":1', '"format":2')),
    'another number': repack(plain.replace('"number":100', '"number":99')),
    'no header': repack(plain.slice(plain.indexOf('\n') + 1)),
    'a header only': repack(plain.slice(0, plain.indexOf('\n') + 1)),
  };
  for (const [name, content] of Object.entries(cases)) {
    assert.notDeepEqual(content, bytes, name);
    await store.delete(key);
    await store.putIfAbsent(key, content);
    assert.deepEqual(await fromCheckpoint(), { used: 0, history: expected }, name);
    assert.equal(await openBronze({ store, log }).head('app'), 100, name);
  }
  // The next commit of anybody mends it: under its own number, since names are given once.
  await commitNext(101);
  assert.equal((await fromCheckpoint()).used, 101);
});

test('a checkpoint of a log that went another way is passed over, though it is whole', async () => {
  await writeLog(simpleLog(1, 99));
  await commitNext(100);
  // A copy of the lake from before, which went on without these commits.
  await rm(join(dir, logKey('app', 100)));
  assert.deepEqual(await fromCheckpoint(), { used: 0, history: await fromLog() });
  assert.equal(await openBronze({ store, log }).head('app'), 99);
  await writeLog([commitOf(100, { u: {} }, 'other')]);
  const { used, history } = await fromCheckpoint();
  assert.deepEqual([used, history.tables.has('u')], [0, true]);
  await commitNext(101);
  assert.equal((await fromCheckpoint()).used, 101);
  assert.deepEqual((await fromCheckpoint()).history, await fromLog());
});

test('an older checkpoint serves where the newest cannot, and strangers in the folder disturb nobody', async () => {
  await writeLog(simpleLog(1, 99));
  await commitNext(100);
  await writeLog(simpleLog(101, 199));
  await commitNext(200);
  const newest = (await listCheckpoints(store, 'app')).at(-1)?.key ?? '';
  await store.delete(newest);
  await store.putIfAbsent(newest, Buffer.from('nonsense'));
  for (const name of ['.DS_Store', 'zzz', `${'9'.repeat(20)}-${'0'.repeat(16)}.json.zst`, '1.json.zst'])
    await store.putIfAbsent(`bronze/app/_checkpoints/${name}`, Buffer.from('{}'));
  const { used, history } = await fromCheckpoint();
  assert.equal(used, 100);
  assert.deepEqual(history, await fromLog());
});

test('a commit stands when its checkpoint cannot be written, and the next run writes one', async () => {
  await writeLog(simpleLog(1, 99));
  const refusing: ObjectStore = {
    ...store,
    putIfAbsent: (key, bytes) =>
      key.includes('_checkpoints') ? Promise.reject(new Error('denied')) : store.putIfAbsent(key, bytes),
  };
  await commitNext(100, refusing);
  assert.deepEqual([await openBronze({ store, log }).head('app'), await numbers()], [100, []]);
  await commitNext(101);
  assert.deepEqual(await numbers(), [101]);
});

test('writers at the same moment leave one history and checkpoints that agree with it', async () => {
  await writeLog(simpleLog(1, 97));
  const writers = Array.from({ length: 4 }, () => openBronze({ store, log }));
  for (let number = 98; number <= 104; number++) {
    const drafts = await Promise.all(
      writers.map(async (_, w) => commitDraft(number, `w${w}-${number}`, { t: await tableDraft(root, `${w}`) })),
    );
    const results = await Promise.allSettled(
      writers.map((writer, w) => writer.commit('app', drafts[w] ?? commitDraft(0, '', {}))),
    );
    assert.equal(results.filter((result) => result.status === 'fulfilled').length, 1);
    for (const result of results)
      assert.ok(result.status === 'fulfilled' || isSluiceError(result.reason, 'COMMIT_CONFLICT'));
  }
  const { used, history } = await fromCheckpoint();
  assert.ok(used >= 100, `${used}`);
  assert.deepEqual(history, await fromLog());
  for (const writer of writers) assert.equal(await writer.head('app'), 104);
});

test('a table may be called like the engine’s own folders', async () => {
  const bronze = openBronze({ store, log });
  const tables = {
    _log: await tableDraft(root, 'a'),
    _checkpoints: await tableDraft(root, 'b'),
    _: await tableDraft(root, 'c'),
  };
  await bronze.commit('app', commitDraft(1, 'b1', tables));
  const { snapshot } = await openBronze({ store, log }).state(['app']);
  assert.deepEqual(snapshot.tables.map((table) => table.table).sort(), ['_', '_checkpoints', '_log']);
  assert.equal(new Set(snapshot.tables.map((table) => table.files[0]?.path)).size, 3);
});
