import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import type pg from 'pg';
import { isSluiceError } from '../../warehouse/core/errors.ts';
import { sourceOf, type TestLake, testLake } from './lake.ts';

/** Attacks on the promise "lossless". Postgres is the oracle: what bronze holds is put back beside the original and compared there, by what Postgres prints. */

let lake: TestLake;
before(async () => {
  lake = await testLake();
  await lake.client.query('set extra_float_digits = 3');
});
after(() => lake[Symbol.asyncDispose]());

/** Postgres type → the DuckDB type it must arrive as, and values that somebody's extractor spoils. */
const EDGES: readonly (readonly [string, string, readonly string[]])[] = [
  ['bool', 'BOOLEAN', ['true', 'false']],
  ['int2', 'SMALLINT', ['-32768', '32767', '0']],
  ['int4', 'INTEGER', ['-2147483648', '2147483647']],
  ['int8', 'BIGINT', ['-9223372036854775808', '9223372036854775807', '9007199254740993']],
  ['float4', 'FLOAT', ['NaN', 'Infinity', '-Infinity', '-0', '1e-45', '3.4028235e38', '131070.237689', '0.1']],
  [
    'float8',
    'DOUBLE',
    ['NaN', 'Infinity', '-Infinity', '-0', '5e-324', '1.7976931348623157e308', '0.1', '1e23', '9007199254740993'],
  ],
  ['numeric(14,2)', 'DECIMAL(14,2)', ['-999999999999.99', '999999999999.99', '0', '-0.01', '1.10']],
  ['numeric(38,10)', 'DECIMAL(38,10)', ['-9999999999999999999999999999.9999999999', '0.0000000001']],
  ['numeric(5,-2)', 'DECIMAL(7,0)', ['1234567', '-50', '0']],
  ['numeric(3,5)', 'DECIMAL(5,5)', ['0.00123', '-0.00999']],
  ['numeric(39,0)', 'VARCHAR', ['999999999999999999999999999999999999999', 'NaN']],
  [
    'numeric',
    'VARCHAR',
    [
      '1.10',
      '1e-16383',
      `1${'0'.repeat(200)}.5`,
      'NaN',
      'Infinity',
      '-Infinity',
      '123456789012345678901234567890.123456789',
    ],
  ],
  [
    'text',
    'VARCHAR',
    [
      '',
      ' ',
      '\\N',
      '\\.',
      'NULL',
      'null',
      '"',
      '""',
      ',',
      'a,b',
      '\n',
      '\r',
      '\r\n',
      'line\nbreak',
      '\t',
      "'",
      '😀é中',
      'e\u0301',
      '\\',
      '"\n"',
      '#',
      'x'.repeat(100_000),
    ],
  ],
  ['varchar(5)', 'VARCHAR', ['', 'abcde', 'a   ']],
  ['char(4)', 'VARCHAR', ['ab', '', 'abcd', ' a']],
  ['uuid', 'UUID', ['00000000-0000-0000-0000-000000000000', 'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF']],
  [
    'date',
    'DATE',
    [
      'infinity',
      '-infinity',
      '4714-11-24 BC',
      '0001-12-31 BC',
      '5874897-12-31',
      '1582-10-10',
      '10000-01-01',
      '2020-02-29',
    ],
  ],
  [
    'timestamp',
    'TIMESTAMP',
    [
      'infinity',
      '-infinity',
      '4714-11-24 00:00:00 BC',
      '0044-03-15 10:11:12.131415 BC',
      '294247-01-10 04:00:54.775806',
      '1969-12-31 23:59:59.999999',
      '10000-01-01 00:00:00',
    ],
  ],
  [
    'timestamptz',
    'TIMESTAMPTZ',
    [
      'infinity',
      '-infinity',
      '4714-11-24 00:00:00+00 BC',
      '0044-03-15 10:11:12.131415+05:45 BC',
      '294247-01-10 04:00:54.775806+00',
      '2020-01-01 00:00:00.000001-12:34:56',
      '2024-03-31 02:30:00 Europe/Berlin',
    ],
  ],
  ['time', 'TIME', ['24:00:00', '00:00:00', '23:59:59.999999']],
  ['timetz', 'STRUCT(t TIME, offset_s INTEGER)', ['24:00:00+02', '12:34:56.789+15:59:59']],
  [
    'interval',
    'STRUCT("months" INTEGER, "days" INTEGER, micros BIGINT)',
    ['1 year 2 mons 3 days 04:05:06.123456', '-2 days', '-178000000 secs', '1 mon -1 day'],
  ],
  ['bytea', 'BLOB', ['', '\\x00ff0a0d22', '\\xdeadbeef']],
  [
    'json',
    'VARCHAR',
    ['{"n": 12345678901234567890123456789,  "n": -0, "d": 1.0}', 'null', '"a\\u0000b"', '[]', '{"a":\n1}'],
  ],
  ['jsonb', 'VARCHAR', ['{"n": 12345678901234567890123456789.10}', 'null', '"text"', '1e400']],
  ['int4[]', 'INTEGER[]', ['{}', '{1,NULL}', '{-2147483648}']],
  ['float8[]', 'DOUBLE[]', ['{NaN,-0,Infinity}', '{}']],
  ['money', 'DECIMAL(19,2)', ['-92233720368547758.08', '12.30']],
  ['text[]', 'VARCHAR[]', ['{}', '{NULL,"NULL",""}', '{"a,b","c\\"d"}']],
  ['inet', 'VARCHAR', ['10.0.0.1', '10.0.0.0/8', '::1']],
  ['cidr', 'VARCHAR', ['10.0.0.0/8', '::/0']],
  ['macaddr', 'VARCHAR', ['08:00:2b:01:02:03']],
  ['bit(3)', 'VARCHAR', ['010', '000']],
  ['varbit', 'VARCHAR', ['', '0001']],
  ['point', 'VARCHAR', ['(0.1,-1e300)']],
  ['int4range', 'VARCHAR', ['empty', '(,)', '[1,5)']],
  ['xml', 'VARCHAR', ['<a b="c">\n</a>']],
  ['oid', 'UINTEGER', ['4294967295']],
  ['pg_lsn', 'VARCHAR', ['16/B374D848']],
  ['tsvector', 'VARCHAR', ["'a':1 'b c':2"]],
  ['"char"', 'VARCHAR', ['a', '']],
  ['name', 'VARCHAR', ['x']],
  ['app.mood', 'VARCHAR', ['so, so', 'it\'s "fine"']],
  ['app.money_amount', 'DECIMAL(10,2)', ['1.10', '-99999999.99']],
  ['app.nested_domain', 'DECIMAL(10,2)', ['1.10']],
  ['app.pair', 'VARCHAR', ['(1,)', '(,"a ""b")', '(,)']],
  ['app.numeric', 'VARCHAR', ['(1)']],
];

