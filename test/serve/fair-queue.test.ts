import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { isSluiceError } from '../../warehouse/core/errors.ts';
import { createFairQueue } from '../../warehouse/serve/fair-queue.ts';

const later = (): { readonly deadline: number } => ({ deadline: performance.now() + 5_000 });

test('gives places to tenants in turn and keeps one from a single tenant', async () => {
  const queue = createFairQueue({ places: 3, maxQueued: 100, maxQueuedPerTenant: 100 });
  const order: string[] = [];
  const enter = async (tenant: string): Promise<void> => {
    const giveBack = await queue.acquire(tenant, later());
    order.push(tenant);
    await sleep(5);
    giveBack();
  };
  const flood = Array.from({ length: 20 }, () => enter('a'));
  await sleep(1);
  assert.deepEqual(queue.load(), { running: 2, waiting: 18 });
  const others = [enter('b'), enter('c'), enter('b')];
  await Promise.all([...flood, ...others]);
  assert.ok(order.lastIndexOf('b') < 8, order.join(''));
  assert.ok(order.indexOf('c') < 6, order.join(''));
  assert.deepEqual(queue.load(), { running: 0, waiting: 0 });
});

test('refuses more of one tenant than may wait, and more of all than may wait', async () => {
  const queue = createFairQueue({ places: 1, maxQueued: 3, maxQueuedPerTenant: 2 });
  const giveBack = await queue.acquire('a', later());
  const waiting = [queue.acquire('a', later()), queue.acquire('a', later())];
  await assert.rejects(
    queue.acquire('a', later()),
    (error) => isSluiceError(error, 'TOO_MANY_REQUESTS') && error.retryable,
  );
  waiting.push(queue.acquire('b', later()));
  await assert.rejects(
    queue.acquire('c', later()),
    (error) => isSluiceError(error, 'ENGINE_BUSY') && typeof error.details['retryAfterSeconds'] === 'number',
  );
  giveBack();
  await Promise.all(waiting.map(async (place) => (await place)()));
  assert.deepEqual(queue.load(), { running: 0, waiting: 0 });
});

test('a waiter leaves at its deadline or when cancelled', async () => {
  const queue = createFairQueue({ places: 1, maxQueued: 10, maxQueuedPerTenant: 10 });
  const giveBack = await queue.acquire('a', later());
  const started = performance.now();
  await assert.rejects(queue.acquire('b', { deadline: performance.now() + 30 }), (error) =>
    isSluiceError(error, 'ENGINE_BUSY'),
  );
  assert.ok(performance.now() - started < 500);
  const abort = new AbortController();
  const cancelled = queue.acquire('b', { ...later(), signal: abort.signal });
  abort.abort();
  await assert.rejects(cancelled, (error) => isSluiceError(error, 'CANCELLED'));
  await assert.rejects(queue.acquire('b', { ...later(), signal: abort.signal }), (error) =>
    isSluiceError(error, 'CANCELLED'),
  );
  assert.deepEqual(queue.load(), { running: 1, waiting: 0 });
  giveBack();
  giveBack();
  assert.deepEqual(queue.load(), { running: 0, waiting: 0 });
});

test('for any arrivals: never more than the places run, none is lost, every tenant is served', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 4 }),
      fc.array(
        fc.record({
          tenant: fc.constantFrom('a', 'b', 'c'),
          hold: fc.integer({ min: 0, max: 3 }),
          cancel: fc.boolean(),
        }),
        { maxLength: 30 },
      ),
      async (places, arrivals) => {
        const queue = createFairQueue({ places, maxQueued: 1_000, maxQueuedPerTenant: 1_000 });
        let served = 0;
        let cancelled = 0;
        await Promise.all(
          arrivals.map(async ({ tenant, hold, cancel }, at) => {
            const abort = new AbortController();
            if (cancel) setTimeout(() => abort.abort(), at % 4);
            try {
              const giveBack = await queue.acquire(tenant, { ...later(), signal: abort.signal });
              assert.ok(queue.load().running <= places);
              await sleep(hold);
              giveBack();
              served += 1;
            } catch (error) {
              assert.ok(isSluiceError(error, 'CANCELLED'), String(error));
              cancelled += 1;
            }
          }),
        );
        assert.equal(served + cancelled, arrivals.length);
        assert.deepEqual(queue.load(), { running: 0, waiting: 0 });
      },
    ),
    { numRuns: 60 },
  );
});
