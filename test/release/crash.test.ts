import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openTestReleases, publishMark, readMarks, testFolder } from './support.ts';

const CHILD = fileURLToPath(new URL('publisher-child.ts', import.meta.url));

interface Ended {
  readonly signal: string | null;
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

async function run(...args: string[]): Promise<Ended> {
  const child: ChildProcess = spawn(process.execPath, [CHILD, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let err = '';
  child.stdout?.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr?.on('data', (chunk: Buffer) => (err += chunk.toString()));
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  return { code, signal, out, err };
}

test('a publisher killed before any of its writes leaves the last release; killed after the last, the new one', async (t) => {
  const dir = await testFolder(t);
  const releases = openTestReleases(dir);
  const before = await publishMark(releases, dir, '1');
  // silver, gold, version document, pointer: the fifth kill comes when all are written.
  for (const killAt of [1, 2, 3, 4]) {
    assert.equal((await run('publish', dir, `${killAt}0`, String(killAt))).signal, 'SIGKILL');
    const seen = await openTestReleases(dir).current();
    assert.deepEqual(seen, before, `killed before write ${killAt}`);
    assert.deepEqual(await readMarks(await openTestReleases(dir).fetch(before)), ['silver 1', 'gold 1']);
  }
  assert.equal((await run('publish', dir, '2', '9')).signal, 'SIGKILL');
  const after = await openTestReleases(dir).current();
  assert.equal(after?.number, 2);
  assert.deepEqual(await readMarks(await openTestReleases(dir).fetch(after)), ['silver 2', 'gold 2']);
  const rerun = await run('publish', dir, '3', '0');
  assert.equal(rerun.code, 0, rerun.err);
  assert.equal((await openTestReleases(dir).current())?.number, 3);
});

test('processes that fetch one release into one damaged cache all get whole files', async (t) => {
  const dir = await testFolder(t);
  const releases = openTestReleases(dir);
  const release = await publishMark(releases, dir, '1');
  const { gold } = await releases.fetch(release);
  await chmod(gold, 0o644);
  await writeFile(gold, 'gold ?');
  const ended = await Promise.all(Array.from({ length: 4 }, () => run('fetch', dir, '25')));
  for (const { code, out, err } of ended) {
    assert.equal(code, 0, err);
    const lines = out.trim().split('\n');
    assert.equal(lines.length, 25);
    assert.deepEqual([...new Set(lines)], ['["silver 1","gold 1"]']);
  }
  assert.deepEqual(await readdir(join(dir, 'cache', release.files.gold.sha256)), ['gold.duckdb']);
});

test('a reader polling during 30 publishes sees whole releases only, each at most once and in order', async (t) => {
  const dir = await testFolder(t);
  const writer = openTestReleases(dir);
  await publishMark(writer, dir, '1');
  const reader = openTestReleases(dir);
  const seen: number[] = [];
  const polling = { on: true };
  const polls = (async () => {
    while (polling.on) {
      const release = await reader.current();
      assert.ok(release !== undefined);
      const mark = release.commits['app'];
      assert.deepEqual(await readMarks(await reader.fetch(release)), [`silver ${mark}`, `gold ${mark}`]);
      if (seen.at(-1) !== release.number) seen.push(release.number);
    }
  })();
  for (let n = 2; n <= 31; n++) await publishMark(writer, dir, String(n));
  polling.on = false;
  await polls;
  assert.deepEqual(
    seen,
    seen.toSorted((a, b) => a - b),
  );
  assert.ok(seen.length > 3, `the reader saw ${seen.length} releases only`);
});
