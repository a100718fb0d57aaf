import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type DuckDb, openDuckDb } from '../../../warehouse/core/duckdb.ts';
import { compareTables, type RowsDifference } from '../../../warehouse/transform/diff/compare-tables.ts';
import { createRandom } from '../../support/random.ts';

async function open(t: TestContext): Promise<DuckDb> {
  const db = await openDuckDb({ threads: 1 });
  t.after(() => db.close());
  return db;
}

async function compare(
  db: DuckDb,
  queries: { readonly before: string; readonly after: string },
  key: readonly string[] = [],
  sample = 5,
): Promise<RowsDifference> {
  await db.run(
    `create or replace table before as ${queries.before}; create or replace table after as ${queries.after}`,
  );
  const describe = async (table: string) =>
    (await db.rows<{ column_name: string; column_type: string }>(`describe ${table}`)).map((row) => ({
      name: row.column_name,
      type: row.column_type,
    }));
  const facts = { columnsBefore: await describe('before'), columnsAfter: await describe('after') };
  return compareTables(db, { before: 'before', after: 'after', ...facts, key, sample });
}

const values = (rows: string): string => `select * from (values ${rows}) as t(id, a, b)`;

test('rows are matched by key, NULL with NULL, and each column counts its own changes', async (t) => {
  const db = await open(t);
  const difference = await compare(
    db,
    {
      before: values(`(1, 'x', 1.5), (2, 'y', null), (null, 'z', 3.0), (4, 'gone', 0.0)`),
      after: values(`(1, 'x', 2.5), (2, 'Y', 7.0), (null, 'z', null), (5, 'come', 0.0)`),
    },
    ['id'],
  );
  assert.deepEqual(
    [difference.by, difference.added, difference.removed, difference.changed, difference.columns],
    [
      'key',
      1,
      1,
      3,
      [
        { column: 'a', rows: 1 },
        { column: 'b', rows: 3 },
      ],
    ],
  );
  assert.deepEqual(difference.samples, [
    { kind: 'added', key: { id: '5' }, after: { a: 'come', b: '0.0' } },
    { kind: 'removed', key: { id: '4' }, before: { a: 'gone', b: '0.0' } },
    { kind: 'changed', key: { id: '1' }, before: { b: '1.5' }, after: { b: '2.5' } },
    { kind: 'changed', key: { id: '2' }, before: { a: 'y', b: null }, after: { a: 'Y', b: '7.0' } },
    { kind: 'changed', key: { id: null }, before: { b: '3.0' }, after: { b: null } },
  ]);
});

test('a key that does not hold on one side is not used: rows count as a bag, duplicates too', async (t) => {
  const db = await open(t);
  const difference = await compare(
    db,
    { before: values(`(1, 'x', 1), (1, 'x', 1), (2, 'y', 1)`), after: values(`(1, 'x', 1), (2, 'z', 1), (3, 'w', 1)`) },
    ['id'],
  );
  assert.deepEqual([difference.by, difference.added, difference.removed, difference.changed], ['bag', 2, 2, 0]);
  assert.equal(difference.samples.length, 4);
});

test('0.0 and -0.0 differ, NaN is NaN, and a changed type is compared as text', async (t) => {
  const db = await open(t);
  const doubles = (list: string): string => `select * from (values ${list}) as t(id, v)`;
  const before = doubles(`(1, 0.0::double), (2, 'nan'::double), (3, 5.0::double)`);
  const after = doubles(`(1, -0.0::double), (2, 'nan'::double), (3, 5.0::double)`);
  for (const key of [['id'], []]) {
    const difference = await compare(db, { before, after }, key);
    assert.equal(difference.changed + difference.added, 1, difference.by);
  }
  const retyped = await compare(
    db,
    { before: `select 1 as id, 5::integer as v`, after: `select 1 as id, 5::varchar as v` },
    ['id'],
  );
  assert.equal(retyped.changed, 0);
});

test('tables without a common column, empty tables and tables of a key alone are compared too', async (t) => {
  const db = await open(t);
  const apart = await compare(db, { before: 'select 1 as x', after: 'select 1 as y from range(3)' });
  assert.deepEqual([apart.added, apart.removed], [3, 1]);
  const empty = await compare(db, { before: values('(1, 1, 1)') + ' where false', after: values('(1, 1, 1)') }, ['id']);
  assert.deepEqual([empty.by, empty.rowsBefore, empty.rowsAfter, empty.added], ['key', 0, 1, 1]);
  const keys = await compare(
    db,
    { before: 'select range as id from range(5)', after: 'select range + 2 as id from range(5)' },
    ['id'],
  );
  assert.deepEqual([keys.added, keys.removed, keys.changed], [2, 2, 0]);
});

test('random tables: what is told is what a loop over both tells, by key and as bags', async (t) => {
  const db = await open(t);
  const random = createRandom(3);
  for (let round = 0; round < 60; round++) {
    const cell = (): string => random.pick(['null', '1', '2']);
    const rowsOf = (count: number) => Array.from({ length: count }, () => [cell(), cell(), cell()] as const);
    const [before, after] = [rowsOf(random.below(6)), rowsOf(random.below(6))];
    const sql = (rows: readonly (readonly string[])[]): string =>
      `select id::int as id, a::int as a, b::int as b from (values ${[...rows, ['0', '0', '0']].map((row) => `(${row.join(', ')})`).join(', ')}) as t(id, a, b)`;
    const count = (rows: readonly (readonly string[])[]): Map<string, number> => {
      const bag = new Map<string, number>();
      for (const row of rows) bag.set(row.join(), (bag.get(row.join()) ?? 0) + 1);
      return bag;
    };
    const [one, other] = [count(before), count(after)];
    const excess = (of: Map<string, number>, over: Map<string, number>): number =>
      [...of].reduce((sum, [row, n]) => sum + Math.max(0, n - (over.get(row) ?? 0)), 0);
    const bag = await compare(db, { before: sql(before), after: sql(after) });
    assert.deepEqual(
      [bag.added, bag.removed],
      [excess(other, one), excess(one, other)],
      JSON.stringify({ before, after }),
    );

    const isKey = (rows: readonly (readonly string[])[]): boolean =>
      new Set(rows.map(([id]) => id)).size === rows.length;
    const keyed = await compare(db, { before: sql(before), after: sql(after) }, ['id']);
    assert.equal(keyed.by, isKey(before) && isKey(after) ? 'key' : 'bag');
    if (keyed.by === 'bag') continue;
    const find = (rows: readonly (readonly string[])[], id: string | undefined) => rows.find((row) => row[0] === id);
    const both = before.flatMap((row) => {
      const match = find(after, row[0]);
      return match === undefined ? [] : [[row, match] as const];
    });
    const told = (i: number): number => both.filter(([old, now]) => old[i] !== now[i]).length;
    assert.deepEqual(
      [keyed.added, keyed.removed, keyed.changed, keyed.columns],
      [
        after.length - both.length,
        before.length - both.length,
        both.filter(([old, now]) => old.join() !== now.join()).length,
        [['a', 1] as const, ['b', 2] as const].flatMap(([column, i]) =>
          told(i) === 0 ? [] : [{ column, rows: told(i) }],
        ),
      ],
      JSON.stringify({ before, after }),
    );
  }
});
