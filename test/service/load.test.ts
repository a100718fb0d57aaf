import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isSluiceError } from '../../warehouse/core/errors.ts';
import type { Release } from '../../warehouse/core/release.ts';
import { followReleases, openServing, type PinnedRelease } from '../../warehouse/serve/index.ts';
import { ALICE, BORIS, createGold, DATASETS, DIM_ACCOUNTS, FCT_TRANSACTIONS, silent } from '../serve/support/gold.ts';
import { eventually } from '../support/eventually.ts';
import { startService } from './support/service.ts';

const QUERY = '/api/analytics/datasets/fct_transactions/query';

test('six releases swapped under load fail no request and mix no two', async () => {
  const service = await startService();
  try {
    const releases: PinnedRelease[] = [];
    for (const at of [1, 2]) releases.push(await service.gold.release(`swap-${at}`, { label: `label${at}` }));
    const labels: Record<string, string> = {
      'swap-1': 'label1',
      'swap-2': 'label2',
      [service.pinned.release.version]: 'first',
    };
    const end = new AbortController();
    let served = 0;
    const seen = new Set<unknown>();
    const client = async (): Promise<void> => {
      while (!end.signal.aborted) {
        const { status, json, text } = await service.get(`${QUERY}?limit=200&total=true`, ALICE);
        assert.equal(status, 200, text.slice(0, 300));
        assert.equal(json['total'], 1_000);
        const label = labels[String(json['release'])];
        for (const row of json.data ?? [])
          assert.ok(row['description'] === null || (row['description'] as string).startsWith(`${label} `));
        seen.add(json['release']);
        served += 1;
      }
    };
    const clients = [client(), client()];
    for (let round = 0; round < 6; round += 1) {
      const next = releases[round % 2];
      assert.ok(next !== undefined);
      await service.serving.swap(next);
      const before = served;
      await eventually('requests are answered between swaps', () => served > before, 10_000);
    }
    end.abort();
    await Promise.all(clients);
    assert.equal(seen.size, 3);
    assert.equal(service.serving.release().version, 'swap-2');
  } finally {
    await service.stop();
  }
});

test('a request that began on one release ends on it though another took over', async () => {
  const gold = await createGold();
  const next = await gold.release('new', { label: 'new' });
  const serving = await openServing({
    pinned: await gold.release('old', { label: 'old' }),
    log: silent,
    limits: { poolSize: 1, threads: 1, timeoutMs: 60_000 },
  });
  try {
    // The only place is taken, so that the request below waits while the release changes.
    const abort = new AbortController();
    const slow = serving.query('slow', ALICE, {}, { signal: abort.signal }).catch((error: unknown) => error);
    const waiting = serving.query('fct_transactions', ALICE, { limit: 50 });
    await serving.swap(next);
    assert.equal(serving.release().version, 'new');
    abort.abort();
    const page = await waiting;
    assert.ok(page.kind === 'page');
    assert.equal(page.release.version, 'old');
    assert.ok(page.text.includes('old 4') && !page.text.includes('new '));
    const fresh = await serving.query('fct_transactions', ALICE, { limit: 50 }, { knownTags: [page.tag] });
    assert.ok(fresh.kind === 'page' && fresh.release.version === 'new', 'a tag of the old release is no longer right');
    await slow;
  } finally {
    await serving.close();
    await gold.remove();
  }
});

test('a release that cannot be served is refused whole, with every problem, and the one before goes on', async () => {
  const gold = await createGold();
  const serving = await openServing({ pinned: await gold.release('good'), log: silent });
  try {
    const bad = await gold.release('bad', {
      sql: 'alter table dim_tags rename column name to label; drop table currencies',
      datasets: [
        ...DATASETS.filter((dataset) => dataset.id !== 'dim_accounts' && dataset.id !== 'fct_transactions'),
        { ...DIM_ACCOUNTS, owner: { kind: 'owned', org: 'org', user: 'user_id' } },
        {
          ...FCT_TRANSACTIONS,
          filters: { dateColumn: 'currency', ids: { account: 'account_id', payee: 'payee_id' } },
          key: ['id'],
        },
      ],
    });
    await assert.rejects(serving.swap(bad), (error) => {
      assert.ok(isSluiceError(error, 'RELEASE_UNSERVABLE'));
      for (const word of [
        'dim_tags',
        '"name"',
        'currencies',
        'owner column org',
        'date column currency',
        'payee',
        'key column id',
      ])
        assert.ok(error.message.includes(word), `${word}: ${error.message}`);
      return true;
    });
    const leaky = await gold.release('leaky', {
      sql: `insert into dim_accounts values (uuid(), ${-(2n ** 63n)}, ${-(2n ** 63n)}, 'x', 'x')`,
    });
    await assert.rejects(serving.swap(leaky), (error) => isSluiceError(error, 'RELEASE_UNSERVABLE'));
    assert.equal(serving.release().version, 'good');
    assert.equal((await serving.query('fct_transactions', BORIS, { limit: 1 })).kind, 'page');
  } finally {
    await serving.close();
    await gold.remove();
  }
});

