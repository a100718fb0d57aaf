import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { currentRowsSql } from '../../warehouse/core/bronze-sql.ts';
import { query, sourceOf, type TestLake, testLake } from './lake.ts';

let lake: TestLake;
before(async () => {
  lake = await testLake();
});
after(() => lake[Symbol.asyncDispose]());

test('B18: 100 rows of 10 MB each are carried within bounded memory', async (t) => {
  await lake.client.query(`create table app.wide (id int primary key, v text);
    insert into app.wide select i, repeat(md5(i::text), 327680) from generate_series(1, 100) i`);
  const source = sourceOf({ wide: { mode: 'full', key: ['id'], columns: ['id', 'v'] } });
  const script = fileURLToPath(new URL('./wide-child.ts', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [
    script,
    JSON.stringify({ url: lake.url, dir: lake.dir, source }),
  ]);
  const { rows, mb } = JSON.parse(stdout) as { rows: number; mb: number };
  assert.equal(rows, 100);
  assert.ok(mb > 50 && mb < 700, `${mb} MB`);
  const [same] = await query(
    `select count(*) as n from (${currentRowsSql(await lake.table('app', 'wide'))}) where v = repeat(md5(id::varchar), 327680)`,
  );
  assert.equal(same?.['n'], 100n);
  t.diagnostic(`at most ${mb} MB`);
});
