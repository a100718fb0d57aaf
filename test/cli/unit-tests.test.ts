import assert from 'node:assert/strict';
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parseError, parseJson, runCli } from '../support/cli.ts';

/** `sluice test` through the real command, over the unit tests of this repository's own models. */

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** The project's models and unit tests in a folder of their own, with nothing extracted. */
async function copyProject(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'sluice-unit-cli-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  for (const name of ['models', 'sql', 'package.json'])
    await cp(join(ROOT, name), join(dir, name), { recursive: true });
  await symlink(join(ROOT, 'warehouse'), join(dir, 'warehouse'));
  return dir;
}

test('the models of the project hold what their unit tests say, without Postgres and without a lake', async (t) => {
  const dir = await copyProject(t);
  const result = await runCli(['test', '--json', '--project', dir], {
    env: { SLUICE_SOURCE_URL: 'postgres://nobody@127.0.0.1:1/none' },
  });
  assert.equal(result.code, 0, result.stdout + result.stderr);
  const { passed, failed, tests } = parseJson(result) as { passed: number; failed: number; tests: { name: string }[] };
  assert.deepEqual([passed, failed], [tests.length, 0]);
  const names = new Set(tests.map(({ name }) => name));
  assert.ok(
    names.has('monthly_trends') && names.has('balance_history_late_row') && names.has('transfers_pair_up_late'),
  );
});

test('an expectation that does not hold is shown by key and ends with 1; one that cannot be is an error of its line', async (t) => {
  const dir = await copyProject(t);
  const file = join(dir, 'sql/unit/monthly_trends/expect/gold.fct_monthly_trends.csv');
  const text = await readFile(file, 'utf8');
  await writeFile(file, text.replace('1200.50', '1200.51').replace(/7,USD.*\n/, ''));
  const wrong = await runCli(['test', '--select', 'monthly_trends', '--project', dir]);
  assert.equal(wrong.code, 1, wrong.stderr);
  assert.match(wrong.stdout, /FAIL monthly_trends \(increment/);
  assert.match(wrong.stdout, /gold\.fct_monthly_trends: 1 changed, 1 extra\n/);
  assert.match(wrong.stdout, /7 +EUR +2026-01-01 +spending +1200\.51 +1200\.50\n/);
  assert.match(wrong.stdout, /0 tests passed, 2 failed/);
  await writeFile(file, text.replace('spending', 'spendings'));
  const invalid = await runCli(['test', '--json', '--project', dir]);
  assert.equal(invalid.code, 2);
  const { code, message } = parseError(invalid);
  assert.equal(code, 'UNIT_TEST_INVALID');
  assert.match(message, /gold\.fct_monthly_trends\.csv:1:\d+: .* has no column spendings; did you mean spending\?/);
});
