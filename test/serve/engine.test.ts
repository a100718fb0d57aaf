import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { isSluiceError } from '../../warehouse/core/errors.ts';
import { type ColumnType, parseColumnType } from '../../warehouse/serve/column-type.ts';
import { type Engine, startEngine } from '../../warehouse/serve/engine.ts';
import { DEFAULT_SERVING_LIMITS, openServing, type Serving } from '../../warehouse/serve/index.ts';
import { ALICE, BORIS, createGold, type Gold, silent } from './support/gold.ts';

const limits = { ...DEFAULT_SERVING_LIMITS, timeoutMs: 2_000, graceMs: 500, poolSize: 2 };

let gold: Gold;
let engine: Engine;
let path: string;
before(async () => {
  gold = await createGold();
  path = (await gold.release('engine')).goldPath;
  engine = await startEngine(path, limits, silent);
});
after(async () => {
  await engine.stop();
  await gold.remove();
});

const text: ColumnType = { kind: 'text' };

/** What a statement that got past the compiler would meet. */
async function force(sql: string, values: readonly string[] = [], ms = 2_000): Promise<string> {
  const running = engine.run({
    sql,
    values,
    columns: [{ name: 'x', type: text }],
    format: 'csv',
    maxRows: 10,
    deadline: performance.now() + ms,
  });
  const [answer] = await Promise.allSettled([running.answer, running.settled]);
  if (answer.status === 'rejected') throw answer.reason;
  return answer.value.text;
}

async function refused(sql: string): Promise<string> {
  const error: unknown = await force(sql).then(
    (answer) => assert.fail(`${sql} answered ${answer}`),
    (reason: unknown) => reason,
  );
  assert.ok(isSluiceError(error, 'QUERY_FAILED'), sql);
  return String(error.cause);
}

test('nothing but one SELECT runs, even if the compiler erred', async () => {
  for (const sql of [
    'create temp view fct_transactions as select 1 as x',
    'create temp table t as select 1 as x',
    'create table gold.main.t as select 1 as x',
    'create schema s',
    'set variable a = 1',
    'insert into gold.main.currencies values (1)',
    'delete from gold.main.currencies',
    'drop table gold.main.currencies',
    "attach ':memory:' as other",
    'detach gold',
    'use memory',
    "copy gold.main.currencies to '/tmp/sluice-never.csv'",
    "export database '/tmp/sluice-never'",
    'install httpfs',
    'load httpfs',
    "set memory_limit = '10GB'",
    'set enable_external_access = true',
    'reset lock_configuration',
    'begin',
    'prepare p as select 1',
    'checkpoint',
    'select 1 as x; select 2 as x',
    'select 1 as x; drop table gold.main.currencies',
  ]) {
    assert.match(await refused(sql), /expected a SELECT|expected one statement|Error/, sql);
  }
  assert.equal(await force('select count(*)::varchar as x from gold.main.currencies'), '3');
  assert.equal(await force('select count(*)::varchar as x from duckdb_views() where temporary and not internal'), '0');
});

test('no file, no network and no setting is within reach of a SELECT', async () => {
  for (const sql of [
    "select content as x from read_text('/etc/passwd')",
    "select * from '/etc/passwd'",
    "select * from read_csv('/etc/passwd')",
    "select * from glob('/*')",
    "select * from read_parquet('http://127.0.0.1:1/x.parquet')",
    "select * from sniff_csv('/etc/passwd')",
    "select getenv('HOME') as x",
    "select * from query('attach ''/tmp/x.db''')",
  ]) {
    await refused(sql);
  }
  assert.equal(await force("select value as x from duckdb_settings() where name = 'lock_configuration'"), 'true');
  assert.equal(await force("select value as x from duckdb_settings() where name = 'enable_external_access'"), 'false');
});

test('the engine is given no environment of the service', async () => {
  process.env['SLUICE_TEST_SECRET'] = 'never hand this on';
  const other = await startEngine(path, limits, silent);
  try {
    if (existsSync(`/proc/${other.pid}/environ`)) {
      assert.ok(!readFileSync(`/proc/${other.pid}/environ`, 'latin1').includes('never hand this on'));
    }
  } finally {
    delete process.env['SLUICE_TEST_SECRET'];
    await other.stop();
  }
});

