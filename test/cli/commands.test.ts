import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmod, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { assertNoStack, type CliResult, parseError, parseJson, runCli } from '../support/cli.ts';
import { type TestProject, testProject } from '../support/project.ts';

/** Every command as a user meets it: words for people, one JSON object for machines, exit codes. `demo` has a file of its own. */

const AS_OF = ['--as-of', '2026-03-01'] as const;
let project: TestProject;
let firstHuman: CliResult;

before(async () => {
  project = await testProject();
  firstHuman = await project.sluice(['run', ...AS_OF]);
});
after(() => project[Symbol.asyncDispose]());

async function human(args: readonly string[], input = ''): Promise<string> {
  const result = await project.sluice(args, { input });
  assert.equal(result.code, 0, result.stderr);
  assertNoStack(result);
  return result.stdout;
}

async function machine<T = Record<string, unknown>>(args: readonly string[], input = ''): Promise<T> {
  const result = await project.sluice([...args, '--json'], { input });
  assert.equal(result.code, 0, result.stdout);
  assert.equal(result.stderr, '', 'with --json a success is silent but for its object');
  assertCased(parseJson(result));
  return parseJson(result) as T;
}

/** Fields are snake_case throughout. */
function assertCased(value: unknown): void {
  if (typeof value !== 'object' || value === null) return;
  for (const [name, item] of Object.entries(value)) {
    assert.doesNotMatch(name, /[a-z][A-Z]/, `the field ${name}`);
    assertCased(item);
  }
}

test('run: progress goes to standard error, tables and the release to standard output', async () => {
  assert.equal(firstHuman.code, 0, firstHuman.stderr);
  assert.match(
    firstHuman.stdout,
    /extract → bronze[\s\S]*shop\.orders +full +200 +200[\s\S]*silver[\s\S]*gold[\s\S]*gold\.fct_orders +rebuilt +200/,
  );
  assert.match(firstHuman.stdout, /Release 1 published: \S+, as of 2026-03-01, \d+ tests passed/);
  assert.match(firstHuman.stderr, /✓ extract shop\.orders +200 rows/);
  assert.match(firstHuman.stderr, /✓ gold +gold\.customer_totals/);
  assert.equal(firstHuman.stderr.match(/^✓ test /gm)?.length, 2, 'one line for the tests of each layer');
  assert.match(firstHuman.stderr, /✓ publish release 1/);
});

test('run --json: what it did, and that a run without changes publishes nothing', async () => {
  const result = await machine<{
    as_of: string;
    extract: { commits: unknown; tables: { rows_read: number }[] };
    release?: unknown;
  }>(['run', ...AS_OF]);
  assert.equal(result.as_of, '2026-03-01');
  assert.deepEqual(result.extract.commits, { shop: 1 });
  assert.equal(result.extract.tables.length, 2);
  assert.equal(result.release, undefined);
});

test('plan, extract and build: the plan says what a build then does', async () => {
  await project.client.query(`insert into shop.orders values (500, 1, '2026-01-05', 10)`);
  const extracted = await machine<{ extract: { tables: { table: string; inserted: number }[] }; release?: unknown }>([
    'extract',
  ]);
  assert.deepEqual(
    extracted.extract.tables.map(({ table, inserted }) => [table, inserted]),
    [
      ['customers', 0],
      ['orders', 1],
    ],
  );
  assert.equal(extracted.release, undefined);
  assert.match(await human(['status']), /Bronze is ahead of it \(shop\): sluice build/);
  const plan = await machine<{ to_run: number; base_release: number; steps: { model: string; action: string }[] }>([
    'plan',
  ]);
  assert.equal(plan.base_release, 1);
  const text = await human(['plan']);
  assert.match(text, /Plan [0-9a-f]{16} for as of 2026-03-01, on release 1, bronze at shop commit 2/);
  assert.match(text, new RegExp(`${plan.to_run} to run`));
  const built = await human(['build']);
  assert.match(built, /gold\.fct_orders +refreshed +201/);
  assert.match(built, /Release 2 published/);
  const { to_run: left } = await machine<{ to_run: number }>(['plan']);
  assert.equal(left, 0);
  assert.match(await human(['extract', '--source', 'shop']), /Nothing changed since the last extraction/);
  const again = await machine<{ models: unknown[] }>(['build', '--select', '+gold.customer_totals']);
  assert.deepEqual(again.models, []);
});