/** A value of bronze as Postgres reads it. */
function toPostgres(value: unknown): string | null {
  if (value === null) return null;
  if (typeof value === 'number') return Object.is(value, -0) ? '-0' : String(value);
  if (typeof value === 'boolean' || typeof value === 'bigint') return String(value);
  if (typeof value === 'string') return value;
  if (Array.isArray(value)) {
    const parts = value.map((part) => toPostgres(part));
    const quoted = parts.map((part) => (part === null ? 'NULL' : `"${part.replaceAll(/["\\]/g, '\\$&')}"`));
    return `{${quoted.join(',')}}`;
  }
  if (typeof value === 'object' && 'offset_s' in value && 't' in value) {
    const offset = Number(value.offset_s);
    const of = (seconds: number): string => new Date(Math.abs(seconds) * 1000).toISOString().slice(11, 19);
    return `${String(value.t)}${offset < 0 ? '-' : '+'}${of(offset)}`;
  }
  if (typeof value === 'object' && 'months' in value && 'days' in value && 'micros' in value) {
    const micros = BigInt(String(value.micros));
    const seconds = `${micros < 0n ? '-' : ''}${(micros < 0n ? -micros : micros) / 1_000_000n}.${String((micros < 0n ? -micros : micros) % 1_000_000n).padStart(6, '0')}`;
    return `${String(value.months)} mons ${String(value.days)} days ${seconds} secs`;
  }
  throw new TypeError(`a value arrived as ${typeof value}`);
}

