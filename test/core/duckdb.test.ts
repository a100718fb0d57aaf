import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openDuckDb } from '../../warehouse/core/duckdb.ts';

let dir: string;
before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sluice-duckdb-'));
});
after(() => rm(dir, { recursive: true, force: true }));

test('values arrive exact', async () => {
  const db = await openDuckDb();
  const [row] = await db.rows(`select
    9223372036854775807 as big, 99999999999999999999999999999999999999::hugeint as huge,
    12345678901234567890.10::decimal(38, 2) as money, '-0'::double as negative_zero, 'nan'::float as nan,
    date '2020-02-29' as day, 'infinity'::date as forever, '-infinity'::date as never, 'infinity'::timestamptz as later,
    timestamptz '2020-01-01 00:00:00.123456+05:45' as moment, date '0044-03-15 (BC)' as ides, null as nothing,
    [1.50::decimal(4, 2), null] as list, {'a': 1, 'b': ['x']} as record, map {'k': 2::bigint} as pairs,
    '00000000-0000-0000-0000-000000000000'::uuid as id`);
  assert.deepEqual(row, {
    big: 9223372036854775807n,
    huge: 99999999999999999999999999999999999999n,
    money: '12345678901234567890.10',
    negative_zero: -0,
    nan: Number.NaN,
    day: '2020-02-29',
    forever: 'infinity',
    never: '-infinity',
    later: 'infinity',
    moment: '2019-12-31 18:15:00.123456+00',
    ides: '0044-03-15 (BC)',
    nothing: null,
    list: ['1.50', null],
    record: { a: 1, b: ['x'] },
    pairs: [['k', 2n]],
    id: '00000000-0000-0000-0000-000000000000',
  });
  db.close();
});

test('values are bound, not pasted', async () => {
  const db = await openDuckDb();
  const text = `'; drop table x; --`;
  assert.deepEqual(await db.rows('select $1 as text, $2 + 1 as number', [text, 41]), [{ text, number: 42 }]);
  db.close();
});

test('a locked database reads the folders given and nothing else, for good', async () => {
  const [inside, outside] = [join(dir, 'inside'), join(dir, 'inside-not')];
  for (const folder of [inside, outside]) {
    await mkdir(folder);
    await writeFile(join(folder, 'f.csv'), 'a\n1\n');
  }
  const db = await openDuckDb();
  await db.lock({ allowedDirectories: [inside] });
  assert.deepEqual(await db.rows(`select a from read_csv('${join(inside, 'f.csv')}')`), [{ a: 1n }]);
  for (const path of [join(outside, 'f.csv'), join(inside, '..', 'inside-not', 'f.csv'), '/etc/passwd']) {
    await assert.rejects(db.rows(`select * from read_csv('${path}')`), /Permission Error/);
  }
  await assert.rejects(db.run(`copy (select 1) to '${join(outside, 'out.csv')}'`), /Permission Error/);
  await assert.rejects(db.run(`attach '${join(outside, 'x.duckdb')}'`), /Permission Error/);
  await assert.rejects(db.run('install httpfs'), /Permission Error|disabled/i);
  await assert.rejects(db.run('set enable_external_access = true'));
  await assert.rejects(db.run(`set allowed_directories = ['/']`));
  db.close();
});

test('a closed file can be opened again at once', async () => {
  const path = join(dir, 'again.duckdb');
  for (let i = 0; i < 5; i++) {
    const db = await openDuckDb({ path });
    await db.run('create or replace table t as select range as i from range(10000)');
    db.close();
  }
  const db = await openDuckDb({ path, readOnly: true });
  assert.deepEqual(await db.rows('select count(*) as n from t'), [{ n: 10000n }]);
  await assert.rejects(db.run('create table u (i int)'), /read-only/);
  db.close();
});

test('work beyond the memory limit spills, and without a place to spill it stops', async () => {
  const sql = 'select count(*) as n from (select distinct hash(range) as h, range::varchar as v from range(3000000))';
  const db = await openDuckDb({ memoryLimitMb: 64, threads: 1, tempDirectory: join(dir, 'spill') });
  assert.deepEqual(await db.rows(sql), [{ n: 3000000n }]);
  db.close();
});
