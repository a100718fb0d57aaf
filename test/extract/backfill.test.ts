import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isSluiceError } from '../../warehouse/core/errors.ts';
import type { BackfillOptions, SourceDefinition } from '../../warehouse/extract/index.ts';
import { sourceOf, type TestLake, testLake, touchedTableSql } from './lake.ts';

const ITEMS = sourceOf({
  items: {
    mode: 'cursor',
    key: ['id'],
    columns: ['id', 'price', 'day', 'note', 'updated_at'],
    cursor: { column: 'updated_at', setBy: 'database' },
  },
});
const ITEMS_SQL = touchedTableSql('items', 'id int primary key, price numeric(8,2), day date, note text');

/** Changes that no cursor sees: without the trigger, as a restore or a replica's apply makes them. */
async function silently(lake: TestLake, sql: string): Promise<void> {
  await lake.client.query(`begin; set local session_replication_role = replica; ${sql}; commit`);
}

async function items(): Promise<TestLake> {
  const lake = await testLake();
  await lake.client.query(ITEMS_SQL);
  await lake.client.query(
    `insert into app.items select n, n * 1.5, date '2026-01-01' + n, 'note ' || n from generate_series(1, 20) n`,
  );
  // History long ago, so that the watermark's margin does not cover it.
  await silently(lake, `update app.items set updated_at = date '2020-01-01' + id`);
  await lake.run(ITEMS);
  return lake;
}

type Range = BackfillOptions['range'];

/** Every slice of a range to its end, each committed. */
async function backfill(
  lake: TestLake,
  source: SourceDefinition,
  table: string,
  range: Range = {},
  maxRows = 1_000_000,
) {
  const total = { slices: 0, rowsRead: 0, inserted: 0, updated: 0, deleted: 0, note: undefined as string | undefined };
  for (let after = range.after; ; ) {
    const { tables } = await lake.run(source, {
      backfill: { table, maxRows, range: { ...range, ...(after !== undefined && { after }) } },
    });
    const outcome = tables[table];
    assert.ok(outcome);
    total.slices++;
    for (const field of ['rowsRead', 'inserted', 'updated', 'deleted'] as const) total[field] += outcome[field];
    total.note = outcome.note;
    if (outcome.next === undefined) return total;
    after = outcome.next;
  }
}

async function watermarkOf(lake: TestLake, table = 'items'): Promise<unknown> {
  return (await lake.bronze.state(['app'])).sources[0]?.tables.get(table)?.watermark;
}

const ids = async (lake: TestLake): Promise<unknown[]> => (await lake.rows('items', 'id')).map((row) => row['id']);

test('a backfill carries what no cursor saw, deletes too, and leaves the watermark', async () => {
  const lake = await items();
  try {
    const before = await watermarkOf(lake);
    assert.ok(before);
    await silently(
      lake,
      `update app.items set note = 'mended' where id = 3; delete from app.items where id = 7; insert into app.items values (50, 1, null, 'late', '2020-01-01')`,
    );
    const usual = await lake.run(ITEMS);
    assert.equal(usual.tables['items']?.deleted, 0, 'the usual run sees none of it');
    const carried = await backfill(lake, ITEMS, 'items');
    assert.deepEqual([carried.inserted, carried.updated, carried.deleted], [1, 1, 1]);
    assert.deepEqual(await watermarkOf(lake), before);
    assert.equal((await ids(lake)).includes(7), false);
    assert.equal((await ids(lake)).includes(50), true);
    const head = await lake.bronze.head('app');
    const again = await backfill(lake, ITEMS, 'items');
    assert.deepEqual([again.inserted, again.updated, again.deleted], [0, 0, 0]);
    assert.equal(await lake.bronze.head('app'), head, 'what does not differ makes no commit');
  } finally {
    await lake[Symbol.asyncDispose]();
  }
});

