import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { assertNoStack, parseJson } from '../support/cli.ts';
import { type TestProject, testProject } from '../support/project.ts';

/** Attacks on whole runs through the real command: killed, doubled, interrupted, rolled back. */

const AS_OF = ['--as-of', '2026-03-01'] as const;
const GOLD = 'select * from gold.fct_orders order by all';
const TOTALS = 'select * from gold.customer_totals order by all';

let project: TestProject;
before(async () => {
  project = await testProject();
});
after(() => project[Symbol.asyncDispose]());

let round = 0;
/** New, changed and deleted orders, a renamed customer, an order that moves to another customer. */
async function change(): Promise<void> {
  round += 1;
  const id = 1000 + round;
  await project.client.query(`begin;
    insert into shop.customers (id, org_id, name) values (${id}, 1, 'late ${round}');
    insert into shop.orders values (${id}, ${id}, '2026-02-01', ${round}.5);
    update shop.orders set amount = amount + 1 where id % 11 = ${round % 11};
    update shop.orders set customer_id = 1 + ${round % 5} where id = ${round};
    update shop.customers set name = 'renamed ${round}' where id = ${1 + (round % 5)};
    delete from shop.orders where id = ${200 - round};
    commit`);
}

async function succeeds(args: readonly string[]): Promise<Record<string, unknown>> {
  const result = await project.sluice([...args, '--json']);
  assert.equal(result.code, 0, `${args.join(' ')}: ${result.stdout}${result.stderr}`);
  return parseJson(result);
}

const rowsOf = async (sql: string): Promise<unknown> => (await succeeds(['query', sql, '--limit', '100000']))['rows'];

/** Bronze is Postgres, gold is what Postgres says, and computing gold again changes no row of it. */
async function assertRight(): Promise<void> {
  assert.equal((await succeeds(['verify']))['equal'], true);
  const expected = await project.client.query(
    `select o.id::text as order_id, customer_id::text, org_id::text, to_char(day, 'YYYY-MM-DD') as day, amount::text
     from shop.orders o join shop.customers c on c.id = o.customer_id order by o.id, customer_id, org_id, day, amount`,
  );
  const gold = await rowsOf(GOLD);
  assert.deepEqual(gold, expected.rows);
  const totals = await rowsOf(TOTALS);
  const again = (await succeeds(['build', '--full-refresh', ...AS_OF])) as {
    models: { name: string; changed_rows: number }[];
  };
  assert.deepEqual(again.models.map(({ name, changed_rows: changed }) => `${name} ${changed}`).toSorted(), [
    'gold.customer_totals 0',
    'gold.fct_orders 0',
    'silver.stg_orders 0',
  ]);
  assert.deepEqual(await rowsOf(TOTALS), totals);
  assert.deepEqual((await project.state()).work, [], 'what killed runs left is gone');
}

/** A seeded sequence of numbers from 0 to below 1. */
function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

test('killed at any moment while the source changes, a run loses nothing: the next one brings bronze and gold to what is right', async () => {
  const started = performance.now();
  await succeeds(['run', ...AS_OF]);
  const usual = performance.now() - started;
  const random = createRandom(20_261_121);
  let killed = 0;
  let left = 0;
  for (let i = 0; i < 12; i++) {
    await change();
    const before = await project.state();
    const running = project.sluice(['run', ...AS_OF], {
      // From the end of loading the code to a little beyond the usual end.
      onSpawn: (child) => void sleep(usual * (0.3 + 0.75 * random())).then(() => child.kill('SIGKILL')),
    });
    if (i % 3 === 0) await change();
    const { signal } = await running;
    if (signal === 'SIGKILL') killed += 1;
    const seen = await project.state();
    left = Math.max(left, seen.work.length);
    assert.ok(seen.commits.length - before.commits.length <= 1);
    assert.ok(seen.releases.length - before.releases.length <= 1);
  }
  assert.ok(killed >= 4, `${killed} of 12 runs were killed before their end`);
  assert.ok(left >= 1, 'some kill left a work folder behind');
  await succeeds(['run', ...AS_OF]);
  await assertRight();
});

test('two runs at once end right: each succeeds or says that the other was first', async () => {
  for (let i = 0; i < 2; i++) {
    await change();
    const ended = await Promise.all([project.sluice(['run', ...AS_OF]), project.sluice(['run', ...AS_OF])]);
    for (const result of ended) {
      assertNoStack(result);
      assert.ok(result.code === 0 || result.code === 5, `${result.code}: ${result.stderr}`);
    }
    assert.ok(ended.some(({ code }) => code === 0));
  }
  await succeeds(['run', ...AS_OF]);
  await assertRight();
});