test('a query that takes too long ends at its deadline, and its connection is not used again', async () => {
  const started = performance.now();
  await assert.rejects(force('select sum(n)::varchar as x from gold.main.slow', [], 300), (error) =>
    isSluiceError(error, 'QUERY_TIMEOUT'),
  );
  const ms = performance.now() - started;
  assert.ok(ms >= 295 && ms < 800, `${ms} ms`);
  assert.equal(await force('select 42::varchar as x'), '42');
});

test('a deadline already over is a time-out before the query begins', async () => {
  for (let i = 0; i < 50; i++) {
    await assert.rejects(force('select 1::varchar as x', [], -5), (error) => isSluiceError(error, 'QUERY_TIMEOUT'));
  }
  assert.equal(await force('select 42::varchar as x'), '42');
});

test('an early cancel is not lost', async () => {
  for (const delay of [0, 0, 1, 2, 5, 20]) {
    const abort = new AbortController();
    const started = performance.now();
    const running = engine.run({
      sql: 'select sum(n)::varchar as x from gold.main.slow',
      values: [],
      columns: [{ name: 'x', type: text }],
      format: 'csv',
      maxRows: 1,
      deadline: performance.now() + 2_000,
      signal: abort.signal,
    });
    setTimeout(() => abort.abort(), delay);
    await assert.rejects(running.answer, (error) => isSluiceError(error, 'CANCELLED'));
    await running.settled;
    assert.ok(performance.now() - started < 450, `${performance.now() - started} ms after ${delay} ms`);
  }
  assert.equal(await force('select 42::varchar as x'), '42', 'the engine was not killed');
});

test('a file that is no DuckDB database, or none at all, is an error and leaves no process or folder', async () => {
  await withTemporaryFolder(await mkdtemp(join(gold.dir, 'tmp-')), async (dir) => {
    await assert.rejects(
      startEngine('/etc/hostname', limits, silent),
      (error) => isSluiceError(error, 'QUERY_FAILED') && !error.message.includes('/etc'),
    );
    await assert.rejects(startEngine(`${gold.dir}/none.duckdb`, limits, silent), (error) =>
      isSluiceError(error, 'QUERY_FAILED'),
    );
    assert.deepEqual(readdirSync(dir), []);
  });
});

