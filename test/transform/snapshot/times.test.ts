import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Change, Row } from '../build/support.ts';
import {
  buildAndPublish,
  compileFiles,
  createTestLake,
  openTestReleases,
  readGold,
  testFolder,
} from '../build/support.ts';
import { hour, openWorld, snapshotText } from './world.ts';

/** When a version begins and ends, where clocks and sources do not make it easy. */

const TABLES = { items: { key: ['id'], columns: { id: 'BIGINT', name: 'VARCHAR', changed: 'TIMESTAMPTZ' } } };
const COLUMNS = ['id', 'name', 'changed'];
const timestamped = (policy: string): string =>
  snapshotText(
    policy === 'new_record' ? [...COLUMNS, 'is_deleted'] : COLUMNS,
    ['key: [id]', `snapshot: { strategy: timestamp, updated_at: changed, hard_deletes: ${policy} }`],
    'select id, name, changed from bronze.app.items',
  );
const POLICIES = ['close', 'ignore', 'new_record'] as const;

const wish = fc.record({
  id: fc.integer({ min: 1, max: 3 }),
  remove: fc.boolean(),
  // Also before the last change, and far after the instant at which the source is read.
  changed: fc.integer({ min: -2, max: 12 }),
  name: fc.constantFrom('a', 'b', null),
});

test('whatever times rows claim, versions of a key follow one another, and any split gives the same', async (t) => {
  let lives = 0;
  const life = fc.array(fc.record({ wishes: fc.array(wish, { maxLength: 3 }), build: fc.boolean() }), {
    minLength: 3,
    maxLength: 7,
  });
  await fc.assert(
    fc.asyncProperty(life, async (steps) => {
      lives += 1;
      const files = Object.fromEntries(POLICIES.map((policy) => [`gold/app/snap_${policy}.sql`, timestamped(policy)]));
      const { lake, run, rows, another } = await openWorld(t, TABLES, files);
      const state = new Map<number, Row>();
      for (const { wishes, build } of steps) {
        const changes = new Map<number, Change>();
        for (const { id, remove, changed, name } of wishes) {
          const before = state.get(id);
          if (changes.has(id) || (remove && before === undefined)) continue;
          const row = { id, name, changed: hour(changed) };
          if (remove) state.delete(id);
          else state.set(id, row);
          changes.set(id, {
            op: remove ? 'delete' : before === undefined ? 'insert' : 'update',
            row: remove && before !== undefined ? before : row,
          });
        }
        await lake.commit({ items: [...changes.values()] });
        if (build) await run();
      }
      await run();
      const once = another(`once-${lives}`);
      await once.run();
      for (const policy of POLICIES) {
        const table = `gold.main.snap_${policy}`;
        const all = `select * from ${table} order by all`;
        assert.deepEqual(await rows(all), await once.rows(all), policy);
        const broken = `valid_to <= valid_from or before > valid_from or is_current <> (valid_to is null) or (is_current and following is not null)
          ${policy === 'close' ? '' : 'or before < valid_from'}`;
        assert.deepEqual(
          await rows(`select * from (select *, lag(valid_to) over life as before, lead(valid_from) over life as following
            from ${table} window life as (partition by id order by valid_from)) where ${broken}`),
          [],
          policy,
        );
        const there = policy === 'new_record' ? 'and not is_deleted' : '';
        const ids = (await rows(`select id from ${table} where is_current ${there} order by id`)).flat();
        const wanted = [...state.keys()].toSorted((a, b) => a - b);
        if (policy === 'ignore') assert.ok(wanted.every((id) => ids.includes(id)));
        else assert.deepEqual(ids, wanted, policy);
      }
    }),
    { numRuns: 4, seed: 20261121, endOnFailure: true },
  );
});

