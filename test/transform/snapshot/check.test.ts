import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Change } from '../build/support.ts';
import { hour, openWorld, snapshotText } from './world.ts';

const TABLES = { people: { key: ['id'], columns: { id: 'BIGINT', name: 'VARCHAR', day: 'DATE' } } };
const COLUMNS = ['id', 'name', 'day'];
const SQL = 'select id, name, day from bronze.app.people';

const person = (id: number, name: string | null, day = '2026-01-01') => ({ id, name, day });
const at = (commit: number): string => hour(commit).replace('T', ' ').replace('.000Z', '+00');

test('a changed row closes its version and opens the next at the instant its source was read', async (t) => {
  const { lake, run, rows } = await openWorld(t, TABLES, {
    'gold/app/snap.sql': snapshotText(COLUMNS, ['key: [id]', 'snapshot: { strategy: check, columns: all }'], SQL),
  });
  await lake.commit({ people: [1, 2].map((id): Change => ({ op: 'read', row: person(id, `p${id}`) })) });
  const first = await run();
  assert.equal(first.actions['gold.snap'], 'rebuilt');
  await lake.commit({ people: [{ op: 'update', row: person(1, null) }] });
  const second = await run();
  assert.equal(second.actions['gold.snap'], 'refreshed');
  assert.equal(second.outcomes[0]?.changedRows, 2, 'one version closed, one opened');
  await lake.commit({ people: [{ op: 'delete', row: person(2, 'p2') }] });
  await run();
  assert.deepEqual(await rows('select * from gold.main.snap order by all'), [
    [1, 'p1', '2026-01-01', at(1), at(2), false],
    [1, null, '2026-01-01', at(2), null, true],
    [2, 'p2', '2026-01-01', at(1), at(3), false],
  ]);
  const still = await run();
  assert.equal(still.actions['gold.snap'], 'unchanged');
});
