import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { DuckDBConnection } from '@duckdb/node-api';
import { DuckDBInstance } from '../../../warehouse/core/duckdb-bindings.ts';
import {
  createParquetWriter,
  type GeneratedColumn,
  type ParquetColumn,
} from '../../../warehouse/core/parquet/index.ts';
import { fillRowGroup, type Row } from './fill.ts';
import { ALL_COLUMNS, createRandom, randomRows } from './random-values.ts';
import { printRow, printRowForHyparquet, readWithDuckdb, readWithHyparquet, readWithPyarrow } from './readers.ts';

/** Numbers one after another, in every file from the first again. */
function countFrom(first: bigint): (rows: number) => bigint {
  let next = first;
  return (rows) => {
    next += BigInt(rows);
    return next - BigInt(rows);
  };
}

const generated = (): readonly GeneratedColumn[] => [
  { name: '_op', kind: 'constant', type: { kind: 'string' }, value: 'read' },
  { name: '_ok', kind: 'constant', type: { kind: 'boolean' }, value: 1n },
  { name: '_seq', kind: 'sequence', take: countFrom(-70n) },
  { name: '_at', kind: 'constant', type: { kind: 'timestamp', utc: true }, value: 1_700_000_000_123_456n },
];
const GENERATED_COLUMNS: readonly ParquetColumn[] = [
  { name: '_op', type: { kind: 'string' } },
  { name: '_ok', type: { kind: 'boolean' } },
  { name: '_seq', type: { kind: 'int64' } },
  { name: '_at', type: { kind: 'timestamp', utc: true } },
];
const COLUMNS = [...ALL_COLUMNS, ...GENERATED_COLUMNS];

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

const SHAPES = [
  { rows: [1], nullsIn100: 0, distinct: 1, pageRows: 20_480, pageBytes: 1 << 20 },
  { rows: [1], nullsIn100: 100, distinct: 1, pageRows: 20_480, pageBytes: 1 << 20 },
  { rows: [200, 7], nullsIn100: 100, distinct: 3, pageRows: 16, pageBytes: 1 << 20 },
  { rows: [700], nullsIn100: 0, distinct: 2, pageRows: 100, pageBytes: 1 << 20 },
  { rows: [300, 1, 64], nullsIn100: 30, distinct: 400, pageRows: 40, pageBytes: 1 << 20 },
  { rows: [500], nullsIn100: 4, distinct: 40, pageRows: 20_480, pageBytes: 300 },
  { rows: [90, 90], nullsIn100: 60, distinct: 300, pageRows: 3, pageBytes: 1 << 20 },
  { rows: [1500], nullsIn100: 2, distinct: 1500, pageRows: 20_480, pageBytes: 1 << 20 },
] as const;

test('three readers see every value of every type that was written', async () => {
  const files = await Promise.all(
    SHAPES.flatMap((shape, index) =>
      [false, true].map(async (dictionaries, mode) => {
        const path = join(folder, `${index}-${mode}.parquet`);
        const random = createRandom(index * 2 + mode + 1);
        const writer = createParquetWriter({
          path,
          columns: ALL_COLUMNS,
          generated: generated(),
          compressionLevel: 1 + (index % 3),
          pageLimit: { rows: shape.pageRows, bytes: shape.pageBytes },
        });
        const rows: Row[] = [];
        for (const count of shape.rows) {
          const group = randomRows(random, ALL_COLUMNS, count, shape);
          await writer.writeRowGroup(
            fillRowGroup(ALL_COLUMNS, group, (_, leaf) => dictionaries || leaf % 5 === index % 5),
          );
          rows.push(...group);
        }
        const file = await writer.close();
        assert.equal(file.rows, rows.length);
        const expected = rows.map((row, at): Row => [...row, 'read', true, BigInt(at - 70), 1_700_000_000_123_456n]);
        return { path, expected };
      }),
    ),
  );
  const fromPyarrow = await readWithPyarrow(files.map((file) => file.path));
  for (const [index, { path, expected }] of files.entries()) {
    const printed = expected.map((row) => printRow(COLUMNS, row));
    assert.deepEqual(await readWithDuckdb(connection, path, COLUMNS), printed, `DuckDB, ${path}`);
    assert.deepEqual(fromPyarrow[index], printed, `pyarrow, ${path}`);
    const approximate = expected.map((row) => printRowForHyparquet(COLUMNS, row));
    assert.deepEqual(await readWithHyparquet(path, COLUMNS), approximate, `hyparquet, ${path}`);
  }
});
