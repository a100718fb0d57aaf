import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { openBronze } from '../../warehouse/bronze/index.ts';
import { isSluiceError } from '../../warehouse/core/errors.ts';
import { log, sourceOf, type TestLake, testLake, touchedTableSql } from './lake.ts';

/** Attacks on the promise "exactly once": killed at every point and run twice at once, bronze afterwards equals Postgres and holds nothing double. */

const source = sourceOf({
  kept: { mode: 'full', key: ['id'], columns: ['id', 'v'] },
  moved: {
    mode: 'cursor',
    key: ['id'],
    columns: ['id', 'v', 'updated_at'],
    cursor: { column: 'updated_at', setBy: 'database' },
  },
  bag: { mode: 'full', key: [], columns: ['v'] },
  events: { mode: 'append', key: [], columns: ['v'] },
  swept: {
    mode: 'cursor',
    key: ['id'],
    columns: ['id', 'v', 'updated_at'],
    cursor: { column: 'updated_at', setBy: 'application' },
  },
});

let lake: TestLake;
before(async () => {
  lake = await testLake();
  await mkdir(join(lake.dir, 'work'), { recursive: true });
  await lake.client.query(`create table app.kept (id int primary key, v text); create table app.bag (v text); create table app.events (v text); create table app.swept (id int primary key, v text, updated_at timestamptz);
    ${touchedTableSql('moved', 'id int primary key, v text')}
    insert into app.kept select i, 'first' from generate_series(1, 2000) i; insert into app.bag values ('a'), ('a'); insert into app.events values ('a'), ('a'); insert into app.swept select i, 'first', now() from generate_series(1, 2000) i;
    insert into app.moved select i, 'first' from generate_series(1, 2000) i`);
});
after(() => lake[Symbol.asyncDispose]());

let round = 0;
async function change(): Promise<void> {
  round++;
  await lake.client.query(`update app.kept set v = 'round ${round}' where id % 7 = ${round % 7}; delete from app.kept where id = ${round};
    insert into app.kept values (${10_000 + round}, 'new'); insert into app.bag values ('round ${round}'); insert into app.events values ('round'), ('round');
    update app.swept set v = 'round ${round}' where id % 5 = ${round % 5}; insert into app.swept values (${10_000 + round}, 'new', null);
    update app.moved set v = 'round ${round}' where id % 5 = ${round % 5}; insert into app.moved values (${10_000 + round}, 'new')`);
}

interface Ended {
  readonly signal: string | null;
  readonly code: number | null;
  readonly output: string;
}

function runChild(killBefore: number, killAfterMs?: number): Promise<Ended> {
  const script = fileURLToPath(new URL('./kill-child.ts', import.meta.url));
  const child = spawn(
    process.execPath,
    [script, JSON.stringify({ url: lake.url, dir: lake.dir, source, killBefore })],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  if (killAfterMs !== undefined) void sleep(killAfterMs).then(() => child.kill('SIGKILL'));
  return new Promise((resolve) => {
    child.on('close', (code, signal) => resolve({ code, signal, output }));
  });
}

/** A new reader, so that no cache hides what the disk holds. */
async function assertEqualAndSingle(): Promise<void> {
  const state = await openBronze({ store: lake.store, log }).state(['app']);
  const report = await lake.verify(source, { state });
  assert.deepEqual(
    report.tables.filter((table) => !table.equal),
    [],
  );
  for (const table of ['kept', 'moved', 'swept']) {
    const rows = await lake.log(table);
    const places = rows.map((row) => `${String(row['id'])}@${String((row['_seq'] as bigint) >> 32n)}`);
    assert.equal(new Set(places).size, places.length, 'no key stands twice in a commit');
    assert.equal(new Set(rows.map((row) => row['_seq'])).size, rows.length);
  }
}

test('B10: killed before every write and after the last, a run leaves the old state or the new one, and the next run completes it', async () => {
  let finished = false;
  for (let killBefore = 1; !finished; killBefore++) {
    assert.ok(killBefore < 30, 'a run has a handful of writes');
    await change();
    const before = await lake.bronze.head('app');
    const killed = await runChild(killBefore);
    finished = killed.signal !== 'SIGKILL';
    if (finished) assert.equal(killed.code, 0, killed.output);
    const bronze = openBronze({ store: lake.store, log });
    const seen = await bronze.head('app');
    assert.ok(seen === before || seen === before + 1);
    const snapshot = await bronze.snapshot(['app']);
    assert.deepEqual(snapshot.commits, { app: seen }, 'what a killed run left can be read');
    const next = await runChild(0);
    assert.equal(next.code, 0, next.output);
    assert.equal(await lake.bronze.head('app'), before + 1, 'the change is committed once');
    await assertEqualAndSingle();
  }
});

test('B9: killed at any moment of its life, a run harms nothing, although the tables move to other files before the next one', async () => {
  for (const ms of [150, 250, 320, 380, 440, 500, 600]) {
    await change();
    await runChild(0, ms);
    await lake.client.query('vacuum (full) app.kept');
    await lake.client.query('vacuum (full) app.moved');
    const next = await runChild(0);
    assert.equal(next.code, 0, next.output);
    await assertEqualAndSingle();
  }
});

test('B11: two runs at once: one commits, the other is told, and nothing is double', async () => {
  for (let i = 0; i < 3; i++) {
    await change();
    await lake.settle();
    const head = await lake.bronze.head('app');
    const [one, two] = await Promise.all([lake.extract(source), lake.extract(source)]);
    const [first, second] = [openBronze({ store: lake.store, log }), openBronze({ store: lake.store, log })];
    const results = await Promise.allSettled([
      first.commit('app', one.drafts[0]!),
      second.commit('app', two.drafts[0]!),
    ]);
    const lost = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []));
    assert.equal(lost.length, 1);
    assert.ok(isSluiceError(lost[0], 'COMMIT_CONFLICT') && lost[0].retryable);
    assert.equal(await lake.bronze.head('app'), head + 1);
    await assertEqualAndSingle();
    assert.deepEqual((await lake.idle(source)).batch.drafts, [], 'a run over unchanged tables commits nothing');
  }
});

test('two processes at once, killed or not, end in one state', async () => {
  await change();
  const ended = await Promise.all([runChild(0), runChild(0), runChild(2)]);
  const failed = ended.filter((child) => child.code !== 0 && child.signal === null);
  for (const child of failed) assert.match(child.output, /COMMIT_CONFLICT|Another run committed/);
  assert.equal((await runChild(0)).code, 0);
  await assertEqualAndSingle();
});