test('a key range touches nothing outside it', async () => {
  const lake = await items();
  try {
    await silently(lake, `update app.items set note = 'mended'; delete from app.items where id in (5, 15)`);
    const carried = await backfill(lake, ITEMS, 'items', { from: '4', to: '10' });
    assert.deepEqual([carried.rowsRead, carried.updated, carried.deleted], [6, 6, 1]);
    const rows = await lake.rows('items', 'id');
    assert.deepEqual(
      rows.filter((row) => row['note'] === 'mended').map((row) => row['id']),
      [4, 6, 7, 8, 9, 10],
    );
    assert.equal(
      rows.some((row) => row['id'] === 15),
      true,
    );
  } finally {
    await lake[Symbol.asyncDispose]();
  }
});

test('a range of a column carries inserts and updates, never deletes, and says so', async () => {
  const lake = await items();
  try {
    // 4 moves out of the range, 12 into it, 5 goes.
    await silently(
      lake,
      `update app.items set day = '2027-01-01' where id = 4; update app.items set day = '2026-01-06' where id = 12; delete from app.items where id = 5; update app.items set note = 'x' where id = 6`,
    );
    const carried = await backfill(lake, ITEMS, 'items', {
      by: 'column',
      column: 'day',
      from: '2026-01-05',
      to: '2026-01-08',
    });
    assert.deepEqual([carried.inserted, carried.updated, carried.deleted], [0, 2, 0]);
    assert.match(carried.note ?? '', /range of day carries inserts and updates, not deletes/);
    assert.deepEqual(
      await ids(lake),
      Array.from({ length: 20 }, (_, i) => i + 1),
    );
  } finally {
    await lake[Symbol.asyncDispose]();
  }
});

test('a backfill beside a usual run: whoever commits second tries again, and both are whole', async () => {
  const lake = await items();
  try {
    await silently(lake, 'delete from app.items where id = 9');
    const slow = await lake.extract(ITEMS, { backfill: { table: 'items', maxRows: 100, range: {} } });
    await lake.client.query(`insert into app.items values (21, 3, null, 'new')`);
    await lake.run(ITEMS);
    const [draft] = slow.drafts;
    assert.ok(draft);
    await assert.rejects(lake.bronze.commit('app', draft), (error) => isSluiceError(error, 'COMMIT_CONFLICT'));
    await backfill(lake, ITEMS, 'items');
    assert.deepEqual(await ids(lake), [1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21]);
  } finally {
    await lake[Symbol.asyncDispose]();
  }
});

test('slices of any size bring bronze to what Postgres holds, for keys of every ordered type', async () => {
  const types = [
    { type: 'int', value: (n: number) => String(n - 20) },
    { type: 'numeric(6,3)', value: (n: number) => ((n - 20) / 8).toFixed(3) },
    { type: 'text', value: (n: number) => ['ä', 'Z', 'a', 'é', '_', 'z z', "o'b", 'B', '1', '𝒳'][n % 10] + String(n) },
    {
      type: 'uuid',
      value: (n: number) => `${((n * 7) % 16).toString(16)}0000000-0000-4000-8000-${String(n).padStart(12, '0')}`,
    },
    { type: 'date', value: (n: number) => `20${String(10 + n)}-03-01` },
  ] as const;
  const lake = await testLake();
  try {
    for (const [i, { type, value }] of types.entries()) {
      const table = `t${i}`;
      const source = sourceOf({ [table]: { mode: 'full', key: ['k', 'n'], columns: ['k', 'n', 'v'] } });
      await lake.client.query(`create table app.${table} (k ${type}, n int, v int, primary key (k, n))`);
      const put = async (n: number, v: number): Promise<void> => {
        await lake.client.query(
          `insert into app.${table} values ($1, $2, $3) on conflict (k, n) do update set v = excluded.v`,
          [value(n), n % 3, v],
        );
      };
      for (let n = 0; n < 40; n++) await put(n, 0);
      await lake.run(source);
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.tuple(fc.nat(49), fc.nat(3)), { maxLength: 12 }),
          fc.integer({ min: 4, max: 17 }),
          async (changes, maxRows) => {
            for (const [n, v] of changes) {
              if (v === 0) await lake.client.query(`delete from app.${table} where k = $1`, [value(n)]);
              else await put(n, v);
            }
            await backfill(lake, source, table, {}, maxRows);
            const { rows } = await lake.client.query<{ row: string }>(
              `select concat_ws('|', k, n, v) as row from app.${table} order by k::text collate "C", n`,
            );
            const bronze = await lake.rows(table, 'k::varchar, n');
            assert.deepEqual(
              bronze.map((row) => [row['k'], row['n'], row['v']].map(String).join('|')).sort(),
              rows.map(({ row }) => row).sort(),
            );
          },
        ),
        { numRuns: 2 },
      );
    }
  } finally {
    await lake[Symbol.asyncDispose]();
  }
});

