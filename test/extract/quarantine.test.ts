import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { isSluiceError } from '../../warehouse/core/errors.ts';
import { loadSources, type SourceDefinition, type TableDefinition } from '../../warehouse/extract/index.ts';
import { parseJson } from '../support/cli.ts';
import { testProject } from '../support/project.ts';
import { openLakePerTest, sourceOf, type TestLake, touchedTableSql } from './lake.ts';

let lake: TestLake;
openLakePerTest((made) => {
  lake = made;
});

const N_SET_ASIDE = { n: 'quarantine' } as const;
const full = (more: Partial<TableDefinition> = {}): TableDefinition => ({
  mode: 'full',
  key: ['id'],
  columns: ['id', 'n'],
  unrepresentable: N_SET_ASIDE,
  ...more,
});

interface SetAside {
  readonly key: Readonly<Record<string, string | null>>;
  readonly column: string;
  readonly value: string;
  readonly reason: string;
}

/** What the log says is set aside of a table, file by file. */
async function filesAside(table: string): Promise<readonly (readonly SetAside[])[]> {
  const overview = await lake.bronze.overview(['app']);
  const files = overview[0]?.tables.find((each) => each.table === table)?.quarantined.files ?? [];
  const texts = await Promise.all(files.map((file) => readFile(join(lake.dir, 'lake', file.key), 'utf8')));
  return texts.map((text) =>
    text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as SetAside),
  );
}

async function keysAside(table: string): Promise<readonly unknown[]> {
  const files = await filesAside(table);
  return files.flat().map((row) => Object.values(row.key).join('|'));
}

async function verify(source: SourceDefinition) {
  return (await lake.verify(source)).tables[0];
}

/** Bronze differs from Postgres in exactly the rows set aside, and verify names them as such. */
async function assertAside(source: SourceDefinition, count: number): Promise<void> {
  const table = await verify(source);
  const { equal, missingInBronze, extraInBronze, different, setAside } = table ?? {};
  assert.deepEqual(
    [equal, missingInBronze?.count, extraInBronze?.count, different?.count, setAside?.count],
    [true, 0, 0, 0, count],
    JSON.stringify(table),
  );
}

const ids = async (table: string): Promise<unknown[]> => (await lake.rows(table, 'id')).map((row) => row['id']);

test('rows that do not fit are left out of a first load and named with key, column, value and reason', async () => {
  await lake.client.query(
    `create table app.t (id int primary key, n numeric(14,2), at timestamp, a int[]);
     insert into app.t select i, i, '2020-01-01', array[i] from generate_series(1, 5) i;
     insert into app.t values (6, 'NaN', null, null), (7, 1, '294276-12-31 23:59:59', null), (8, 1, null, '{{1,2},{3,4}}'), (9, 'NaN', '294276-12-31', '{{1}}')`,
  );
  const policies = { n: 'quarantine', at: 'quarantine', a: 'quarantine' } as const;
  const source = sourceOf({ t: full({ columns: ['id', 'n', 'at', 'a'], unrepresentable: policies }) });
  const { tables, batch } = await lake.run(source);
  assert.deepEqual([tables['t']?.quarantined, tables['t']?.inserted, tables['t']?.rowsRead], [4, 5, 5]);
  assert.deepEqual(await ids('t'), [1, 2, 3, 4, 5]);
  assert.equal(batch.drafts[0]?.tables['t']?.quarantined?.[0]?.rows, 4);
  const [rows] = await filesAside('t');
  assert.deepEqual(
    rows?.map(({ key, column, value }) => [key, column, value]),
    [
      [{ id: '6' }, 'n', 'NaN'],
      [{ id: '7' }, 'at', '294276-12-31 23:59:59'],
      [{ id: '8' }, 'a', '{{1,2},{3,4}}'],
      [{ id: '9' }, 'n', 'NaN'],
    ],
  );
  assert.match(rows?.[0]?.reason ?? '', /DECIMAL\(14,2\) has no NaN/);
  assert.match(rows?.[2]?.reason ?? '', /one dimension/);
  await assertAside(source, 4);
  assert.equal((await lake.run(source)).batch.drafts.length, 0, 'the same rows set aside are no news');
});

test('without a policy such a row stops the run, and nothing is committed', async () => {
  await lake.client.query(
    `create table app.t (id int primary key, n numeric(14,2)); insert into app.t values (1, 'NaN')`,
  );
  const { unrepresentable: _, ...strict } = full();
  await assert.rejects(lake.run(sourceOf({ t: strict })), (error: unknown) =>
    isSluiceError(error, 'SOURCE_VALUE_UNREPRESENTABLE'),
  );
  assert.equal((await lake.bronze.overview(['app']))[0]?.number, 0);
});

