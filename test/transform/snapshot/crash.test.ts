import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  buildAndPublish,
  compileFiles,
  createTestLake,
  openTestReleases,
  readGold,
  testFolder,
} from '../build/support.ts';
import { hour, snapshotText } from './world.ts';

const CHILD = fileURLToPath(new URL('../build/builder-child.ts', import.meta.url));
const TABLES = { people: { key: ['id'], columns: { id: 'BIGINT', name: 'VARCHAR' } } };
const STEPS = ['gold gold.snap started', 'gold gold.snap finished', 'gold tested', 'finished', 'version', 'pointer'];

test('a builder killed at any step of a snapshot leaves its history as it was, and the next build completes it', async (t) => {
  const dir = await testFolder(t);
  const lake = createTestLake(dir, TABLES, hour);
  const text = snapshotText(
    ['id', 'name'],
    ['key: [id]', 'snapshot: { strategy: check, columns: all }'],
    'select id, name from bronze.app.people',
  );
  const project = await compileFiles(dir, { 'gold/app/snap.sql': text }, lake.snapshot());
  const releases = openTestReleases(dir);
  const run = (target = releases) => buildAndPublish({ dir, releases: target, project, bronze: lake.snapshot() });
  const read = async (target = releases): Promise<unknown[]> => {
    const release = await target.current();
    assert.ok(release !== undefined);
    return readGold(target, release, 'select * from gold.main.snap order by all');
  };
  await lake.commit({ people: [1, 2, 3].map((id) => ({ op: 'read' as const, row: { id, name: `p${id}` } })) });
  await run();
  const before = await read();
  await lake.commit({ people: [{ op: 'update', row: { id: 1, name: null } }] });
  await lake.commit({ people: [{ op: 'delete', row: { id: 2, name: 'p2' } }] });
  const input = join(dir, 'input.json');
  await writeFile(input, JSON.stringify({ project, bronze: lake.snapshot() }));
  for (const step of STEPS) {
    const child = spawn(process.execPath, [CHILD, dir, input, dir, step], { stdio: 'ignore' });
    const [, signal] = (await once(child, 'close')) as [number | null, string | null];
    assert.equal(signal, 'SIGKILL', step);
    assert.deepEqual(await read(), before, step);
  }
  await run();
  const fresh = openTestReleases(join(dir, 'fresh'));
  await run(fresh);
  assert.equal((await read()).length, 4);
  assert.deepEqual(await read(), await read(fresh));
});
