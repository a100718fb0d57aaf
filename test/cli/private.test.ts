import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { assertNoStack } from '../support/cli.ts';
import { SHOP_FILES, type TestProject, testProject } from '../support/project.ts';

/** A change of models before anybody sees it: build --private, diff, query --private, promote, gc. */

let project: TestProject;
before(async () => {
  project = await testProject();
  await project.machine(['run', '--as-of', '2026-03-01']);
});
after(() => project[Symbol.asyncDispose]());

async function human(args: readonly string[], code = 0): Promise<string> {
  const result = await project.sluice(args);
  assert.equal(result.code, code, result.stdout + result.stderr);
  assertNoStack(result);
  return result.stdout;
}

const TOTALS = 'sql/gold/shop/customer_totals.sql';
const totals = async (args: readonly string[] = []) =>
  (
    await project.machine<{ rows: { total: string }[] }>([
      'query',
      'select total from gold.customer_totals order by 1',
      ...args,
    ])
  ).rows.map(({ total }) => total);

interface Difference {
  readonly models: readonly {
    readonly model: string;
    readonly kind: string;
    readonly rows?: {
      readonly by: string;
      readonly added: number;
      readonly removed: number;
      readonly changed: number;
      readonly columns: readonly { readonly column: string; readonly rows: number }[];
      readonly samples: readonly Record<string, unknown>[];
    };
    readonly schema: { readonly added: readonly { readonly name: string }[] };
  }[];
  readonly same: readonly string[];
  readonly equal: boolean;
}

test('a private release is built, compared and asked without a reader seeing it, and promoting publishes just it', async () => {
  const published = await totals();
  await project.write(TOTALS, SHOP_FILES[TOTALS].replace('sum(amount)', 'sum(amount + 1)'));
  const text = await human(['plan', '--select', 'changed+']);
  assert.match(text, /~ gold\.customer_totals +changed · not breaking[\s\S]*~ total: values change/);
  const made = await project.machine<{
    release: { private_name: string; version: string };
    models: { name: string; action: string }[];
  }>(['build', '--private', 'plus-one']);
  assert.equal(made.release.private_name, 'plus-one');
  assert.deepEqual(
    made.models.filter(({ action }) => action === 'rebuilt').map(({ name }) => name),
    ['gold.customer_totals'],
  );
  assert.deepEqual(await totals(), published, 'readers see what they saw');
  assert.equal((await project.machine<{ release: { number: number } }>(['status'])).release.number, 1);
  const mine = await totals(['--private', 'plus-one']);
  assert.deepEqual(
    mine,
    published.map((total) => (Number(total) + 40).toFixed(2)),
  );

  const { models, same } = await project.machine<Difference>(['diff', '--private', 'plus-one']);
  assert.deepEqual(
    models.map(({ model, kind, rows }) => [model, kind, rows?.by, rows?.changed, rows?.columns]),
    [['gold.customer_totals', 'different', 'key', 5, [{ column: 'total', rows: 5 }]]],
  );
  assert.ok(same.includes('gold.fct_orders'));
  const told = await human(['diff', '--private', 'plus-one', '--sample', '1']);
  assert.match(told, /release 1 → private plus-one \(on release 1\): 1 model of 3 differ/);
  assert.match(told, /changed customer_id=1 \| total \d+\.\d\d → \d+\.\d\d/);
  assert.match(await human(['releases']), /private plus-one: \S+, on release 1.*sluice promote plus-one publishes it/);

  const promoted = await project.machine<{ release: { number: number; version: string } }>(['promote', 'plus-one']);
  assert.deepEqual([promoted.release.number, promoted.release.version], [2, made.release.version]);
  assert.deepEqual(await totals(), mine);
  await project.refused(['promote', 'plus-one'], 'PRIVATE_RELEASE_NOT_FOUND');
  assert.equal(
    (await project.machine<{ to_run: number }>(['plan'])).to_run,
    0,
    'what was promoted is what the project says',
  );
  const between = await project.machine<Difference>(['diff']);
  assert.deepEqual(
    between.models.map(({ model }) => model),
    ['gold.customer_totals'],
  );
  await project.machine(['diff', '--exit-code'], 1);
  assert.equal((await project.machine<Difference>(['diff', '2', '2', '--exit-code'])).equal, true);
});

test('a private release whose base was overtaken is refused, built again, and then promoted with both changes', async () => {
  await project.write(TOTALS, SHOP_FILES[TOTALS].replace('sum(amount)', 'sum(amount + 2)'));
  await project.machine(['build', '--private', 'late']);
  await project.client.query(`insert into shop.orders values (900, 1, '2026-01-05', 10)`);
  await project.machine(['extract']);
  await project.machine(['build', '--select', 'gold.fct_orders']);
  const error = await project.refused(['promote', 'late'], 'RELEASE_CONFLICT');
  assert.match(error.message, /began from release 2, but release 3/);
  assert.match(error.remedy, /sluice build --private late/);
  assert.match(await human(['releases']), /private late: .*its base is no longer current/);
  await project.machine(['build', '--private', 'late']);
  await project.machine(['promote', 'late']);
  const { rows } = await project.machine<{ rows: { n: string; total: string }[] }>([
    'query',
    'select orders as n, total from gold.customer_totals where customer_id = 1',
  ]);
  const [expected] = (
    await project.machine<{ rows: { n: string; total: string }[] }>([
      'query',
      `select count(*) as n, cast(sum(amount + 2) as decimal(18, 2)) as total from gold.fct_orders where customer_id = 1 and day <= '2026-03-01'`,
    ])
  ).rows;
  assert.deepEqual(rows, [expected]);
});

test('gc keeps the files of private releases, and takes those of discarded ones', async () => {
  const files = async () => (await readdir(join(project.dir, '.sluice', 'lake', 'warehouse', 'files'))).length;
  await project.machine(['gc', '--older-than', '0m', '--idle']);
  const before = await files();
  await project.write(TOTALS, SHOP_FILES[TOTALS].replace('sum(amount)', 'sum(amount + 3)'));
  await project.machine(['build', '--private', 'kept']);
  await project.write(TOTALS, SHOP_FILES[TOTALS].replace('sum(amount)', 'sum(amount + 4)'));
  await project.machine(['build', '--private', 'kept']);
  assert.equal(await files(), before + 2);
  await project.machine(['gc', '--older-than', '0m', '--idle']);
  assert.equal(await files(), before + 1, 'only the newest of a name is kept');
  assert.equal((await totals(['--private', 'kept'])).length, 5);
  assert.match(await human(['releases', '--discard', 'kept']), /Private release kept is discarded/);
  await project.machine(['gc', '--older-than', '0m', '--idle']);
  assert.equal(await files(), before);
  await project.refused(['query', 'select 1', '--private', 'kept'], 'PRIVATE_RELEASE_NOT_FOUND');
  await project.refused(['build', '--private', '../up'], 'USAGE');
  await project.write(TOTALS, SHOP_FILES[TOTALS].replace('sum(amount)', 'sum(amount + 2)'));
});

test('a private build without a change keeps nothing and says so', async () => {
  await project.machine(['build']);
  const text = await human(['build', '--private', 'nothing']);
  assert.match(text, /Nothing new/);
  await project.refused(['diff', '--private', 'nothing'], 'PRIVATE_RELEASE_NOT_FOUND');
});
