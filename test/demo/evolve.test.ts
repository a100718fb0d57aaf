import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dayOf } from '../../demo/calendar.ts';
import { demoState, evolveDemo, loadDemo } from '../../demo/index.ts';
import type { World } from '../../demo/world.ts';
import { isSluiceError } from '../../warehouse/core/errors.ts';
import { checksums, differences, openSession, type Session } from './support.ts';

const EPOCH = '2025-06-30';
const worldOf = (seed: number): World => ({ seed, scale: 1, epoch: dayOf(EPOCH) });

for (const seed of [1, -42]) {
  test(`late rows, corrections and deletions occur on each of five days (seed ${seed})`, async (t) => {
    const session = await openSession(t);
    await loadDemo({ url: session.url, seed });
    for (const [index, date] of ['2025-07-01', '2025-07-02', '2025-07-03', '2025-07-04', '2025-07-05'].entries()) {
      await session.rows('drop table if exists before');
      await session.rows('create temp table before as select * from app.transactions');
      const evolved = await evolveDemo({ url: session.url, days: 1 });
      assert.deepEqual(
        evolved.days.map((day) => day.date),
        [date],
      );
      const [seen] = await session.rows<{ late: number; corrected: number; deleted: number; settled: number }>(
        `select
           (select count(*) from app.transactions a where a.booking_date < $1::date - 1
              and not exists (select from before b where b.id = a.id))::int as late,
           (select count(*) from app.transactions a join before b using (id) where a.pending = b.pending
              and row(a.amount, a.booking_date, a.description, a.category) is distinct from row(b.amount, b.booking_date, b.description, b.category))::int as corrected,
           (select count(*) from app.transactions a join before b using (id) where b.pending and not a.pending)::int as settled,
           (select count(*) from before b where not exists (select from app.transactions a where a.id = b.id))::int as deleted`,
        [date],
      );
      assert.ok(seen);
      assert.equal(seen.late, evolved.days[0]?.late);
      assert.ok(seen.late > 0 && seen.corrected > 0 && seen.deleted > 0, `day ${index + 1}: ${JSON.stringify(seen)}`);
    }
    assert.deepEqual(await differences(session, worldOf(seed), '2025-07-05'), {});
  });
}

test('evolving is the same for the same seed, in one go or in several', async (t) => {
  const [one, two] = [await openSession(t), await openSession(t)];
  for (const session of [one, two]) await loadDemo({ url: session.url, seed: 11 });
  const whole = await evolveDemo({ url: one.url, days: 5 });
  const parts = [await evolveDemo({ url: two.url, days: 2 }), await evolveDemo({ url: two.url, days: 3 })];
  assert.deepEqual(
    parts.flatMap((part) => part.days),
    whole.days,
  );
  assert.deepEqual(await checksums(two, 'evolved'), await checksums(one, 'evolved'));
  assert.equal(whole.asOf, '2025-07-05');
  assert.equal((await demoState(one.url))?.asOf, '2025-07-05');
});

test('in five days something of every kind happens', async (t) => {
  const session = await openSession(t);
  await loadDemo({ url: session.url });
  const tables = ['users', 'accounts', 'tags', 'connections', 'transaction_tags'];
  for (const table of tables) await session.rows(`create temp table before_${table} as select * from app.${table}`);
  const { days } = await evolveDemo({ url: session.url, days: 5 });
  const [seen] = await session.rows(
    `select
       exists (select from app.users a where not exists (select from before_users b where b.id = a.id)) as signed_up,
       exists (select from app.users a join before_users b using (id) where a.email <> b.email) as moved,
       exists (select from app.users a join before_users b using (id) where a.hashed_password <> b.hashed_password and a.email = b.email) as logged_in,
       exists (select from app.accounts a join before_accounts b using (id) where a.closed_on is not null and b.closed_on is null) as closed,
       exists (select from app.accounts a where not exists (select from before_accounts b where b.id = a.id)
                 and a.user_id in (select user_id from before_accounts)) as opened,
       exists (select from app.tags a where not exists (select from before_tags b where b.id = a.id)) as tag_made,
       exists (select from app.tags a join before_tags b using (id) where a.name <> b.name) as tag_renamed,
       exists (select from before_tags b where not exists (select from app.tags a where a.id = b.id)) as tag_deleted,
       exists (select from before_transaction_tags b where exists (select from app.tags a where a.id = b.tag_id)
                 and exists (select from app.transactions a where a.id = b.transaction_id)
                 and not exists (select from app.transaction_tags a where a.transaction_id = b.transaction_id and a.tag_id = b.tag_id)) as untagged,
       exists (select from app.connections a join before_connections b using (id) where a.last_synced_at > b.last_synced_at) as synced`,
  );
  const nothing = Object.entries(seen ?? {}).filter(([, happened]) => happened !== true);
  assert.deepEqual(nothing, []);
  assert.ok(
    days.every((day) => day.inserted > 0 && day.updated > 0 && day.deleted > 0 && day.late > 0),
    JSON.stringify(days),
  );
});