test('query: a table, CSV and JSON of the same rows, exact values, and a word when there are more', async () => {
  const sql = 'select order_id, amount, day from gold.fct_orders order by order_id';
  const text = await human(['query', sql, '--limit', '2']);
  assert.match(text, /order_id +amount +day/);
  assert.match(text, /the first 2 rows; there are more \(--limit\)/);
  const csv = await human(['query', `${sql} limit 1;`, '--csv']);
  assert.equal(csv, 'order_id,amount,day\r\n1,1.25,2026-01-02\n');
  const answer = await machine<{
    rows: unknown[];
    truncated: boolean;
    columns: { name: string; type: string }[];
    release: number;
  }>(['query', sql, '--limit', '1']);
  assert.deepEqual(answer.rows, [{ order_id: '1', amount: '1.25', day: '2026-01-02' }]);
  assert.equal(answer.truncated, true);
  assert.deepEqual(
    answer.columns.map(({ type }) => type),
    ['BIGINT', 'DECIMAL(12,2)', 'DATE'],
  );
  const twice = await machine<{ rows: Record<string, unknown>[] }>([
    'query',
    'select 1 as a, 2 as a -- a comment at the end',
  ]);
  assert.deepEqual(Object.values(twice.rows[0] ?? {}), [1, 2], 'two columns of one name both arrive');
  assert.match(
    await human([
      'query',
      "select as_of() as d, (select count(*) from bronze_log.shop.orders where _op = 'insert') as n",
    ]),
    /2026-03-01 +1/,
  );
});

test('shell: statements on standard input, their answers together with --json, the first error ends it', async () => {
  const script = "-- two\nselect 'a;b' as x; select 2 as y\n;  -- done";
  const text = await human(['shell'], script);
  assert.match(text, /a;b[\s\S]*1 row[\s\S]*2[\s\S]*1 row/);
  const { answers } = await machine<{ answers: { rows: unknown[][] }[] }>(['shell'], script);
  assert.deepEqual(
    answers.map(({ rows }) => rows),
    [[['a;b']], [[2]]],
  );
  const failed = await project.sluice(['shell'], { input: 'select 1; selct; select 3' });
  assert.equal(failed.code, 2);
  assert.match(failed.stdout, /1 row/);
  assert.match(failed.stderr, /error QUERY_INVALID Parser Error/);
  assert.equal(
    parseError(await project.sluice(['shell', '--json'], { input: 'delete from gold.fct_orders' })).code,
    'QUERY_INVALID',
  );
});

