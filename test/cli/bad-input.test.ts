import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ERROR_CODES, type ErrorCode } from '../../warehouse/core/errors.ts';
import { assertNoStack, type CliOptions, type CliResult, parseError, parseJson, runCli } from '../support/cli.ts';
import { type ProjectState, SHOP_FILES, type TestProject, testProject } from '../support/project.ts';

/** What a user gets wrong, through the real command: a clear message with a remedy and the exit code of docs/errors.md, and nothing half-written. */

const AS_OF = ['--as-of', '2026-03-01'] as const;
let project: TestProject;
let settled: ProjectState;

before(async () => {
  project = await testProject();
  const first = await project.sluice(['run', ...AS_OF]);
  assert.equal(first.code, 0, first.stderr);
  settled = await project.state();
  assert.equal(settled.releases.length, 1);
});
after(() => project[Symbol.asyncDispose]());

interface Expected {
  readonly code: ErrorCode;
  readonly message: RegExp;
  readonly remedy: RegExp;
  readonly options?: CliOptions;
}

/** Runs a command that must fail in this way and leave no trace. */
async function refuses(args: readonly string[], expected: Expected): Promise<CliResult> {
  const result = await project.sluice(args, expected.options);
  assert.equal(result.code, ERROR_CODES[expected.code].exit, `${result.stdout}${result.stderr}`);
  assertNoStack(result);
  if (args.includes('--json')) {
    const error = parseError(result);
    assert.equal(error.code, expected.code);
    assert.match(error.message, expected.message);
    assert.match(error.remedy, expected.remedy);
  } else {
    assert.match(result.stderr, new RegExp(`^error ${expected.code} `, 'm'));
    assert.match(result.stderr, expected.message);
    assert.match(result.stderr, expected.remedy);
    assert.match(result.stderr, new RegExp(`docs/errors\\.md#${expected.code.toLowerCase()}`));
  }
  assert.deepEqual(await project.state(), settled, 'commits, releases and work folders are as they were');
  return result;
}

/** With a file of the project replaced; put back afterwards. */
async function withFile(path: keyof typeof SHOP_FILES | `sql/${string}`, text: string, work: () => Promise<unknown>) {
  await project.write(path, text);
  try {
    await work();
  } finally {
    const original = (SHOP_FILES as Readonly<Record<string, string>>)[path];
    if (original === undefined) await project.remove(path);
    else await project.write(path, original);
  }
}

const edited = (path: keyof typeof SHOP_FILES, from: string, to: string): string => {
  assert.ok(SHOP_FILES[path].includes(from), `${path} has ${from}`);
  return SHOP_FILES[path].replace(from, to);
};

function urlWith(change: (url: URL) => void): CliOptions {
  const url = new URL(project.database.url);
  url.password = 'hunter2';
  change(url);
  return { env: { SLUICE_SOURCE_URL: url.href } };
}

test('serve: a port in use is named, with the way out', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  const port = String(address.port);
  const taken = {
    code: 'PORT_IN_USE',
    message: new RegExp(`Port ${port} on 127\\.0\\.0\\.1 is in use`),
    remedy: /--port/,
  } as const;
  await refuses(['serve', '--port', port], taken);
  await refuses(['serve', '--json'], { ...taken, options: { env: { SLUICE_SERVE_PORT: port } } });
  server.close();
});

test('run: a server that is not there, a wrong password and an unknown database are each told apart, and no password is shown', async () => {
  const results = [
    await refuses(['run'], {
      code: 'SOURCE_UNREACHABLE',
      message: /127\.0\.0\.1:1\b/,
      remedy: /host, port/,
      options: urlWith((url) => {
        url.port = '1';
      }),
    }),
    await refuses(['run', ...AS_OF, '--json'], {
      code: 'SOURCE_AUTH_FAILED',
      message: /password authentication failed/,
      remedy: /password in SLUICE_SOURCE_URL/,
      options: urlWith(() => undefined),
    }),
    await refuses(['run'], {
      code: 'SOURCE_UNREACHABLE',
      message: /"?no_such_database"?.* does not exist/,
      remedy: /database/i,
      options: {
        env: { SLUICE_SOURCE_URL: project.database.url.replace(/\/[^/]*$/, '/no_such_database') },
      },
    }),
    await refuses(['run'], {
      code: 'CONFIG_INVALID',
      message: /SLUICE_SOURCE_URL: the value given is neither "embedded" nor a URL/,
      remedy: /docs\/configuration\.md/,
      options: { env: { SLUICE_SOURCE_URL: 'mysql://root:hunter2@localhost/app' } },
    }),
  ];
  for (const { stdout, stderr } of results) assert.doesNotMatch(stdout + stderr, /hunter2/);
});

