import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { isSluiceError } from '../../warehouse/core/errors.ts';
import { type ExtractOptions, type SourceDefinition } from '../../warehouse/extract/index.ts';
import { openLakePerTest, query, type RunResult, sourceOf, type TestLake, touchedTableSql } from './lake.ts';

const SECRET = 'a secret that is long enough to be one: 0123456789';
const hashOf = (text: string, secret = SECRET): string => createHmac('sha256', secret).update(text).digest('hex');

let lake: TestLake;
openLakePerTest((made) => {
  lake = made;
});

const run = (source: SourceDefinition, options: Partial<ExtractOptions> = {}): Promise<RunResult> =>
  lake.run(source, { maskSecret: SECRET, ...options });

const verify = (source: SourceDefinition, maskSecret = SECRET) => lake.verify(source, { maskSecret });

/** Every file under a folder that holds one of the texts, in its bytes or (Parquet is compressed) in its values. */
async function filesWith(dir: string, texts: readonly string[]): Promise<string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  const found = new Set<string>();
  for (const entry of entries.filter((candidate) => candidate.isFile())) {
    const path = join(entry.parentPath, entry.name);
    const bytes = await readFile(path);
    const values = path.endsWith('.parquet') ? await valuesOf(path) : '';
    for (const text of texts) {
      if (bytes.includes(text)) found.add(`the bytes of ${entry.name} hold ${text}`);
      if (values.includes(text)) found.add(`the values of ${entry.name} hold ${text}`);
    }
  }
  return [...found];
}

async function valuesOf(path: string): Promise<string> {
  const rows = await query(`select columns(*)::varchar from read_parquet('${path}')`);
  return rows.map((row) => Object.values(row).join('\n')).join('\n');
}

const PEOPLE = `create table app.people (id bigint primary key, email text, phone char(12), born date, tax_id bigint, note text not null default 'plain-note');
  insert into app.people values (1, 'ada.raw@example.org', '+49-555-0101', '1979-03-14', 918273645001, default),
    (2, 'ada.raw@example.org', null, null, 918273645002, default), (3, null, '', '2001-01-01', null, default), (4, '', 'x', '0044-03-15 BC', 0, default);`;
const RAW = ['ada.raw@example.org', '+49-555-0101', '1979-03-14', '918273645001'];
const people = sourceOf({
  people: {
    mode: 'full',
    key: ['id'],
    columns: ['id', 'email', 'phone', 'born', 'tax_id', 'note'],
    mask: { email: 'hash', phone: 'hash', born: 'drop', tax_id: 'hash' },
  },
});

test('a hash is HMAC-SHA256 of the value’s text, NULL stays NULL, a dropped column is NULL of its own type', async () => {
  await lake.client.query(PEOPLE);
  await run(people);
  const rows = await lake.rows('people', 'id');
  assert.deepEqual(
    rows.map((row) => row['email']),
    [hashOf('ada.raw@example.org'), hashOf('ada.raw@example.org'), null, hashOf('')],
  );
  assert.deepEqual(
    rows.map((row) => row['phone']),
    [hashOf('+49-555-0101'), null, hashOf(' '.repeat(12)), hashOf('x'.padEnd(12))],
  );
  assert.deepEqual(
    rows.map((row) => [row['born'], row['tax_id'], row['note']]),
    [hashOf('918273645001'), hashOf('918273645002'), null, hashOf('0')].map((hash) => [null, hash, 'plain-note']),
  );
  const { contract } = await lake.table('app', 'people');
  assert.deepEqual(
    contract.columns.map(({ name, postgresType, duckdbType, mask }) => [
      name,
      postgresType,
      duckdbType,
      mask?.slice(0, 5),
    ]),
    [
      ['id', 'bigint', 'BIGINT', undefined],
      ['email', 'text', 'VARCHAR', 'hash:'],
      ['phone', 'character(12)', 'VARCHAR', 'hash:'],
      ['born', 'date', 'DATE', 'drop'],
      ['tax_id', 'bigint', 'VARCHAR', 'hash:'],
      ['note', 'text', 'VARCHAR', undefined],
    ],
  );
});