/** Lets this process make its temporary files in a folder of the test's own, where nobody else does. */
async function withTemporaryFolder(dir: string, work: (dir: string) => Promise<void>): Promise<void> {
  const { TMPDIR } = process.env;
  process.env['TMPDIR'] = dir;
  try {
    await work(dir);
  } finally {
    if (TMPDIR === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = TMPDIR;
  }
}

test('every type of DuckDB leaves as exact text, number, list or null', async () => {
  const cases: readonly (readonly [sql: string, type: string, json: string])[] = [
    ['true', 'BOOLEAN', 'true'],
    ['(-128)::tinyint', 'TINYINT', '-128'],
    ['2147483647::integer', 'INTEGER', '2147483647'],
    ['4294967295::uinteger', 'UINTEGER', '4294967295'],
    ['9223372036854775807::bigint', 'BIGINT', '"9223372036854775807"'],
    ['18446744073709551615::ubigint', 'UBIGINT', '"18446744073709551615"'],
    ["'-170141183460469231731687303715884105728'::hugeint", 'HUGEINT', '"-170141183460469231731687303715884105728"'],
    ["'-0.05'::decimal(18,2)", 'DECIMAL(18,2)', '"-0.05"'],
    [
      "'99999999999999999999999999999999.999999'::decimal(38,6)",
      'DECIMAL(38,6)',
      '"99999999999999999999999999999999.999999"',
    ],
    ["'7'::decimal(4,0)", 'DECIMAL(4,0)', '"7"'],
    ['0.1::double', 'DOUBLE', '0.1'],
    ["'nan'::double", 'DOUBLE', 'null'],
    ["'-infinity'::double", 'DOUBLE', 'null'],
    ["'AbCdEf00-0000-4000-8000-000000000000'::uuid", 'UUID', '"abcdef00-0000-4000-8000-000000000000"'],
    ["'ü🐷\"\\\n'", 'VARCHAR', JSON.stringify('ü🐷"\\\n')],
    ["''", 'VARCHAR', '""'],
    ["date '2026-02-28'", 'DATE', '"2026-02-28"'],
    ["date '0044-03-15'", 'DATE', '"0044-03-15"'],
    ["timestamp '2026-02-28 23:59:59.000001'", 'TIMESTAMP', '"2026-02-28T23:59:59.000001"'],
    ["timestamp '1969-12-31 23:59:59.5'", 'TIMESTAMP', '"1969-12-31T23:59:59.500000"'],
    ["timestamptz '2026-03-29 03:30:00+02'", 'TIMESTAMP WITH TIME ZONE', '"2026-03-29T01:30:00Z"'],
    ['[1, null, 3]::bigint[]', 'BIGINT[]', '["1",null,"3"]'],
    ['[]::varchar[]', 'VARCHAR[]', '[]'],
    ["[['a'], null]::varchar[][]", 'VARCHAR[][]', '[["a"],null]'],
    ["[date '2026-01-01']", 'DATE[]', '["2026-01-01"]'],
    ['null::uuid', 'UUID', 'null'],
  ];
  for (const [sql, type, json] of cases) {
    const running = engine.run({
      sql: `select ${sql} as x`,
      values: [],
      columns: [{ name: 'x', type: parseColumnType(type) }],
      format: 'json',
      maxRows: 1,
      deadline: performance.now() + 2_000,
    });
    assert.equal((await running.answer).text, `{"x":${json}}`, sql);
    await running.settled;
  }
});

test('an answer over the byte cap is an error, however its rows are spread, and memory stays bounded', async () => {
  const serving = await openServing({
    pinned: await gold.release('wide'),
    log: silent,
    limits: { timeoutMs: 20_000, maxBytes: 500_000, memoryMb: 512 },
  });
  try {
    const pid = serving.load().enginePid;
    const rss = (): number =>
      Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? 0) / 1_024;
    const page = await serving.query('wide', ALICE, { limit: 20 });
    assert.ok(page.kind === 'page' && page.rows === 20 && page.hasMore && page.bytes < 500_000);
    const tooLarge = (error: unknown): boolean => isSluiceError(error, 'QUERY_TOO_LARGE');
    await assert.rejects(serving.query('wide', ALICE, { limit: 40 }), tooLarge);
    for (let round = 0; round < 4; round += 1)
      await assert.rejects(serving.query('wide', ALICE, { limit: 10_000 }), tooLarge);
    await assert.rejects(serving.query('wide', ALICE, { limit: 1, offset: 399 }), tooLarge);
    const last = await serving.query('wide', ALICE, { limit: 5, offset: 395 }).catch((error: unknown) => error);
    assert.ok(tooLarge(last), 'one row of 8 MB makes its whole page an error');
    assert.equal(serving.load().enginePid, pid);
    if (existsSync(`/proc/${pid}/status`)) assert.ok(rss() < 1_000, `${rss()} MB`);
  } finally {
    await serving.close();
  }
});

test('a killed engine: what ran gets an error to retry, what comes is answered soon', async () => {
  const serving = await openServing({
    pinned: await gold.release('killed'),
    log: silent,
    limits: { timeoutMs: 5_000 },
  });
  try {
    for (let round = 0; round < 3; round += 1) {
      const pid = serving.load().enginePid ?? 0;
      const running = serving.query('slow', ALICE, {}).catch((error: unknown) => error);
      await new Promise((resolve) => setTimeout(resolve, 100));
      process.kill(pid, 'SIGKILL');
      const error = await running;
      assert.ok(isSluiceError(error, 'ENGINE_BUSY') && error.retryable);
      const started = performance.now();
      const page = await serving.query('fct_transactions', BORIS, { limit: 1 });
      assert.equal(page.kind, 'page');
      assert.ok(performance.now() - started < 4_500, `${performance.now() - started} ms`);
      assert.notEqual(serving.load().enginePid, pid);
      assert.equal(serving.load().running, 0);
    }
  } finally {
    await serving.close();
  }
});