test('extract: a table and a column that Postgres does not have are named', async () => {
  const source = 'models/sources/shop.ts';
  await withFile(source, edited(source, 'orders: {', 'ordres: {'), async () => {
    await refuses(['run'], { code: 'SOURCE_TABLE_MISSING', message: /shop\.ordres/, remedy: /models\/sources/ });
  });
  await withFile(source, edited(source, "'amount']", "'amuont']"), async () => {
    await refuses(['extract', '--json'], {
      code: 'SOURCE_COLUMN_MISSING',
      message: /orders.*amuont|amuont.*orders/s,
      remedy: /definition|models\/sources/,
    });
  });
  await withFile(source, edited(source, "mode: 'full'", "mode: 'fast'"), async () => {
    await refuses(['status'], {
      code: 'SOURCE_DEFINITION_INVALID',
      message: /models\/sources\/shop\.ts[\s\S]*shop\.tables\.orders\.mode/,
      remedy: /docs\/sources\.md/,
    });
  });
  await withFile(source, 'export const shop = {', async () => {
    await refuses(['status', '--json'], {
      code: 'SOURCE_DEFINITION_INVALID',
      message: /models\/sources\/shop\.ts cannot be loaded/,
      remedy: /Correct the file/,
    });
  });
});

test('plan and run: an unknown column, an unknown table, a cycle and a header error stand at file:line:column', async () => {
  const silver = 'sql/silver/shop/stg_orders.sql';
  const gold = 'sql/gold/shop/fct_orders.sql';
  await withFile(silver, edited(silver, '  orders.amount', '  orders.amuont'), async () => {
    await refuses(['plan'], {
      code: 'MODEL_COLUMN_UNKNOWN',
      message: /sql\/silver\/shop\/stg_orders\.sql:12:3: .*amuont[\s\S]*did you mean orders\.amount\?[\s\S]*\^/,
      remedy: /amount/,
    });
  });
  await withFile(gold, edited(gold, 'silver.stg_orders', 'silver.stg_ordres'), async () => {
    await refuses(['run', ...AS_OF], {
      code: 'MODEL_REFERENCE_UNKNOWN',
      message: /sql\/gold\/shop\/fct_orders\.sql:19:\d+: .*silver\.stg_ordres/,
      remedy: /silver\.stg_orders/,
    });
  });
  const looped = edited(
    gold,
    'from silver.stg_orders',
    'from gold.customer_totals join gold.fct_orders using (customer_id, org_id)',
  );
  await withFile(gold, looped, async () => {
    await refuses(['build', '--json'], {
      code: 'MODEL_CYCLE',
      message: /gold\.customer_totals → gold\.fct_orders|gold\.fct_orders → gold\.(customer_totals|fct_orders)/,
      remedy: /./,
    });
  });
  await withFile(gold, edited(gold, 'materialized: incremental', 'materialised: incremental'), async () => {
    await refuses(['plan', '--json'], {
      code: 'MODEL_HEADER_INVALID',
      message: /sql\/gold\/shop\/fct_orders\.sql:3:1: .*materialised/,
      remedy: /./,
    });
  });
  await withFile(gold, edited(gold, 'select order_id', 'selct order_id'), async () => {
    await refuses(['plan'], { code: 'MODEL_SQL_INVALID', message: /fct_orders\.sql:19:\d+/, remedy: /./ });
  });
});

