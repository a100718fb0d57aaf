import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import pg from 'pg';
import type { TableContract } from '../../warehouse/core/bronze-table.ts';
import { openDuckDb } from '../../warehouse/core/duckdb.ts';
import { duckdbChecksumSql, duckdbText, postgresChecksumSql, postgresText } from '../../warehouse/extract/checksum.ts';
import { testDatabase } from '../support/postgres.ts';

/** Values as Postgres has them, and as they stand in Parquet. */
const CASES: readonly { pg: string; duckdb: string; values: readonly (readonly [string | null, string | null])[] }[] = [
  {
    pg: 'int[]',
    duckdb: 'INTEGER[]',
    values: [
      ['{1,-2,NULL}', '[1, -2, null]'],
      ['{}', '[]'],
      [null, null],
      ['{NULL}', '[null]'],
      ['[0:1]={7,8}', '[7, 8]'],
    ],
  },
  {
    pg: 'text[]',
    duckdb: 'VARCHAR[]',
    values: [
      ['{"a,b","",NULL,~,"1:x","é😀"}', "['a,b', '', null, '~', '1:x', 'é😀']"],
      ['{a,b}', "['a', 'b']"],
    ],
  },
  { pg: 'numeric(6,2)[]', duckdb: 'DECIMAL(6,2)[]', values: [['{1,-0.05,1234.50}', '[1.00, -0.05, 1234.50]']] },
  {
    pg: 'timestamptz[]',
    duckdb: 'TIMESTAMPTZ[]',
    values: [
      [
        '{infinity,2020-02-29 12:00:00.000001+02,0044-03-15 01:02:03+00 BC}',
        "['infinity', '2020-02-29 10:00:00.000001+00', '0044-03-15 (BC) 01:02:03+00']",
      ],
    ],
  },
  { pg: 'bool[]', duckdb: 'BOOLEAN[]', values: [['{t,f,NULL}', '[true, false, null]']] },
  {
    pg: 'float8[]',
    duckdb: 'DOUBLE[]',
    values: [['{NaN,-0,1e300,0.1,-Infinity}', "['NaN', -0.0::double, 1e300, 0.1, '-infinity']"]],
  },
  {
    pg: 'uuid[]',
    duckdb: 'UUID[]',
    values: [['{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}', "['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11']"]],
  },
  {
    pg: 'timetz',
    duckdb: 'STRUCT(t TIME, offset_s INTEGER)',
    values: [
      ['12:34:56.000001+05:30', "{t: '12:34:56.000001', offset_s: 19800}"],
      ['24:00:00-15:59:59', "{t: '24:00:00', offset_s: -57599}"],
      [null, null],
    ],
  },
  {
    pg: 'interval',
    duckdb: 'STRUCT("months" INTEGER, "days" INTEGER, micros BIGINT)',
    values: [
      ['1 year -13 days 02:03:04.5', '{months: 12, days: -13, micros: 7384500000}'],
      ['-13 months 40 days -100:00:00.000001', '{months: -13, days: 40, micros: -360000000001}'],
      ['0', '{months: 0, days: 0, micros: 0}'],
      ['178000000 years', '{months: 2136000000, days: 0, micros: 0}'],
      ['2562047788:00:54.775807', '{months: 0, days: 0, micros: 9223372036854775807}'],
    ],
  },
  {
    pg: 'bytea',
    duckdb: 'BLOB',
    values: [
      ['\\x00ff7e5c27', "'\\x00\\xFF\\x7E\\x5C\\x27'"],
      ['\\x', "''"],
    ],
  },
  {
    pg: 'time',
    duckdb: 'TIME',
    values: [
      ['24:00:00', "'24:00:00'"],
      ['23:59:59.999999', "'23:59:59.999999'"],
      ['00:00', "'00:00:00'"],
    ],
  },
  {
    pg: 'oid',
    duckdb: 'UINTEGER',
    values: [
      ['4294967295', '4294967295'],
      ['0', '0'],
    ],
  },
  { pg: 'xid8', duckdb: 'UBIGINT', values: [['18446744073709551615', '18446744073709551615']] },
  {
    pg: 'money',
    duckdb: 'DECIMAL(19,2)',
    values: [
      ['-92233720368547758.08', '-92233720368547758.08'],
      ['1.5', '1.50'],
      ['0', '0'],
    ],
  },
  {
    pg: 'numeric',
    duckdb: 'DECIMAL(38,10)',
    values: [
      ['1.5', '1.5'],
      ['-12345678901234567890.0000000001', '-12345678901234567890.0000000001'],
      ['0.000', '0'],
    ],
  },
  { pg: 'numeric(5,-2)', duckdb: 'DECIMAL(7,0)', values: [['123456', '123500']] },
  { pg: 'jsonb', duckdb: 'JSON', values: [['{"b": 1, "a": [null]}', `'{"a": [null], "b": 1}'`]] },
  {
    pg: 'date',
    duckdb: 'DATE',
    values: [
      ['5874897-12-31', "'5874897-12-31'"],
      ['infinity', "'infinity'"],
      ['0001-01-01 BC', "'0001-01-01 (BC)'"],
    ],
  },
];

