import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { openDuckDb } from '../../../warehouse/core/duckdb.ts';
import { CHILD, openSharedShop, runChild, stepsOf } from './builder-process.ts';
import { openShop, order, SHOP_FILES, TEN_ORDERS } from './shop.ts';
import { openTestReleases, startBuild } from './support.ts';

test('a builder killed at any step leaves the last release and its readers as they were', async (t) => {
  const { dir, lake, run, gold, releases, share, build } = await openSharedShop(t);
  await lake.commit({ orders: TEN_ORDERS });
  const before = await run();
  const wanted = await gold('customer_totals');
  const { gold: path } = await releases.fetch(before.release);
  const reader = await openDuckDb({ path, readOnly: true, threads: 1 });
  t.after(() => reader.close());
  await lake.commit({
    orders: [
      { op: 'insert', row: order(11, 'dee', '100.00') },
      { op: 'delete', row: order(4, null, '4.50') },
    ],
  });
  await share();
  // Traced up to the first write, which is the same in every attempt and so happens once.
  const steps = [...stepsOf(await build('upload gold')), 'version', 'pointer'];
  for (const step of ['clone 1', 'clone 2', 'opened', 'gold tested', 'finished', 'upload gold']) {
    assert.ok(steps.includes(step), `${step} is not among ${steps.join(', ')}`);
  }
  for (const step of steps) {
    const { signal, err } = await build(step);
    assert.equal(signal, 'SIGKILL', `${step}: ${err}`);
    assert.deepEqual(await openTestReleases(dir).current(), before.release, step);
    assert.deepEqual(await gold('customer_totals'), wanted, step);
    const [row] = await reader.rows<{ n: bigint }>('select count(*) as n from gold.main.fct_orders');
    assert.equal(row?.n, 10n, step);
  }
  const killed = await build('published');
  assert.equal(killed.signal, 'SIGKILL');
  assert.equal((await releases.current())?.number, 2, 'after the pointer the release stands');
  const again = await build();
  assert.equal(again.answer.number, 3, again.err);
  assert.deepEqual(await gold('overall'), [[5, '155.50']]);
});

test('of two builds on one base the later gets RELEASE_CONFLICT, and its rerun carries both changes', async (t) => {
  const { dir, lake, run, gold, releases, project } = await openShop(t);
  await lake.commit({ orders: TEN_ORDERS });
  await run();
  await lake.commit({ orders: [{ op: 'insert', row: order(11, 'dee', '1.00') }] });
  const first = await startBuild({ dir, releases, project, bronze: lake.snapshot() });
  await lake.commit({ orders: [{ op: 'insert', row: order(12, 'eve', '2.00') }] });
  const second = await startBuild({ dir, releases, project, bronze: lake.snapshot() });
  const finish = async ({ build }: typeof first) => {
    for (const layer of ['silver', 'gold'] as const) {
      await build.runModels(layer);
      await build.runTests(layer);
    }
    return build.finish();
  };
  const [one, two] = await Promise.all([finish(first), finish(second)]);
  const winner = await releases.publish({ base: second.base, paths: second.paths, content: two });
  await assert.rejects(
    releases.publish({ base: first.base, paths: first.paths, content: one }),
    (error: unknown) => error instanceof Error && 'code' in error && error.code === 'RELEASE_CONFLICT',
  );
  await Promise.all([first.build.abort(), second.build.abort()]);
  assert.deepEqual(await releases.current(), winner);
  await lake.commit({ orders: [{ op: 'insert', row: order(13, 'flo', '3.00') }] });
  await run();
  assert.deepEqual((await gold('customer_totals')).slice(3, 6), [
    ['dee', 1, '1.00'],
    ['eve', 1, '2.00'],
    ['flo', 1, '3.00'],
  ]);
});