test('a tenant that floods the service waits for itself; another is answered meanwhile', async () => {
  const service = await startService({ limits: { timeoutMs: 3_000, maxQueuedPerTenant: 10, poolSize: 3 } });
  try {
    const flood = Array.from({ length: 60 }, () => service.get('/api/analytics/datasets/slow/query', ALICE));
    await eventually('the flood waits', () => service.serving.load().waiting === 10, 5_000);
    const times: number[] = [];
    for (let round = 0; round < 20; round += 1) {
      const started = performance.now();
      const reply = await service.get(`${QUERY}?limit=100`, BORIS);
      assert.equal(reply.status, 200, reply.text.slice(0, 200));
      times.push(performance.now() - started);
    }
    assert.ok((times.toSorted((a, b) => a - b)[18] ?? 0) < 1_500, `p95 ${times.join(' ')}`);
    const replies = await Promise.all(flood);
    const statuses = Map.groupBy(replies, (reply) => reply.status);
    assert.deepEqual(
      [...statuses.keys()].toSorted((a, b) => a - b),
      [429, 503, 504],
    );
    assert.ok((statuses.get(429)?.length ?? 0) >= 40);
    for (const reply of [...(statuses.get(429) ?? []), ...(statuses.get(503) ?? [])])
      assert.match(reply.headers.get('retry-after') ?? '', /^\d+$/);
    assert.ok(replies.every((reply) => reply.headers.get('content-type') === 'application/problem+json'));
    // a query that was answered with 504 holds its place until the engine has let go of it
    const idle = (): boolean => service.serving.load().running === 0 && service.serving.load().waiting === 0;
    await eventually('the service is idle again', idle, 10_000);
  } finally {
    await service.stop();
  }
});

test('an engine killed again and again under load gives answers or errors to retry, and no short or wrong answer', async () => {
  const service = await startService();
  try {
    const end = new AbortController();
    const statuses = new Map<number, number>();
    const client = async (): Promise<void> => {
      while (!end.signal.aborted) {
        const reply = await service.get(`${QUERY}?limit=10000&total=true`, BORIS);
        statuses.set(reply.status, (statuses.get(reply.status) ?? 0) + 1);
        if (reply.status === 200)
          assert.deepEqual(
            [reply.json['row_count'], reply.json['total'], reply.json.data?.length],
            [1_000, 1_000, 1_000],
          );
        else
          assert.deepEqual(
            [reply.status, reply.json['code'], reply.headers.get('retry-after')],
            [503, 'ENGINE_BUSY', '1'],
          );
      }
    };
    const clients = [client(), client(), client(), client()];
    for (let round = 0; round < 5; round += 1) {
      const ok = statuses.get(200) ?? 0;
      await eventually('answers come again', () => (statuses.get(200) ?? 0) > ok + 4, 10_000);
      const pid = service.serving.load().enginePid;
      if (pid !== undefined) process.kill(pid, 'SIGKILL');
    }
    end.abort();
    await Promise.all(clients);
    assert.ok((statuses.get(503) ?? 0) > 0, 'some requests were in flight');
  } finally {
    await service.stop();
  }
});

test('follows the current release, forward and back, and survives what cannot be fetched or served', async () => {
  const gold = await createGold();
  const serving = await openServing({ log: silent });
  const pinned = new Map<number, PinnedRelease>();
  for (const [number, version] of [
    [1, 'a'],
    [2, 'b'],
    [3, 'c'],
  ] as const) {
    pinned.set(
      number,
      await gold.release(
        version,
        version === 'c' ? { number, datasets: [{ ...DIM_ACCOUNTS, key: ['none'] }] } : { number },
      ),
    );
  }
  let current: Release | undefined;
  let fetches = 0;
  let broken = false;
  const following = followReleases({
    serving,
    intervalMs: 20,
    log: silent,
    releases: {
      current: async () => {
        if (broken) throw new Error('the store is away');
        return current;
      },
      fetch: async (release) => {
        fetches += 1;
        const goldPath =
          [...pinned.values()].find((candidate) => candidate.release.version === release.version)?.goldPath ?? '';
        return { gold: goldPath, silver: goldPath };
      },
    },
  });
  try {
    await following.look();
    assert.throws(
      () => serving.release(),
      (error) => isSluiceError(error, 'NO_RELEASE'),
    );
    current = pinned.get(1)?.release;
    await eventually('the first release is served', () => serving.isReady(), 10_000);
    assert.equal(serving.release().version, 'a');
    broken = true;
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(serving.release().version, 'a');
    broken = false;
    current = pinned.get(2)?.release;
    await eventually('the second release is served', () => serving.release().version === 'b', 10_000);
    current = pinned.get(3)?.release;
    await assert.rejects(
      (async () => {
        for (;;) await following.look().then(() => new Promise((resolve) => setTimeout(resolve, 1)));
      })(),
      (error) => isSluiceError(error, 'RELEASE_UNSERVABLE'),
    );
    assert.equal(serving.release().version, 'b');
    const before = fetches;
    await new Promise((resolve) => setTimeout(resolve, 150));
    assert.ok(fetches <= before + 1, 'what cannot be served is not tried over and over');
    const first = pinned.get(1);
    assert.ok(first !== undefined);
    current = { ...first.release, number: 4, kind: 'rollback' };
    await eventually('the rollback is served', () => serving.release().version === 'a', 10_000);
    assert.equal(serving.release().number, 4);
    const pid = serving.load().enginePid;
    current = { ...first.release, number: 5, kind: 'rollback' };
    await eventually('the new number of the same content is told', () => serving.release().number === 5, 10_000);
    assert.equal(serving.load().enginePid, pid, 'the same content needs no new engine');
  } finally {
    await following.stop();
    await serving.close();
    await gold.remove();
  }
});
