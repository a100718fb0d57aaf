import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openDuckDb } from '../../warehouse/core/duckdb.ts';
import { quoteLiteral } from '../../warehouse/core/quote.ts';
import { latestInstant } from '../../warehouse/extract/column-range.ts';
import { duckdbInstant, readInstant } from '../../warehouse/extract/instant.ts';
import { sourceOf, type TestLake, testLake } from './lake.ts';

let lake: TestLake;
before(async () => {
  lake = await testLake();
});
after(() => lake[Symbol.asyncDispose]());

const KEYS: Readonly<Record<string, readonly string[]>> = {
  int2: ['-32768', '5', '32767'],
  int4: ['-2147483648', '0', '2147483647'],
  int8: ['-9223372036854775808', '9223372036854775807', '12'],
  oid: ['0', '7', '4294967295'],
  xid8: ["'18446744073709551615'", "'1'"],
  uuid: ["'00000000-0000-0000-0000-000000000001'", "'ffffffff-ffff-4fff-bfff-fffffffffffe'"],
  text: ["'b'", "''", "'Łukasz'", "'z𝄞'"],
  varchar: [`repeat('ä', 40)`, `repeat('ä', 41)`],
  'numeric(20,2)': ['-1.10', '7.05', '123456789012345678.90'],
  date: ["'0044-03-15 BC'", "'2024-02-29'", "'infinity'"],
  timestamptz: ["'2024-02-29 00:00:00.5+00'", "'1969-12-31 23:59:59.999999+00'"],
  timestamp: ["'2024-02-29 00:00:00.5'", "'1969-12-31 23:59:59.999999'"],
  float8: ["'NaN'", '1', '-0'],
  bool: ['true', 'false'],
  bytea: ["'\\x00ff'", "'\\xff'"],
};

test('a commit names the range of each kind of key as DuckDB prints it', async () => {
  const names = Object.keys(KEYS).map((_, index) => `k${index}`);
  for (const [index, [type, values]] of Object.entries(KEYS).entries()) {
    await lake.client.query(`create table app.k${index} (id ${type} primary key);
      insert into app.k${index} values ${values.map((value) => `(${value})`).join(', ')}`);
  }
  const source = sourceOf(
    Object.fromEntries(names.map((name) => [name, { mode: 'full', key: ['id'], columns: ['id'] }])),
  );
  await lake.run(source);
  const db = await openDuckDb();
  try {
    for await (const commit of lake.bronze.commits('app')) {
      assert.equal(Object.keys(commit.tables).length, names.length);
      for (const [name, table] of Object.entries(commit.tables)) {
        const [file] = table.files;
        const path = await lake.store.toLocalFile(file?.key ?? '');
        const [row] = await db.rows(
          `select min(id)::varchar as low, max(id)::varchar as high from read_parquet(${quoteLiteral(path)})`,
        );
        assert.deepEqual({ low: file?.keyMin, high: file?.keyMax }, row, name);
      }
    }
  } finally {
    db.close();
  }
});

test('the latest instant is told in microseconds, or not at all', () => {
  const range = (...micros: bigint[]) =>
    micros.map((value) => {
      const bytes = Buffer.alloc(8);
      bytes.writeBigInt64LE(value);
      return {
        type: { kind: 'timestamp', utc: true },
        extent: { min: bytes, max: bytes, minExact: true, maxExact: true },
      } as const;
    });
  const none = { type: { kind: 'timestamp', utc: true }, extent: 'nothing' } as const;
  assert.equal(latestInstant([]), null);
  assert.equal(latestInstant([none]), null);
  assert.equal(latestInstant([none, ...range(1n, 1_700_000_000_000_001n)]), '2023-11-14T22:13:20.000001Z');
  assert.equal(latestInstant(range(-1n)), '1969-12-31T23:59:59.999999Z');
  assert.equal(latestInstant(range(2n ** 63n - 1n)), undefined);
  assert.equal(latestInstant(range(-(2n ** 63n) + 1n)), undefined);
  assert.equal(latestInstant([undefined]), undefined);
  assert.equal(latestInstant([{ type: { kind: 'int64' }, extent: 'nothing' }]), undefined);
});

test('instants are read and printed as DuckDB does', async () => {
  const db = await openDuckDb();
  try {
    const texts = [
      '2026-11-21 21:49:28.123456+00',
      '2026-11-21 21:49:28+00',
      '2026-11-21T21:49:28.500000Z',
      '1969-12-31 23:59:59.9+00',
      '0001-01-01 00:00:00+00',
      '9999-12-31 23:59:59.999999+00',
      '2024-02-29 00:00:00.00001+00',
    ];
    for (const text of texts) {
      const micros = readInstant(text);
      assert.ok(micros !== undefined, text);
      const [row] = await db.rows('select epoch_us($1::timestamptz) as micros, $1::timestamptz::varchar as text', [
        text,
      ]);
      assert.deepEqual({ micros, text: duckdbInstant(micros) }, row);
    }
    for (const text of [
      'infinity',
      '0044-03-15 00:00:00+00 BC',
      '10000-01-01 00:00:00+00',
      '2026-11-21 21:49:28+02',
      '',
    ]) {
      assert.equal(readInstant(text), undefined, text);
    }
  } finally {
    db.close();
  }
});
