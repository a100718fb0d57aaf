import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { assertNoStack, type CliResult, parseError, parseJson, runCli } from '../support/cli.ts';
import { testDatabase } from '../support/postgres.ts';

/** `sluice demo` on its own Postgres, small: first run, again, further days, killed, reset while the server of a killed run lives. */

const SCALE = ['--scale', '0.05', '--seed', '3'] as const;
let dir: string;

before(() => {
  dir = mkdtempSync(join(tmpdir(), 'sluice-demo-'));
  for (const folder of ['models', 'sql']) {
    cpSync(fileURLToPath(new URL(`../../${folder}`, import.meta.url)), join(dir, folder), { recursive: true });
  }
});
after(async () => {
  await sluice(['demo', '--reset', '--scale', '0']);
  rmSync(dir, { recursive: true, force: true });
});

const sluice = (args: readonly string[], onSpawn?: Parameters<typeof runCli>[1]): Promise<CliResult> =>
  runCli([...args, '--project', dir], { ...onSpawn, env: { SLUICE_THREADS: '2', ...onSpawn?.env } });

async function machine<T>(args: readonly string[]): Promise<T> {
  const result = await sluice([...args, '--json']);
  assert.equal(result.code, 0, result.stdout + result.stderr);
  return parseJson(result) as T;
}

interface DemoResult {
  readonly loaded: { readonly is_new: boolean; readonly rows_total?: number };
  readonly run: { readonly release?: { readonly number: number } };
  readonly answer: { readonly sub: string; readonly rows: readonly { readonly month: string; readonly net: string }[] };
}

/** Pid of the project's server, if it runs. */
function serverPid(): number | undefined {
  const home = join(dir, '.sluice', 'postgres');
  const path = join(home, 'data', 'postmaster.pid');
  if (!existsSync(path)) return undefined;
  return Number(readFileSync(path, 'utf8').split('\n')[0]);
}

/** Kills the command as soon as its server was reached; the server goes on living. */
async function killed(args: readonly string[]): Promise<void> {
  const result = await sluice(args, {
    onSpawn: (child) =>
      child.stderr?.on('data', (text: Buffer | string) => {
        if (String(text).includes('load    postgres')) child.kill('SIGKILL');
      }),
  });
  assert.equal(result.signal, 'SIGKILL', result.stderr);
  assert.doesNotThrow(() => process.kill(serverPid() ?? 0, 0), 'the server of the killed run lives');
}

test('demo --json: one object with the run and one user’s figures; again it carries nothing', async () => {
  const first = await machine<DemoResult>(['demo', ...SCALE]);
  assert.equal(first.loaded.is_new, true);
  assert.equal(first.run.release?.number, 1);
  assert.ok(first.answer.rows.length > 0 && first.answer.rows.every(({ net }) => /^-?\d+\.\d\d$/.test(net)));
  assert.equal(serverPid(), undefined, 'the server was stopped');
  const again = await machine<DemoResult>(['demo', ...SCALE]);
  assert.equal(again.loaded.is_new, false);
  assert.equal(again.run.release, undefined);
  assert.deepEqual(again.answer, first.answer);
});

test('demo evolve joins the server of a killed demo, plays days and shows what was carried', async () => {
  await killed(['demo', ...SCALE]);
  const { code, stdout, stderr } = await sluice(['demo', 'evolve', '--days', '2']);
  assert.equal(code, 0, stderr);
  assert.match(stderr, /was running/);
  assert.match(
    stdout,
    /2 more days of life, to 2025-07-02[\s\S]*Release 2 published[\s\S]*monthly trends[\s\S]*│[\s\S]*Try next/,
  );
  assert.equal((await machine<{ equal: boolean }>(['verify'])).equal, true);
  assert.equal(serverPid(), undefined);
});

test('demo --reset starts again although the server of a killed demo still runs', async () => {
  await killed(['demo', 'evolve']);
  const { loaded, run } = await machine<DemoResult>(['demo', '--reset', ...SCALE]);
  assert.equal(loaded.is_new, true);
  assert.equal(run.release?.number, 1);
  assert.equal(serverPid(), undefined);
});

test('what the demo refuses: another scale, options that evolve does not take, a scale of nothing', async () => {
  const scale = parseError(await sluice(['demo', '--scale', '2', '--json']));
  assert.match(scale.message, /scale 0\.05 and seed 3, not scale 2/);
  assert.match(scale.remedy, /--reset/);
  const misplaced = await sluice(['demo', '--reset', 'evolve', '--json']);
  assert.equal(misplaced.code, 2);
  assert.match(parseError(misplaced).message, /demo evolve takes no --reset/);
  const behind = await sluice(['demo', 'evolve', '--scale', '3']);
  assert.equal(behind.code, 2);
  assert.match(behind.stderr, /demo evolve takes no --scale/);
  const nothing = parseError(await sluice(['demo', '--scale', '0', '--json']));
  assert.match(nothing.message, /--scale/);
});

test('the demo never touches a schema that it did not make, nor folders outside .sluice', async () => {
  const database = await testDatabase();
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  try {
    await client.query('create schema app; create table app.precious (id int); insert into app.precious values (1)');
    const env = { SLUICE_SOURCE_URL: database.url };
    const refused = await sluice(['demo', '--json'], { env });
    assert.equal(refused.code, 2, refused.stdout);
    assert.match(parseError(refused).message, /schema app that the demo did not make/);
    assert.equal((await client.query('select * from app.precious')).rowCount, 1);
    const reset = await sluice(['demo', '--reset', '--json'], { env });
    assert.match(parseError(reset).message, /SLUICE_SOURCE_URL names another/);
    const outside = await sluice(['demo', '--reset', '--json'], { env: { SLUICE_LAKE: '.sluice-other/lake' } });
    assert.match(parseError(outside).message, /inside .*\.sluice only/);
    for (const result of [refused, reset, outside]) assertNoStack(result);
  } finally {
    await client.end();
    await database.drop();
  }
});
