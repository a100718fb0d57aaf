import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import pg from 'pg';
import { type TestDatabase, testDatabase } from '../../support/postgres.ts';
import { roundTrip } from './round-trip.ts';

/** Every type through COPY, decoder, encoder and DuckDB, compared value by value with what Postgres says. */

let database: TestDatabase;
let client: pg.Client;
before(async () => {
  database = await testDatabase();
  client = new pg.Client({ connectionString: database.url });
  await client.connect();
  await client.query(`create type mood as enum ('so, so', 'it''s "fine"', 'ok');
    create domain amount as numeric(10,2); create domain nested as amount check (value > -1000); create domain tags as text[];
    create domain amounts as amount[]; create type pair as (a int, b text); create schema other; create type other.int4 as (a int);
    create type printed as (a int); create function printed_text(printed) returns text language sql immutable as $$ select 'not as it prints' $$;
    create cast (printed as text) with function printed_text(printed)`);
});
after(async () => {
  await client.end();
  await database.drop();
});

interface Edge {
  readonly type: string;
  readonly duckdb: string;
  readonly values: readonly string[];
}

const edge = (type: string, duckdb: string, ...values: readonly string[]): Edge => ({ type, duckdb, values });

const BINARY: readonly Edge[] = [
  edge('bool', 'BOOLEAN', 'true', 'false'),
  edge('int2', 'SMALLINT', '-32768', '32767', '0'),
  edge('int4', 'INTEGER', '-2147483648', '2147483647', '-1'),
  edge('int8', 'BIGINT', '-9223372036854775808', '9223372036854775807', '9007199254740993', '-1', '4294967296'),
  edge('oid', 'UINTEGER', '4294967295', '0', '2147483648'),
  edge('xid', 'UINTEGER', '4294967295'),
  edge('cid', 'UINTEGER', '4000000000'),
  edge('xid8', 'UBIGINT', '18446744073709551615', '9223372036854775808', '0'),
  edge('float4', 'FLOAT', 'NaN', 'Infinity', '-Infinity', '-0', '1e-45', '3.4028235e38', '131070.237689', '0.1'),
  edge('float8', 'DOUBLE', 'NaN', 'Infinity', '-Infinity', '-0', '5e-324', '1.7976931348623157e308', '0.1', '1e23'),
  edge('numeric(14,2)', 'DECIMAL(14,2)', '-999999999999.99', '999999999999.99', '0', '-0.01', '1.10', '10000', '0.99'),
  edge('numeric(9,4)', 'DECIMAL(9,4)', '99999.9999', '-99999.9999', '0.0001', '10000'),
  edge('numeric(15,0)', 'DECIMAL(15,0)', '999999999999999', '-999999999999999', '1', '100000000'),
  edge('numeric(18,4)', 'DECIMAL(18,4)', '99999999999999.9999', '-99999999999999.9999', '0.0001', '-0.0001'),
  edge('numeric(19,0)', 'DECIMAL(19,0)', '9999999999999999999', '-9999999999999999999', '0', '-1', '4294967296'),
  edge('numeric(38,10)', 'DECIMAL(38,10)', '-9999999999999999999999999999.9999999999', '0.0000000001', '1', '-1'),
  edge(
    'numeric(38,0)',
    'DECIMAL(38,0)',
    '99999999999999999999999999999999999999',
    '-99999999999999999999999999999999999999',
  ),
  edge('numeric(5,-2)', 'DECIMAL(7,0)', '9999900', '-9999900', '1234567', '-50', '0'),
  edge('numeric(5,8)', 'DECIMAL(8,8)', '0.00099999', '-0.00099999', '0.00000001', '0'),
  edge('money', 'DECIMAL(19,2)', '-92233720368547758.08', '92233720368547758.07', '0', '-0.01'),
  edge(
    'text',
    'VARCHAR',
    '',
    ' ',
    '\\N',
    'NULL',
    '"',
    '\r\n',
    '😀é中',
    'e\u0301',
    'abc',
    'abcd',
    'abcde',
    'abcde',
    'x'.repeat(300),
  ),
  edge('varchar(5)', 'VARCHAR', '', 'abcde', 'a   '),
  edge('char(4)', 'VARCHAR', 'ab', '', 'abcd', ' a'),
  edge('name', 'VARCHAR', 'x', ''),
  edge('bytea', 'BLOB', '', '\\x00ff0a0d22', '\\xdeadbeef', `\\x${'00ff'.repeat(400)}`),
  edge(
    'uuid',
    'UUID',
    '00000000-0000-0000-0000-000000000000',
    'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF',
    '0123456789abcdef8edcba9876543210',
  ),
  edge(
    'date',
    'DATE',
    'infinity',
    '-infinity',
    '4714-11-24 BC',
    '0001-12-31 BC',
    '5874897-12-31',
    '1582-10-10',
    '2000-01-01',
  ),
  edge(
    'timestamp',
    'TIMESTAMP',
    'infinity',
    '-infinity',
    '4714-11-24 00:00:00 BC',
    '0044-03-15 10:11:12.131415 BC',
    '294247-01-10 04:00:54.775806',
    '1969-12-31 23:59:59.999999',
    '1999-12-31 23:59:59.999999',
  ),
  edge(
    'timestamptz',
    'TIMESTAMPTZ',
    'infinity',
    '-infinity',
    '4714-11-24 00:00:00+00 BC',
    '294247-01-10 04:00:54.775806+00',
    '2020-01-01 00:00:00.000001-12:34:56',
  ),
  edge('time', 'TIME', '24:00:00', '00:00:00', '23:59:59.999999', '12:00:00.5'),
  edge(
    'timetz',
    'STRUCT(t TIME, offset_s INTEGER)',
    '24:00:00+02',
    '12:34:56.789+15:59:59',
    '00:00:00-15:59:59',
    '01:02:03+00',
  ),
  edge(
    'interval',
    'STRUCT("months" INTEGER, "days" INTEGER, micros BIGINT)',
    '1 year 2 mons 3 days 04:05:06.123456',
    '-2 days',
    '-178000000 secs',
    '1 mon -1 day',
    '0',
  ),
  edge(
    'json',
    'VARCHAR',
    '{"n": 12345678901234567890123456789,  "n": -0, "d": 1.0}',
    'null',
    '"a\\u0000b"',
    '{"a":\n1}',
  ),
  edge('jsonb', 'VARCHAR', '{"n": 12345678901234567890123456789.10}', 'null', '"text"', '1e400', '{}'),
  edge('mood', 'VARCHAR', 'so, so', 'it\'s "fine"'),
  edge('nested', 'DECIMAL(10,2)', '1.10', '-999.99'),
  edge('bool[]', 'BOOLEAN[]', '{}', '{true,NULL,false}', '{NULL}'),
  edge('int4[]', 'INTEGER[]', '{}', '{1,NULL,-2147483648}', '[0:1]={1,2}', '{NULL}'),
  edge('int8[]', 'BIGINT[]', '{9223372036854775807,-9223372036854775808}'),
  edge('float8[]', 'DOUBLE[]', '{NaN,-0,Infinity,NULL}'),
  edge('text[]', 'VARCHAR[]', '{}', '{NULL,"NULL",""}', '{"a,b","c\\"d"}', `{${'y'.repeat(400)},z}`),
  edge('uuid[]', 'UUID[]', '{00000000-0000-0000-0000-000000000001,NULL}'),
  edge('date[]', 'DATE[]', '{infinity,-infinity,2020-02-29,NULL}'),
  edge('timestamptz[]', 'TIMESTAMPTZ[]', '{infinity,2020-02-29 00:00:00+00}'),
  edge('numeric(10,2)[]', 'DECIMAL(10,2)[]', '{1.10,NULL,-99999999.99}'),
  edge('numeric(30,3)[]', 'DECIMAL(30,3)[]', '{1.10,NULL,-999999999999999999999999999.999}'),
  edge('bytea[]', 'BLOB[]', '{"\\\\x00ff",""}'),
  edge('jsonb[]', 'VARCHAR[]', '{"{\\"a\\": 1}",null}'),
  edge('time[]', 'TIME[]', '{24:00:00,NULL}'),
  edge('mood[]', 'VARCHAR[]', '{ok,NULL}'),
  edge('tags', 'VARCHAR[]', '{a,NULL}'),
  edge('amounts', 'DECIMAL(10,2)[]', '{1.10,NULL}'),
];

