import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import pg from 'pg';
import { currentRowsSql } from '../../warehouse/core/bronze-sql.ts';
import { query, sourceOf, type TestLake, testLake, touchedTableSql } from './lake.ts';

/** Attacks on the promise "one moment": sums that hold across tables in Postgres at every instant must hold in bronze after every run. */

let lake: TestLake;
before(async () => {
  lake = await testLake();
  // A fill factor of 100 makes updates move rows to other pages, which page-wise readers without one snapshot lose.
  await lake.client.query(`${touchedTableSql('left_book', 'id int primary key, amount numeric(14,2) not null, owner int')}
    create table app.right_book (id int primary key, amount numeric(14,2) not null) with (fillfactor = 100);
    create table app.parents (id int primary key); create table app.children (id int primary key, parent int not null references app.parents on delete cascade);
    insert into app.left_book select i, 100, i from generate_series(1, 3000) i; insert into app.right_book select i, 100 from generate_series(1, 3000) i`);
});
after(() => lake[Symbol.asyncDispose]());

const source = sourceOf({
  children: { mode: 'full', key: ['id'], columns: ['id', 'parent'] },
  left_book: {
    mode: 'cursor',
    key: ['id'],
    columns: ['id', 'amount', 'updated_at'],
    cursor: { column: 'updated_at', setBy: 'database' },
  },
  parents: { mode: 'full', key: ['id'], columns: ['id'] },
  right_book: { mode: 'full', key: ['id'], columns: ['id', 'amount'] },
});

async function current(name: string): Promise<string> {
  return `(${currentRowsSql(await lake.table('app', name))})`;
}

async function sums(): Promise<Record<string, unknown>> {
  const [row] = await query(`select
    (select sum(amount) from ${await current('left_book')}) + (select sum(amount) from ${await current('right_book')}) as total,
    (select count(*) from ${await current('left_book')}) as rows_left, (select count(*) from ${await current('right_book')}) as rows_right,
    (select count(*) from ${await current('children')} c anti join ${await current('parents')} p on p.id = c.parent) as orphans`);
  return row ?? {};
}

test('B8 B5: a total across tables and every foreign key hold after each run under load', async () => {
  const load = { running: true, transactions: 0 };
  const worker = async (seed: number): Promise<void> => {
    const client = new pg.Client({ connectionString: lake.url });
    await client.connect();
    for (let i = 0; load.running; i++) {
      const [a, b] = [1 + ((i * 7919 + seed) % 3000), 1 + ((i * 104_729 + seed) % 3000)];
      const [from, to] = i % 2 === 0 ? ['left_book', 'right_book'] : ['right_book', 'left_book'];
      await client
        .query(
          `begin; update app.${from} set amount = amount - 1 where id = ${a}; update app.${to} set amount = amount + 1 where id = ${b}; commit`,
        )
        .catch((error: unknown) => {
          if (!(error instanceof Error && 'code' in error && error.code === '40P01')) throw error; // deadlock: undone as a whole
          return client.query('rollback');
        });
      const id = seed * 1_000_000 + i;
      await client.query(
        `begin; insert into app.parents values (${id}); insert into app.children values (${id}, ${id}); delete from app.parents where id = ${id - 3}; commit`,
      );
      load.transactions++;
    }
    await client.end();
  };
  const workers = [1, 2].map(worker);
  try {
    for (let run = 0; run < 8; run++) {
      await lake.run(source);
      assert.deepEqual(await sums(), { total: '600000.00', rows_left: 3000n, rows_right: 3000n, orphans: 0n });
    }
  } finally {
    load.running = false;
    await Promise.all(workers);
  }
  assert.ok(load.transactions > 50, `the load was ${load.transactions} transactions`);
  await lake.run(source);
  const { rows } = await lake.client.query<{ n: string }>('select sum(amount)::text as n from app.left_book');
  const [left] = await query(
    `select sum(amount)::varchar as n from (${currentRowsSql(await lake.table('app', 'left_book'))})`,
  );
  assert.equal(left?.['n'], rows[0]?.n);
});

test('B7: a read sees its snapshot although every row is rewritten while it runs', async () => {
  const other = await lake.connect();
  let expected: { n: string; sum: string } | undefined;
  await lake.run(source, {
    onSnapshot: async (exported) => {
      await other.query(`begin isolation level repeatable read; set transaction snapshot '${exported}'`);
      const { rows } = await other.query<{ n: string; sum: string }>(
        `select count(*)::text as n, sum(amount)::text as sum from app.right_book`,
      );
      expected = rows[0];
      await other.query('commit');
      await lake.client.query('update app.right_book set amount = amount * 2');
      await lake.client.query('delete from app.right_book where id % 2 = 0');
    },
  });
  const [ours] = await query(
    `select count(*)::varchar as n, sum(amount)::varchar as sum from (${currentRowsSql(await lake.table('app', 'right_book'))})`,
  );
  assert.deepEqual(ours, expected);
});
