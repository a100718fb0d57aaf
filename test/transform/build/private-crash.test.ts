import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openSharedShop, stepsOf } from './builder-process.ts';
import { order, TEN_ORDERS } from './shop.ts';
import { openTestReleases } from './support.ts';

test('a private build killed at any step leaves what its name stood for, and a reader nothing', async (t) => {
  const { dir, lake, run, gold, releases, share, build } = await openSharedShop(t);
  await lake.commit({ orders: TEN_ORDERS });
  const before = await run();
  await lake.commit({ orders: [{ op: 'insert', row: order(11, 'dee', '100.00') }] });
  await share();
  const first = await build('', 'mine');
  assert.ok(first.answer.version !== undefined, first.err);
  await lake.commit({ orders: [{ op: 'insert', row: order(12, 'eve', '1.00') }] });
  await share();
  const steps = stepsOf(await build('upload gold', 'mine')).filter((step) => !/^(silver|gold|test) /.test(step));
  for (const step of [...steps, 'version', 'pointer', 'published']) {
    const { signal, err } = await build(step, 'mine');
    assert.equal(signal, 'SIGKILL', `${step}: ${err}`);
    const now = openTestReleases(dir);
    assert.deepEqual(await now.current(), before.release, step);
    const kept = await now.privates.get('mine');
    assert.equal(kept.version === first.answer.version, step !== 'published', step);
  }
  const killed = await build('let go', 'mine');
  assert.equal(killed.signal, 'SIGKILL', 'between naming the new and letting the old go');
  const kept = await releases.privates.get('mine');
  const promoted = await releases.privates.promote('mine');
  assert.deepEqual([promoted.number, promoted.version], [2, kept.version]);
  assert.deepEqual(await gold('overall'), [[6, '161.00']]);
  assert.deepEqual(await Array.fromAsync(releases.privates.list()), []);
});

test('a private release and a build at once: one becomes current, the other is told', async (t) => {
  const { lake, run, releases, share, build } = await openSharedShop(t);
  await lake.commit({ orders: TEN_ORDERS });
  await run();
  await lake.commit({ orders: [{ op: 'insert', row: order(11, 'dee', '1.00') }] });
  await share();
  const mine = await build('', 'mine');
  // Of other content: two builds of the same would be one release, whoever came first.
  await lake.commit({ orders: [{ op: 'insert', row: order(12, 'eve', '2.00') }] });
  await share();
  const ended = await Promise.all([
    build(),
    releases.privates.promote('mine').then(
      ({ version }) => version,
      (error: unknown) => (error instanceof Error && 'code' in error ? error.code : String(error)),
    ),
  ]);
  const second = await releases.get(2);
  if (ended[1] === 'RELEASE_CONFLICT') assert.equal(second.version, ended[0].answer.version);
  else assert.deepEqual([second.version, ended[1]], [mine.answer.version, mine.answer.version]);
});