const PRINTED: readonly Edge[] = [
  edge('numeric', 'VARCHAR', '1.10', '1e-16383', `1${'0'.repeat(200)}.5`, 'NaN', 'Infinity', '-Infinity'),
  edge('numeric(39,0)', 'VARCHAR', '999999999999999999999999999999999999999', 'NaN'),
  edge('numeric[]', 'VARCHAR', '{1.10,NaN}'),
  edge('inet', 'VARCHAR', '10.0.0.1', '10.0.0.0/8', '::1'),
  edge('cidr', 'VARCHAR', '10.0.0.0/8', '::/0'),
  edge('macaddr', 'VARCHAR', '08:00:2b:01:02:03'),
  edge('bit(3)', 'VARCHAR', '010', '000'),
  edge('varbit', 'VARCHAR', '', '0001'),
  edge('point', 'VARCHAR', '(0.1,-1e300)'),
  edge('int4range', 'VARCHAR', 'empty', '(,)', '[1,5)'),
  edge('tstzrange', 'VARCHAR', '[2019-03-31 15:30:00+00,infinity)'),
  edge('int4multirange', 'VARCHAR', '{[1,2),[3,4)}'),
  edge('xml', 'VARCHAR', '<a b="c">\n</a>', '<?xml version="1.0" encoding="ISO-8859-1"?><é/>'),
  edge('pg_lsn', 'VARCHAR', '16/B374D848'),
  edge('tsvector', 'VARCHAR', "'a':1 'b c':2"),
  edge('"char"', 'VARCHAR', 'a', '', '\\377'),
  edge('int2vector', 'VARCHAR', '1 2 3'),
  edge('regclass', 'VARCHAR', 'pg_class'),
  edge('pair', 'VARCHAR', '(1,)', '(,"a ""b")', '(,)'),
  edge('pair[]', 'VARCHAR', '{"(1,x)",NULL}'),
  edge('inet[]', 'VARCHAR', '{10.0.0.1,10.0.0.0/8}'),
  edge('interval[]', 'VARCHAR', '{1 day,NULL}'),
  edge('other.int4', 'VARCHAR', '(1)'),
  edge('other.int4[]', 'VARCHAR', '{(1)}'),
  edge('printed', 'VARCHAR', '(7)'),
];