test('a table whose every row is set aside is a typed table of none', async () => {
  await lake.client.query(
    `create table app.t (id int primary key, n numeric(14,2)); insert into app.t values (1, 'NaN')`,
  );
  const source = sourceOf({ t: full() });
  assert.equal((await lake.run(source)).tables['t']?.quarantined, 1);
  assert.deepEqual(await lake.rows('t'), []);
  await assertAside(source, 1);
  await lake.client.query(`update app.t set n = 1`);
  await lake.run(source);
  assert.deepEqual([await ids('t'), await keysAside('t')], [[1], []]);
});

test('on a whole comparison a row that goes bad keeps its last good version, is mended, and goes when it is deleted', async () => {
  await lake.client.query(
    `create table app.t (id int primary key, n numeric(14,2)); insert into app.t select i, i from generate_series(1, 4) i`,
  );
  const source = sourceOf({ t: full() });
  await lake.run(source);
  await lake.client.query(`update app.t set n = 'NaN' where id in (1, 2); insert into app.t values (5, 'NaN')`);
  const bad = (await lake.run(source)).tables['t'];
  assert.deepEqual([bad?.quarantined, bad?.inserted, bad?.updated, bad?.deleted], [3, 0, 0, 0]);
  assert.deepEqual(await lake.rows('t', 'id').then((rows) => rows.map((row) => row['n'])), [
    '1.00',
    '2.00',
    '3.00',
    '4.00',
  ]);
  assert.deepEqual(await keysAside('t'), ['1', '2', '5']);
  await assertAside(source, 3);
  assert.equal((await lake.run(source)).batch.drafts.length, 0);

  await lake.client.query(
    `update app.t set n = 11 where id = 1; delete from app.t where id = 2; update app.t set n = 15 where id = 5`,
  );
  const mended = (await lake.run(source)).tables['t'];
  assert.deepEqual([mended?.quarantined, mended?.inserted, mended?.updated, mended?.deleted], [0, 1, 1, 1]);
  assert.deepEqual([await ids('t'), await keysAside('t')], [[1, 3, 4, 5], []]);
  await assertAside(source, 0);
  // Bad again as before: the list is byte for byte one that was there already.
  await lake.client.query(`update app.t set n = 'NaN' where id = 1`);
  assert.equal((await lake.run(source)).batch.drafts.length, 1);
  await assertAside(source, 1);
  await lake.client.query(`delete from app.t where id = 1`);
  assert.equal((await lake.run(source)).tables['t']?.deleted, 1);
  assert.deepEqual(await keysAside('t'), []);
});

for (const setBy of ['database', 'application'] as const) {
  const how = setBy === 'database' ? 'cursor' : 'sweep';
  test(`by ${how}: bad rows are met, mended, met again in the same form, and each time verify tells the truth`, async () => {
    await lake.client.query(
      `${touchedTableSql('t', 'id int primary key, n numeric(14,2)')}; insert into app.t (id, n) select i, i from generate_series(1, 50) i`,
    );
    const source = sourceOf({
      t: full({ mode: 'cursor', columns: ['id', 'n', 'updated_at'], cursor: { column: 'updated_at', setBy } }),
    });
    await lake.run(source);
    await lake.client.query(`insert into app.t (id, n) values (51, 'NaN'); update app.t set n = 'NaN' where id = 7`);
    const met = (await lake.run(source)).tables['t'];
    assert.deepEqual([met?.how, met?.quarantined], [how, 2]);
    assert.deepEqual(
      await lake
        .rows('t', 'id')
        .then((rows) => rows.map((row) => row['n']))
        .then((n) => [n.length, n[6]]),
      [50, '7.00'],
    );
    await assertAside(source, 2);
    for (let again = 0; again < 2; again++) await lake.run(source);
    assert.equal((await keysAside('t')).length, 2, 'rows near the mark are not named twice');

    await lake.client.query(`update app.t set n = n_.n from (values (7, 70), (51, 51)) n_ (id, n) where n_.id = t.id`);
    await lake.run(source);
    assert.equal((await ids('t')).length, 51);
    await assertAside(source, 0);
    await lake.client.query(`update app.t set n = 'NaN' where id in (7, 51)`);
    await lake.run(source);
    await assertAside(source, 2);
    assert.equal((await lake.rows('t', 'id'))[6]?.['n'], '70.00');
  });
}

