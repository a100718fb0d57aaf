import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { assertNoStack, type CliResult, parseError } from '../support/cli.ts';
import { type TestProject, testProject } from '../support/project.ts';

/** A disk that is full under the lake or under the cache: exit 3, a remedy, nothing half-written, and the same command works when there is space. */

const AS_OF = ['--as-of', '2026-03-01'] as const;

let project: TestProject;
before(async () => {
  project = await testProject();
});
after(() => project[Symbol.asyncDispose]());

interface SmallDisk {
  readonly dir: string;
  readonly env: Readonly<Record<string, string>>;
  free(): void;
}

/** A tmpfs of `size`; where none can be mounted, a folder into which the command cannot write, by injection. */
function smallDisk(size: string): SmallDisk {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-small-disk-'));
  const remove = (): void => rmSync(dir, { recursive: true, force: true });
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', dir], { stdio: 'ignore' });
  } catch {
    return { ...injectedDisk(dir), free: remove };
  }
  return {
    dir,
    env: {},
    free: () => {
      execFileSync('umount', ['-l', dir]);
      remove();
    },
  };
}

function injectedDisk(dir: string): Pick<SmallDisk, 'dir' | 'env'> {
  const preload = pathToFileURL(join(import.meta.dirname, 'full-disk-preload.ts')).href;
  return {
    dir,
    env: { SLUICE_TEST_FULL_DISK: dir, NODE_OPTIONS: `--disable-warning=ExperimentalWarning --import=${preload}` },
  };
}

function assertFull(result: CliResult): void {
  assert.equal(result.code, 3, result.stdout + result.stderr);
  assertNoStack(result);
  const error = parseError(result);
  assert.equal(error.code, 'DISK_FULL');
  assert.match(error.remedy, /Free some space/);
}

/** Files of the lake that have a name: everything but what was being written. */
function named(lake: string): string[] {
  if (!existsSync(lake)) return [];
  return readdirSync(lake, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.parentPath.includes('.staging'))
    .map((entry) => entry.name);
}

test('a lake without space for the release keeps the commit, which is whole, and publishes nothing', async () => {
  const disk = smallDisk('400k');
  const lake = join(disk.dir, 'lake');
  mkdirSync(lake, { recursive: true });
  try {
    const env = { ...disk.env, SLUICE_LAKE: lake };
    assertFull(await project.sluice(['run', ...AS_OF, '--json'], { env }));
    // A file of the warehouse may have come whole before the other did not fit; nothing names it.
    assert.deepEqual(named(join(lake, 'warehouse', '_log')), []);
    assert.deepEqual(named(join(lake, 'warehouse', 'versions')), []);
    assert.deepEqual((await project.state()).work, [], 'the clones are gone');
    const status = await project.sluice(['status', '--json'], { env: { SLUICE_LAKE: lake } });
    assert.equal(status.code, 0, status.stdout);
    assert.match(status.stdout, /"release":null/);
  } finally {
    disk.free();
  }
});

test('a cache without space ends the run, and the same command goes through when there is space again', async () => {
  const disk = smallDisk('200k');
  try {
    const cache = join(disk.dir, 'cache');
    const before = await project.state();
    assertFull(await project.sluice(['run', ...AS_OF, '--json'], { env: { ...disk.env, SLUICE_CACHE: cache } }));
    assert.deepEqual((await project.state()).releases, before.releases);
  } finally {
    disk.free();
  }
  const again = await project.sluice(['run', ...AS_OF, '--json']);
  assert.equal(again.code, 0, again.stdout);
});

test('a disk that refuses every write is named even before the pipeline begins', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-no-disk-'));
  try {
    const { env } = injectedDisk(dir);
    assertFull(await project.sluice(['run', ...AS_OF, '--json'], { env: { ...env, SLUICE_LAKE: join(dir, 'lake') } }));
    assert.deepEqual(named(dir), []);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});
