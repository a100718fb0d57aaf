import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import pg from 'pg';
import { isSluiceError } from '../../../warehouse/core/errors.ts';
import type { QuarantinedRow } from '../../../warehouse/extract/copy/misfit.ts';
import { type TestDatabase, testDatabase } from '../../support/postgres.ts';
import { roundTrip } from './round-trip.ts';

/** Values that a Parquet type cannot hold: stop, leave the row out, or carry the column as text. */

let database: TestDatabase;
let client: pg.Client;
before(async () => {
  database = await testDatabase();
  client = new pg.Client({ connectionString: database.url });
  await client.connect();
});
after(async () => {
  await client.end();
  await database.drop();
});

/** Type, value, what it is printed as, and why it does not fit. */
const MISFITS: readonly (readonly [string, string, string, RegExp])[] = [
  ['numeric(14,2)', 'NaN', 'NaN', /^DECIMAL\(14,2\) has no NaN$/],
  ['numeric(30,2)', 'NaN', 'NaN', /^DECIMAL\(30,2\) has no NaN$/],
  ['timestamp', '294276-12-31 23:59:59.999999', '294276-12-31 23:59:59.999999', /^TIMESTAMP ends at/],
  ['timestamp', '294247-01-10 04:00:54.775807', '294247-01-10 04:00:54.775807', /^TIMESTAMP ends at/],
  ['timestamptz', '294247-01-10 04:00:54.775807+00', '294247-01-10 04:00:54.775807+00', /^TIMESTAMPTZ ends at/],
  ['interval', 'infinity', 'infinity', /^STRUCT.* has no infinity$/],
  ['interval', '-infinity', '-infinity', /^STRUCT.* has no infinity$/],
  ['int4[]', '{{1,2},{3,NULL}}', '{{1,2},{3,NULL}}', /^a list has one dimension, the value 2$/],
  ['text[]', '{{{a,"b c"}}}', '{{{a,"b c"}}}', /^a list has one dimension, the value 3$/],
  ['numeric(10,2)[]', '{1.00,NaN}', '{1.00,NaN}', /^DECIMAL\(10,2\) has no NaN$/],
  ['timestamptz[]', '{NULL,294276-01-01 00:00:00+00}', '{NULL,"294276-01-01 00:00:00+00"}', /^TIMESTAMPTZ ends at/],
];
for (const [i, [type, value, shown, reason]] of MISFITS.entries()) {
  const table = `misfit${i}`;
  const create = async (): Promise<void> => {
    await client.query(`create table ${table} (id int8 primary key, other text, v ${type}, last text);
      insert into ${table} select k, 'o' || k, null, 'l' || k from generate_series(1, 5000) k`);
    await client.query(`update ${table} set v = $1::text::${type} where id in (1, 3000, 5000)`, [value]);
  };

  test(`${value} in a ${type} stops, is left out, or comes as text, as the policy says`, async () => {
    await create();
    await assert.rejects(roundTrip(database.url, table, { limits: { rows: 700 } }), (error: unknown) => {
      assert.ok(isSluiceError(error, 'SOURCE_VALUE_UNREPRESENTABLE'), String(error));
      assert.ok(
        error.message.includes(
          `The table public.${table} holds a value that cannot be carried unchanged: v of the row id = `,
        ),
        error.message,
      );
      assert.ok(error.message.includes(` is ${shown} (`), error.message);
      assert.match(error.remedy ?? '', /unrepresentable: \{ v: 'text' \}/);
      assert.equal(error.details['column'], 'v');
      return true;
    });

    const left: QuarantinedRow[] = [];
    const { ours, theirs, result } = await roundTrip(database.url, table, {
      policies: { v: 'quarantine' },
      limits: { rows: 700 },
      onQuarantine: (row) => left.push(row),
    });
    assert.deepEqual(
      left.map((row) => String(row.key[0])).sort((a, b) => a.localeCompare(b)),
      ['1', '3000', '5000'],
    );
    for (const row of left) {
      assert.deepEqual([row.column, row.value], ['v', shown]);
      assert.match(row.reason, reason);
    }
    assert.deepEqual([result.rows, result.quarantined], [4_997, 3]);
    const out = new Set(left.map((row) => row.key[0]));
    assert.deepEqual(
      ours,
      theirs.filter((row) => !out.has(String(row['id']))),
    );

    const text = await roundTrip(database.url, table, { policies: { v: 'text' } });
    assert.equal(text.types['v'], 'VARCHAR');
    assert.deepEqual(text.ours, text.theirs);
  });
}

