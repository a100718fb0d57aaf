import assert from 'node:assert/strict';
import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { after, before, test } from 'node:test';
import { to as copyTo } from 'pg-copy-streams';
import { COLUMNS } from '../../bench/extract/table.ts';
import { loadDemo } from '../../demo/index.ts';
import { currentRowsSql } from '../../warehouse/core/bronze-sql.ts';
import type { ColumnContract } from '../../warehouse/core/bronze-table.ts';
import { openDuckDb } from '../../warehouse/core/duckdb.ts';
import { quoteIdentifier, quoteLiteral, quotePath } from '../../warehouse/core/quote.ts';
import { loadSources, type SourceDefinition } from '../../warehouse/extract/index.ts';
import { sourceOf, type TestLake, testLake } from './lake.ts';

/** What Postgres prints as CSV, parsed by DuckDB, against what our decoder wrote: two ways that share no line of code. */

let lake: TestLake;
before(async () => {
  lake = await testLake();
});
after(() => lake[Symbol.asyncDispose]());

interface Printed {
  readonly table: string;
  readonly path: string;
}

/** Extracts a source and prints each of its tables as CSV in the same snapshot, while the rows below it change. */
async function extractBoth(source: SourceDefinition, meanwhile = 'select 1'): Promise<readonly Printed[]> {
  const printed: Printed[] = [];
  await mkdir(join(lake.dir, 'csv'), { recursive: true });
  await lake.run(source, {
    onSnapshot: async (exported) => {
      const second = await lake.connect();
      await second.query(
        `begin isolation level repeatable read, read only; set transaction snapshot ${quoteLiteral(exported)}; set timezone = 'UTC'; set datestyle = 'ISO'; set extra_float_digits = 3`,
      );
      await lake.client.query(meanwhile);
      for (const [table, { columns }] of Object.entries(source.tables)) {
        const path = join(lake.dir, 'csv', `${source.name}-${table}.csv`);
        const sql = `copy (select ${columns.map(quoteIdentifier).join(', ')} from ${quotePath(source.schema, table)}) to stdout (format csv, force_quote *)`;
        await pipeline(second.query(copyTo(sql)), createWriteStream(path));
        printed.push({ table, path });
      }
      await second.query('commit');
    },
  });
  return printed;
}

/** SQL for the value of what Postgres printed. */
function valueSql({ name, duckdbType }: ColumnContract): string {
  const text = quoteIdentifier(name);
  if (duckdbType === 'BLOB') return `unhex(substr(${text}, 3))`;
  if (duckdbType.endsWith('[]')) return `('[' || ${text}[2:-2] || ']')::${duckdbType}`;
  if (['DATE', 'TIMESTAMP', 'TIMESTAMPTZ'].includes(duckdbType))
    return `(case when ${text} like '% BC' then regexp_replace(${text}, '^(\\S+)(.*) BC$', '\\1 (BC)\\2') else ${text} end)::${duckdbType}`;
  return `${text}::${duckdbType}`;
}

/** Rows of Postgres that bronze lacks, and rows of bronze that Postgres lacks. `edit` makes a fault. */
async function compare(
  source: string,
  { table, path }: Printed,
  edit: (rows: string) => string = (rows) => rows,
): Promise<{ missing: bigint; wrong: bigint; rows: bigint }> {
  const known = await lake.table(source, table);
  const { columns } = known.contract;
  // Floats by their text: 0.0 and -0.0 are equal otherwise.
  const seen = (sql: string, { duckdbType }: ColumnContract): string =>
    /FLOAT|DOUBLE/.test(duckdbType) ? `(${sql})::varchar` : sql;
  const texts = columns.map(({ name }) => `${quoteLiteral(name)}: 'VARCHAR'`).join(', ');
  const csv = `read_csv(${quoteLiteral(path)}, auto_detect = false, header = false, columns = {${texts}}, quote = '"', escape = '"', nullstr = '', allow_quoted_nulls = false, max_line_size = 16777216)`;
  const theirs = `select ${columns.map((column) => seen(valueSql(column), column)).join(', ')} from ${csv}`;
  const ours = `select ${columns.map((column) => seen(quoteIdentifier(column.name), column)).join(', ')} from (${edit(currentRowsSql(known))})`;
  const db = await openDuckDb();
  try {
    await db.run(`set timezone = 'UTC'; create temp table theirs as ${theirs}; create temp table ours as ${ours}`);
    const [row] = await db.rows<{ missing: bigint; wrong: bigint; rows: bigint }>(
      `select (select count(*) from (from theirs except all from ours)) as missing, (select count(*) from (from ours except all from theirs)) as wrong, (select count(*) from theirs) as rows`,
    );
    assert.ok(row !== undefined);
    return row;
  } finally {
    db.close();
  }
}

const SAME = (rows: number) => ({ missing: 0n, wrong: 0n, rows: BigInt(rows) });

