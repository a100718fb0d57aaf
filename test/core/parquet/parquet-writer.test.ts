import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readlinkSync } from 'node:fs';
import { mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { DuckDBConnection } from '@duckdb/node-api';
import { DuckDBInstance } from '../../../warehouse/core/duckdb-bindings.ts';
import { isSluiceError } from '../../../warehouse/core/errors.ts';
import {
  createParquetWriter,
  type GeneratedColumn,
  type ParquetColumn,
} from '../../../warehouse/core/parquet/index.ts';
import { fillRowGroup, type Row } from './fill.ts';

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

const COLUMNS: readonly ParquetColumn[] = [
  { name: 'id', type: { kind: 'int64' } },
  { name: 'tags', type: { kind: 'list', element: { kind: 'string' } } },
];
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
  { name: '_seq', kind: 'sequence', take: countFrom(1n) },
];

async function query(sql: string): Promise<unknown[][]> {
  return (await connection.runAndReadAll(sql)).getRows();
}

function rowsFrom(first: number, count: number): Row[] {
  return Array.from({ length: count }, (_, i): Row => [BigInt(first + i), [`tag ${i % 9}`]]);
}

function isOpen(path: string): boolean {
  return readdirSync('/proc/self/fd').some((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === path;
    } catch {
      return false;
    }
  });
}

test('the digest and the size are those of the file', async () => {
  const path = join(folder, 'digest.parquet');
  const writer = createParquetWriter({ path, columns: COLUMNS, generated: generated() });
  await writer.writeRowGroup(fillRowGroup(COLUMNS, rowsFrom(0, 5000), () => false));
  const { rows, bytes, sha256 } = await writer.close();
  const file = await readFile(path);
  assert.equal(rows, 5000);
  assert.equal(bytes, file.length);
  assert.equal(sha256, createHash('sha256').update(file).digest('hex'));
  assert.ok(!isOpen(path));
});

test('a file of no rows has its columns', async () => {
  const path = join(folder, 'empty.parquet');
  const writer = createParquetWriter({ path, columns: COLUMNS, generated: generated() });
  await writer.writeRowGroup(fillRowGroup(COLUMNS, [], () => true));
  assert.equal((await writer.close()).rows, 0);
  assert.deepEqual(await query(`select count(*) from '${path}'`), [[0n]]);
  assert.deepEqual(
    (await query(`describe from '${path}'`)).map((row) => [row[0], row[1]]),
    [
      ['id', 'BIGINT'],
      ['tags', 'VARCHAR[]'],
      ['_op', 'VARCHAR'],
      ['_seq', 'BIGINT'],
    ],
  );
});

test('generated columns alone make a file, a few bytes for many rows', async () => {
  const path = join(folder, 'generated.parquet');
  const writer = createParquetWriter({ path, columns: [], generated: generated() });
  for (let i = 0; i < 4; i++) await writer.writeRowGroup({ rows: 122_880, leaves: [] });
  const { bytes } = await writer.close();
  assert.ok(bytes < 8000, `${bytes} bytes`);
  assert.deepEqual(
    await query(`select count(*), min(_seq), max(_seq), count(distinct _seq), min(_op), max(_op) from '${path}'`),
    [[491_520n, 1n, 491_520n, 491_520n, 'read', 'read']],
  );
});

test('a file may have 1,600 columns', async () => {
  const path = join(folder, 'wide.parquet');
  const columns = Array.from(
    { length: 1600 },
    (_, i): ParquetColumn => ({ name: `c${i}`, type: { kind: i % 2 === 0 ? 'int32' : 'string' } }),
  );
  const writer = createParquetWriter({ path, columns, generated: generated() });
  const rows = Array.from(
    { length: 20 },
    (_, row): Row => columns.map((_, i) => (i % 2 === 0 ? BigInt(row * i) : `${row}/${i}`)),
  );
  await Promise.all([0, 1].map(() => writer.writeRowGroup(fillRowGroup(columns, rows, (_, leaf) => leaf % 3 === 0))));
  await writer.close();
  assert.deepEqual(await query(`select count(*), sum(c1598), max(c1599), max(c1) from '${path}'`), [
    [40n, BigInt(1598 * 190 * 2), '9/1599', '9/1'],
  ]);
});

