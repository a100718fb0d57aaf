import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Change, Row } from '../build/support.ts';
import { openWorld, snapshotText } from './world.ts';

/** What dbt's adapter suite asks of snapshots (basic/test_snapshot_*, simple_snapshot), with whole tables compared and not subsets. */

const TABLES = { people: { key: ['id'], columns: { id: 'BIGINT', name: 'VARCHAR', day: 'TIMESTAMP' } } };
const COLUMNS = ['id', 'name', 'day'];
const SQL = 'select id, name, day from bronze.app.people';

const person = (id: number, name = `p${id}`, day = '2026-01-01 00:00:00'): Row => ({ id, name, day });
const people = (
  from: number,
  to: number,
  make = (id: number): Row => person(id),
  op: Change['op'] = 'insert',
): Change[] => Array.from({ length: to - from + 1 }, (_, i) => ({ op, row: make(from + i) }));

test('check counts versions by all columns, by the name, and by the date: 10 10 10, 20 20 20, 30 20 30, 40 30 30', async (t) => {
  const checks = { all: 'all', name: '[name]', date: '[day]' };
  const files = Object.fromEntries(
    Object.entries(checks).map(([name, columns]) => [
      `gold/app/snap_${name}.sql`,
      snapshotText(COLUMNS, ['key: [id]', `snapshot: { strategy: check, columns: ${columns} }`], SQL),
    ]),
  );
  const { lake, run, rows } = await openWorld(t, TABLES, files);
  const counts = async (): Promise<unknown[]> => {
    await run();
    const [row] = await rows(
      `select ${Object.keys(checks)
        .map((name) => `(select count(*) from gold.main.snap_${name})`)
        .join(', ')}`,
    );
    return row as unknown[];
  };
  await lake.commit({ people: people(1, 10) });
  assert.deepEqual(await counts(), [10, 10, 10]);
  await lake.commit({ people: people(11, 20) });
  assert.deepEqual(await counts(), [20, 20, 20]);
  await lake.commit({ people: people(11, 20, (id) => person(id, `p${id}`, '2026-01-02 00:00:00'), 'update') });
  assert.deepEqual(await counts(), [30, 20, 30]);
  await lake.commit({ people: people(1, 10, (id) => person(id, `q${id}`), 'update') });
  assert.deepEqual(await counts(), [40, 30, 30]);
});

test('timestamp counts versions 10, 20, 30, 30: a value that changes while updated_at stays is not seen', async (t) => {
  const { lake, run, rows } = await openWorld(t, TABLES, {
    'gold/app/snap.sql': snapshotText(
      COLUMNS,
      ['key: [id]', 'snapshot: { strategy: timestamp, updated_at: day }'],
      SQL,
    ),
  });
  const count = async (): Promise<unknown> => {
    await run();
    return (await rows('select count(*) from gold.main.snap'))[0];
  };
  await lake.commit({ people: people(1, 10) });
  assert.deepEqual(await count(), [10]);
  await lake.commit({ people: people(11, 20) });
  assert.deepEqual(await count(), [20]);
  await lake.commit({ people: people(11, 20, (id) => person(id, `p${id}`, '2026-01-02 00:00:00'), 'update') });
  assert.deepEqual(await count(), [30]);
  await lake.commit({ people: people(1, 10, (id) => person(id, `q${id}`), 'update') });
  assert.deepEqual(await count(), [30]);
  assert.deepEqual(await rows("select count(*) from gold.main.snap where name like 'q%'"), [[0]]);
});

const TIMESTAMPED = (policy: string): string =>
  snapshotText(
    policy === 'new_record' ? [...COLUMNS, 'is_deleted'] : COLUMNS,
    ['key: [id]', `snapshot: { strategy: timestamp, updated_at: day, hard_deletes: ${policy} }`],
    SQL,
  );

