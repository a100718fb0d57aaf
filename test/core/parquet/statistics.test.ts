import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { DuckDBConnection } from '@duckdb/node-api';
import { DuckDBInstance } from '../../../warehouse/core/duckdb-bindings.ts';
import {
  createParquetWriter,
  leavesOf,
  type ParquetColumn,
  type ScalarType,
} from '../../../warehouse/core/parquet/index.ts';
import { fillRowGroup, type Row, type Scalar, type Value } from './fill.ts';
import { ALL_COLUMNS, createRandom, randomRows, SCALARS } from './random-values.ts';
import { numberOf, readFooter, readThrift, structOf, structsOf, type ThriftStruct } from './thrift-reader.ts';

let folder: string;
let connection: DuckDBConnection;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-parquet-'));
  connection = await (await DuckDBInstance.create()).connect();
});
after(async () => {
  connection.closeSync();
  await rm(folder, { recursive: true, force: true });
});

async function write(
  name: string,
  columns: readonly ParquetColumn[],
  groups: readonly (readonly Row[])[],
  dictionaries: boolean,
  pageRows = 20_480,
): Promise<string> {
  const path = join(folder, `${name}.parquet`);
  const pageLimit = { rows: pageRows, bytes: 1 << 20 };
  const writer = createParquetWriter({ path, columns, generated: [], pageLimit });
  for (const rows of groups) await writer.writeRowGroup(fillRowGroup(columns, rows, () => dictionaries));
  await writer.close();
  return path;
}

type Comparable = bigint | number | Buffer;

function comparable(type: ScalarType, value: Scalar): Comparable {
  if (type.kind === 'uuid') return Buffer.from((value as string).replaceAll('-', ''), 'hex');
  if (typeof value === 'string') return Buffer.from(value);
  return typeof value === 'boolean' ? Number(value) : value;
}

function decodeBound(type: ScalarType, bytes: Buffer): Comparable {
  switch (type.kind) {
    case 'boolean':
      assert.equal(bytes.length, 1);
      return bytes[0] as number;
    case 'float':
      return bytes.readFloatLE();
    case 'double':
      return bytes.readDoubleLE();
    case 'uint32':
      return BigInt(bytes.readUInt32LE());
    case 'uint64':
      return bytes.readBigUInt64LE();
    case 'uuid':
    case 'string':
    case 'json':
    case 'bytes':
      return bytes;
    case 'decimal':
      if (type.precision > 18) return (bytes.readBigInt64BE() << 64n) | bytes.readBigUInt64BE(8);
      return type.precision > 9 ? bytes.readBigInt64LE() : BigInt(bytes.readInt32LE());
    case 'int16':
    case 'int32':
    case 'date':
      return BigInt(bytes.readInt32LE());
    case 'int64':
    case 'time':
    case 'timestamp':
      return bytes.readBigInt64LE();
    default:
      throw new Error(`no such type: ${JSON.stringify(type satisfies never)}`);
  }
}

function compare(a: Comparable, b: Comparable): number {
  if (Buffer.isBuffer(a) && Buffer.isBuffer(b)) return Buffer.compare(a, b);
  if (a < b) return -1;
  return a > b ? 1 : 0;
}

/** The leaf's entries of some rows: undefined where no value is there. */
function entriesOf(
  columns: readonly ParquetColumn[],
  leaf: ReturnType<typeof leavesOf>[number],
  rows: readonly Row[],
): (Scalar | undefined)[] {
  const { type } = columns[leaf.column] as ParquetColumn;
  return rows.flatMap((row): (Scalar | undefined)[] => {
    const value: Value = row[leaf.column] ?? null;
    if (value === null) return [undefined];
    if (type.kind === 'list') {
      const list = value as readonly (Scalar | null)[];
      return list.length === 0 ? [undefined] : list.map((item) => item ?? undefined);
    }
    if (type.kind === 'struct') return [(value as Record<string, Scalar>)[leaf.path[1] as string]];
    return [value as Scalar];
  });
}

interface Stated {
  readonly min: Buffer | undefined;
  readonly max: Buffer | undefined;
  readonly exact: boolean;
}