test('no raw value and no secret stands in any file of the lake, nor in the batch before it is committed', async () => {
  await lake.client.query(PEOPLE);
  await lake.client.query(
    `insert into app.people select i, 'bulk.raw' || i || '@example.org', null, null, null, 'plain-note' from generate_series(10, 60000) i`,
  );
  const texts = [...RAW, 'bulk.raw', 'new.raw', SECRET];
  for (const change of ['select', `update app.people set email = 'new.raw@example.org' where id = 2`]) {
    // Compared with the last state the second time, which goes another way.
    await lake.client.query(change);
    const batch = await lake.extract(people, {
      maskSecret: SECRET,
      limits: { partBytes: 400_000, fileBytes: 200_000 },
    });
    assert.ok((await readdir(batch.dir)).some((name) => name.endsWith('.parquet')));
    assert.deepEqual(await filesWith(batch.dir, texts), []);
    for (const draft of batch.drafts) await lake.bronze.commit(draft.source, draft);
    await rm(batch.dir, { recursive: true });
  }
  assert.deepEqual(await filesWith(lake.dir, texts), []);
  // The search finds what is there: without a mask the same values stand in the lake's files.
  await lake.run({
    ...people,
    name: 'bare',
    tables: { people: { mode: 'full', key: ['id'], columns: ['id', 'email'] } },
  });
  const raw = await filesWith(join(lake.dir, 'lake', 'bronze', 'bare'), ['ada.raw', 'bulk.raw', 'new.raw']);
  assert.equal(raw.filter((line) => line.startsWith('the values')).length, 3, raw.join('\n'));
});

test('hashes of equal values join across tables and types of text, whatever the column is called', async () => {
  await lake.client.query(`create table app.a (id int primary key, who text); create table app.b (id int primary key, mail varchar(40), n bigint);
    create domain app.address as text not null; create table app.c (id int primary key, "E-Mail" app.address);
    insert into app.a values (1, 'x@example.org'), (2, '7'); insert into app.b values (1, 'x@example.org', 7); insert into app.c values (1, 'x@example.org')`);
  const source = sourceOf({
    a: { mode: 'full', key: ['id'], columns: ['id', 'who'], mask: { who: 'hash' } },
    b: { mode: 'full', key: ['id'], columns: ['id', 'mail', 'n'], mask: { mail: 'hash', n: 'hash' } },
    c: { mode: 'full', key: ['id'], columns: ['id', 'E-Mail'], mask: { 'E-Mail': 'hash' } },
  });
  await run(source);
  const [a, b, c] = [await lake.rows('a', 'id'), await lake.rows('b'), await lake.rows('c')];
  assert.equal(a[0]?.['who'], b[0]?.['mail']);
  assert.equal(a[0]?.['who'], c[0]?.['E-Mail']);
  assert.equal(a[1]?.['who'], b[0]?.['n']);
  // A dropped column of a domain that forbids NULL is NULL all the same.
  const dropped = sourceOf({ c: { mode: 'full', key: ['id'], columns: ['id', 'E-Mail'], mask: { 'E-Mail': 'drop' } } });
  await run(dropped);
  assert.deepEqual(await lake.rows('c'), [{ id: 1, 'E-Mail': null }]);
});

