import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BronzeSnapshot } from '../../../warehouse/core/bronze-table.ts';
import {
  buildAndPublish,
  compileFiles,
  createTestLake,
  openTestReleases,
  readGold,
  testFolder,
} from '../build/support.ts';
import { hour, snapshotText } from './world.ts';

test('commits of several sources read at one instant are one moment, others come in the order of their instants', async (t) => {
  const dir = await testFolder(t);
  const spec = { items: { key: ['id'], columns: { id: 'BIGINT', name: 'VARCHAR' } } };
  // Source `one` is read at 1, 2 and 4 o'clock, `two` at 1, 3 and 4.
  const one = createTestLake(`${dir}/one`, spec, (commit) => hour([0, 1, 2, 4][commit] ?? 0));
  const two = createTestLake(`${dir}/two`, spec, (commit) => hour([0, 1, 3, 4][commit] ?? 0));
  const bronze = (): BronzeSnapshot => {
    const [a, b] = [one.snapshot(), two.snapshot()];
    const named = (snapshot: BronzeSnapshot, source: string) => snapshot.tables.map((table) => ({ ...table, source }));
    return {
      tables: [...named(a, 'one'), ...named(b, 'two')],
      commits: { one: a.commits['app'] ?? 0, two: b.commits['app'] ?? 0 },
      readAt: { one: a.readAt?.['app'] ?? '', two: b.readAt?.['app'] ?? '' },
    };
  };
  const text = snapshotText(
    ['id', 'a', 'b'],
    ['key: [id]', 'snapshot: { strategy: check, columns: all }'],
    'select one.id, one.name as a, two.name as b from bronze.one.items as one left join bronze.two.items as two using (id)',
  );
  const project = await compileFiles(dir, { 'gold/app/snap.sql': text }, bronze());
  const put = async (a: string | undefined, b: string | undefined, op: 'read' | 'update' = 'update'): Promise<void> => {
    if (a !== undefined) await one.commit({ items: [{ op, row: { id: 1, name: a } }] });
    if (b !== undefined) await two.commit({ items: [{ op, row: { id: 1, name: b } }] });
  };
  const step = openTestReleases(`${dir}/step`);
  const build = (releases: typeof step) => buildAndPublish({ dir, releases, project, bronze: bronze() });
  await put('a1', 'b1', 'read');
  await build(step);
  await put('a2', undefined);
  await build(step);
  await put(undefined, 'b3');
  await put('a4', 'b4');
  await build(step);
  const once = openTestReleases(`${dir}/once`);
  await build(once);
  for (const releases of [step, once]) {
    const release = await releases.current();
    assert.ok(release !== undefined);
    assert.deepEqual(
      await readGold(
        releases,
        release,
        "select a, b, strftime(valid_from, '%H:%M') from gold.main.snap order by valid_from",
      ),
      [
        ['a1', 'b1', '01:00'],
        ['a2', 'b1', '02:00'],
        ['a2', 'b3', '03:00'],
        ['a4', 'b4', '04:00'],
      ],
    );
  }
});

test('the versions of a gold snapshot can be served: its dataset is keyed by the key and valid_from', async (t) => {
  const dir = await testFolder(t);
  const lake = createTestLake(dir, { items: { key: ['id'], columns: { id: 'BIGINT', name: 'VARCHAR' } } }, hour);
  const text = snapshotText(
    ['id', 'name'],
    [
      'key: [id]',
      'snapshot: { strategy: check, columns: all }',
      'dataset: { friendly_name: Items, group: dimensions }',
    ],
    'select id, name from bronze.app.items',
  );
  const project = await compileFiles(dir, { 'gold/app/snap.sql': text }, lake.snapshot());
  await lake.commit({ items: [{ op: 'read', row: { id: 1, name: 'a' } }] });
  const releases = openTestReleases(dir);
  const { release, tests } = await buildAndPublish({ dir, releases, project, bronze: lake.snapshot() });
  assert.deepEqual(release.datasets[0]?.key, ['id', 'valid_from']);
  assert.deepEqual(
    release.datasets[0]?.columns.map(({ name, type }) => `${name} ${type}`),
    [
      'id BIGINT',
      'name VARCHAR',
      'valid_from TIMESTAMP WITH TIME ZONE',
      'valid_to TIMESTAMP WITH TIME ZONE',
      'is_current BOOLEAN',
    ],
  );
  assert.deepEqual(
    tests.map(({ name, status }) => [name, status]),
    [['gold.snap.unique(id,valid_from)', 'pass']],
  );
});