function checkBounds(type: ScalarType, entries: readonly (Scalar | undefined)[], stated: Stated, where: string): void {
  const values = entries
    .filter((value) => value !== undefined && !Number.isNaN(value))
    .map((value) => comparable(type, value as Scalar));
  if (stated.min === undefined || stated.max === undefined) {
    assert.equal(stated.min, stated.max, where);
    // Left out only where there is nothing to state, or no short text is greater.
    assert.ok(values.length === 0 || type.kind === 'string' || type.kind === 'bytes', `${where}: no bounds`);
    return;
  }
  const min = decodeBound(type, stated.min);
  const max = decodeBound(type, stated.max);
  assert.ok(values.length > 0, where);
  assert.ok(
    values.every((value) => compare(min, value) <= 0 && compare(value, max) <= 0),
    `${where}: a value out of bounds`,
  );
  if (type.kind === 'string' || type.kind === 'json') {
    for (const bound of [stated.min, stated.max])
      assert.ok(bound.equals(Buffer.from(bound.toString())), `${where}: not UTF-8`);
  }
  if (Buffer.isBuffer(min)) assert.ok(stated.min.length <= 64 && stated.max.length <= 68, `${where}: a long bound`);
  if (stated.exact) {
    assert.ok(
      values.some((value) => compare(value, min) === 0) && values.some((value) => compare(value, max) === 0),
      `${where}: not exact`,
    );
  }
  if (type.kind === 'float' || type.kind === 'double') {
    assert.ok(!Object.is(min, 0) && !Object.is(max, -0), `${where}: zeros of the wrong sign`);
  }
}

function checkChunk(
  file: Buffer,
  chunk: ThriftStruct,
  columns: readonly ParquetColumn[],
  leaf: ReturnType<typeof leavesOf>[number],
  rows: readonly Row[],
): { readonly pages: number; readonly indexed: boolean } {
  const where = leaf.path.join('.');
  const meta = structOf(chunk, 3);
  assert.deepEqual(
    (meta.get(3) as readonly Buffer[]).map((part) => part.toString()),
    leaf.path,
  );
  const entries = entriesOf(columns, leaf, rows);
  assert.equal(numberOf(meta, 5), entries.length, where);
  const statistics = structOf(meta, 12);
  assert.equal(numberOf(statistics, 3), entries.filter((entry) => entry === undefined).length, where);
  checkBounds(
    leaf.type,
    entries,
    {
      max: statistics.get(5) as Buffer | undefined,
      min: statistics.get(6) as Buffer | undefined,
      exact: statistics.get(7) === true && statistics.get(8) === true,
    },
    where,
  );

  const offsets = readThrift(file, numberOf(chunk, 4));
  assert.equal(offsets.end, numberOf(chunk, 4) + numberOf(chunk, 5));
  const pages = structsOf(offsets.struct, 1);
  let at = numberOf(meta, 9);
  let row = 0;
  const indexPlace = chunk.get(6) === undefined ? undefined : numberOf(chunk, 6);
  const index = indexPlace === undefined ? undefined : readThrift(file, indexPlace);
  if (index !== undefined && indexPlace !== undefined) assert.equal(index.end, indexPlace + numberOf(chunk, 7));
  const mins: Comparable[] = [];
  const maxs: Comparable[] = [];
  pages.forEach((page, number) => {
    assert.equal(numberOf(page, 1), at, where);
    assert.equal(numberOf(page, 3), row, where);
    const { struct: header, end } = readThrift(file, at);
    assert.equal(numberOf(header, 1), 3);
    const data = structOf(header, 8);
    const pageRows = rows.slice(row, row + numberOf(data, 3));
    const pageEntries = entriesOf(columns, leaf, pageRows);
    const nulls = pageEntries.filter((entry) => entry === undefined).length;
    assert.equal(numberOf(data, 1), pageEntries.length, where);
    assert.equal(numberOf(data, 2), nulls, where);
    assert.equal(end + numberOf(header, 3), at + numberOf(page, 2), where);
    if (index !== undefined) {
      const column = index.struct;
      const empty = (column.get(1) as readonly boolean[])[number] as boolean;
      assert.equal(empty, nulls === pageEntries.length, where);
      assert.equal(Number((column.get(5) as readonly bigint[])[number]), nulls, where);
      const min = (column.get(2) as readonly Buffer[])[number] as Buffer;
      const max = (column.get(3) as readonly Buffer[])[number] as Buffer;
      if (!empty) {
        checkBounds(leaf.type, pageEntries, { min, max, exact: false }, `${where}, page ${number}`);
        mins.push(decodeBound(leaf.type, min));
        maxs.push(decodeBound(leaf.type, max));
      }
    }
    at += numberOf(page, 2);
    row += pageRows.length;
  });
  assert.equal(row, rows.length);
  assert.equal(
    at,
    numberOf(meta, 11) > 0 ? numberOf(meta, 11) + numberOf(meta, 7) : numberOf(meta, 9) + numberOf(meta, 7),
  );
  if (index !== undefined) {
    const rises = (bounds: readonly Comparable[], sign: number): boolean =>
      bounds.every((bound, k) => k === 0 || compare(bounds[k - 1] as Comparable, bound) * sign <= 0);
    const ascending = rises(mins, 1) && rises(maxs, 1);
    const descending = rises(mins, -1) && rises(maxs, -1);
    const order = numberOf(index.struct, 4);
    if (order === 0) assert.ok(!ascending && !descending, `${where}: an order not stated`);
    else assert.ok(order === 1 ? ascending : descending, `${where}: boundary order ${order}`);
  }
  return { pages: pages.length, indexed: index !== undefined };
}