test('verify compares masked values, of every type, and finds a change under the mask', async () => {
  await lake.client.query(`create table app.t (id int primary key, f4 real, f8 double precision, n numeric, b boolean, at timestamptz, j jsonb, raw bytea, ip inet, a text[]);
    insert into app.t select i, i / 3.0, i / 7.0, i / 11.0, i % 2 = 0, timestamptz '2026-01-01' + i * interval '1.000001 s', jsonb_build_object('k', i), decode(md5(i::text), 'hex'), inet '10.0.0.0' + i, array['a', i::text] from generate_series(1, 500) i;
    insert into app.t values (0), (-1); update app.t set f4 = 'NaN', f8 = '-0', n = 'NaN', at = 'infinity', j = 'null', raw = '', ip = '::1', a = '{}' where id = -1`);
  const columns = ['id', 'f4', 'f8', 'n', 'b', 'at', 'j', 'raw', 'ip', 'a'];
  const hashed = Object.fromEntries(columns.map((column) => [column, 'hash' as const]));
  const dropped = Object.fromEntries(columns.slice(1).map((column) => [column, 'drop' as const]));
  for (const mask of [hashed, dropped]) {
    const source = sourceOf({ t: { mode: 'full', key: ['id'], columns, mask } });
    await run(source);
    const [table] = (await verify(source)).tables;
    assert.deepEqual([table?.equal, table?.sourceRows, table?.note], [true, 502, undefined]);
  }
  const source = sourceOf({ t: { mode: 'full', key: ['id'], columns, mask: { f8: 'hash', ip: 'drop' } } });
  await run(source);
  await lake.client.query(`update app.t set f8 = 0.5 where id = 7; update app.t set ip = '1.2.3.4' where id = 8`);
  const [table] = (await verify(source)).tables;
  assert.deepEqual(table?.different, { count: 1, keys: ['id = 7 (f8)'] });
});

test('a changed mask is carried as a change of every row, and nothing reads the old values any more', async () => {
  await lake.client.query(
    `${touchedTableSql('t', 'id int primary key, tax_id int')}; insert into app.t select i, 5000 + i from generate_series(1, 9) i`,
  );
  const source = (mask?: Record<string, 'hash' | 'drop'>): SourceDefinition =>
    sourceOf({
      t: {
        mode: 'cursor',
        key: ['id'],
        columns: ['id', 'tax_id', 'updated_at'],
        cursor: { column: 'updated_at', setBy: 'database' },
        ...(mask && { mask }),
      },
    });
  const value = async (): Promise<unknown> => (await lake.rows('t', 'id'))[0]?.['tax_id'];
  await run(source());
  assert.equal(await value(), 5001);
  const steps: readonly [SourceDefinition, string, unknown, RegExp][] = [
    [source({ tax_id: 'hash' }), SECRET, hashOf('5001'), /tax_id now masked \(hash\)/],
    [source({ tax_id: 'hash' }), `${SECRET}!`, hashOf('5001', `${SECRET}!`), /tax_id hashed with another secret/],
    [source({ tax_id: 'drop' }), SECRET, null, /tax_id now masked \(drop\)/],
    [source({ tax_id: 'hash' }), SECRET, hashOf('5001'), /tax_id now masked \(hash\)/],
    [source(), SECRET, 5001, /tax_id no longer masked/],
    [source({ id: 'hash' }), SECRET, undefined, /id now masked \(hash\)/],
  ];
  for (const [definition, secret, expected, why] of steps) {
    const before = (await verify(definition, secret)).tables[0];
    assert.equal(before?.equal, false);
    assert.match(before?.note ?? '', /^not extracted since: /);
    const { tables } = await run(definition, { maskSecret: secret });
    assert.equal(tables['t']?.inserted, 9);
    assert.match(tables['t']?.note ?? '', why);
    if (expected !== undefined) assert.equal(await value(), expected);
    assert.equal((await lake.log('t')).length, 9, 'earlier rows are void');
    assert.equal((await verify(definition, secret)).equal, true);
    const idle = await run(definition, { maskSecret: secret });
    assert.equal(
      idle.batch.drafts.flatMap((draft) => Object.values(draft.tables).flatMap(({ files }) => files)).length,
      0,
    );
  }
  // A column that was left out for a while comes back masked: files of before still hold it raw.
  const without = sourceOf({ t: { mode: 'full', key: ['id'], columns: ['id'] } });
  await run(source());
  await run(without);
  const { tables } = await run(
    sourceOf({ t: { mode: 'full', key: ['id'], columns: ['id', 'tax_id'], mask: { tax_id: 'hash' } } }),
  );
  assert.equal(tables['t']?.inserted, 9);
  assert.deepEqual(new Set((await lake.log('t')).map((row) => String(row['tax_id']).length)), new Set([64]));
});