test('the key of a row left out reads as Postgres prints it, whatever its types', async () => {
  const types = [
    'int2',
    'int8',
    'uuid',
    'text',
    'date',
    'date',
    'timestamptz',
    'timestamp',
    'numeric(20,4)',
    'numeric(20,4)',
    'bool',
    'time',
    'timetz',
    'money',
    'bytea',
    'oid',
    'inet',
  ];
  const values = [
    '-3',
    '9007199254740993',
    '0123456789abcdef8edcba9876543210',
    'é "x"',
    '0044-03-15 BC',
    '2024-02-29',
    '1999-12-31 23:59:59.5+00',
    '4714-11-24 00:00:00 BC',
    '-12345.0600',
    '0.0001',
    'true',
    '24:00:00',
    '12:34:56.789-05:30',
    '-1234.50',
    '\\x00ff',
    '4294967295',
    '10.0.0.1',
  ];
  await client.query(
    `create table keyed (id int, v numeric(5,2), ${types.map((type, i) => `k${i} ${type}`).join(', ')})`,
  );
  await client.query(
    `insert into keyed values (1, 'NaN', ${types.map((type, i) => `$${i + 1}::text::${type}`).join(', ')})`,
    values,
  );
  const left: QuarantinedRow[] = [];
  await roundTrip(database.url, 'keyed', {
    policies: { v: 'quarantine' },
    key: types.map((_, i) => `k${i}`),
    onQuarantine: (row) => left.push(row),
  });
  await client.query(`set TimeZone = 'UTC'`);
  const { rows } = await client.query({
    text: `select ${types.map((type, i) => (type === 'money' ? `k${i}::numeric::text` : `format('%s', k${i})`)).join(', ')} from keyed`,
    rowMode: 'array',
  });
  assert.deepEqual(left[0]?.key, rows[0]);
});

test('two columns that quarantine, a long value and rows without misfits: each row is reported once, the value cut', async () => {
  await client.query(`create table twice (id int primary key, a numeric(5,2), b text[]);
    insert into twice values (1, 'NaN', '{{x}}'), (2, 1.5, null), (3, null, array[array[repeat('y', 5000), 'z']]), (4, null, '{x}')`);
  const left: QuarantinedRow[] = [];
  const { ours, result } = await roundTrip(database.url, 'twice', {
    policies: { a: 'quarantine', b: 'quarantine' },
    onQuarantine: (row) => left.push(row),
  });
  assert.deepEqual(
    left.map((row) => [row.key, row.column, row.value.length]),
    [
      [['1'], 'a', 3],
      [['3'], 'b', 1_000],
    ],
  );
  assert.deepEqual(
    ours.map((row) => row['id']),
    ['2', '4'],
  );
  assert.deepEqual([result.rows, result.quarantined], [2, 2]);
});

test('bytes that are no UTF-8, from a server that does not check, stop the run or are left out', async () => {
  const name = `sluice_test_${process.pid}_ascii`;
  await client.query(
    `create database ${name} template template0 encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C' locale_provider 'libc'`,
  );
  const url = new URL(database.url);
  url.pathname = `/${name}`;
  const ascii = new pg.Client({ connectionString: url.href });
  await ascii.connect();
  try {
    await ascii.query(`create table t (id int primary key, v text, l text[]);
      insert into t values (1, 'é', '{é}'), (2, convert_from('\\xff41', 'SQL_ASCII'), null), (3, 'x', array[convert_from('\\xc3', 'SQL_ASCII')])`);
    await assert.rejects(
      roundTrip(url.href, 't', { oracle: false }),
      (error: unknown) =>
        isSluiceError(error, 'SOURCE_VALUE_UNREPRESENTABLE') && /v of the row id = 2/.test(error.message),
    );
    const left: QuarantinedRow[] = [];
    const { result } = await roundTrip(url.href, 't', {
      oracle: false,
      policies: { v: 'quarantine', l: 'quarantine' },
      onQuarantine: (row) => left.push(row),
    });
    assert.deepEqual(
      left.map((row) => [row.key[0], row.column, row.reason]),
      [
        ['2', 'v', 'it is not UTF-8'],
        ['3', 'l', 'it is not UTF-8'],
      ],
    );
    assert.equal(result.rows, 1);
  } finally {
    await ascii.end();
    await client.query(`drop database ${name} with (force)`);
  }
});