test('the footer and the page index state what the values are', async () => {
  const leaves = leavesOf(ALL_COLUMNS);
  let pages = 0;
  let indexed = 0;
  for (const seed of [1, 2, 3, 4, 5, 6]) {
    const random = createRandom(seed);
    const options = {
      nullsIn100: [0, 5, 50, 90, 10, 30][seed - 1] as number,
      distinct: [3, 50, 400, 2, 1, 1000][seed - 1] as number,
    };
    const groups = [300, 50].map((count) => randomRows(random, ALL_COLUMNS, count, options));
    const path = await write(
      `stated-${seed}`,
      ALL_COLUMNS,
      groups,
      seed % 2 === 0,
      [20_480, 64, 13, 8, 40, 100][seed - 1],
    );
    const file = await readFile(path);
    const footer = readFooter(file);
    assert.equal(numberOf(footer, 3), 350);
    assert.equal(structsOf(footer, 7).length, leaves.length);
    const rowGroups = structsOf(footer, 4);
    assert.equal(rowGroups.length, 2);
    rowGroups.forEach((group, number) => {
      const chunks = structsOf(group, 1);
      assert.equal(chunks.length, leaves.length);
      chunks.forEach((chunk, column) => {
        const checked = checkChunk(
          file,
          chunk,
          ALL_COLUMNS,
          leaves[column] as (typeof leaves)[number],
          groups[number] as Row[],
        );
        pages += checked.pages;
        if (checked.indexed) indexed++;
      });
    });
  }
  assert.ok(pages > 2000, `${pages} pages`);
  assert.ok(indexed > 400, `${indexed} chunks with a page index`);
});

test('filters give the same rows with statistics as without', async () => {
  const columns = SCALARS.map((type, index): ParquetColumn => ({ name: `c${index}`, type }));
  for (const dictionaries of [false, true]) {
    const random = createRandom(dictionaries ? 11 : 12);
    const groups = Array.from({ length: 12 }, () => randomRows(random, columns, 60, { nullsIn100: 10, distinct: 4 }));
    const path = await write(`filter-${dictionaries}`, columns, groups, dictionaries, 16);
    await connection.run(`create or replace table values_read as from '${path}'`);
    const rows = (await connection.runAndReadAll('select count(*) from values_read')).getRows();
    assert.equal(rows[0]?.[0], 720n);
    for (const { name } of columns) {
      const count = async (table: string, operator: string): Promise<unknown> => {
        // Constants, each given by its text: a filter is pushed down only where its bound is known.
        const reader = await connection.runAndReadAll(
          `select v::varchar as text, (select any_value(typeof(${name})) from values_read) as type from (select distinct ${name} as v from values_read where ${name} is not null) order by v limit 12`,
        );
        const counts: unknown[] = [];
        for (const [text, type] of reader.getRows() as [string, string][]) {
          const bound = `'${text.replaceAll("'", "''")}'::${type}`;
          counts.push(
            (
              await connection.runAndReadAll(`select count(*) from ${table} where ${name} ${operator} ${bound}`)
            ).getRows()[0]?.[0],
          );
        }
        assert.ok(counts.length > 0);
        return counts;
      };
      for (const operator of ['=', '>', '<=', '<>']) {
        assert.deepEqual(
          await count(`'${path}'`, operator),
          await count('values_read', operator),
          `${name} ${operator}`,
        );
      }
      const nulls = async (table: string): Promise<unknown> =>
        (await connection.runAndReadAll(`select count(*) from ${table} where ${name} is null`)).getRows();
      assert.deepEqual(await nulls(`'${path}'`), await nulls('values_read'));
    }
  }
});

test('DuckDB reads least and greatest values of every row group from the footer', async () => {
  const columns: ParquetColumn[] = [
    { name: 'k', type: { kind: 'int64' } },
    { name: 's', type: { kind: 'string' } },
  ];
  const groups = [0, 1, 2].map((group) =>
    Array.from({ length: 100 }, (_, i): Row => [BigInt(group * 100 + i) - 50n, `${group}-${'x'.repeat(i)}`]),
  );
  const path = await write('metadata', columns, groups, false);
  const reader = await connection.runAndReadAll(
    `select path_in_schema, stats_min_value, stats_max_value, stats_null_count from parquet_metadata('${path}') order by row_group_id, column_id`,
  );
  assert.deepEqual(reader.getRows(), [
    ['k', '-50', '49', 0n],
    ['s', '0-', `0-${'x'.repeat(61)}y`, 0n],
    ['k', '50', '149', 0n],
    ['s', '1-', `1-${'x'.repeat(61)}y`, 0n],
    ['k', '150', '249', 0n],
    ['s', '2-', `2-${'x'.repeat(61)}y`, 0n],
  ]);
});