test('a bound between two values of a rounded type draws the same line on both sides', async () => {
  const lake = await testLake();
  try {
    const source = sourceOf({ p: { mode: 'full', key: ['k'], columns: ['k', 'v'] } });
    await lake.client.query(
      'create table app.p (k numeric(6,2) primary key, v int); insert into app.p values (10.55, 1), (10.56, 1)',
    );
    await lake.run(source);
    const carried = await backfill(lake, source, 'p', { to: '10.555' });
    assert.deepEqual([carried.rowsRead, carried.deleted], [1, 0]);
    assert.equal((await lake.rows('p')).length, 2);
  } finally {
    await lake[Symbol.asyncDispose]();
  }
});

test('a table without a key, and one whose key has no common order, are read whole at once', async () => {
  const lake = await testLake();
  try {
    const source = sourceOf({
      bag: { mode: 'full', key: [], columns: ['v'] },
      codes: { mode: 'full', key: ['code'], columns: ['code', 'v'] },
    });
    await lake.client.query(`create table app.bag (v int); insert into app.bag values (1), (1), (2);
      create table app.codes (code char(3) primary key, v int); insert into app.codes values ('a', 1), ('b', 2)`);
    await lake.run(source);
    await lake.client.query(`insert into app.bag values (3); delete from app.codes where code = 'a'`);
    assert.equal((await backfill(lake, source, 'bag', {}, 1)).slices, 1);
    assert.equal((await lake.rows('bag')).length, 4);
    const codes = await backfill(lake, source, 'codes', {}, 1);
    assert.deepEqual([codes.slices, codes.deleted], [1, 1]);
    await assert.rejects(
      backfill(lake, source, 'codes', { from: 'a' }),
      (error) => isSluiceError(error, 'USAGE') && /order/.test(error.message),
    );
    await assert.rejects(backfill(lake, source, 'bag', { from: 'a' }), (error) => isSluiceError(error, 'USAGE'));
    await assert.rejects(
      backfill(lake, source, 'bag', { by: 'column', column: 'v', from: '3' }),
      (error) => isSluiceError(error, 'USAGE') && /has no key/.test(error.message),
    );
    assert.equal((await lake.rows('bag')).length, 4, 'what lies outside a range is not thrown away');
  } finally {
    await lake[Symbol.asyncDispose]();
  }
});

test('a range that the table cannot have, a table never extracted and a changed table are refused, and nothing is committed', async () => {
  const lake = await items();
  try {
    const head = await lake.bronze.head('app');
    const refused = async (range: Range, pattern: RegExp): Promise<void> => {
      await assert.rejects(
        backfill(lake, ITEMS, 'items', range),
        (error) => isSluiceError(error, 'USAGE') && pattern.test(`${error.message} ${error.remedy ?? ''}`),
      );
    };
    await refused({ from: 'seven' }, /"seven".*integer/);
    await refused({ from: "1'; drop table app.items; --" }, /not a value of the type integer/);
    await refused({ by: 'column', column: 'dya', from: '2026-01-01' }, /Did you mean day/);
    await refused({ by: 'column', column: 'day', from: '2026-02-30' }, /not a value of the type date/);
    await refused({ by: 'column', column: 'price', to: 'NaN' }, /not a value/);
    await lake.client.query('alter table app.items alter note type varchar(50)');
    await refused({}, /Run the pipeline first/);
    const other = sourceOf({ fresh: { mode: 'full', key: ['id'], columns: ['id'] } });
    await lake.client.query('create table app.fresh (id int primary key)');
    await assert.rejects(
      backfill(lake, other, 'fresh'),
      (error) => isSluiceError(error, 'USAGE') && /never extracted/.test(error.message),
    );
    assert.equal(await lake.bronze.head('app'), head);
  } finally {
    await lake[Symbol.asyncDispose]();
  }
});