test('by parts and connections the same rows are set aside, on the first load and on the comparison', async () => {
  await lake.client.query(
    `create table app.t (id int primary key, n numeric(14,2), pad text);
     insert into app.t select i, case when i % 1000 = 0 then 'NaN'::numeric else i end, repeat('x', 200) from generate_series(1, 20000) i`,
  );
  const source = sourceOf({ t: full({ columns: ['id', 'n', 'pad'] }) });
  const limits = { partBytes: 2 ** 20, connections: 3 };
  const first = await lake.run(source, { limits });
  assert.deepEqual([first.tables['t']?.quarantined, first.tables['t']?.inserted], [20, 19_980]);
  assert.ok((first.batch.drafts[0]?.tables['t']?.files.length ?? 0) > 1, 'several parts wrote files');
  assert.equal((await lake.run(source, { limits })).batch.drafts.length, 0);
  assert.equal((await lake.run(source)).batch.drafts.length, 0, 'whatever the parts are');
  await lake.client.query(`update app.t set n = 'NaN' where id = 1; update app.t set n = 1 where id = 1000`);
  const { inserted, updated, deleted, quarantined } = (await lake.run(source, { limits })).tables['t'] ?? {};
  assert.deepEqual([inserted, updated, deleted, quarantined], [1, 0, 0, 20]);
  await assertAside(source, 20);
});

const KEYS: readonly (readonly [name: string, type: string, good: string, other: string])[] = [
  ['text', 'text', `it's "q"\n, \\`, ''],
  ['composite', 'app.pair', '(1,"a b")', '(,)'],
  ['timestamp', 'timestamptz', '0044-03-15 10:11:12.131415+00 BC', '2024-03-31 01:30:00.000001+00'],
  ['uuid', 'uuid', '00000000-0000-0000-0000-00000000000a', 'ffffffff-ffff-ffff-ffff-ffffffffffff'],
  ['bytea', 'bytea', '\\xdeadbeef', '\\x'],
  ['interval', 'interval', '1 mon -3 days -25:00:00.5', '00:00:01'],
  ['timetz', 'timetz', '23:59:59.5-05:45:30', '24:00:00+02'],
  ['text[]', 'text[]', '{a,"b c",NULL}', '{}'],
  ['boolean', 'bool', 'true', 'false'],
  ['float8', 'float8', '0.1', 'NaN'],
  ['numeric', 'numeric(10,3)', '-1.100', '7'],
  ['date', 'date', '0001-01-01 BC', 'infinity'],
];
test('a row set aside keeps its last good version under a key of any type, and verify knows it', async () => {
  await lake.client.query('create type app.pair as (a int, b text)');
  for (const [at, [name, type, good, other]] of KEYS.entries()) {
    const table = `k${at}`;
    await lake.client.query(`create table app.${table} (k ${type}, id int, n numeric(14,2), primary key (k, id))`);
    await lake.client.query(
      `insert into app.${table} values ($1::text::${type}, 1, 1), ($2::text::${type}, 1, 2), ($2::text::${type}, 2, 3)`,
      [good, other],
    );
    const source = sourceOf({ [table]: full({ key: ['k', 'id'], columns: ['k', 'id', 'n'] }) });
    await lake.run(source);
    await lake.client.query(`update app.${table} set n = 'NaN' where n in (1, 2)`);
    const { deleted, quarantined } = (await lake.run(source)).tables[table] ?? {};
    assert.deepEqual([name, deleted, quarantined], [name, 0, 2]);
    assert.equal((await lake.rows(table)).length, 3, name);
    await assertAside(source, 2);
  }
});

test('a policy that becomes text, or no longer is text, replaces the table; one that only quarantines does not', async () => {
  await lake.client.query(
    `create table app.t (id int primary key, n numeric(14,2)); insert into app.t values (1, 1), (2, 'NaN')`,
  );
  const of = (policy: 'error' | 'quarantine' | 'text') => sourceOf({ t: full({ unrepresentable: { n: policy } }) });
  const typeOf = async () => (await lake.table('app', 't')).contract.columns[1]?.duckdbType;
  const values = async () => (await lake.rows('t', 'id')).map((row) => row['n']);
  await lake.run(of('quarantine'));
  assert.deepEqual([await values(), await keysAside('t')], [['1.00'], ['2']]);

  const texts = (await lake.run(of('text'))).tables['t'];
  assert.match(texts?.note ?? '', /column n is carried as VARCHAR, no longer as DECIMAL\(14,2\)/);
  assert.deepEqual([await typeOf(), await values(), await keysAside('t')], ['VARCHAR', ['1.00', 'NaN'], []]);
  assert.equal((await lake.table('app', 't')).replacedAt, 2);
  assert.equal((await lake.run(of('text'))).batch.drafts.length, 0);

  await assert.rejects(lake.run(of('error')), (error: unknown) => isSluiceError(error, 'SOURCE_VALUE_UNREPRESENTABLE'));
  assert.deepEqual(await values(), ['1.00', 'NaN'], 'what stood before still stands');
  await lake.client.query(`update app.t set n = 2 where id = 2`);
  await lake.run(of('error'));
  assert.deepEqual([await typeOf(), await values()], ['DECIMAL(14,2)', ['1.00', '2.00']]);

  await lake.client.query(`update app.t set n = 'NaN' where id = 2`);
  await lake.run(of('quarantine'));
  assert.deepEqual(
    [(await lake.table('app', 't')).replacedAt, await values(), await keysAside('t')],
    [3, ['1.00', '2.00'], ['2']],
  );
  await assert.rejects(lake.run(of('error')), (error: unknown) => isSluiceError(error, 'SOURCE_VALUE_UNREPRESENTABLE'));
  await lake.run(of('text'));
  await lake.run(of('quarantine'));
  assert.deepEqual([await typeOf(), await values(), await keysAside('t')], ['DECIMAL(14,2)', ['1.00'], ['2']]);
});