/** What Parquet holds when a value was lost on the way: none may look like the value. */
const LOST: readonly (readonly [pg: string, duckdb: string, there: string, here: string | null])[] = [
  ['int[]', 'INTEGER[]', '{{1,2},{3,4}}', '[1, 2, 3, 4]'],
  ['int[]', 'INTEGER[]', '{}', null],
  ['int[]', 'INTEGER[]', '{NULL}', '[]'],
  ['text[]', 'VARCHAR[]', '{"a,b"}', "['a', 'b']"],
  ['text[]', 'VARCHAR[]', '{"1:a,1:b"}', "['a', 'b']"],
  ['text[]', 'VARCHAR[]', '{NULL}', "['~']"],
  ['timetz', 'STRUCT(t TIME, offset_s INTEGER)', '10:00+02', "{t: '10:00:00', offset_s: -7200}"],
  ['timetz', 'STRUCT(t TIME, offset_s INTEGER)', '24:00+00', "{t: '00:00:00', offset_s: 0}"],
  ['interval', 'STRUCT(months INTEGER, days INTEGER, micros BIGINT)', '1 month', '{months: 0, days: 30, micros: 0}'],
  [
    'interval',
    'STRUCT(months INTEGER, days INTEGER, micros BIGINT)',
    '1 day',
    '{months: 0, days: 0, micros: 86400000000}',
  ],
  ['bytea', 'BLOB', '\\x00', "''"],
  ['money', 'DECIMAL(19,2)', '1.23', '123'],
  ['numeric', 'DECIMAL(38,2)', '1.005', '1.01'],
  ['numeric', 'DECIMAL(38,2)', '1.005', '1.00'],
  ['numeric', 'DECIMAL(38,2)', 'NaN', '0'],
  ['oid', 'UINTEGER', '4294967295', '0'],
];

test('every type of the contract has one text on both sides, and a value that changed on the way another', async (t) => {
  const database = await testDatabase();
  t.after(() => database.drop());
  const dir = await mkdtemp(join(tmpdir(), 'sluice-checksum-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  const db = await openDuckDb();
  let count = 0;
  /** As a row of Parquet that DuckDB wrote. */
  const inParquet = async (type: string, values: readonly (string | null)[]): Promise<string> => {
    const path = join(dir, `${count++}.parquet`);
    const rows = values.map((value, i) => `select ${i} as i, (${value ?? 'null'})::${type} as v`);
    await db.run(`copy (${rows.join(' union all ')}) to '${path}' (format parquet)`);
    return `(select i, v::${type} as v from read_parquet('${path}'))`;
  };
  const inPostgres = (type: string, values: readonly (string | null)[]): string =>
    `(${values.map((value, i) => `select ${i} as i, ${value === null ? 'null' : pg.escapeLiteral(value)}::${type} as v`).join(' union all ')}) t`;
  try {
    await client.query("set timezone = 'Asia/Kathmandu'; set extra_float_digits = 0");
    await db.run("set timezone = 'America/New_York'");
    for (const { pg: postgresType, duckdb: duckdbType, values } of CASES) {
      const column = { name: 'v', postgresType, duckdbType, nullable: true, policy: 'error' } as const;
      const there = inPostgres(
        postgresType,
        values.map(([value]) => value),
      );
      const here = await inParquet(
        duckdbType,
        values.map(([, value]) => value),
      );
      const theirs = await client.query<{ text: string }>(
        `select case when v is not null then ${postgresText('v', column)} end as text from ${there} order by i`,
      );
      const ours = await db.rows<{ text: string }>(
        `select case when v is not null then ${duckdbText('v', column)} end as text from ${here} order by i`,
      );
      assert.deepEqual(
        ours,
        theirs.rows.map(({ text }) => ({ text })),
        postgresType,
      );
      const contract: TableContract = { key: [], columns: [column] };
      const [sums] = (await client.query(postgresChecksumSql(contract, there))).rows as unknown[];
      assert.deepEqual((await db.rows(duckdbChecksumSql(contract, here)))[0], sums, postgresType);
    }
    for (const [postgresType, duckdbType, there, lost] of LOST) {
      const column = { name: 'v', postgresType, duckdbType, nullable: true, policy: 'error' } as const;
      const contract: TableContract = { key: [], columns: [column] };
      const [theirs] = (await client.query(postgresChecksumSql(contract, inPostgres(postgresType, [there]))))
        .rows as unknown[];
      const [ours] = await db.rows(duckdbChecksumSql(contract, await inParquet(duckdbType, [lost])));
      assert.notDeepEqual(ours, theirs, `${postgresType} ${there} as ${lost}`);
    }
  } finally {
    db.close();
    await client.end();
  }
});
