import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { CreateMultipartUploadCommand, S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import { readCheckpoint } from '../../warehouse/bronze/checkpoint.ts';
import { encodeCommit } from '../../warehouse/bronze/commit-format.ts';
import { logKey } from '../../warehouse/bronze/commit-log.ts';
import { openBronze, sweepBronze } from '../../warehouse/bronze/index.ts';
import type { BronzeCommit, BronzeCommitDraft } from '../../warehouse/core/bronze-commit.ts';
import { isSluiceError } from '../../warehouse/core/errors.ts';
import { storeNow } from '../../warehouse/core/garbage.ts';
import { createLog } from '../../warehouse/core/log.ts';
import type { ObjectStore } from '../../warehouse/core/object-store.ts';
import { createS3Store, type S3Location } from '../../warehouse/core/s3-store.ts';
import { S3_TEST_SERVERS, type TestBucket } from '../support/servers.ts';

/** The commit log on real S3 servers: what the folder's tests show holds there too, and a process may die at any moment. */

const log = createLog({ level: 'silent' });
const SIZES = { small: 10_000, large: 6 * 1024 * 1024, tail: 500 };

for (const [server, freshBucket] of Object.entries(S3_TEST_SERVERS)) {
  describe(`bronze on ${server}`, () => {
    let bucket: TestBucket;
    let root: string;
    let count = 0;
    before(async () => {
      bucket = await freshBucket();
      root = await mkdtemp(join(tmpdir(), 'sluice-bronze-s3-'));
      for (const [name, size] of Object.entries(SIZES)) await writeFile(join(root, name), randomBytes(size));
    });
    after(() => rm(root, { recursive: true, force: true }));

    const freshLake = (): S3Location => ({ ...bucket.location, prefix: `lake-${count++}` });
    const open = (location: S3Location): ObjectStore =>
      createS3Store({ location, cache: { dir: join(root, 'cache', String(count++)), maxBytes: 1e9 }, log });

    /** Three tables, one of them larger than a part; the files are copies, since a commit consumes them. */
    const draft = async (number: number, batch: string): Promise<BronzeCommitDraft> => {
      const tables: Record<string, BronzeCommitDraft['tables'][string]> = {};
      for (const name of Object.keys(SIZES)) {
        const localPath = join(root, 'drafts', `${batch}-${count++}-${name}`);
        await mkdir(join(root, 'drafts'), { recursive: true });
        await copyFile(join(root, name), localPath);
        const content = await readFile(localPath);
        const sha256 = createHash('sha256').update(content).digest('hex');
        const facts = {
          rows: 1,
          bytes: content.length,
          sha256,
          ops: { read: 1 },
          firstSeq: '1',
          lastSeq: '1',
          keyMin: '1',
          keyMax: '1',
        };
        tables[name] = {
          mode: 'full',
          contract: { key: ['id'], columns: [] },
          files: [{ localPath, ...facts }],
          replaced: false,
          read: { how: 'whole', rows: 1, why: null },
          watermark: { before: null, after: null },
        };
      }
      const identity = { systemIdentifier: '1', databaseOid: '2', database: 'd', schema: 'app' };
      return {
        source: 'app',
        number,
        batch,
        identity,
        snapshot: { id: '1:1:', at: '2026-01-01T00:00:00.000000Z', lsn: null },
        tables,
      };
    };

    const runChild = async (location: S3Location, entry: BronzeCommitDraft, when: string, nth: number) => {
      const path = join(root, `draft-${count++}.json`);
      await writeFile(path, JSON.stringify(entry));
      const child = spawn(
        process.execPath,
        [
          '--disable-warning=ExperimentalWarning',
          fileURLToPath(new URL('s3-child.ts', import.meta.url)),
          JSON.stringify(location),
          join(root, 'child-cache'),
          path,
          when,
          String(nth),
        ],
        { stdio: ['ignore', 'pipe', 'pipe'] },
      );
      let said = '';
      child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
      child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
      return new Promise<{ signal: NodeJS.Signals | null; said: string }>((resolve) =>
        child.on('close', (_code, signal) => resolve({ signal, said })),
      );
    };

    const assertWhole = async (location: S3Location, numbers: number[]): Promise<void> => {
      const bronze = openBronze({ store: open(location), log });
      const commits = await Array.fromAsync(bronze.commits('app'));
      assert.deepEqual(
        commits.map((commit) => commit.number),
        numbers,
      );
      const { tables } = await bronze.snapshot(['app']);
      for (const table of tables) {
        assert.equal(table.files.length, numbers.length);
        for (const file of table.files) {
          assert.ok(
            (await readFile(file.path)).equals(await readFile(join(root, table.table))),
            `${table.table} is whole`,
          );
        }
      }
    };

    test('killed before, during or after any write, the next run ends with the batch once and whole', async () => {
      // three files and the log entry: four writes
      for (const when of ['before', 'during', 'after']) {
        for (const nth of [1, 2, 3, 4]) {
          const location = freshLake();
          const first = await runChild(location, await draft(1, 'killed'), when, nth);
          assert.equal(first.signal, 'SIGKILL', `${when} ${nth}: ${first.said}`);
          const bronze = openBronze({ store: open(location), log });
          const head = await bronze.head('app');
          assert.ok(
            head === 0 || (head === 1 && nth === 4),
            `${when} ${nth}: a commit is there only after its last write`,
          );
          const commit = await bronze.commit('app', await draft(1, 'killed'));
          assert.equal(commit.number, 1);
          await assertWhole(location, [1]);
        }
      }
    });

    test('of many processes that commit one number exactly one wins, and the log goes on', async () => {
      const location = freshLake();
      const drafts = await Promise.all(['a', 'b', 'c', 'd'].map((batch) => draft(1, batch)));
      const results = await Promise.all(drafts.map((entry) => runChild(location, entry, 'never', 0)));
      const winners = results.filter((result) => /^[abcd]\n$/.test(result.said));
      assert.equal(winners.length, 1, results.map((result) => result.said).join(''));
      for (const result of results)
        assert.ok(winners.includes(result) || /COMMIT_CONFLICT/.test(result.said), result.said);
      await openBronze({ store: open(location), log }).commit('app', await draft(2, 'next'));
      await assertWhole(location, [1, 2]);
      const files = await Array.fromAsync(open(location).list('bronze/app/small/'));
      assert.equal(files.length, 2, 'the losers removed their files');
    });

    test('a commit called again is the same commit, and a taken number a conflict', async () => {
      const store = open(freshLake());
      const first = await openBronze({ store, log }).commit('app', await draft(1, 'once'));
      assert.deepEqual(await openBronze({ store, log }).commit('app', await draft(1, 'once')), first);
      await assert.rejects(
        openBronze({ store, log }).commit('app', await draft(1, 'other')),
        (error: unknown) => isSluiceError(error, 'COMMIT_CONFLICT') && error.retryable,
      );
    });

    test('a long log, of more than one page of the listing, is the same read whole and from a checkpoint', async () => {
      const location = freshLake();
      const store = open(location);
      await openBronze({ store, log }).commit('app', await draft(1, 'first'));
      const first = JSON.parse(new TextDecoder().decode(await store.get(logKey('app', 1)))) as BronzeCommit;
      // A page of a listing holds a thousand keys; one server is enough for that many.
      const last = server === 'minio' ? 1050 : 130;
      const waiting = Array.from({ length: last - 2 }, (_, i) => i + 2);
      const write = async (): Promise<void> => {
        for (let number = waiting.pop(); number !== undefined; number = waiting.pop()) {
          const tables = { small: { ...first.tables['small'], files: [] } } as unknown as BronzeCommit['tables'];
          await store.putIfAbsent(logKey('app', number), encodeCommit({ ...first, number, tables }));
        }
      };
      await Promise.all(Array.from({ length: 32 }, write));
      await openBronze({ store: open(location), log }).commit('app', await draft(last, 'last'));
      const fresh = open(location);
      assert.deepEqual((await readCheckpoint(fresh, 'app', log))?.number, last);
      const overview = await openBronze({ store: fresh, log }).overview(['app']);
      for await (const { key } of fresh.list('bronze/app/_checkpoints/')) await fresh.delete(key);
      assert.deepEqual(await openBronze({ store: open(location), log }).overview(['app']), overview);
      assert.deepEqual(
        overview[0]?.tables.map((table) => [table.table, table.files]),
        [
          ['small', 2],
          ['large', 2],
          ['tail', 2],
        ],
      );
    });

    test('the janitor removes orphans by the server’s clock, and aborts unfinished uploads where the server lists them', async () => {
      const location = freshLake();
      const store = open(location);
      await openBronze({ store, log }).commit('app', await draft(1, 'kept'));
      await store.putIfAbsent('bronze/app/small/killed/00000.parquet', new Uint8Array([1]));
      const s3 = new S3Client({ region: 'us-east-1', forcePathStyle: true, ...location } as S3ClientConfig);
      const Key = `${location.prefix}/bronze/app/large/killed/00000.parquet`;
      await s3.send(new CreateMultipartUploadCommand({ Bucket: location.bucket, Key }));
      s3.destroy();
      const sweep = async (nowMs: number): Promise<string[]> => {
        const found = sweepBronze({ store: open(location), olderThanMs: 3_600_000, nowMs, dryRun: false });
        return (await Array.fromAsync(found)).map(({ kind, place }) => `${kind} ${place}`);
      };
      const now = await storeNow(store);
      assert.deepEqual(await sweep(now), []);
      const upload = server === 'minio' ? [] : ['upload bronze/app/large/killed/00000.parquet'];
      assert.deepEqual(await sweep(now + 7_200_000), ['bronze bronze/app/small/killed/00000.parquet', ...upload]);
      assert.deepEqual(await sweep(now + 7_200_000), []);
      await assertWhole(location, [1]);
    });

    test('a file that a commit names and the lake lacks is LAKE_CORRUPT', async () => {
      const location = freshLake();
      await openBronze({ store: open(location), log }).commit('app', await draft(1, 'b'));
      await open(location).delete('bronze/app/small/b/00000.parquet');
      await assert.rejects(openBronze({ store: open(location), log }).snapshot(['app']), (error: unknown) =>
        isSluiceError(error, 'LAKE_CORRUPT'),
      );
    });
  });
}