test('a source clock that goes back does not turn history around', async (t) => {
  const dir = await testFolder(t);
  const lake = createTestLake(dir, TABLES, (commit) => hour(commit === 2 ? 0 : commit));
  const text = snapshotText(
    COLUMNS,
    ['key: [id]', 'snapshot: { strategy: check, columns: [name] }'],
    'select id, name, changed from bronze.app.items',
  );
  const project = await compileFiles(dir, { 'gold/app/snap.sql': text }, lake.snapshot());
  for (const every of [1, 3]) {
    const own = createTestLake(`${dir}/${every}`, TABLES, (commit) => hour(commit === 2 ? 0 : commit));
    const releases = openTestReleases(`${dir}/releases-${every}`);
    for (const [i, name] of ['a', 'b', 'c'].entries()) {
      const items: Change[] = [{ op: i === 0 ? 'read' : 'update', row: { id: 1, name, changed: hour(1) } }];
      if (i === 1) items.push({ op: 'insert', row: { id: 2, name: 'new', changed: hour(1) } });
      await own.commit({ items });
      if ((i + 1) % every === 0) await buildAndPublish({ dir, releases, project, bronze: own.snapshot() });
    }
    const release = await releases.current();
    assert.ok(release !== undefined);
    const rows = await readGold(
      releases,
      release,
      'select id, name, valid_from, valid_to from gold.main.snap order by id, valid_from',
    );
    assert.deepEqual(rows, [
      [1, 'a', '2026-01-01 01:00:00+00', '2026-01-01 01:00:00.000001+00'],
      [1, 'b', '2026-01-01 01:00:00.000001+00', '2026-01-01 03:00:00+00'],
      [1, 'c', '2026-01-01 03:00:00+00', null],
      [2, 'new', '2026-01-01 01:00:00.000001+00', null],
    ]);
  }
});

test('updated_at may be a date or a timestamp of any kind; valid_from is an instant in UTC', async (t) => {
  for (const type of ['DATE', 'TIMESTAMP', 'TIMESTAMP_NS', 'TIMESTAMP_S', 'TIMESTAMPTZ']) {
    const tables = { items: { key: ['id'], columns: { id: 'BIGINT', changed: type } } };
    const text = snapshotText(
      ['id', 'changed'],
      ['key: [id]', 'snapshot: { strategy: timestamp, updated_at: changed }'],
      'select id, changed from bronze.app.items',
    );
    const { lake, run, rows } = await openWorld(t, tables, { 'gold/app/snap.sql': text });
    await lake.commit({ items: [{ op: 'read', row: { id: 1, changed: '2026-01-01' } }] });
    await lake.commit({ items: [{ op: 'update', row: { id: 1, changed: '2026-01-02' } }] });
    await run();
    assert.deepEqual(
      await rows('select valid_from, valid_to, typeof(valid_from) from gold.main.snap order by valid_from'),
      [
        ['2026-01-01 00:00:00+00', '2026-01-02 00:00:00+00', 'TIMESTAMP WITH TIME ZONE'],
        ['2026-01-02 00:00:00+00', null, 'TIMESTAMP WITH TIME ZONE'],
      ],
      type,
    );
  }
});

test('a table without a key is seen as its last replacement left it', async (t) => {
  const tables = { items: { key: [], columns: { id: 'BIGINT', name: 'VARCHAR' } } };
  const text = snapshotText(
    ['id', 'name'],
    ['key: [id]', 'snapshot: { strategy: check, columns: all }'],
    'select id, name from bronze.app.items',
  );
  const { lake, run, rows } = await openWorld(t, tables, { 'gold/app/snap.sql': text });
  await lake.replace('items', [{ id: 1, name: 'a' }]);
  await run();
  await lake.replace('items', [{ id: 1, name: 'b' }]);
  await lake.replace('items', [
    { id: 1, name: 'c' },
    { id: 2, name: 'd' },
  ]);
  await run();
  const all =
    "select id, name, strftime(valid_from, '%H:%M'), strftime(valid_to, '%H:%M') from gold.main.snap order by id, valid_from";
  assert.deepEqual(await rows(all), [
    [1, 'a', '01:00', '03:00'],
    [1, 'c', '03:00', null],
    [2, 'd', '03:00', null],
  ]);
});