/** What DuckDB prints of a BLOB, as Postgres reads it: printable bytes stand for themselves. */
function hexOf(printed: string): string {
  const hex = printed.replaceAll(
    /\\x([0-9A-F]{2})|[^]/g,
    (byte, code?: string) => code ?? byte.charCodeAt(0).toString(16).padStart(2, '0'),
  );
  return `\\x${hex}`;
}

function isTemporal(duckdbType: string): boolean {
  return ['DATE', 'TIMESTAMP', 'TIMESTAMPTZ'].includes(duckdbType);
}

/** Puts bronze's values back into app.<table>_back and asks Postgres which rows print otherwise. */
async function assertSame(table: string, types: readonly string[], duckdbTypes: readonly string[]): Promise<void> {
  const columns = types.map((_, i) => `c${i}`);
  await lake.client.query(
    `create table app.${table}_back (id int primary key, ${types.map((type, i) => `c${i} ${type}`).join(', ')})`,
  );
  for (const row of await lake.rows(table, 'id')) {
    const values = columns.map((column, i) => {
      const text = toPostgres(row[column]);
      if (text !== null && duckdbTypes[i] === 'BLOB') return hexOf(text);
      return text !== null && isTemporal(duckdbTypes[i] ?? '') && text.includes(' (BC)')
        ? `${text.replace(' (BC)', '')} BC`
        : text;
    });
    const places = types.map((type, i) => `$${i + 2}::text::${type}`).join(', ');
    await lake.client.query(`insert into app.${table}_back values ($1, ${places})`, [row['id'], ...values]);
  }
  const differs = columns.map(
    (c) => `num_nulls(a.${c}) <> num_nulls(b.${c}) or format('%s', a.${c}) <> format('%s', b.${c})`,
  );
  const wrong = await lake.client.query(
    `select a.id, ${columns.map((c) => `a.${c}::text as was_${c}, b.${c}::text as is_${c}`).join(', ')}
       from app.${table} a full join app.${table}_back b using (id) where a.id is null or b.id is null or ${differs.join(' or ')}`,
  );
  assert.deepEqual(wrong.rows, []);
}

async function createTypes(client: pg.Client): Promise<void> {
  await client.query(`create type app.mood as enum ('so, so', 'it''s "fine"');
    create domain app.money_amount as numeric(10,2); create domain app.nested_domain as app.money_amount check (value > 0);
    create type app.pair as (a int, b text); create type app.numeric as (a int)`);
}

test('every type arrives as its contract says, and every edge value is the same when put back', async () => {
  await createTypes(lake.client);
  const types = EDGES.map(([type]) => type);
  await lake.client.query(
    `create table app.edges (id int primary key, ${types.map((type, i) => `c${i} ${type}`).join(', ')})`,
  );
  const most = Math.max(...EDGES.map(([, , values]) => values.length));
  for (let row = 0; row <= most; row++) {
    const values = EDGES.map(([, , list]) => list[row] ?? null);
    await lake.client.query(
      `insert into app.edges values ($1, ${types.map((type, i) => `$${i + 2}::text::${type}`).join(', ')})`,
      [row, ...values],
    );
  }
  const columns = ['id', ...types.map((_, i) => `c${i}`)];
  const source = sourceOf({ edges: { mode: 'full', key: ['id'], columns } });
  await lake.run(source);
  const contract = (await lake.table('app', 'edges')).contract.columns.slice(1);
  assert.deepEqual(
    contract.map((column, i) => [types[i], column.duckdbType]),
    EDGES.map(([type, duckdbType]) => [type, duckdbType]),
  );
  await assertSame(
    'edges',
    types,
    EDGES.map(([, duckdbType]) => duckdbType),
  );
  assert.equal((await lake.run(source)).batch.drafts.length, 0, 'the same values compare equal');
});

