import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isSluiceError } from '../../../warehouse/core/errors.ts';
import { modelText, problemsOf } from '../compile/project.ts';
import { openWorld, snapshotText } from '../snapshot/world.ts';

/** Events in bronze, many of one account and day: a model keyed by them has several rows of one key. */
const TABLES = {
  events: { key: ['id'], columns: { id: 'BIGINT', account: 'VARCHAR', day: 'DATE', note: 'VARCHAR' } },
};
const SQL = 'select account, day, id, note from bronze.app.events';
const event = (id: number, account: string | null, note: string | null, day = '2026-01-01') => ({
  op: 'insert' as const,
  row: { id, account, day, note },
});

const modelOf = (lines: readonly string[]): Record<string, string> => ({
  'gold/app/last_event.sql': `/*
description: The last event.
owner: { public: a test }
columns: { account: {}, day: {}, id: {}, note: {} }
${lines.join('\n')}
*/
${SQL}`,
});
const ROWS = 'select account, day, id, note from gold.main.last_event order by all';

for (const materialized of ['incremental', 'table']) {
  test(`a declared winner keeps one row of each key of a ${materialized}, NULL in it or not, now and after each change`, async (t) => {
    const lines = [`materialized: ${materialized}`, 'key: [account, day]', 'winner: note desc nulls last, id'];
    const { lake, run, rows, another } = await openWorld(t, TABLES, modelOf(lines));
    await lake.commit({
      events: [event(1, 'a', 'x'), event(2, 'a', 'y'), event(3, 'a', 'y'), event(4, null, null), event(5, null, 'b')],
    });
    await run();
    assert.deepEqual(await rows(ROWS), [
      ['a', '2026-01-01', 2, 'y'],
      [null, '2026-01-01', 5, 'b'],
    ]);
    await lake.commit({ events: [{ ...event(2, 'a', 'y'), op: 'delete' }, event(6, null, 'c'), event(7, 'b', null)] });
    const { actions } = await run({ limits: { maxTouchedShare: 5 } });
    assert.equal(actions['gold.last_event'], materialized === 'table' ? 'rebuilt' : 'refreshed');
    assert.deepEqual(await rows(ROWS), [
      ['a', '2026-01-01', 3, 'y'],
      ['b', '2026-01-01', 7, null],
      [null, '2026-01-01', 6, 'c'],
    ]);
    const fresh = another('fresh');
    await fresh.run();
    assert.deepEqual(await fresh.rows(ROWS), await rows(ROWS));
  });
}

test('rows that share the first place of the winner stop the run with the key and the rows', async (t) => {
  const lines = ['materialized: incremental', 'key: [account, day]', 'winner: note desc'];
  const { lake, run, rows } = await openWorld(t, TABLES, modelOf(lines));
  await lake.commit({ events: [event(1, 'a', 'x'), event(2, 'b', 'y')] });
  await run();
  await lake.commit({ events: [event(3, 'a', 'x'), event(4, 'a', 'w')] });
  await assert.rejects(run({ limits: { maxTouchedShare: 5 } }), (error) => {
    assert.ok(isSluiceError(error, 'KEY_NOT_UNIQUE'));
    assert.match(
      error.message,
      /gold\.last_event .*share a key and the first place of its winner \(note desc\): account "a", day "2026-01-01"/,
    );
    assert.deepEqual(
      (error.details['rows'] as Record<string, string>[]).map(({ id }) => id),
      ['1', '3'],
    );
    assert.match(error.remedy ?? '', /winner/);
    return true;
  });
  assert.deepEqual(await rows(ROWS), [
    ['a', '2026-01-01', 1, 'x'],
    ['b', '2026-01-01', 2, 'y'],
  ]);
});

test('without a winner two rows of one key stop the run, name the key and say what can be done', async (t) => {
  for (const materialized of ['incremental', 'table']) {
    const { lake, run } = await openWorld(t, TABLES, modelOf([`materialized: ${materialized}`, 'key: [account, day]']));
    await lake.commit({ events: [event(1, 'a', 'x'), event(2, 'b', 'y')] });
    await run();
    await lake.commit({ events: [event(3, null, 'x'), event(4, null, 'w')] });
    await assert.rejects(run({ limits: { maxTouchedShare: 5 } }), (error) => {
      assert.ok(isSluiceError(error, 'TESTS_FAILED'));
      assert.match(error.message, /gold\.last_event\.unique\(account,day\)/);
      assert.match(error.remedy ?? '', /winner: /);
      const [failed] = error.details['tests'] as { sample: Record<string, string | null>[] }[];
      assert.deepEqual(failed?.sample, [{ account: null, day: '2026-01-01', rows: '2' }]);
      return true;
    });
  }
});

test('a snapshot needs one row per key as well, and takes the winner', async (t) => {
  const text = (more: string[]): string =>
    snapshotText(
      ['account', 'day', 'id', 'note'],
      ['key: [account, day]', 'snapshot: { strategy: check, columns: all }', ...more],
      SQL,
    );
  const { lake, run, rows, compile } = await openWorld(t, TABLES, { 'gold/app/snap.sql': text([]) });
  await lake.commit({ events: [event(1, 'a', 'x'), event(2, 'a', 'y')] });
  await assert.rejects(run(), (error) => {
    assert.ok(isSluiceError(error, 'KEY_NOT_UNIQUE'));
    assert.match(
      error.message,
      /gold\.snap .*rows share a key at 2026-01-01T01:00:00\.000000Z: account "a", day "2026-01-01"\n.*"note":"x".*\n.*"note":"y"/,
    );
    return true;
  });
  await run({ project: await compile({ 'gold/app/snap.sql': text(['winner: id desc']) }) });
  assert.deepEqual(await rows('select account, id, is_current from gold.main.snap'), [['a', 2, true]]);
});

test('a winner is columns of the SELECT, of a table with a key that its partitions are part of', async () => {
  const problems = async (...lines: string[]): Promise<string> => {
    const sql = 'select id, account_id, amount from bronze.app.payments';
    return (await problemsOf({ 'sql/silver/app/m.sql': modelText(sql, lines) })).problems.join('\n');
  };
  assert.match(
    await problems('materialized: table', 'key: [id]', 'winner: amuont desc'),
    /5:1: header: winner names amuont.*did you mean amount\?/,
  );
  assert.match(
    await problems('materialized: table', 'key: [id]', 'winner: random()'),
    /winner: random\(\) is not a column/,
  );
  assert.match(
    await problems('materialized: table', 'key: [id]', 'winner: "amount,"'),
    /winner: an empty term is not a column/,
  );
  assert.match(await problems('materialized: table', 'winner: amount'), /there is no key/);
  assert.match(await problems('key: [id]', 'winner: amount'), /a view has no winner/);
  assert.match(
    await problems('materialized: incremental', 'key: [id]', 'incremental: { by: [account_id] }', 'winner: amount'),
    /the winner of a key may stand under another account_id/,
  );
});