test('configuration: unknown options and wrong values are reported all at once, with the nearest name', async () => {
  await project.write('.env', 'SLUICE_THREADS=many\nSLUICE_LAKEE=x\n');
  const expected = {
    code: 'CONFIG_INVALID',
    message:
      /3 problems[\s\S]*SLUICE_LAKEE: no such option; did you mean SLUICE_LAKE\?[\s\S]*SLUICE_THREADS: "many" is not a whole number from 1 to 256[\s\S]*SLUICE_JWT_SECRET: the value given has fewer than 32/,
    remedy: /\.env file; docs\/configuration\.md/,
    options: { env: { SLUICE_JWT_SECRET: 'short', SLUICE_THREADS: undefined } },
  } as const;
  await refuses(['status'], expected);
  const { stdout } = await refuses(['doctor', '--json'], expected);
  assert.doesNotMatch(stdout, /short/);
  await project.remove('.env');
  await project.write('.env/is-a-folder', '');
  await refuses(['status'], { code: 'CONFIG_INVALID', message: /\.env cannot be read/, remedy: /NAME=value/ });
  await project.remove('.env');
});

test('--as-of takes calendar days only', async () => {
  for (const [command, day] of [
    ['run', '2026-02-30'],
    ['plan', 'yesterday'],
    ['build', '20260301'],
  ] as const) {
    await refuses([command, '--as-of', day], {
      code: 'USAGE',
      message: new RegExp(`--as-of "${day}" is not a calendar date`),
      remedy: /YYYY-MM-DD/,
    });
  }
});

test('selectors and sources that name nothing say what there is', async () => {
  await refuses(['build', '--select', 'gold.fct_ordres'], {
    code: 'MODEL_SELECT_UNKNOWN',
    message: /gold\.fct_ordres.*did you mean gold\.fct_orders/,
    remedy: /tag:/,
  });
  await refuses(['extract', '--source', 'shpo', '--json'], { code: 'USAGE', message: /"shpo"/, remedy: /are: shop/ });
});

test('a lake that belongs to another source is left alone', async () => {
  const other = await testProject();
  try {
    await refuses(['run'], {
      code: 'LAKE_OF_ANOTHER_SOURCE',
      message: /shop/,
      remedy: /SLUICE_LAKE|SLUICE_SOURCE_URL/,
      options: { env: { SLUICE_SOURCE_URL: other.database.url } },
    });
    const none = { env: { SLUICE_LAKE: 'empty-lake' } };
    for (const command of [['query', 'select 1'], ['rollback'], ['serve'], ['shell']] as const) {
      await refuses(command, { code: 'NO_RELEASE', message: /no release/i, remedy: /sluice run/, options: none });
    }
    await refuses(['build', '--json'], {
      code: 'USAGE',
      message: /bronze in .*empty-lake is empty/,
      remedy: /sluice extract/,
      options: none,
    });
  } finally {
    await other[Symbol.asyncDispose]();
  }
});

test('rollback to nothing, to no number and beyond the first release', async () => {
  await refuses(['rollback'], {
    code: 'RELEASE_NOT_FOUND',
    message: /no version before it/,
    remedy: /sluice releases/,
  });
  await refuses(['rollback', '99', '--json'], { code: 'RELEASE_NOT_FOUND', message: /99/, remedy: /sluice releases/ });
  await refuses(['rollback', 'last'], {
    code: 'USAGE',
    message: /"last" is not the number/,
    remedy: /sluice releases/,
  });
  await refuses(['releases', '--limit', 'all'], {
    code: 'USAGE',
    message: /"all" is not a count/,
    remedy: /--limit 3/,
  });
});

test('query: two statements, writing, files, a syntax error and unknown names', async () => {
  const invalid = (sql: string, message: RegExp, remedy = /./): Promise<unknown> =>
    refuses(['query', sql], { code: 'QUERY_INVALID', message, remedy });
  await invalid('select 1; select 2', /One statement is wanted, not 2/, /one by one/);
  await invalid('  ', /One statement is wanted, not 0/);
  await invalid('delete from gold.fct_orders', /DELETE does not only read/, /select/);
  await invalid('create table gold.x as select 1', /does not only read/);
  await invalid("copy gold.fct_orders to '/tmp/sluice-stolen.csv'", /Permission Error|COPY does not only read/);
  await invalid("from read_csv('/etc/passwd')", /Permission Error/);
  await invalid('selct 1', /syntax error at or near "selct"[\s\S]*\^/);
  await refuses(['query', 'from gold.fct_ordres', '--json'], {
    code: 'QUERY_INVALID',
    message: /fct_ordres[\s\S]*fct_orders/,
    remedy: /gold\.<table>/,
  });
  await refuses(['query', 'select 1', '--limit', '0'], { code: 'USAGE', message: /--limit/, remedy: /--limit 500/ });
  await refuses(['query', 'select 1', '--csv', '--json'], {
    code: 'USAGE',
    message: /two formats/,
    remedy: /one of them/,
  });
  await refuses(['query', 'from gold.fct_orders', '--csv', '--limit', '3'], {
    code: 'QUERY_TOO_LARGE',
    message: /more than the 3 rows/,
    remedy: /--limit/,
  });
});