test('a change that equality does not see is still a change', async () => {
  await lake.client.query(`create table app.fine (id int primary key, f float8, g float4, n numeric, c char(3), t text);
    insert into app.fine values (1, '0', '0', '1.1', 'a', 'é'), (2, 'NaN', 'NaN', 'NaN', null, '')`);
  const source = sourceOf({ fine: { mode: 'full', key: ['id'], columns: ['id', 'f', 'g', 'n', 'c', 't'] } });
  await lake.run(source);
  assert.equal((await lake.run(source)).batch.drafts.length, 0);
  const changes: readonly (readonly [string, unknown])[] = [
    [`f = '-0'`, { f: -0 }],
    [`g = '-0'`, { g: -0 }],
    [`n = '1.10'`, { n: '1.10' }],
    [`t = E'e\\u0301'`, { t: 'e\u0301' }],
    [`t = null`, { t: null }],
    [`t = ''`, { t: '' }],
  ];
  for (const [set, expected] of changes) {
    await lake.client.query(`update app.fine set ${set} where id = 1`);
    assert.equal((await lake.run(source)).tables['fine']?.updated, 1, set);
    const row = (await lake.rows('fine', 'id'))[0] ?? {};
    for (const [column, value] of Object.entries(expected as object)) assert.ok(Object.is(row[column], value), set);
  }
});

const MISFITS: readonly (readonly [string, string, RegExp])[] = [
  ['numeric(14,2)', 'NaN', /v of the row id = 7 is NaN \(numeric\(14,2\)\)/],
  ['timestamp', '294276-12-31 23:59:59.999999', /v of the row id = 7 is 294276-12-31 23:59:59.999999/],
  ['int4[]', '{{1,2},{3,NULL}}', /v of the row id = 7 is \{\{1,2\},\{3,NULL\}\} \(integer\[\]\)/],
  ['timestamptz', '294247-01-10 04:00:54.775807+00', /v of the row id = 7 is 294247-01-10 04:00:54.775807\+00/],
];
for (const [i, [type, value, message]] of MISFITS.entries()) {
  test(`${value} in a ${type} stops the run and names table, column, key and value; nothing is committed`, async () => {
    const name = `misfit${i}`;
    await lake.client.query(
      `create table app.${name} (id int primary key, v ${type}); insert into app.${name} values (1, null)`,
    );
    const source = sourceOf({ [name]: { mode: 'full', key: ['id'], columns: ['id', 'v'] } });
    const add = (): Promise<unknown> => lake.client.query(`insert into app.${name} values (7, $1)`, [value]);
    const stops = (): Promise<void> =>
      assert.rejects(lake.run(source), (error: unknown) => {
        assert.ok(isSluiceError(error, 'SOURCE_VALUE_UNREPRESENTABLE'), String(error));
        assert.match(error.message, message);
        assert.match(error.message, new RegExp(`app\\.${name}`));
        assert.ok(error.remedy);
        return true;
      });
    await add();
    const before = await lake.bronze.head('app');
    await stops(); // a first load
    await lake.client.query(`delete from app.${name} where id = 7`);
    await lake.run(source);
    await add();
    await stops(); // a comparison
    assert.equal(await lake.bronze.head('app'), before + 1);
  });
}

test('a table of one column keeps its NULLs, empty texts and row count', async () => {
  await lake.client.query(
    `create table app.one (v text); insert into app.one values (null), (''), (null), (E'\\n'), ('\\.'), (null)`,
  );
  await lake.run(sourceOf({ one: { mode: 'full', key: [], columns: ['v'] } }));
  const values = (await lake.rows('one')).map((row) => row['v']);
  assert.deepEqual(values.map(String).sort(), ['', '\n', '\\.', 'null', 'null', 'null']);
});

test('rows of many megabytes, with line breaks and quotes throughout, are carried', async () => {
  await lake.client.query(`create table app.wide (id int primary key, v text);
    insert into app.wide select i, repeat(E'"a\\n,\\r\\n' || i, i * 100000) from generate_series(1, 6) i;
    insert into app.wide select i, E'\\n"' || i from generate_series(7, 3000) i`);
  const source = sourceOf({ wide: { mode: 'full', key: ['id'], columns: ['id', 'v'] } });
  await lake.run(source);
  const { files, contract } = await lake.table('app', 'wide');
  assert.ok(files.length > 0);
  assert.equal(contract.columns.length, 2);
  const ours = (await lake.rows('wide', 'id')).map((row) => [
    row['id'],
    String(row['v']).length,
    String(row['v']).slice(-9),
  ]);
  const theirs = await lake.client.query<{ id: number; n: number; t: string }>(
    `select id, length(v) as n, right(v, 9) as t from app.wide order by id`,
  );
  assert.deepEqual(
    ours,
    theirs.rows.map((row) => [row.id, row.n, row.t]),
  );
  assert.equal((await lake.run(source)).batch.drafts.length, 0);
});