test('three builder processes at once publish one release; the others get RELEASE_CONFLICT or that same release', async (t) => {
  const { lake, run, gold, releases, share, build } = await openSharedShop(t);
  await lake.commit({ orders: TEN_ORDERS });
  await run();
  await lake.commit({ orders: [{ op: 'insert', row: order(11, 'dee', '1.00') }] });
  await share();
  const ended = await Promise.all([build(), build(), build()]);
  for (const { answer, err } of ended) {
    assert.ok(answer.number !== undefined || answer.code === 'RELEASE_CONFLICT', `${JSON.stringify(answer)} ${err}`);
  }
  assert.ok(ended.some(({ answer }) => answer.number === 2));
  const current = await releases.current();
  assert.equal(current?.commits['app'], 2);
  assert.deepEqual((await gold('customer_totals'))[3], ['dee', 1, '1.00']);
});

test('a reader polling during 30 published builds sees whole releases only, without an error', async (t) => {
  const { dir, lake, run } = await openShop(t);
  await lake.commit({ orders: TEN_ORDERS });
  await run();
  const reader = openTestReleases(dir);
  const polling = { on: true };
  const seen = new Set<number>();
  const polls = (async () => {
    while (polling.on) {
      const release = await reader.current();
      assert.ok(release !== undefined);
      const { gold } = await reader.fetch(release);
      const db = await openDuckDb({ path: gold, readOnly: true, threads: 1 });
      const [row] = await db.rows<Record<string, string | bigint>>(
        `select (select count(*) from gold.main.fct_orders) as orders,
                (select sum(orders)::bigint from gold.main.customer_totals) as counted,
                (select sum(amount)::decimal(18,2) from gold.main.fct_orders) as amount,
                (select sum(total)::decimal(18,2) from gold.main.customer_totals) as total,
                (select total from gold.main.overall) as overall`,
      );
      db.close();
      assert.equal(
        row?.['orders'],
        BigInt(9 + (release.commits['app'] ?? 0)),
        'the rows of its commits, no more and no less',
      );
      assert.equal(row?.['counted'], row?.['orders']);
      assert.equal(row?.['total'], row?.['amount']);
      assert.equal(row?.['overall'], row?.['amount']);
      seen.add(release.number);
    }
  })();
  for (let n = 1; n <= 30; n++) {
    await lake.commit({ orders: [{ op: 'insert', row: order(100 + n, `c${n % 5}`, `${n}.01`) }] });
    await run();
  }
  polling.on = false;
  await polls;
  assert.ok(seen.size > 5, `the reader saw ${seen.size} releases only`);
});

test('a disk that fills up in the midst of a build leaves the last release', async (t) => {
  const { dir, lake, run, releases, input, compile } = await openSharedShop(t);
  await lake.commit({ orders: TEN_ORDERS });
  const before = await run();
  const files = {
    ...SHOP_FILES,
    'gold/shop/large.sql': `/*
description: More than the disk takes.
materialized: table
owner: { public: a test }
columns: { a: {}, b: {} }
*/
select range as a, md5(cast(range as varchar)) as b from range(400000)`,
  };
  await writeFile(input, JSON.stringify({ project: await compile(files), bronze: lake.snapshot() }));
  const small = join(dir, 'small-disk');
  await mkdir(small);
  const mounted = mountSmallDisk(small);
  try {
    const command = [process.execPath, CHILD, dir, input, small, ''];
    // Where nothing may be mounted, a limit on file size makes the writes fail instead.
    const { answer, err } = mounted
      ? await runChild(process.execPath, command.slice(1))
      : await runChild('sh', ['-c', `trap '' XFSZ; ulimit -f 6000; exec "$@"`, 'sh', ...command]);
    assert.equal(answer.code, mounted ? 'DISK_FULL' : 'BUILD_FAILED', err);
  } finally {
    if (mounted) execFileSync('umount', [small]);
  }
  assert.deepEqual(await releases.current(), before.release);
  assert.equal((await run({ project: await compile(files) })).release.number, 2);
});

function mountSmallDisk(path: string): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=3m', 'tmpfs', path], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