test('the table of the benchmark is the same by CSV, row for row, and a planted fault is seen', async () => {
  const columns = Object.entries(COLUMNS).map(([name, type]) => `${name} ${type}`);
  await lake.client.query(
    `create table app.payments (${columns.join(', ')});
     insert into app.payments select md5('row' || i)::uuid, md5('account' || floor(50000 ^ random()))::uuid, i, floor(400 ^ random())::int,
            ((random() - 0.85) * exp(8 * random()))::numeric(14,2), (array['EUR', 'USD', 'CHF'])[1 + floor(3 * random() ^ 4)::int],
            (array['Rent', 'Łukasz "Ö", Zürich', E'two\\nlines', '', '🧾'])[1 + floor(5 * random() ^ 2)::int] || ' ' || i, case when random() < 0.95 then 'Anna ' || i % 97 end,
            date '2022-01-01' + i % 1000, timestamptz '2022-01-01' + i * interval '941.000007 s', timestamptz '2022-01-01' + random() * interval '3 years',
            case when random() < 0.25 then jsonb_build_object('merchant', i % 20000, 'tags', array['a', 'b']) end, random() < 0.08
       from generate_series(1, 50000) i`,
  );
  const source = sourceOf({ payments: { mode: 'full', key: ['id'], columns: Object.keys(COLUMNS) } });
  const [printed] = await extractBoth(
    source,
    'update app.payments set amount = amount + 1 where sequence_no % 100 = 0; delete from app.payments where sequence_no < 50',
  );
  assert.ok(printed !== undefined);
  assert.deepEqual(await compare('app', printed), SAME(50_000));
  const fault = (change: string) =>
    compare('app', printed, (rows) => `select * replace (case when sequence_no = 37777 then ${change}) from (${rows})`);
  for (const change of [
    'amount + 0.01 else amount end as amount',
    "created_at + interval '1 microsecond' else created_at end as created_at",
    "description || ' ' else description end as description",
    "coalesce(counterparty, '') || 'x' else counterparty end as counterparty",
  ])
    assert.deepEqual(await fault(change), { missing: 1n, wrong: 1n, rows: 50_000n }, change);
  const twice = await compare(
    'app',
    printed,
    (rows) => `${rows} union all select * from (${rows}) where sequence_no = 37777`,
  );
  assert.deepEqual(twice, { missing: 0n, wrong: 1n, rows: 50_000n }, 'a row that came twice');
});

test('edge values of the common types are the same by CSV', async () => {
  await lake.client.query(
    `create table app.edges (id int primary key, i2 int2, i8 int8, f4 float4, f8 float8, n numeric(38,10), t text, b bytea, d date, ts timestamp, tz timestamptz, ti time, j json, u uuid, o oid, a int[], ta text[]);
     insert into app.edges values
       (1, -32768, -9223372036854775808, '-0', 'NaN', '-9999999999999999999999999999.9999999999', '', '', '4714-11-24 BC', '0044-03-15 10:11:12.131415 BC', '-infinity', '24:00:00', '{"a":  1}', '00000000-0000-0000-0000-000000000000', 4294967295, '{}', '{}'),
       (2, 32767, 9223372036854775807, '1e-45', '5e-324', '0.0000000001', E'"\\r\\n,\\\\N\\t''', '\\x00ff0a0d225c', 'infinity', '294247-01-10 04:00:54.775806', '1969-12-31 23:59:59.999999+00', '00:00:00.000001', 'null', 'ffffffff-ffff-ffff-ffff-ffffffffffff', 0, '{1,NULL,-2147483648}', '{a,NULL}'),
       (3, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null),
       (4, 0, 0, 'Infinity', '-0', 0, '\\N', '\\x', '5874897-12-31', 'infinity', '2024-03-31 02:30:00 Europe/Berlin', '12:00', '""', null, 1, '{7}', '{"b c"}')`,
  );
  const columns = ['id', 'i2', 'i8', 'f4', 'f8', 'n', 't', 'b', 'd', 'ts', 'tz', 'ti', 'j', 'u', 'o', 'a', 'ta'];
  const [printed] = await extractBoth(sourceOf({ edges: { mode: 'full', key: ['id'], columns } }));
  assert.ok(printed !== undefined);
  assert.deepEqual(await compare('app', printed), SAME(4));
  const unsigned = await compare(
    'app',
    printed,
    (rows) => `select * replace (case when id = 4 then 0.0::double else f8 end as f8) from (${rows})`,
  );
  assert.deepEqual(unsigned, { missing: 1n, wrong: 1n, rows: 4n }, 'a lost sign of zero is seen');
});

test('every table of the demo source is the same by CSV', async (t) => {
  const own = await testLake();
  const common = lake;
  lake = own;
  t.after(async () => {
    lake = common;
    await own[Symbol.asyncDispose]();
  });
  await own.client.query('drop schema app cascade');
  await loadDemo({ url: own.url, scale: 1 });
  const [source] = await loadSources(join(import.meta.dirname, '..', '..'));
  assert.ok(source !== undefined);
  let rows = 0n;
  for (const printed of await extractBoth(source)) {
    const found = await compare(source.name, printed);
    rows += found.rows;
    assert.deepEqual([printed.table, found.missing, found.wrong], [printed.table, 0n, 0n]);
  }
  assert.ok(rows > 10_000n);
});
