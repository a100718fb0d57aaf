import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dayOf } from '../../demo/calendar.ts';
import { demoState, loadDemo, schemaSql, TABLE_NAMES } from '../../demo/index.ts';
import { isSluiceError } from '../../warehouse/core/errors.ts';
import { checksums, differences, openSession } from './support.ts';

test('the same seed gives the same data to the last byte, another seed gives other data', async (t) => {
  const [one, two] = [await openSession(t), await openSession(t)];
  const loaded = await loadDemo({ url: one.url, scale: 1, seed: 7 });
  await loadDemo({ url: two.url, scale: 1, seed: 7 });
  const sums = await checksums(one, 'loaded');
  assert.deepEqual(await checksums(two, 'loaded'), sums);
  for (const table of TABLE_NAMES) assert.equal(Number(sums[table].split(' ')[0]), loaded.rows[table]);
  await loadDemo({ url: two.url, scale: 1, seed: 8 });
  const others = await checksums(two, 'loaded');
  for (const table of TABLE_NAMES.filter((name) => name !== 'orgs')) assert.notEqual(others[table], sums[table], table);
});

test('what is loaded is what the generator says, and about 20,000 rows at scale 1', async (t) => {
  const session = await openSession(t);
  const loaded = await loadDemo({ url: session.url });
  assert.deepEqual(await differences(session, { seed: 1, scale: 1, epoch: dayOf('2025-06-30') }, '2025-06-30'), {});
  assert.ok(loaded.rowsTotal > 18_000 && loaded.rowsTotal < 24_000, String(loaded.rowsTotal));
  assert.deepEqual(await demoState(session.url), { seed: 1, scale: 1, asOf: '2025-06-30', loadedAsOf: '2025-06-30' });
});

test('a larger scale adds users and leaves those before as they are', async (t) => {
  const [one, two] = [await openSession(t), await openSession(t)];
  const small = await loadDemo({ url: one.url, scale: 1, seed: 3 });
  const large = await loadDemo({ url: two.url, scale: 3, seed: 3 });
  assert.equal(large.rows.users, 3 * small.rows.users);
  assert.ok(large.rowsTotal > 2.5 * small.rowsTotal && large.rowsTotal < 3.5 * small.rowsTotal);
  const sql = `select md5(string_agg(t::text, e'\\n' order by id)) as sum from app.transactions t where user_id between 1001 and 1010`;
  assert.deepEqual(await two.rows(sql), await one.rows(sql));
});

test('every foreign key, primary key and trigger is in place and valid after loading', async (t) => {
  const [loaded, plain] = [await openSession(t), await openSession(t)];
  await loadDemo({ url: loaded.url });
  await plain.rows(await schemaSql());
  const constraints = `select conrelid::regclass::text as "table", contype::text, pg_get_constraintdef(oid) as definition, convalidated
    from pg_constraint where connamespace = 'app'::regnamespace order by 1, 2, 3`;
  const found = await loaded.rows<{ contype: string; convalidated: boolean }>(constraints);
  assert.deepEqual(found, await plain.rows(constraints));
  assert.equal(found.filter((row) => row.contype === 'f').length, 21);
  assert.ok(found.every((row) => row.convalidated));
  const triggers = `select tgrelid::regclass::text as "table", tgenabled::text as enabled from pg_trigger where not tgisinternal order by 1`;
  const moving = TABLE_NAMES.filter((table) => table !== 'transaction_tags').map((table) => ({
    table: `app.${table}`,
    enabled: 'O',
  }));
  assert.deepEqual(
    await loaded.rows(triggers),
    moving.sort((a, b) => (a.table < b.table ? -1 : 1)),
  );
});