test('status, verify, releases and doctor say how things stand', async () => {
  assert.match(
    await human(['status']),
    /shop: commit \d+[\s\S]*shop\.orders +full +carried[\s\S]*shop\.customers|shop\.customers +cursor +not carried/,
  );
  const status = await machine<{ tables: { table: string; carries_deletes: boolean }[]; release: { number: number } }>([
    'status',
  ]);
  assert.deepEqual(
    status.tables.map(({ table, carries_deletes }) => [table, carries_deletes]),
    [
      ['customers', false],
      ['orders', true],
    ],
  );
  assert.match(await human(['verify']), /Bronze equals Postgres: every table, every row/);
  await project.client.query(
    `insert into shop.orders values (501, 1, '2026-01-05', 10); delete from shop.orders where id = 7; update shop.orders set amount = 9 where id = 8`,
  );
  const different = await project.sluice(['verify']);
  assert.equal(different.code, 1);
  assert.match(
    different.stdout,
    /DIFFERENT[\s\S]*missing in bronze: 1, e\.g\. id = 501[\s\S]*extra in bronze: 1, e\.g\. id = 7[\s\S]*other values: 1, e\.g\. id = 8 \(amount\)/,
  );
  const report = await project.sluice(['verify', '--json']);
  assert.equal(report.code, 1);
  assert.equal(parseJson(report)['equal'], false);
  const releases = await human(['releases', '--limit', '1']);
  assert.match(releases, /^release +version[\s\S]*\n2 ← /);
  assert.equal(releases.trim().split('\n').length, 3);
  const doctor = await human(['doctor']);
  for (const check of ['node', 'configuration', 'lake', 'cache', 'source', 'models', 'release', 'token secret', 'port'])
    assert.match(doctor, new RegExp(`[✓!] ${check}`));
  const sick = await project.sluice(['doctor', '--json'], {
    env: { SLUICE_SOURCE_URL: 'postgres://nobody@127.0.0.1:1/x' },
  });
  assert.equal(sick.code, 1);
  const findings = parseJson(sick)['findings'] as { check: string; status: string; remedy?: string }[];
  assert.deepEqual(
    findings.filter(({ status: state }) => state === 'fail').map(({ check }) => check),
    ['source'],
  );
  assert.match(findings.find(({ check }) => check === 'source')?.remedy ?? '', /SLUICE_SOURCE_URL/);
});

test('rollback makes the version before current; again when it is current already it says so', async () => {
  const first = await machine<{ rolled_back_to: number; was: number }>(['rollback']);
  assert.deepEqual([first.rolled_back_to, first.was], [1, 2]);
  assert.match(await human(['rollback', '1']), /Release 1 is current already/);
  assert.match(await human(['rollback', '2']), /Release 4 is current: the version of release 2/);
});