test('updates, inserts, deletes and rows that come back, with the times of each policy', async (t) => {
  const { lake, run, rows } = await openWorld(t, TABLES, {
    'gold/app/closed.sql': TIMESTAMPED('close'),
    'gold/app/marked.sql': TIMESTAMPED('new_record'),
    'gold/app/kept.sql': TIMESTAMPED('ignore'),
  });
  // The source is read at 1, 2, 3, 4 o'clock of 2026-01-01.
  await lake.commit({
    people: [1, 2, 3].map((id): Change => ({ op: 'read', row: person(id, 'old', '2025-12-31 00:00:00') })),
  });
  await run();
  await lake.commit({
    people: [
      { op: 'update', row: person(1, 'new', '2026-01-01 01:30:00') },
      { op: 'delete', row: person(2, 'old', '2025-12-31 00:00:00') },
      { op: 'delete', row: person(3, 'old', '2025-12-31 00:00:00') },
      { op: 'insert', row: person(4, 'new', '2026-01-01 01:40:00') },
    ],
  });
  await run();
  await lake.commit({
    people: [
      // Back as it was, and back with a change of its own time.
      { op: 'insert', row: person(2, 'old', '2025-12-31 00:00:00') },
      { op: 'insert', row: person(3, 'new', '2026-01-01 02:30:00') },
    ],
  });
  await run();
  const sql = (table: string, more = ''): string =>
    `select id, name, strftime(valid_from, '%d %H:%M'), strftime(valid_to, '%d %H:%M'), is_current${more} from gold.main.${table} order by all`;
  assert.deepEqual(await rows(sql('closed')), [
    [1, 'new', '01 01:30', null, true],
    [1, 'old', '31 00:00', '01 01:30', false],
    [2, 'old', '01 03:00', null, true],
    [2, 'old', '31 00:00', '01 02:00', false],
    [3, 'new', '01 02:30', null, true],
    [3, 'old', '31 00:00', '01 02:00', false],
    [4, 'new', '01 01:40', null, true],
  ]);
  assert.deepEqual(await rows(sql('marked', ', is_deleted')), [
    [1, 'new', '01 01:30', null, true, false],
    [1, 'old', '31 00:00', '01 01:30', false, false],
    [2, 'old', '01 02:00', '01 03:00', false, true],
    [2, 'old', '01 03:00', null, true, false],
    [2, 'old', '31 00:00', '01 02:00', false, false],
    [3, 'new', '01 02:30', null, true, false],
    [3, 'old', '01 02:00', '01 02:30', false, true],
    [3, 'old', '31 00:00', '01 02:00', false, false],
    [4, 'new', '01 01:40', null, true, false],
  ]);
  assert.deepEqual(await rows(sql('kept')), [
    [1, 'new', '01 01:30', null, true],
    [1, 'old', '31 00:00', '01 01:30', false],
    [2, 'old', '31 00:00', null, true],
    [3, 'new', '01 02:30', null, true],
    [3, 'old', '31 00:00', '01 02:30', false],
    [4, 'new', '01 01:40', null, true],
  ]);
});

test('an open end stands in valid_to of current versions, also when it is declared later', async (t) => {
  const text = (more: string): string =>
    snapshotText(COLUMNS, ['key: [id]', `snapshot: { strategy: check, columns: all${more} }`], SQL);
  const { lake, run, rows, compile } = await openWorld(t, TABLES, { 'gold/app/snap.sql': text('') });
  await lake.commit({ people: [{ op: 'read', row: person(1, 'old') }] });
  await run();
  await lake.commit({ people: [{ op: 'update', row: person(1, 'new') }] });
  await run();
  const project = await compile({ 'gold/app/snap.sql': text(", open_end: '9999-12-31'") });
  const { outcomes } = await run({ project });
  assert.equal(outcomes[0]?.changedRows, 1);
  assert.deepEqual(await rows('select name, valid_to, is_current from gold.main.snap order by valid_from'), [
    ['old', '2026-01-01 02:00:00+00', false],
    ['new', '9999-12-31 00:00:00+00', true],
  ]);
  await lake.commit({ people: [{ op: 'delete', row: person(1, 'new') }] });
  await run({ project });
  assert.deepEqual(await rows('select name, valid_to from gold.main.snap order by valid_from'), [
    ['old', '2026-01-01 02:00:00+00'],
    ['new', '2026-01-01 03:00:00+00'],
  ]);
});