test('two builds at once: the second waits for the first and finds its work done', async () => {
  await change();
  await succeeds(['extract']);
  const before = await project.state();
  const ended = await Promise.all([1, 2].map(() => project.sluice(['build', ...AS_OF, '--json'])));
  assert.deepEqual(
    ended.map(({ code }) => code),
    [0, 0],
    ended.map(({ stdout }) => stdout).join(''),
  );
  const published = ended.map((result) => parseJson(result)['release']).filter((release) => release !== undefined);
  assert.equal(published.length, 1);
  assert.equal((await project.state()).releases.length, before.releases.length + 1);
});

/** Resolves when a session of Sluice waits for a lock in the project's database. */
async function waitForBlocked(): Promise<void> {
  const watcher = new pg.Client({ connectionString: project.database.url });
  await watcher.connect();
  try {
    for (let tries = 0; tries < 600; tries++) {
      const found = await watcher.query(
        `select 1 from pg_stat_activity where datname = current_database() and application_name like 'sluice/%' and wait_event_type = 'Lock'`,
      );
      if (found.rowCount !== 0) return;
      await sleep(50);
    }
    assert.fail('no session of Sluice waits for the lock');
  } finally {
    await watcher.end();
  }
}

test('Ctrl-C ends a run with 130 at once, publishes nothing and leaves nothing behind', async () => {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    await change();
    const before = await project.state();
    await project.client.query('begin; lock table shop.orders in access exclusive mode');
    let signalled = 0;
    const result = await project.sluice(['run', ...AS_OF], {
      onSpawn: (child) =>
        void waitForBlocked().then(() => {
          signalled = performance.now();
          child.kill(signal);
        }),
    });
    await project.client.query('rollback');
    assert.equal(result.code, 130, result.stderr);
    assert.match(result.stderr, /error CANCELLED/);
    assertNoStack(result);
    assert.ok(performance.now() - signalled < 5_000, 'the lock time-out of 10 s was not waited for');
    assert.deepEqual(await project.state(), before);
  }
  await succeeds(['run', ...AS_OF]);
  await assertRight();
});

test('Ctrl-C ends a query that would run for hours', async () => {
  const result = await project.sluice(
    ['query', 'select count(*) from range(1000000000000) a where a.range % 7 = 3', '--log-level', 'debug'],
    {
      onSpawn: (child) =>
        child.stderr?.on('data', (text: Buffer | string) => {
          if (String(text).includes('session is open')) setTimeout(() => child.kill('SIGINT'), 200);
        }),
    },
  );
  assert.equal(result.code, 130, result.stderr);
  assert.match(result.stderr, /error CANCELLED The query was cancelled/);
  assert.deepEqual((await project.state()).work, []);
});

test('after a rollback readers see the older release, and the next run builds on it what is missing', async () => {
  await succeeds(['run', ...AS_OF]);
  const older = { gold: await rowsOf(GOLD), totals: await rowsOf(TOTALS) };
  const { releases } = (await succeeds(['releases'])) as { releases: { number: number; version: string }[] };
  await change();
  await succeeds(['run', ...AS_OF]);
  await change();
  await succeeds(['run', ...AS_OF]);
  const newest = await rowsOf(GOLD);
  assert.notDeepEqual(newest, older.gold);

  const back = await succeeds(['rollback', String(releases[0]?.number)]);
  assert.equal((back['release'] as { version: string }).version, releases[0]?.version);
  assert.deepEqual({ gold: await rowsOf(GOLD), totals: await rowsOf(TOTALS) }, older);
  const status = (await succeeds(['status'])) as { release: { kind: string; version: string } };
  assert.deepEqual([status.release.kind, status.release.version], ['rollback', releases[0]?.version]);

  const next = (await succeeds(['run', ...AS_OF])) as { models: { name: string; changed_rows: number }[] };
  assert.ok(
    next.models.some(({ changed_rows: changed }) => changed > 0),
    'nothing new in Postgres, but the release is behind bronze',
  );
  assert.deepEqual(await rowsOf(GOLD), newest);
  await assertRight();
});

test('rollback without a number goes one version further back each time', async () => {
  const { releases } = (await succeeds(['releases', '--limit', '1000'])) as {
    releases: { number: number; version: string; kind: string }[];
  };
  const versions = releases.filter(({ kind }) => kind === 'publish').map(({ version }) => version);
  for (const expected of versions.slice(1, 3)) {
    const { release } = (await succeeds(['rollback'])) as { release: { version: string } };
    assert.equal(release.version, expected);
  }
});
