import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type TestLake, testLake } from './lake.ts';
import { growthOfMemory } from './memory.ts';

let lake: TestLake;
before(async () => {
  lake = await testLake();
});
after(() => lake[Symbol.asyncDispose]());

test('memory does not grow with the table that is compared with its last state', async () => {
  const growth = await growthOfMemory(lake, { small: 400_000, large: 1_600_000, memoryMb: 256, again: true });
  // 256 MB of rows, then 1 GB; both are more than DuckDB may hold.
  assert.ok(growth < 150, `four times the rows took ${growth} MB more`);
});