test('token: a bad time to live and empty claims are refused by name', async () => {
  for (const ttl of ['-5', 'soon', '1.5']) {
    await refuses(['token', '--sub', '1', '--org', '1', `--ttl=${ttl}`], {
      code: 'USAGE',
      message: new RegExp(`--ttl ${JSON.stringify(ttl).replace('.', '\\.')} is not a whole number of seconds`),
      remedy: /--ttl 3600/,
    });
  }
  await refuses(['token', '--sub', '', '--org', '1', '--json'], {
    code: 'USAGE',
    message: /--sub is empty/,
    remedy: /--sub 1/,
  });
});

test('a folder that is no project', async () => {
  const result = await runCli(['status', '--json', '--project', '/no/such/folder']);
  assert.equal(result.code, 2);
  assert.equal(parseError(result).code, 'PROJECT_NOT_FOUND');
  assert.match(parseError(result).remedy, /--project DIR/);
});

test('a data test that fails names the test, the rows and their keys, exits with 1 and leaves the release and its readers', async () => {
  await project.client.query(
    `update shop.orders set amount = -7 where id in (11, 12); update shop.orders set amount = 7 where id = 13`,
  );
  const result = await project.sluice(['run', ...AS_OF]);
  assert.equal(result.code, 1);
  assertNoStack(result);
  assert.match(result.stderr, /error TESTS_FAILED /);
  assert.match(result.stderr, /gold\.fct_orders[^\n]*amount[^\n]*2 rows/);
  assert.match(result.stderr, /order_id +amount\n[^\n]*\n +11 +-7\.00\n +12 +-7\.00\n/, result.stderr);
  assert.match(result.stderr, /last release stands/);
  const machine = await project.sluice(['run', ...AS_OF, '--json']);
  assert.equal(machine.code, 1);
  const { details } = parseError(machine) as { details: unknown } as {
    details: { tests: { failures: number; sample: { order_id: string }[]; kept: { path: string; rows: number } }[] };
  };
  const kept = details.tests[0]?.kept;
  assert.equal(kept?.rows, 2);
  const lines = (await readFile(kept.path, 'utf8')).trimEnd().split('\n');
  assert.deepEqual(
    lines.map((line) => (JSON.parse(line) as { order_id: string }).order_id),
    ['11', '12'],
  );
  const { failing_rows: failing } = parseJson(await project.sluice(['status', '--json'])) as {
    failing_rows: { dir: string; files: string[] };
  };
  assert.deepEqual([join(failing.dir, failing.files[0] ?? '')], [kept.path]);
  assert.deepEqual(
    details.tests.map(({ failures, sample }) => [failures, sample.map((row) => row.order_id)]),
    [[2, ['11', '12']]],
  );
  const after = await project.state();
  assert.deepEqual({ releases: after.releases, work: after.work }, { releases: settled.releases, work: [] });
  assert.equal(after.commits.length, settled.commits.length + 1, 'bronze holds what Postgres has');
  const seen = await project.sluice(['query', 'select min(amount) as least from gold.fct_orders', '--json']);
  assert.match(seen.stdout, /"least":"1\.25"/);
  await project.client.query(`update shop.orders set amount = id * 1.25 where id in (11, 12)`);
  const mended = await project.sluice(['run', ...AS_OF, '--json']);
  assert.equal(mended.code, 0, mended.stdout);
  settled = await project.state();
  assert.equal(settled.releases.length, 2);
});
