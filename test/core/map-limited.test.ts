import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { mapLimited } from '../../warehouse/core/map-limited.ts';

test('keeps the order, whichever call ends first, and never has more under way than allowed', async () => {
  let running = 0;
  let most = 0;
  const items = Array.from({ length: 50 }, (_, index) => index);
  const results = await mapLimited(items, 8, async (item) => {
    most = Math.max(most, ++running);
    for (let wait = item % 7; wait >= 0; wait--) await turn();
    running--;
    return item * 2;
  });
  assert.deepEqual(
    results,
    items.map((item) => item * 2),
  );
  assert.equal(most, 8);
  assert.deepEqual(await mapLimited([], 8, async () => 1), []);
});

test('the first failure wins, nothing is begun after it, and nothing runs on behind it', async () => {
  const begun: number[] = [];
  let running = 0;
  await assert.rejects(
    mapLimited(
      Array.from({ length: 50 }, (_, index) => index),
      4,
      async (item) => {
        begun.push(item);
        running++;
        for (let wait = item === 2 ? 1 : 5; wait > 0; wait--) await turn();
        running--;
        throw new Error(`item ${item}`);
      },
    ),
    /item 2/,
  );
  assert.deepEqual(begun, [0, 1, 2, 3]);
  assert.equal(running, 0);
});
