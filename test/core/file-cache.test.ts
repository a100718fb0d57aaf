import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, mkdtemp, readdir, readFile, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Content, createFileCache, type FileCache } from '../../warehouse/core/file-cache.ts';
import { createLog } from '../../warehouse/core/log.ts';

const log = createLog({ level: 'silent' });
const KB = 1024;

async function folder(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'sluice-cache-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

function contentOf(data: Buffer): Content {
  return {
    name: createHash('sha256').update(data).digest('hex'),
    bytes: data.length,
    sha256: createHash('sha256').update(data).digest('hex'),
  };
}

const block = (mark: number, size = 100 * KB): Buffer => Buffer.alloc(size, mark);

/** Obtains a block and counts the downloads. */
function obtain(cache: FileCache, mark: number, downloads: number[] = []): Promise<string> {
  const data = block(mark);
  return cache.obtain(contentOf(data), `files/${mark}.parquet`, async (path) => {
    downloads.push(mark);
    await writeFile(path, data);
  });
}

async function bytesIn(dir: string): Promise<number> {
  let total = 0;
  for (const entry of await readdir(join(dir, 'contents'), { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) total += (await stat(join(entry.parentPath, entry.name))).size;
  }
  return total;
}

test('a content is downloaded once, however many ask at once and later', async (t) => {
  const dir = await folder(t);
  const cache = createFileCache({ dir, maxBytes: 10_000 * KB, log });
  const downloads: number[] = [];
  const paths = await Promise.all(Array.from({ length: 20 }, () => obtain(cache, 1, downloads)));
  assert.equal(new Set(paths).size, 1);
  assert.equal(basename(paths[0] ?? ''), '1.parquet');
  assert.deepEqual(await readFile(paths[0] ?? ''), block(1));
  await obtain(createFileCache({ dir, maxBytes: 10_000 * KB, log }), 1, downloads);
  assert.deepEqual(downloads, [1]);
});

test('the bound holds, the least recently used goes first, and what was handed out stays', async (t) => {
  const dir = await folder(t);
  const cache = createFileCache({ dir, maxBytes: 500 * KB, log });
  const kept = await obtain(cache, 0);
  for (let mark = 1; mark <= 30; mark++) {
    const path = await obtain(cache, mark);
    assert.deepEqual(await readFile(path), block(mark));
    await cache.release(`files/${mark}.parquet`);
    assert.ok((await bytesIn(dir)) <= 500 * KB, `after ${mark}`);
  }
  assert.deepEqual(await readFile(kept), block(0), 'never taken from under its reader');
  const downloads: number[] = [];
  for (const mark of [30, 29, 28]) {
    await obtain(cache, mark, downloads);
    await cache.release(`files/${mark}.parquet`);
  }
  assert.deepEqual(downloads, [], 'the last used are still there');
  await obtain(cache, 5, downloads);
  assert.deepEqual(downloads, [5]);
});

test('use counts, not arrival', async (t) => {
  const dir = await folder(t);
  const cache = createFileCache({ dir, maxBytes: 300 * KB, log });
  for (const mark of [1, 2, 3]) {
    await obtain(cache, mark);
    await cache.release(`files/${mark}.parquet`);
    const entry = join(dir, 'contents', contentOf(block(mark)).name.slice(0, 2), contentOf(block(mark)).name);
    await utimes(entry, new Date(Date.now() - 60_000 + mark * 1000), (await stat(entry)).mtime);
  }
  await obtain(cache, 1);
  await cache.release();
  const downloads: number[] = [];
  await obtain(cache, 4);
  await obtain(cache, 1, downloads);
  assert.deepEqual(downloads, []);
  await obtain(cache, 2, downloads);
  assert.deepEqual(downloads, [2]);
});

test('a damaged copy is found and fetched again', async (t) => {
  const dir = await folder(t);
  const content = contentOf(block(7));
  const entry = join(dir, 'contents', content.name.slice(0, 2), content.name);
  for (const damage of [() => truncate(entry, 10), () => writeFile(entry, block(8)), () => rm(entry)]) {
    const downloads: number[] = [];
    const first = createFileCache({ dir, maxBytes: 10_000 * KB, log });
    await obtain(first, 7);
    await first.release();
    await chmod(entry, 0o644);
    await damage();
    const path = await obtain(createFileCache({ dir, maxBytes: 10_000 * KB, log }), 7, downloads);
    assert.deepEqual(await readFile(path), block(7));
    assert.deepEqual(downloads, [7]);
  }
});

test('a failed download leaves nothing, and the next call tries again', async (t) => {
  const dir = await folder(t);
  const cache = createFileCache({ dir, maxBytes: 1_000 * KB, log });
  const content = contentOf(block(1));
  await assert.rejects(
    cache.obtain(content, 'x', async (path) => {
      await writeFile(path, 'half');
      throw new Error('cut');
    }),
    /cut/,
  );
  assert.deepEqual(await readdir(join(dir, 'incoming')), []);
  assert.deepEqual(await readFile(await obtain(cache, 1)), block(1));
});

test('processes share one cache with a bound smaller than their work, and none loses a file it holds', async (t) => {
  const dir = await folder(t);
  const children = Array.from({ length: 4 }, (_, seed) => runChild(dir, seed));
  for (const result of await Promise.all(children)) assert.equal(result, '');
  const cache = createFileCache({ dir, maxBytes: 400 * KB, log });
  // Whatever the children left over the bound goes with the next arrival: their leases are dead.
  await obtain(cache, 200);
  assert.ok((await bytesIn(dir)) <= 400 * KB);
  const leases = await readdir(join(dir, 'lent'));
  assert.equal(leases.length, 1, 'only this process’s own lease is left');
});

/** Complaints of a process that takes 60 random files, holds each for a moment and reads it again. */
function runChild(dir: string, seed: number): Promise<string> {
  const program = `
    import { writeFile, readFile } from 'node:fs/promises';
    import { createHash } from 'node:crypto';
    import { setTimeout as sleep } from 'node:timers/promises';
    import { createFileCache } from ${JSON.stringify(new URL('../../warehouse/core/file-cache.ts', import.meta.url).href)};
    import { createLog } from ${JSON.stringify(new URL('../../warehouse/core/log.ts', import.meta.url).href)};
    const cache = createFileCache({ dir: ${JSON.stringify(dir)}, maxBytes: ${400 * KB}, log: createLog({ level: 'silent' }) });
    let state = ${seed + 1};
    const random = () => (state = (state * 48271) % 2147483647) / 2147483647;
    for (let n = 0; n < 60; n++) {
      const mark = Math.floor(random() * 12);
      const data = Buffer.alloc(${100 * KB}, mark);
      const sha256 = createHash('sha256').update(data).digest('hex');
      const path = await cache.obtain({ name: sha256, bytes: data.length, sha256 }, 'f/' + n, (to) => writeFile(to, data));
      await sleep(random() * 5);
      if (!(await readFile(path)).equals(data)) console.log('wrong bytes of', mark);
      if (random() < 0.8) await cache.release('f/' + n);
    }
    process.kill(process.pid, ${seed % 2 === 0 ? "'SIGKILL'" : "'SIGTERM'"});
  `;
  return new Promise((resolve, reject) => {
    const child = spawn(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', '--input-type=module-typescript', '-e', program],
      {
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    let said = '';
    child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
    child.on('error', reject);
    child.on('close', () => resolve(said));
  });
}