test('no row belongs to another user or org than the row it points to', async (t) => {
  const session = await openSession(t);
  await loadDemo({ url: session.url, seed: 5 });
  const strangers = await session.rows(
    `select 'accounts' as at from app.accounts a join app.connections c on c.id = a.connection_id where (a.org_id, a.user_id) <> (c.org_id, c.user_id)
     union all select 'connections' from app.connections c join app.institutions i on i.id = c.institution_id where (c.org_id, c.user_id) <> (i.org_id, i.user_id)
     union all select 'transactions' from app.transactions t join app.accounts a on a.id = t.account_id where (t.org_id, t.user_id, t.currency) <> (a.org_id, a.user_id, a.currency)
     union all select 'links' from app.transaction_tags l join app.transactions t on t.id = l.transaction_id where (l.org_id, l.user_id) <> (t.org_id, t.user_id)
     union all select 'links' from app.transaction_tags l join app.tags g on g.id = l.tag_id where (l.org_id, l.user_id) <> (g.org_id, g.user_id)
     union all select 'snapshots' from app.balance_snapshots s join app.accounts a on a.id = s.account_id where (s.org_id, s.user_id, s.currency) <> (a.org_id, a.user_id, a.currency)
     union all select 'users' from app.transactions t join app.users u on u.id = t.user_id where t.org_id <> u.org_id`,
  );
  assert.deepEqual(strangers, []);
});

test('triggers move updated_at on insert and update, whatever the statement says', async (t) => {
  const session = await openSession(t);
  await loadDemo({ url: session.url });
  for (const table of TABLE_NAMES.filter((name) => name !== 'transaction_tags')) {
    const [row] = await session.rows<{ moved: boolean }>(
      `update app.${table} set updated_at = '2001-01-01' where ctid = (select min(ctid) from app.${table}) returning updated_at = now() as moved`,
    );
    assert.deepEqual(row, { moved: true }, table);
  }
  const [org] = await session.rows(
    `insert into app.orgs (id, name, currency, updated_at) values (99, 'new', 'EUR', '2001-01-01') returning time_zone, updated_at = now() as moved`,
  );
  assert.deepEqual(org, { time_zone: 'UTC', moved: true });
});

test('an application schema that the demo did not make is left alone', async (t) => {
  const session = await openSession(t);
  await session.rows('create schema app');
  await session.rows('create table app.precious as select 1 as x');
  await assert.rejects(
    loadDemo({ url: session.url }),
    (error) => isSluiceError(error, 'USAGE') && /schema app/.test(error.message),
  );
  assert.deepEqual(await session.rows('select x from app.precious'), [{ x: 1 }]);
});

test('a load that is cut off leaves the demo that was there before', async (t) => {
  const session = await openSession(t);
  await loadDemo({ url: session.url, seed: 1 });
  const before = await checksums(session, 'loaded');
  let cut: Promise<unknown> | undefined;
  const load = loadDemo({
    url: session.url,
    seed: 2,
    onProgress: ({ state, item }) => {
      if (state !== 'running' || item !== 'transactions') return;
      cut ??= session.rows(
        `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'sluice demo' and datname = current_database()`,
      );
    },
  });
  await assert.rejects(load);
  await cut;
  assert.ok(cut !== undefined, 'the load was cut while rows were written');
  assert.deepEqual(await checksums(session, 'loaded'), before);
  assert.equal((await demoState(session.url))?.seed, 1);
});

test('bad options, a wrong password and a server that is not there are told apart', async (t) => {
  const session = await openSession(t);
  const { url } = session;
  await assert.rejects(
    loadDemo({ url, scale: 0 }),
    (error) => isSluiceError(error, 'USAGE') && /scale/.test(error.message),
  );
  await assert.rejects(
    loadDemo({ url, seed: 1.5 }),
    (error) => isSluiceError(error, 'USAGE') && /seed/.test(error.message),
  );
  await assert.rejects(
    loadDemo({ url, asOf: '2025-02-30' }),
    (error) => isSluiceError(error, 'USAGE') && /2025-02-30/.test(error.message),
  );
  const wrong = new URL(url);
  wrong.password = 'not-it';
  await assert.rejects(
    loadDemo({ url: wrong.href }),
    (error) => isSluiceError(error, 'SOURCE_AUTH_FAILED') && !error.message.includes('not-it'),
  );
  const nowhere = new URL(url);
  nowhere.port = '1';
  await assert.rejects(loadDemo({ url: nowhere.href }), (error) => isSluiceError(error, 'SOURCE_UNREACHABLE'));
  assert.equal(await demoState(url), undefined);
});