test('token and serve: the token of a user gets that user’s rows; SIGTERM ends the service with 0', async () => {
  const { token } = await machine<{ token: string }>(['token', '--sub', '2', '--org', '1', '--ttl', '60']);
  assert.equal((await stat(join(project.dir, '.sluice', 'jwt-secret'))).mode & 0o777, 0o600);
  const result = await project.sluice(['serve', '--port', '0', '--json'], {
    onSpawn: (child) =>
      void (async () => {
        const [line] = (await once(child.stdout!, 'data')) as [Buffer];
        const { url, release, datasets } = JSON.parse(line.toString()) as {
          url: string;
          release: number;
          datasets: string[];
        };
        assert.deepEqual([release, datasets], [4, ['fct_orders']]);
        const response = await fetch(`${url}/api/analytics/datasets/fct_orders/query?limit=1000`, {
          headers: { Authorization: `Bearer ${token}` },
        });
        const body = await response.text();
        await writeFile(join(project.dir, 'answer.json'), JSON.stringify({ status: response.status, body }));
      })().finally(() => child.kill('SIGTERM')),
  });
  assert.equal(result.code, 0, result.stderr);
  const { status, body } = JSON.parse(await readFile(join(project.dir, 'answer.json'), 'utf8')) as {
    status: number;
    body: string;
  };
  assert.equal(status, 200, body);
  const owners = new Set([...body.matchAll(/"customer_id":"?(\d+)/g)].map(([, id]) => id));
  assert.deepEqual([...owners], ['2']);
});

test('serve: the development secret never guards a public address', async () => {
  const result = await project.sluice(['serve', '--host', '0.0.0.0', '--json']);
  assert.equal(result.code, 2);
  assert.equal(parseError(result).code, 'CONFIG_INVALID');
});

test('token: processes that make the development secret at once all sign with the same one', async () => {
  await project.remove('.sluice/jwt-secret');
  const results = await Promise.all(
    Array.from({ length: 6 }, () => project.sluice(['token', '--sub', '1', '--org', '1'])),
  );
  const { createTokenVerifier } = await import('../../service/index.ts');
  const verify = createTokenVerifier({
    secret: (await readFile(join(project.dir, '.sluice', 'jwt-secret'), 'utf8')).trim(),
  });
  for (const { stdout, code } of results) {
    assert.equal(code, 0);
    assert.equal((await verify(stdout.trim())).sub, '1');
  }
  await chmod(join(project.dir, '.sluice', 'jwt-secret'), 0o600);
  await writeFile(join(project.dir, '.sluice', 'jwt-secret'), 'short\n');
  const short = await project.sluice(['token', '--sub', '1', '--org', '1', '--json']);
  assert.equal(parseError(short).code, 'CONFIG_INVALID');
  await project.remove('.sluice/jwt-secret');
});

test('help of the whole and of every command shows examples; every command is in it', async () => {
  const help = await runCli(['--help']);
  assert.equal(help.code, 0);
  assert.match(help.stdout, /Examples:[\s\S]*Exit codes: 0 done/);
  const commands = [...help.stdout.matchAll(/^ {2}([a-z]+) +(\[options\]|\S)/gm)]
    .map(([, name]) => name)
    .filter((name) => name !== 'help');
  assert.deepEqual(commands, [
    'demo',
    'init',
    'import',
    'run',
    'plan',
    'extract',
    'build',
    'test',
    'query',
    'shell',
    'status',
    'diff',
    'promote',
    'verify',
    'doctor',
    'releases',
    'rollback',
    'gc',
    'docs',
    'fmt',
    'lint',
    'serve',
    'worker',
    'schedule',
    'backfill',
    'runs',
    'token',
  ]);
  const helps = await runCli(['--json'], { env: {}, input: '' });
  assert.equal(parseError(helps).message, 'No command was given.');
  const script = `const { runCli } = await import(${JSON.stringify(new URL('../../cli/main.ts', import.meta.url).href)}); for (const name of ${JSON.stringify([...commands, 'demo evolve'])}) { process.stdout.write('=== ' + name + '\\n'); await runCli([...name.split(' '), '--help']); }`;
  const all = await runNode(script);
  for (const name of [...commands, 'demo evolve']) {
    const text = all.split(`=== ${name}\n`)[1]?.split('=== ')[0] ?? '';
    assert.match(text, new RegExp(`Usage: sluice ${name} `));
    assert.match(text, new RegExp(`Examples:\\n +\\$ .*sluice ${name}`), `${name} has an example of itself`);
    assert.match(text, /--json/);
    assert.match(text, /--project <dir>/);
  }
});

test('a mistyped command or option is answered with the nearest, exit 2, as an object with --json', async () => {
  for (const [args, suggestion] of [
    [['stauts'], 'status'],
    [['-p', '.', 'rnu', 'status'], 'run'],
    [['run', '--full-refrsh'], '--full-refresh'],
    [['status', '--jsn'], '--json'],
  ] as const) {
    const result = await runCli(args);
    assert.equal(result.code, 2, result.stdout);
    assert.match(result.stderr, new RegExp(`Did you mean ${suggestion}\\?`));
    assertNoStack(result);
  }
  const error = parseError(await runCli(['qeury', '--json']));
  assert.equal(error.code, 'USAGE');
  assert.match(error.message, /Did you mean query\?/);
  const missing = parseError(await runCli(['query', '--json']));
  assert.match(missing.message, /missing required argument 'sql'/);
});

test('a reader that goes away does not matter', async () => {
  const result = await project.sluice(['query', "select repeat('x', 100000) as t from range(100)", '--csv'], {
    onSpawn: (child) => child.stdout?.destroy(),
  });
  assert.equal(result.code, 0, result.stderr);
  assert.equal(result.stderr, '');
});

/** Runs a script as a module in a process of its own. */
async function runNode(script: string): Promise<string> {
  const { execFile } = await import('node:child_process');
  const { promisify } = await import('node:util');
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {
    env: { ...process.env, NO_COLOR: '1' },
  });
  return stdout;
}
