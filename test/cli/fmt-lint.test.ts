import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { assertNoStack, parseJson } from '../support/cli.ts';
import { type TestProject, testProject } from '../support/project.ts';

/** `sluice fmt` and `sluice lint` as a user meets them. */

let project: TestProject;
before(async () => {
  project = await testProject();
});
after(() => project[Symbol.asyncDispose]());

const MODEL = 'sql/silver/shop/stg_orders.sql';
const textOf = () => readFile(join(project.dir, MODEL), 'utf8');

test('fmt --check writes nothing and exits with 1; fmt writes; then nothing is left to do', async () => {
  const before = await textOf();
  const checked = await project.sluice(['fmt', '--check']);
  assert.equal(checked.code, 1);
  assert.match(checked.stdout, /would change sql\/silver\/shop\/stg_orders\.sql/);
  assert.equal(await textOf(), before);
  const first = await project.sluice(['fmt', '--json']);
  assert.equal(first.code, 0, first.stdout);
  assert.deepEqual(parseJson(first)['left'], []);
  assert.notEqual(await textOf(), before);
  const again = await project.sluice(['fmt', '--check']);
  assert.equal(again.code, 0, again.stdout);
  assert.match(again.stdout, /0 files to change, 3 as they should be, 0 left/);
});

test('fmt leaves a file that it cannot prove, and names it', async () => {
  const path = 'sql/silver/shop/odd.sql';
  await project.write(path, '/*\ndescription: Odd.\n*/\nselect from where\n');
  const result = await project.sluice(['fmt']);
  await project.remove(path);
  assert.equal(result.code, 1);
  assertNoStack(result);
  assert.match(result.stdout, /left sql\/silver\/shop\/odd\.sql: /);
});

test('lint: warnings are no failure unless --strict; errors are, with their place and line', async () => {
  const clean = await project.sluice(['lint', '--json']);
  assert.equal(clean.code, 0, clean.stdout);
  const path = 'sql/silver/shop/odd.sql';
  await project.write(path, '/*\ndescription: Odd.\n*/\nselect id from bronze.shop.orders order by id\n');
  assert.equal((await project.sluice(['lint'])).code, 0);
  const strict = await project.sluice(['lint', '--strict']);
  assert.equal(strict.code, 1);
  assert.match(
    strict.stdout,
    /sql\/silver\/shop\/odd\.sql:4:\d+: warn useless_order: .*\n {2}4 \| select id from bronze\.shop\.orders order by id\n/,
  );
  await project.write(path, '/*\ndescription: Odd.\n*/\nselect idd from bronze.shop.orders\n');
  const broken = await project.sluice(['lint', '--json']);
  await project.remove(path);
  assert.equal(broken.code, 2);
  const { findings } = parseJson(broken) as {
    findings: { rule: string; file: string; line: number; column: number }[];
  };
  assert.deepEqual(
    findings.filter(({ file }) => file === path).map(({ rule, line, column }) => [rule, line, column]),
    [['MODEL_COLUMN_UNKNOWN', 4, 8]],
  );
});

test('every new command shows its options with examples', async () => {
  for (const command of ['docs', 'fmt', 'lint']) {
    const help = await project.sluice([command, '--help']);
    assert.equal(help.code, 0);
    assert.match(help.stdout, new RegExp(`Examples:\\n +\\$ sluice ${command}`));
  }
});