test('a masked key still tells rows apart: inserts, updates and deletes arrive', async () => {
  await lake.client.query(
    `create table app.t (email text primary key, n int); insert into app.t values ('a@raw', 1), ('b@raw', 2), ('c@raw', 3)`,
  );
  const source = sourceOf({ t: { mode: 'full', key: ['email'], columns: ['email', 'n'], mask: { email: 'hash' } } });
  await run(source);
  await lake.client.query(
    `update app.t set n = 20 where email = 'b@raw'; delete from app.t where email = 'c@raw'; insert into app.t values ('d@raw', 4)`,
  );
  const { tables } = await run(source);
  assert.deepEqual([tables['t']?.inserted, tables['t']?.updated, tables['t']?.deleted], [1, 1, 1]);
  assert.deepEqual(
    new Map((await lake.rows('t')).map((row) => [row['email'], row['n']])),
    new Map([
      [hashOf('a@raw'), 1],
      [hashOf('b@raw'), 20],
      [hashOf('d@raw'), 4],
    ]),
  );
  const missing = (await verify(source)).equal;
  assert.equal(missing, true);
});

test('a duplicate of a masked key is named by its hash, never by its value', async () => {
  await lake.client.query(
    `create table app.t (email text, n int); insert into app.t values ('twice@raw', 1), ('twice@raw', 2)`,
  );
  const source = sourceOf({ t: { mode: 'full', key: ['email'], columns: ['email', 'n'], mask: { email: 'hash' } } });
  await assert.rejects(
    run(source),
    (error: unknown) =>
      isSluiceError(error, 'SOURCE_KEY_INVALID') &&
      error.message.includes(hashOf('twice@raw')) &&
      !error.message.includes('twice@raw'),
  );
});

test('a hash without a secret stops the run before anything is read', async () => {
  await lake.client.query(PEOPLE);
  await assert.rejects(
    lake.run(people),
    (error: unknown) => isSluiceError(error, 'CONFIG_INVALID') && /SLUICE_MASK_SECRET is not set/.test(error.message),
  );
  const dropOnly = sourceOf({ people: { mode: 'full', key: ['id'], columns: ['id', 'born'], mask: { born: 'drop' } } });
  await lake.run(dropOnly);
  assert.deepEqual((await lake.rows('people', 'id'))[0], { id: 1n, born: null });
});

test('a dropped column needs no right to read it, and no statement shows the secret', async () => {
  await lake.client.query(PEOPLE);
  const role = `sluice_mask_${process.pid}`;
  await lake.client.query(
    `create role ${role} login password 'pw'; grant usage on schema app to ${role}; grant select (id, email) on app.people to ${role}`,
  );
  try {
    const url = new URL(lake.url);
    url.username = role;
    url.password = 'pw';
    const shown: string[] = [];
    const source = sourceOf({
      people: { mode: 'full', key: ['id'], columns: ['id', 'email', 'born'], mask: { email: 'hash', born: 'drop' } },
    });
    await run(source, {
      url: url.href,
      onSnapshot: async () => {
        const { rows } = await lake.client.query<{ query: string }>(
          `select query from pg_stat_activity where usename = $1`,
          [role],
        );
        shown.push(...rows.map((row) => row.query));
      },
    });
    assert.equal((await lake.rows('people', 'id'))[0]?.['email'], hashOf('ada.raw@example.org'));
    assert.equal(shown.length, 1);
    const hex = Buffer.from(Buffer.from(SECRET).map((byte) => byte ^ 0x36)).toString('hex');
    assert.ok(!shown.some((sql) => sql.includes(SECRET) || sql.includes(hex)));
  } finally {
    await lake.client.query(`drop owned by ${role}; drop role ${role}`);
  }
});