test('a stopped engine that hears no interrupt is killed after the grace and replaced', async () => {
  const serving: Serving = await openServing({
    pinned: await gold.release('deaf'),
    log: silent,
    limits: { timeoutMs: 400, graceMs: 300 },
  });
  try {
    const pid = serving.load().enginePid ?? 0;
    process.kill(pid, 'SIGSTOP');
    const started = performance.now();
    await assert.rejects(serving.query('fct_transactions', ALICE, {}), (error) =>
      isSluiceError(error, 'QUERY_TIMEOUT'),
    );
    assert.ok(performance.now() - started < 700, 'the caller is told at the deadline');
    let page: unknown;
    for (let attempt = 0; attempt < 20 && page === undefined; attempt += 1)
      page = await serving.query('fct_transactions', ALICE, { limit: 1 }).catch(() => undefined);
    assert.ok(page !== undefined);
    assert.notEqual(serving.load().enginePid, pid);
    assert.throws(() => process.kill(pid, 0));
  } finally {
    await serving.close();
  }
});

test('an engine over its memory is exchanged without a failed request', async () => {
  const serving = await openServing({ pinned: await gold.release('fat'), log: silent, limits: { recycleRssMb: 1 } });
  try {
    const pids = new Set<number | undefined>();
    const end = performance.now() + 60_000;
    const worker = async (): Promise<void> => {
      while (pids.size < 3 && performance.now() < end) {
        const page = await serving.query('fct_transactions', ALICE, { limit: 10 });
        assert.ok(page.kind === 'page' && page.rows === 10);
        pids.add(serving.load().enginePid);
      }
    };
    await Promise.all([worker(), worker(), worker()]);
    assert.ok(pids.size >= 3);
  } finally {
    await serving.close();
  }
});

test('closing ends the engine process and removes what it spilled', async () => {
  await withTemporaryFolder(await mkdtemp(join(gold.dir, 'tmp-')), async (dir) => {
    const serving = await openServing({ pinned: await gold.release('closed'), log: silent });
    const pid = serving.load().enginePid ?? 0;
    process.kill(pid, 0);
    assert.equal(readdirSync(dir).length, 1);
    await serving.close();
    assert.throws(() => process.kill(pid, 0));
    assert.deepEqual(readdirSync(dir), []);
  });
});

test('an engine whose service was killed ends by itself and removes what it spilled', async () => {
  const { goldPath } = await gold.release('orphan');
  const program = `
    import { startEngine } from ${JSON.stringify(new URL('../../warehouse/serve/engine.ts', import.meta.url).href)};
    import { createLog } from ${JSON.stringify(new URL('../../warehouse/core/log.ts', import.meta.url).href)};
    const engine = await startEngine(${JSON.stringify(goldPath)}, ${JSON.stringify(limits)}, createLog({ level: 'silent' }));
    engine.run({ sql: 'select sum(n)::varchar as x from gold.main.slow', values: [], columns: [{ name: 'x', type: { kind: 'text' } }], format: 'csv', maxRows: 1, deadline: performance.now() + 60000 }).answer.catch(() => undefined);
    process.stdout.write(String(engine.pid) + '\\n');
  `;
  const spillRoot = await mkdtemp(join(gold.dir, 'orphan-'));
  const service = spawn(process.execPath, ['--input-type=module-typescript', '-e', program], {
    env: { TMPDIR: spillRoot },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(service.stdout, 'data')) as [Buffer];
  const pid = Number(line.toString());
  assert.equal(readdirSync(spillRoot).length, 1);
  service.kill('SIGKILL');
  await once(service, 'exit');
  const end = performance.now() + 3_000;
  const lives = (): boolean => {
    try {
      return process.kill(pid, 0);
    } catch {
      return false;
    }
  };
  while (lives() && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 20));
  assert.ok(!lives());
  assert.deepEqual(readdirSync(spillRoot), []);
});
