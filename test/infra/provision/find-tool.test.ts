import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Host } from '../../../infra/config.ts';
import { withFileLock } from '../../../infra/provision/file-lock.ts';
import { findTool } from '../../../infra/provision/find-tool.ts';
import { findTools, TOOL_NAMES, TOOL_PINS, type ToolName, type ToolPin } from '../../../infra/provision/index.ts';
import { isSluiceError } from '../../../warehouse/core/errors.ts';

const SCRIPT = '#!/bin/sh\necho "temporal version 9.9.9"\n';

async function folder(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'sluice-tools-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

function hostIn(dir: string, path: string[] = []): Host {
  return {
    path,
    cacheDir: join(dir, 'cache'),
    environment: (extra) => ({ PATH: path.join(':'), HOME: dir, ...extra }),
  };
}

function pinsWith(changes: Partial<ToolPin>): Record<ToolName, ToolPin> {
  return { ...TOOL_PINS, temporal: { ...TOOL_PINS.temporal, ...changes } };
}

interface Archive {
  readonly pin: ToolPin['download'];
  readonly requests: readonly string[];
}

/** A server of one archive with the script in it, and the pin for it. `mayAnswer` holds an answer back. */
async function serveArchive(
  t: TestContext,
  dir: string,
  mayAnswer: (requests: readonly string[]) => Promise<void> = async () => undefined,
): Promise<Archive> {
  await mkdir(join(dir, 'pack'), { recursive: true });
  await writeFile(join(dir, 'pack', 'temporal'), SCRIPT);
  execFileSync('tar', ['-czf', join(dir, 'a.tar.gz'), '-C', join(dir, 'pack'), 'temporal']);
  const archive = await readFile(join(dir, 'a.tar.gz'));
  const requests: string[] = [];
  const server = createServer(async (request, answer) => {
    requests.push(request.url ?? '');
    await mayAnswer(requests);
    answer.writeHead(200, { 'content-length': archive.length }).end(archive);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/a.tar.gz`;
  const sha256 = createHash('sha256').update(archive).digest('hex');
  const platform = `${process.platform}-${process.arch}`;
  return { pin: { version: '9.9.9', files: { [platform]: { url, sha256, inside: 'temporal' } } }, requests };
}

/** Every pin with the one download; with another sum for those that are to fail. */
function pinsOf({ pin: download }: Archive, wrong: readonly ToolName[] = []): Record<ToolName, ToolPin> {
  const spoilt = Object.fromEntries(
    Object.entries(download.files).map(([platform, file]) => [platform, { ...file, sha256: '0'.repeat(64) }]),
  );
  const pinOf = (name: ToolName): ToolPin => ({
    ...TOOL_PINS[name],
    download: wrong.includes(name) ? { ...download, files: spoilt } : download,
  });
  return { temporal: pinOf('temporal'), minio: pinOf('minio'), versitygw: pinOf('versitygw') };
}

test('a program on the PATH is taken if its version fits, and passed over if it does not', async (t) => {
  const dir = await folder(t);
  for (const [name, version] of [
    ['old', 'temporal version 1.1.0 (Server 1.25.0)'],
    ['broken', ''],
    ['good', 'temporal version 1.5.1 (Server 1.29.1, UI 2.42.1)'],
  ] as const) {
    await mkdir(join(dir, name));
    await writeFile(join(dir, name, 'temporal'), `#!/bin/sh\necho "${version}"\n`);
    await chmod(join(dir, name, 'temporal'), 0o755);
  }
  const host = hostIn(dir, [join(dir, 'none'), join(dir, 'old'), join(dir, 'broken'), join(dir, 'good')]);
  const tool = await findTool('temporal', { host });
  assert.deepEqual([tool.from, tool.path], ['path', join(dir, 'good', 'temporal')]);
});

test('which versions fit', () => {
  assert.ok(TOOL_PINS.temporal.fits('temporal version 1.10.0 (Server 1.32.0)'));
  assert.ok(!TOOL_PINS.temporal.fits('temporal version 1.4.0 (Server 1.28.0)'));
  assert.ok(!TOOL_PINS.temporal.fits('temporal version 0.0.0-DEV'));
  assert.ok(TOOL_PINS.minio.fits('minio version RELEASE.2025-09-07T16-13-09Z (commit-id=07c3a42)'));
  assert.ok(!TOOL_PINS.minio.fits('minio version RELEASE.2023-01-01T00-00-00Z'));
  assert.ok(!TOOL_PINS.minio.fits('minio version DEVELOPMENT.GOGET'));
  assert.ok(TOOL_PINS.versitygw.fits('Version  : v1.8.0\nBuild : x'));
  assert.ok(!TOOL_PINS.versitygw.fits('Version  : 1.0.9\n'));
});

test('every pin names versions and sums exactly', () => {
  for (const pin of Object.values(TOOL_PINS)) {
    assert.match(pin.build.module, /@v\d+\.\d+\.\d+(-[\w.-]+)?$/);
    assert.ok(pin.download.files['linux-x64'] !== undefined);
    for (const file of Object.values(pin.download.files)) {
      assert.match(file.sha256, /^[0-9a-f]{64}$/);
      assert.ok(file.url.startsWith('https://') && file.url.includes(pin.download.version), file.url);
    }
  }
});

test('a download is taken once when its sum is the pinned one, by all who ask at the same time', async (t) => {
  const dir = await folder(t);
  const { pin, requests } = await serveArchive(t, dir);
  const pins = pinsWith({ download: pin });
  const host = hostIn(dir, ['/usr/bin', '/bin']);
  const tools = await Promise.all(Array.from({ length: 5 }, () => findTool('temporal', { host, pins })));
  assert.equal(requests.length, 1);
  assert.deepEqual(tools.map((tool) => tool.from).sort(), ['cache', 'cache', 'cache', 'cache', 'download']);
  assert.match(execFileSync(tools[0]?.path ?? '', ['--version'], { encoding: 'utf8' }), /9\.9\.9/);
  assert.deepEqual(await readdir(join(dir, 'cache', 'incoming')), []);
});

test('a download with another sum is never used; without Go the failure names every way and the remedy', async (t) => {
  const dir = await folder(t);
  const { pin } = await serveArchive(t, dir);
  const platform = `${process.platform}-${process.arch}`;
  const file = pin.files[platform];
  assert.ok(file !== undefined);
  const pins = pinsWith({ download: { ...pin, files: { [platform]: { ...file, sha256: '0'.repeat(64) } } } });
  await assert.rejects(
    findTool('temporal', { host: hostIn(dir, [join(dir, 'empty')]), pins }),
    (error: unknown) =>
      isSluiceError(error, 'TOOL_UNAVAILABLE') &&
      /is pinned: it is not used/.test(error.message) &&
      /Go is not installed/.test(error.message) &&
      /install Go/.test(error.remedy ?? ''),
  );
  assert.deepEqual(await readdir(join(dir, 'cache', 'incoming')), []);
});

test('several programs are got at once, in the order asked for', async (t) => {
  const dir = await folder(t);
  const all = Promise.withResolvers<void>();
  const archive = await serveArchive(t, dir, (requests) => {
    if (requests.length === TOOL_NAMES.length) all.resolve();
    return all.promise;
  });
  const host = hostIn(dir, ['/usr/bin', '/bin']);
  const told = new Set<string>();
  const tools = await findTools(TOOL_NAMES, {
    host,
    pins: pinsOf(archive),
    onProgress: (name, note) => told.add(`${name}: ${note.split(' ')[0]}`),
  });
  assert.deepEqual(
    tools.map(({ name, from }) => [name, from]),
    TOOL_NAMES.map((name) => [name, 'download']),
  );
  for (const name of TOOL_NAMES) assert.ok(told.has(`${name}: downloading`), [...told].join());
});

test('one that cannot be had is named when the others are there; several are all named', async (t) => {
  const dir = await folder(t);
  const archive = await serveArchive(t, dir, async (requests) => {
    // One ends well before the others.
    if (requests.length > 1) await new Promise((resolve) => setTimeout(resolve, 300));
  });
  const host = hostIn(dir, [join(dir, 'empty')]);
  const failing = (...names: ToolName[]) => findTools(TOOL_NAMES, { host, pins: pinsOf(archive, names) });
  await assert.rejects(
    failing('temporal', 'versitygw'),
    (error: unknown) =>
      isSluiceError(error, 'TOOL_UNAVAILABLE') &&
      /program temporal cannot.*program versitygw cannot/s.test(error.message) &&
      /Install temporal.*Install versitygw/s.test(error.remedy ?? ''),
  );
  assert.deepEqual(await readdir(join(dir, 'cache', 'bin')), ['minio-9.9.9']);
  await assert.rejects(
    failing('temporal'),
    (error: unknown) =>
      isSluiceError(error, 'TOOL_UNAVAILABLE') && error.message.startsWith('The server program temporal cannot'),
  );
  assert.deepEqual((await readdir(join(dir, 'cache', 'bin'))).sort(), ['minio-9.9.9', 'versitygw-9.9.9']);
  assert.deepEqual(await readdir(join(dir, 'cache', 'incoming')), []);
});

test('a server that does not answer holds up the next way for seconds only', async (t) => {
  const dir = await folder(t);
  const server = createServer(() => undefined);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const platform = `${process.platform}-${process.arch}`;
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/a`;
  const pins = pinsWith({ download: { version: '1', files: { [platform]: { url, sha256: '0'.repeat(64) } } } });
  const begin = performance.now();
  const notes: string[] = [];
  await assert.rejects(
    findTool('temporal', { host: hostIn(dir), pins, onProgress: (note) => notes.push(note) }),
    (error: unknown) => isSluiceError(error, 'TOOL_UNAVAILABLE') && /no answer within/.test(error.message),
  );
  assert.ok(performance.now() - begin < 6_000);
  assert.ok(notes.some((note) => note.startsWith('download not possible')));
});

test('the lock lets one in at a time and goes on after a holder that was killed', async (t) => {
  const dir = await folder(t);
  const path = join(dir, 'x.lock');
  const lockModule = JSON.stringify(new URL('../../../infra/provision/file-lock.ts', import.meta.url).href);
  const child = spawn(
    process.execPath,
    [
      '--disable-warning=ExperimentalWarning',
      '--input-type=module-typescript',
      '-e',
      `import { withFileLock } from ${lockModule};
       await withFileLock(${JSON.stringify(path)}, async () => { console.log('in'); await new Promise((r) => setTimeout(r, 60000)); });`,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  await new Promise((resolve) => child.stdout.once('data', resolve));
  let waitedFor: number | undefined;
  let inside = 0;
  let most = 0;
  const entries = Promise.all(
    Array.from({ length: 8 }, () =>
      withFileLock(
        path,
        async () => {
          inside += 1;
          most = Math.max(most, inside);
          await new Promise((resolve) => setTimeout(resolve, 5));
          inside -= 1;
        },
        (holder) => {
          waitedFor = holder;
        },
      ),
    ),
  );
  await new Promise((resolve) => setTimeout(resolve, 400));
  assert.equal(most, 0, 'nobody enters while the holder lives');
  assert.equal(waitedFor, child.pid);
  child.kill('SIGKILL');
  await entries;
  assert.equal(most, 1);
  assert.deepEqual(await readdir(dir), []);
});
