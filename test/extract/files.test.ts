import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import type { BronzeCommit } from '../../warehouse/core/bronze-commit.ts';
import { sourceOf, type TestLake, testLake } from './lake.ts';
import { growthOfMemory } from './memory.ts';

/** The files as any other engine sees them: read by a reader that shares no code with DuckDB. */

let lake: TestLake;
before(async () => {
  lake = await testLake();
});
after(() => lake[Symbol.asyncDispose]());

test('a bronze file is plain Parquet, and the commit describes it truly', async () => {
  await lake.client.query(`create table app.t (id int8 primary key, amount numeric(14,2), day date, at timestamptz, name text, u uuid);
    insert into app.t select i, i * -1.01, date '2020-01-01' + i % 100, '2020-01-01 00:00:00+00'::timestamptz + i * interval '1 second', nullif('n' || i % 3, 'n0'), gen_random_uuid() from generate_series(1, 130000) i`);
  const source = sourceOf({ t: { mode: 'full', key: ['id'], columns: ['id', 'amount', 'day', 'at', 'name', 'u'] } });
  await lake.run(source);
  await lake.client.query(`delete from app.t where id = 5; update app.t set name = 'x' where id = 6`);
  await lake.run(source);
  const commits: BronzeCommit[] = [];
  for await (const commit of lake.bronze.commits('app')) commits.push(commit);
  const files = commits.flatMap((commit) => commit.tables['t']?.files ?? []);
  assert.equal(files.length, 2);
  for (const file of files) {
    const path = await lake.store.toLocalFile(file.key);
    const content = await readFile(path);
    assert.equal(content.length, file.bytes);
    assert.equal(createHash('sha256').update(content).digest('hex'), file.sha256);
    const buffer = await asyncBufferFromFile(path);
    const metadata = await parquetMetadataAsync(buffer);
    assert.equal(Number(metadata.num_rows), file.rows);
    assert.ok(metadata.row_groups.every((group) => Number(group.num_rows) <= 122_880));
    assert.deepEqual(
      new Set(metadata.row_groups.flatMap((group) => group.columns.map((column) => column.meta_data?.codec))),
      // What zstd cannot make smaller is stored as it is.
      file === files[0] ? new Set(['ZSTD', 'UNCOMPRESSED']) : new Set(['ZSTD']),
    );
    assert.deepEqual(
      metadata.schema.slice(1).map((column) => column.name),
      ['id', 'amount', 'day', 'at', 'name', 'u', '_op', '_seq', '_extracted_at'],
    );
    const rows = await parquetReadObjects({ file: buffer, compressors, columns: ['id', '_op', '_seq'] });
    const ops: Record<string, number> = {};
    for (const row of rows) ops[String(row['_op'])] = (ops[String(row['_op'])] ?? 0) + 1;
    assert.deepEqual(ops, file.ops);
    const seqs = rows.map((row) => row['_seq'] as bigint);
    assert.deepEqual([String(seqs[0]), String(seqs.at(-1))], [file.firstSeq, file.lastSeq]);
    assert.ok(seqs.every((seq, i) => i === 0 || seq === (seqs[i - 1] ?? 0n) + 1n));
  }
  const last = files[1];
  assert.deepEqual([last?.ops, last?.keyMin, last?.keyMax], [{ delete: 1, update: 1 }, '5', '6']);
  const [row] = await parquetReadObjects({
    file: await asyncBufferFromFile(await lake.store.toLocalFile(files[0]?.key ?? '')),
    compressors,
    rowEnd: 1,
  });
  assert.equal(row?.['id'], 1n);
  assert.equal(String(row?.['amount']), '-1.01');
  assert.deepEqual(row?.['day'], new Date('2020-01-02'));
  assert.deepEqual(row?.['at'], new Date('2020-01-01T00:00:01Z'));
});

test('a commit says where it came from: identity, snapshot, WAL position, contract, how it was read', async () => {
  const commits: BronzeCommit[] = [];
  for await (const commit of lake.bronze.commits('app')) commits.push(commit);
  const [first] = commits;
  const { rows } = await lake.client.query<{ id: string; oid: string; name: string }>(
    `select (select system_identifier::text from pg_control_system()) as id, oid::text as oid, datname as name from pg_database where datname = current_database()`,
  );
  assert.deepEqual(first?.identity, {
    systemIdentifier: rows[0]?.id,
    databaseOid: rows[0]?.oid,
    database: rows[0]?.name,
    schema: 'app',
  });
  assert.match(first?.snapshot.id ?? '', /^\d+:\d+:/);
  assert.match(first?.snapshot.at ?? '', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
  assert.match(first?.snapshot.lsn ?? '', /^[0-9A-F]+\/[0-9A-F]+$/);
  assert.deepEqual(first?.tables['t']?.contract.columns[1], {
    name: 'amount',
    postgresType: 'numeric(14,2)',
    duckdbType: 'DECIMAL(14,2)',
    nullable: true,
    policy: 'error',
  });
  assert.deepEqual(first?.tables['t']?.read, { how: 'whole', rows: 130_000, why: null });
});

test('memory does not grow with the table of a first load', async () => {
  const growth = await growthOfMemory(lake, { small: 300_000, large: 900_000, memoryMb: 128, again: false });
  // 190 MB of rows, then 580 MB: what memory held of a table would show as some 390 MB more; what a late collection leaves is about 100.
  assert.ok(growth < 160, `three times the rows took ${growth} MB more`);
});