test('more rows set aside than may be stop the run with the remedy, counted over all parts', async () => {
  await lake.client.query(
    `create table app.t (id int primary key, n numeric(14,2), pad text);
     insert into app.t select i, case when i % 1000 = 0 then 'NaN'::numeric else i end, repeat('x', 200) from generate_series(1, 20000) i`,
  );
  const source = sourceOf({ t: full({ columns: ['id', 'n', 'pad'] }) });
  for (const limits of [{ setAsideRows: 19 }, { setAsideRows: 19, partBytes: 2 ** 20, connections: 3 }]) {
    await assert.rejects(
      lake.run(source, { limits }),
      (error: unknown) =>
        isSluiceError(error, 'SOURCE_VALUE_UNREPRESENTABLE') &&
        /More than 19 rows of the table app\.t would be set aside/.test(error.message) &&
        /unrepresentable: \{ n: 'text' \}/.test(error.remedy ?? ''),
    );
  }
  assert.equal((await lake.run(source, { limits: { setAsideRows: 20 } })).tables['t']?.quarantined, 20);
});

test('status and verify of the command name what is set aside; a wrong policy is refused by file and field', async (t) => {
  const project = await testProject();
  t.after(() => project[Symbol.asyncDispose]());
  await project.client.query(
    `alter table shop.orders alter amount drop not null; update shop.orders set amount = 'NaN' where id in (3, 5)`,
  );
  const path = 'models/sources/shop.ts';
  const before = await readFile(join(project.dir, path), 'utf8');
  const policy = (of: string): string =>
    before.replace("'day', 'amount'] }", `'day', 'amount'], unrepresentable: ${of} }`);
  await project.write(path, policy(`{ amount: 'quarantine' }`));
  const ran = await project.sluice(['run', '--json', '--as-of', '2026-03-01']);
  assert.equal(ran.code, 0, ran.stdout + ran.stderr);
  const status = await project.sluice(['status']);
  assert.match(
    status.stdout + status.stderr,
    /shop\.orders: 2 rows set aside, in bronze\/shop\/orders\/[^/]+\/quarantine-00000\.ndjson/,
  );
  const tables = parseJson(await project.sluice(['status', '--json']))['tables'] as {
    table: string;
    quarantined: { rows: number; files: string[] };
  }[];
  const orders = tables.find((table) => table.table === 'orders');
  assert.deepEqual([orders?.quarantined.rows, orders?.quarantined.files.length], [2, 1]);
  const verified = await project.sluice(['verify']);
  assert.equal(verified.code, 0);
  assert.match(verified.stdout + verified.stderr, /2 set aside/);
  assert.match(verified.stdout + verified.stderr, /id = 3 \(amount: DECIMAL\(12,2\) has no NaN\)/);

  const refused: readonly (readonly [string, RegExp])[] = [
    [
      policy(`{ nope: 'text' }`),
      /models\/sources\/shop\.ts[^]*shop\.tables\.orders\.unrepresentable: unrepresentable column nope is not among the columns/,
    ],
    [policy(`{ amount: 'maybe' }`), /shop\.tables\.orders\.unrepresentable\.amount: /],
    [
      policy(`{ amount: 'text' }, mask: { amount: 'hash' }`),
      /shop\.tables\.orders\.unrepresentable: masked column amount/,
    ],
    [
      policy(`{ amount: 'quarantine' }`).replace(
        "orders: { mode: 'full', key: ['id']",
        "orders: { mode: 'full', key: []",
      ),
      /shop\.tables\.orders\.unrepresentable: column amount cannot set rows aside: without a key/,
    ],
  ];
  for (const [at, [text, message]] of refused.entries()) {
    // Another folder each: Node keeps the modules it has imported.
    await project.write(`${at}/${path}`, text);
    await assert.rejects(
      loadSources(join(project.dir, String(at))),
      (error: unknown) => isSluiceError(error, 'SOURCE_DEFINITION_INVALID') && message.test(error.message),
    );
  }
});