test('a failing connection brings what it missed when it works again', async (t) => {
  const session = await openSession(t);
  await loadDemo({ url: session.url });
  const failing = `select count(*)::int as n from app.connections where status = 'error' and user_id = 1001`;
  await evolveDemo({ url: session.url, days: 1 });
  assert.deepEqual(await session.rows(failing), [{ n: 1 }]);
  await evolveDemo({ url: session.url, days: 2 });
  assert.deepEqual(await session.rows(failing), [{ n: 0 }]);
});

test('a day is many transactions, and some rows become visible after others with a newer updated_at', async (t) => {
  const session = await openSession(t);
  await loadDemo({ url: session.url });
  const [{ begin } = { begin: '' }] = await session.rows<{ begin: string }>('select clock_timestamp()::text as begin');
  await evolveDemo({ url: session.url, days: 2 });
  const changes = `select xmin, updated_at, pg_xact_commit_timestamp(xmin) as committed_at from app.transactions where updated_at >= $1
    union all select xmin, updated_at, pg_xact_commit_timestamp(xmin) from app.accounts where updated_at >= $1
    union all select xmin, updated_at, pg_xact_commit_timestamp(xmin) from app.tags where updated_at >= $1
    union all select xmin, updated_at, pg_xact_commit_timestamp(xmin) from app.users where updated_at >= $1`;
  const [seen] = await session.rows<{ transactions: number; overtaken: number }>(
    `with changes as (${changes})
     select count(distinct xmin::text)::int as transactions,
            (select count(*) from changes a where exists
               (select from changes b where b.updated_at > a.updated_at and b.committed_at < a.committed_at))::int as overtaken
     from changes`,
    [begin],
  );
  assert.ok(seen && seen.transactions >= 6, JSON.stringify(seen));
  assert.ok(seen.overtaken > 0, 'no transaction was overtaken by a newer one');
});

test('a day that broke off anywhere is completed by the next run', async (t) => {
  const session = await openSession(t);
  await loadDemo({ url: session.url, seed: 9 });
  let broken = 0;
  for (const ms of [1, 6, 12, 20, 35]) {
    await cutOff(session, ms).then(
      () => undefined,
      () => (broken += 1),
    );
  }
  assert.ok(broken > 0, 'nothing broke off');
  const state = await demoState(session.url);
  assert.ok(state);
  const left = 12 - (dayOf(state.asOf) - dayOf(EPOCH));
  await evolveDemo({ url: session.url, days: left });
  assert.deepEqual(await differences(session, worldOf(9), '2025-07-12'), {});
});

/** Plays a day and ends its connections some milliseconds into it. */
async function cutOff(session: Session, ms: number): Promise<void> {
  await evolveDemo({
    url: session.url,
    days: 2,
    onProgress: ({ state }) => {
      if (state !== 'started') return;
      const end = (): Promise<unknown> =>
        session.rows(
          `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'sluice demo' and datname = current_database()`,
        );
      setTimeout(() => void end(), ms);
    },
  });
}

test('two who evolve at once play one after the other', async (t) => {
  const session = await openSession(t);
  await loadDemo({ url: session.url, seed: 4 });
  const both = await Promise.all([
    evolveDemo({ url: session.url, days: 1 }),
    evolveDemo({ url: session.url, days: 1 }),
  ]);
  assert.deepEqual(both.map((one) => one.asOf).sort(), ['2025-07-01', '2025-07-02']);
  assert.deepEqual(await differences(session, worldOf(4), '2025-07-02'), {});
});

test('without a demo, with another seed or a strange number of days nothing is played', async (t) => {
  const session = await openSession(t);
  await assert.rejects(
    evolveDemo({ url: session.url }),
    (error) => isSluiceError(error, 'USAGE') && /no demo data/.test(error.message),
  );
  await loadDemo({ url: session.url, scale: 0.5 });
  await assert.rejects(evolveDemo({ url: session.url, days: 0 }), (error) => isSluiceError(error, 'USAGE'));
  await assert.rejects(
    evolveDemo({ url: session.url, seed: 2 }),
    (error) => isSluiceError(error, 'USAGE') && /seed 1/.test(error.message),
  );
  assert.equal((await demoState(session.url))?.asOf, EPOCH);
});