async function createEdges(table: string, edges: readonly Edge[]): Promise<void> {
  await client.query(
    `create table ${table} (id int primary key, ${edges.map((e, i) => `c${i} ${e.type}`).join(', ')})`,
  );
  const most = Math.max(...edges.map((e) => e.values.length));
  for (let row = 0; row <= most; row++) {
    const places = edges.map((e, i) => `$${i + 2}::text::${e.type}`);
    const values = edges.map((e) => e.values[row] ?? null);
    await client.query(`insert into ${table} values ($1, ${places.join(', ')})`, [row, ...values]);
  }
}

const expectedTypes = (edges: readonly Edge[]): Record<string, string> =>
  Object.fromEntries([['id', 'INTEGER'], ...edges.map((e, i): [string, string] => [`c${i}`, e.duckdb])]);

const ODD = `set TimeZone = 'Asia/Kathmandu'; set DateStyle = 'German, DMY'; set IntervalStyle = 'sql_standard'; set bytea_output = 'escape'; set extra_float_digits = -3`;

test('every type with a binary form arrives as its contract says, whatever the session prints like', async () => {
  await createEdges('edges', BINARY);
  const { ours, theirs, types, result } = await roundTrip(database.url, 'edges', { before: ODD });
  assert.deepEqual(types, expectedTypes(BINARY));
  assert.equal(result.rows, theirs.length);
  assert.deepEqual(ours, theirs);
});

test('every other type arrives as Postgres prints it', async () => {
  await createEdges('printed_edges', PRINTED);
  const { ours, theirs, types } = await roundTrip(database.url, 'printed_edges');
  assert.deepEqual(types, expectedTypes(PRINTED));
  assert.deepEqual(ours, theirs);
});

test('any column is carried as text where its policy says so', async () => {
  const policies = Object.fromEntries(BINARY.map((_, i) => [`c${i}`, 'text' as const]));
  const { ours, theirs, types } = await roundTrip(database.url, 'edges', { policies });
  assert.deepEqual(new Set(Object.values(types)), new Set(['INTEGER', 'VARCHAR']));
  assert.deepEqual(ours, theirs);
});