test('values of 10 MB, empty values and lists of many elements go through', async () => {
  const path = join(folder, 'large.parquet');
  const columns: readonly ParquetColumn[] = [
    { name: 's', type: { kind: 'string' } },
    { name: 'b', type: { kind: 'bytes' } },
    { name: 'l', type: { kind: 'list', element: { kind: 'int32' } } },
  ];
  const long = '😀'.repeat(2_500_000);
  const list = Array.from({ length: 30_000 }, (_, i) => BigInt(i % 500));
  const rows: Row[] = [
    [long, Buffer.alloc(10_000_000, 255), list],
    ['', Buffer.alloc(0), []],
    [null, null, null],
    [`${long}x`, Buffer.from('b'), list],
  ];
  for (const dictionary of [false, true]) {
    const writer = createParquetWriter({ path, columns, generated: [] });
    await writer.writeRowGroup(fillRowGroup(columns, rows, () => dictionary));
    await writer.close();
    assert.deepEqual(
      await query(`select strlen(s), octet_length(b), len(l), list_sum(l), s like '%x' from '${path}'`),
      [
        [10_000_000n, 10_000_000n, 30_000n, 7_485_000n, false],
        [0n, 0n, 0n, null, false],
        [null, null, null, null, null],
        [10_000_001n, 1n, 30_000n, 7_485_000n, true],
      ],
    );
  }
});

test('row groups in flight at the same time keep their order', async () => {
  const path = join(folder, 'order.parquet');
  const writer = createParquetWriter({ path, columns: COLUMNS, generated: generated() });
  const sizes = [4000, 1, 900, 3000, 2];
  let first = 1;
  await Promise.all(
    sizes.map((size) => {
      first += size;
      return writer.writeRowGroup(fillRowGroup(COLUMNS, rowsFrom(first - size, size), () => size % 2 === 0));
    }),
  );
  await writer.close();
  assert.deepEqual(await query(`select count(*) from '${path}' where id = _seq`), [[7903n]]);
});

test('a full disk rejects the row group and the close, and leaves nothing open', async () => {
  const path = join(folder, 'full.parquet');
  await symlink('/dev/full', path);
  const writer = createParquetWriter({ path, columns: COLUMNS, generated: generated() });
  const isFull = (error: unknown): boolean => isSluiceError(error, 'DISK_FULL');
  await assert.rejects(writer.writeRowGroup(fillRowGroup(COLUMNS, rowsFrom(0, 100), () => false)), isFull);
  await assert.rejects(writer.writeRowGroup(fillRowGroup(COLUMNS, rowsFrom(0, 100), () => false)), isFull);
  await assert.rejects(writer.close(), isFull);
  assert.ok(!isOpen('/dev/full'));
  await writer.abort();
  assert.ok(!existsSync(path));
});

test('a folder that is not there rejects every call', async () => {
  const writer = createParquetWriter({ path: join(folder, 'missing', 'x.parquet'), columns: COLUMNS, generated: [] });
  await assert.rejects(writer.writeRowGroup(fillRowGroup(COLUMNS, rowsFrom(0, 10), () => false)), /ENOENT/);
  await assert.rejects(writer.close(), /ENOENT/);
  await writer.abort();
});

test('giving up removes the file, also with row groups on their way', async () => {
  const path = join(folder, 'given-up.parquet');
  const writer = createParquetWriter({ path, columns: COLUMNS, generated: generated() });
  const writing = writer.writeRowGroup(fillRowGroup(COLUMNS, rowsFrom(0, 50_000), () => false));
  await Promise.all([writer.abort(), writing]);
  assert.ok(!existsSync(path));
  assert.ok(!isOpen(path));
  await assert.rejects(writer.writeRowGroup(fillRowGroup(COLUMNS, rowsFrom(0, 10), () => false)), /given up/);
});

test('a row group that contradicts itself spoils the file', async () => {
  const path = join(folder, 'spoiled.parquet');
  const writer = createParquetWriter({ path, columns: COLUMNS, generated: generated() });
  const group = fillRowGroup(COLUMNS, [...rowsFrom(0, 20), [null, null]], () => false);
  (group.leaves[0] as { count: number }).count = 19;
  await assert.rejects(writer.writeRowGroup(group), /19 values, its bitmap 20/);
  await assert.rejects(writer.close(), /19 values/);
  assert.ok(!isOpen(path));
  await writer.abort();
  assert.ok(!existsSync(path));
});

test('random bytes are stored as they are, what repeats is compressed', async () => {
  const path = join(folder, 'codecs.parquet');
  const columns: readonly ParquetColumn[] = [
    { name: 'random', type: { kind: 'uuid' } },
    { name: 'same', type: { kind: 'int64' } },
  ];
  const writer = createParquetWriter({ path, columns, generated: [] });
  const rows = Array.from({ length: 3000 }, (): Row => [crypto.randomUUID(), 7n]);
  for (let i = 0; i < 3; i++) await writer.writeRowGroup(fillRowGroup(columns, rows, () => false));
  await writer.close();
  assert.deepEqual(
    await query(
      `select path_in_schema, compression, count(*) from parquet_metadata('${path}') group by all order by all`,
    ),
    [
      ['random', 'UNCOMPRESSED', 3n],
      ['same', 'ZSTD', 3n],
    ],
  );
  assert.deepEqual(await query(`select count(*), count(distinct random), sum(same) from '${path}'`), [
    [9000n, 3000n, 63_000n],
  ]);
});
