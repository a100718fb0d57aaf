import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseJson } from '../support/cli.ts';
import { testProject } from '../support/project.ts';

test('--full-tests tests and publishes though nothing changed; without it such a run publishes nothing', async (t) => {
  const project = await testProject();
  t.after(() => project[Symbol.asyncDispose]());
  const run = async (...args: readonly string[]) => {
    const result = await project.sluice([...args, '--as-of', '2026-03-01', '--json']);
    assert.equal(result.code, 0, result.stdout);
    return parseJson(result) as { release?: { number: number }; tests: { passed: number; warned: number } };
  };
  const first = await run('run');
  assert.equal(first.release?.number, 1);
  assert.equal((await run('build')).release, undefined);
  const asked = await run('build', '--full-tests');
  assert.equal(asked.release?.number, 2);
  assert.deepEqual(asked.tests, first.tests);
  assert.equal((await run('run', '--full-tests')).release?.number, 3);
});
