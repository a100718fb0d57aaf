import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { changedRowsSql, currentRowsSql, logRowsSql } from '../../warehouse/core/bronze-sql.ts';
import type { BronzeTable, ColumnContract, TableContract } from '../../warehouse/core/bronze-table.ts';
import { firstSeqOf } from '../../warehouse/core/bronze-table.ts';
import { type DuckDb, openDuckDb } from '../../warehouse/core/duckdb.ts';

let dir: string;
let db: DuckDb;
before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sluice-bronze-sql-'));
  db = await openDuckDb();
});
after(async () => {
  db.close();
  await rm(dir, { recursive: true, force: true });
});

const column = (name: string, duckdbType: string): ColumnContract => ({
  name,
  postgresType: duckdbType,
  duckdbType,
  nullable: true,
  policy: 'error',
});
const contractOf = (key: string[], ...columns: ColumnContract[]): TableContract => ({ key, columns });

let files = 0;
async function writeFile(commit: number, select: string): Promise<BronzeTable['files'][number]> {
  const path = join(dir, `${files++}.parquet`);
  const seq = `${firstSeqOf(commit)} + row_number() over () - 1`;
  await db.run(
    `copy (select *, (${seq})::bigint as _seq, timestamptz '2026-01-01 00:00:00+00' as _extracted_at from (${select})) to '${path}' (format parquet)`,
  );
  return { commit, path, rows: 1 };
}
const tableOf = (contract: TableContract, parts: BronzeTable['files']): BronzeTable => ({
  source: 'app',
  table: 't',
  contract,
  files: parts,
  lastCommit: parts.at(-1)?.commit ?? 0,
  replacedAt: 0,
});

test('a table without files is empty and typed', async () => {
  const table = tableOf(contractOf(['id'], column('id', 'INTEGER'), column('v', 'DECIMAL(14,2)')), []);
  for (const sql of [currentRowsSql(table), logRowsSql(table), changedRowsSql(table, 0)]) {
    assert.deepEqual(await db.rows(sql), []);
  }
  const described = await db.rows<{ column_name: string; column_type: string }>(`describe ${currentRowsSql(table)}`);
  assert.deepEqual(
    described.map((row) => [row.column_name, row.column_type]),
    [
      ['id', 'INTEGER'],
      ['v', 'DECIMAL(14,2)'],
      ['_seq', 'BIGINT'],
      ['_extracted_at', 'TIMESTAMP WITH TIME ZONE'],
    ],
  );
});

test('a column that no file has yet is NULL and typed; one that some have is read by name and widened', async () => {
  const contract = contractOf(['id'], column('new', 'DATE'), column('id', 'BIGINT'), column('n', 'DECIMAL(18,4)'));
  const old = await writeFile(1, `select 1.25::decimal(14,2) as n, 1::int as id, 'read' as _op`);
  assert.deepEqual(await db.rows(`select new, id, n from (${currentRowsSql(tableOf(contract, [old]))})`), [
    { new: null, id: 1n, n: '1.2500' },
  ]);
  const later = await writeFile(
    2,
    `select 2::bigint as id, date '2026-01-02' as new, 0.0001::decimal(18,4) as n, 'insert' as _op`,
  );
  assert.deepEqual(
    await db.rows(`select new, id, n from (${currentRowsSql(tableOf(contract, [old, later]))}) order by id`),
    [
      { new: null, id: 1n, n: '1.2500' },
      { new: '2026-01-02', id: 2n, n: '0.0001' },
    ],
  );
});

test('a column no longer carried is not read', async () => {
  const file = await writeFile(1, `select 1::int as id, 'secret' as gone, 'read' as _op`);
  const table = tableOf(contractOf(['id'], column('id', 'INTEGER')), [file]);
  assert.deepEqual(await db.rows(`select * exclude (_seq, _extracted_at) from (${currentRowsSql(table)})`), [
    { id: 1 },
  ]);
});

test('names that need quotes work everywhere', async () => {
  const odd = `a "b' c`;
  const file = await writeFile(1, `select 1::int as "a ""b' c", 'read' as _op`);
  const second = await writeFile(2, `select 2::int as "a ""b' c", 'insert' as _op`);
  const table = tableOf(contractOf([odd], column(odd, 'INTEGER')), [file, second]);
  assert.deepEqual(await db.rows(`select * exclude (_seq, _extracted_at) from (${currentRowsSql(table)}) order by 1`), [
    { [odd]: 1 },
    { [odd]: 2 },
  ]);
});

test('property: any history read as current state equals the history played in a Map', async () => {
  const op = fc.record({
    a: fc.integer({ min: 0, max: 3 }),
    b: fc.constantFrom('x', 'y', ''),
    op: fc.constantFrom('insert', 'update', 'delete'),
    v: fc.option(fc.constantFrom('1', '2'), { nil: null }),
  });
  const commit = fc.uniqueArray(op, { maxLength: 8, selector: (row) => `${row.a}/${row.b}` });
  const contract = contractOf(['a', 'b'], column('a', 'INTEGER'), column('b', 'VARCHAR'), column('v', 'VARCHAR'));
  await fc.assert(
    fc.asyncProperty(fc.array(commit, { maxLength: 5 }), async (commits) => {
      const parts: BronzeTable['files'][number][] = [];
      const state = new Map<string, unknown>();
      let rows = 0;
      for (const [i, changes] of commits.entries()) {
        if (changes.length === 0) continue;
        const values = changes.map(
          (row) => `(${row.a}, '${row.b}', ${row.v === null ? 'null' : `'${row.v}'`}, '${row.op}')`,
        );
        parts.push(await writeFile(i + 1, `select a, b, v, _op from (values ${values.join(', ')}) t (a, b, v, _op)`));
        rows += changes.length;
        for (const { a, b, v, op: what } of changes) {
          if (what === 'delete') state.delete(`${a}/${b}`);
          else state.set(`${a}/${b}`, { a, b, v });
        }
      }
      const table = tableOf(contract, parts);
      const current = await db.rows<{ a: number; b: string }>(`select a, b, v from (${currentRowsSql(table)})`);
      assert.equal(current.length, state.size);
      assert.deepEqual(new Map(current.map((row) => [`${row.a}/${row.b}`, row])), state);
      assert.equal((await db.rows(logRowsSql(table))).length, rows);
    }),
    { numRuns: 40 },
  );
});