test('property: any row of any values comes back as Postgres holds it', async () => {
  const text = fc.string({ unit: 'grapheme', maxLength: 30 }).filter((value) => !value.includes('\0'));
  const hostile = fc
    .array(fc.constantFrom('"', '""', ',', '\n', '\r\n', '\r', '\\N', '\\.', "'", 'a', '', ' ', '\t', '\u2028', '😀'), {
      maxLength: 8,
    })
    .map((parts) => parts.join(''));
  const micros = fc
    .bigInt({ min: -210_866_803_200_000_000n, max: 9_223_371_331_200_000_000n })
    .map((us) => `epoch:${us}`);
  const decimal = fc
    .tuple(fc.bigInt({ min: -(10n ** 13n), max: 10n ** 13n }), fc.nat(99))
    .map(([a, b]) => `${a}.${String(b).padStart(2, '0')}`);
  const columns: readonly (readonly [string, fc.Arbitrary<string>])[] = [
    ['text', fc.oneof(text, hostile)],
    ['int8', fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String)],
    ['numeric(20,4)', decimal],
    ['numeric', fc.oneof(decimal, fc.double({ noNaN: false }).map(String))],
    ['float8', fc.double().map((value) => (Object.is(value, -0) ? '-0' : String(value)))],
    ['float4', fc.float().map((value) => (Object.is(value, -0) ? '-0' : String(value)))],
    ['bool', fc.boolean().map(String)],
    ['date', fc.integer({ min: -2_440_588, max: 2_145_042_905 }).map((days) => `days:${days}`)],
    ['timestamptz', micros],
    ['timestamp', micros],
    ['uuid', fc.uuid()],
    ['bytea', fc.uint8Array({ maxLength: 20 }).map((bytes) => `\\x${Buffer.from(bytes).toString('hex')}`)],
    ['jsonb', fc.json({ maxDepth: 2 }).filter((json) => !json.includes('\\u0000') && !/\\ud[89a-f]/i.test(json))],
    [
      'text[]',
      fc.array(fc.option(text), { maxLength: 4 }).map((list) =>
        JSON.stringify(list)
          .replace(/^\[(.*)\]$/s, '{$1}')
          .replaceAll('null', 'NULL'),
      ),
    ],
  ];
  const rowArbitrary = fc.tuple(...columns.map(([, arbitrary]) => fc.option(arbitrary, { nil: null, freq: 8 })));
  let run = 0;
  const types = columns.map(([type]) => type);
  await fc.assert(
    fc.asyncProperty(fc.array(rowArbitrary, { minLength: 1, maxLength: 25 }), async (rows) => {
      const table = `random${run++}`;
      await lake.client.query(
        `create table app.${table} (id int primary key, ${types.map((type, i) => `c${i} ${type}`).join(', ')})`,
      );
      for (const [id, row] of rows.entries()) {
        const places = row.map((value, i) => {
          if (value?.startsWith('epoch:'))
            return `'${types[i] === 'timestamp' ? 'epoch' : 'epoch'}'::${types[i]} + ($${i + 2}::text)::bigint * interval '1 microsecond'`;
          if (value?.startsWith('days:')) return `'epoch'::date + ($${i + 2}::text)::int`;
          return `$${i + 2}::text::${types[i]}`;
        });
        const values = row.map((value) => value?.replace(/^(epoch|days):/, '') ?? null);
        await lake.client.query(`insert into app.${table} values ($1, ${places.join(', ')})`, [id, ...values]);
      }
      const source = sourceOf({
        [table]: { mode: 'full', key: ['id'], columns: ['id', ...types.map((_, i) => `c${i}`)] },
      });
      await lake.run(source);
      await assertSame(
        table,
        types,
        (await lake.table('app', table)).contract.columns.slice(1).map((column) => column.duckdbType),
      );
      assert.equal((await lake.run(source)).batch.drafts.length, 0, 'read again, nothing differs');
    }),
    { numRuns: 25 },
  );
});