test('a property: random rows of every type are what Postgres says they are', async () => {
  const text = fc.string({ unit: 'grapheme', maxLength: 40 }).filter((value) => !value.includes('\0'));
  const some = fc.constantFrom('EUR', 'USD', 'a longer label that repeats', '', 'x');
  const julian = (most: number): fc.Arbitrary<string> => fc.integer({ min: 0, max: most }).map((day) => `J${day}`);
  const clock = fc
    .integer({ min: 0, max: 86_399 })
    .map((s) => [s / 3600, (s / 60) % 60, s % 60].map(Math.floor).join(':'));
  const micros = fc.nat(999_999).map((value) => String(value).padStart(6, '0'));
  const moment = fc.tuple(julian(109_192_578), clock, micros).map(([d, t, us]) => `${d} ${t}.${us}`);
  const decimal = (digits: number, scale: number): fc.Arbitrary<string> =>
    fc
      .tuple(fc.bigInt({ min: 0n, max: 10n ** BigInt(digits) - 1n }), fc.nat(digits), fc.boolean())
      .map(([value, cut, minus]) => {
        const shown = String(value)
          .slice(0, Math.max(1, digits - cut))
          .padStart(scale + 1, '0');
        return `${minus ? '-' : ''}${scale === 0 ? shown : `${shown.slice(0, -scale)}.${shown.slice(-scale)}`}`;
      });
  const list = (item: fc.Arbitrary<string>): fc.Arbitrary<string> =>
    fc
      .array(fc.option(item.map((value) => JSON.stringify(value))), { maxLength: 5 })
      .map((items) => `{${items.map((value) => value ?? 'NULL').join(',')}}`);
  const columns: readonly (readonly [string, fc.Arbitrary<string>])[] = [
    ['bool', fc.boolean().map(String)],
    ['int2', fc.integer({ min: -32_768, max: 32_767 }).map(String)],
    ['int4', fc.integer().map(String)],
    ['int8', fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String)],
    ['oid', fc.nat(4_294_967_295).map(String)],
    ['xid8', fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(String)],
    ['float4', fc.float().map((value) => (Object.is(value, -0) ? '-0' : String(value)))],
    ['float8', fc.double().map((value) => (Object.is(value, -0) ? '-0' : String(value)))],
    ['numeric(4,1)', decimal(4, 1)],
    ['numeric(14,2)', decimal(14, 2)],
    ['numeric(15,15)', decimal(15, 15)],
    ['numeric(18,4)', decimal(18, 4)],
    ['numeric(19,0)', decimal(19, 0)],
    ['numeric(38,10)', decimal(38, 10)],
    ['numeric(38,38)', decimal(38, 38)],
    ['numeric(5,-2)', decimal(6, 0)],
    [
      'numeric(5,8)',
      decimal(5, 0).map((value) => value.replace(/(\d+)/, (digits) => `0.000${digits.padStart(5, '0')}`)),
    ],
    ['money', decimal(17, 2).map((value) => value.replace(/^-?9{1,2}/, ''))],
    ['text', fc.oneof(text, some)],
    ['text', some],
    ['char(6)', fc.string({ unit: 'grapheme-ascii', maxLength: 6 }).filter((value) => !value.includes('\0'))],
    ['bytea', fc.uint8Array({ maxLength: 20 }).map((bytes) => `\\x${Buffer.from(bytes).toString('hex')}`)],
    ['uuid', fc.uuid()],
    ['date', julian(2_147_483_493)],
    ['timestamp', moment],
    ['timestamptz', moment],
    ['time', fc.tuple(clock, micros).map(([t, us]) => `${t}.${us}`)],
    [
      'timetz',
      fc
        .tuple(clock, fc.integer({ min: -57_599, max: 57_599 }))
        .map(
          ([t, off]) =>
            `${t}${off < 0 ? '-' : '+'}${[Math.abs(off) / 3600, (Math.abs(off) / 60) % 60, Math.abs(off) % 60].map((part) => String(Math.floor(part)).padStart(2, '0')).join(':')}`,
        ),
    ],
    [
      'interval',
      fc
        .tuple(fc.integer({ min: -100_000, max: 100_000 }), fc.integer(), fc.integer(), micros)
        .map(([m, d, s, us]) => `${m} mons ${d} days ${s}.${us} secs`),
    ],
    ['jsonb', fc.json({ maxDepth: 2 }).filter((json) => !json.includes('\\u0000') && !/\\ud[89a-f]/i.test(json))],
    ['mood', fc.constantFrom('so, so', 'ok')],
    ['int4[]', list(fc.integer().map(String))],
    ['text[]', list(text)],
    ['numeric(30,3)[]', list(decimal(30, 3))],
  ];
  const row = fc.tuple(...columns.map(([, arbitrary]) => fc.option(arbitrary, { nil: null, freq: 6 })));
  let run = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(row, { minLength: 1, maxLength: 40 }),
      fc.integer({ min: 1, max: 40 }),
      async (rows, groupRows) => {
        const table = `random${run++}`;
        await client.query(
          `create table ${table} (id int primary key, ${columns.map(([type], i) => `c${i} ${type}`).join(', ')})`,
        );
        const lists = columns.map((_, i) => rows.map((values) => values[i] ?? null));
        await client.query(
          `insert into ${table} select u.n, ${columns.map(([type], i) => `u.c${i}::${type}`).join(', ')}
           from unnest(${columns.map((_, i) => `$${i + 1}::text[]`).join(', ')}) with ordinality as u (${columns.map((_, i) => `c${i}`).join(', ')}, n)`,
          lists,
        );
        const { ours, theirs } = await roundTrip(database.url, table, { before: ODD, limits: { rows: groupRows } });
        assert.deepEqual(ours, theirs);
        await client.query(`drop table ${table}`);
      },
    ),
    { numRuns: 15, seed: 20_261_121 },
  );
});
