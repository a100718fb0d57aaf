import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isSluiceError } from '../../../warehouse/core/errors.ts';
import { planBuild } from '../../../warehouse/transform/index.ts';
import { modelText, problemsOf } from '../compile/project.ts';
import { openWorld, snapshotText, type World } from './world.ts';

/** What becomes of recorded history when the project changes. */

const TABLES = {
  people: { key: ['id'], columns: { id: 'BIGINT', name: 'VARCHAR', city: 'VARCHAR', score: 'INTEGER' } },
};
const person = (id: number, name: string, city = 'x', score = 1) => ({ id, name, city, score });
const RULE = ['key: [id]', 'snapshot: { strategy: check, columns: all }'];
const snap = (columns: string[], lines = RULE, from = 'bronze.app.people', list = columns): Record<string, string> => ({
  'gold/app/snap.sql': snapshotText(columns, lines, `select ${list.join(', ')} from ${from}`),
});

async function openPeople(t: Parameters<typeof openWorld>[0], columns: string[]): Promise<World> {
  const world = await openWorld(t, TABLES, snap(columns));
  await world.lake.commit({ people: [1, 2].map((id) => ({ op: 'read' as const, row: person(id, `p${id}`) })) });
  await world.run();
  await world.lake.commit({ people: [{ op: 'update', row: person(1, 'q1') }] });
  await world.run();
  return world;
}

const refuses = (pattern: RegExp) => (error: unknown) => {
  assert.ok(isSluiceError(error, 'SNAPSHOT_HISTORY'), String(error));
  assert.match(error.message, pattern);
  assert.match(error.remedy ?? '', /--drop-history gold\.snap/);
  return true;
};

test('an added column is NULL in the versions there are, the plan says so, and from then on it counts', async (t) => {
  const world = await openPeople(t, ['id', 'name']);
  const project = await world.compile(snap(['id', 'city', 'name']));
  const { release } = await world.run();
  const plan = planBuild({ project, previous: release, bronze: world.lake.snapshot(), asOf: '2026-01-31' });
  assert.deepEqual(
    plan.steps.map(({ action, why }) => [action, why]),
    [['refresh', 'its definition changed, its history stays: city NULL in the versions there are']],
  );
  await world.lake.commit({ people: [{ op: 'update', row: person(2, 'q2', 'y') }] });
  await world.run({ project });
  const rows = await world.rows(
    "select id, city, name, strftime(valid_from, '%H:%M'), strftime(valid_to, '%H:%M') from gold.main.snap order by id, valid_from",
  );
  assert.deepEqual(rows, [
    [1, null, 'p1', '01:00', '02:00'],
    [1, null, 'q1', '02:00', '03:00'],
    [1, 'x', 'q1', '03:00', null],
    [2, null, 'p2', '01:00', '03:00'],
    [2, 'y', 'q2', '03:00', null],
  ]);
});

test('a column that the SELECT no longer gives, a model that is gone or is a table now: refused, in the plan already', async (t) => {
  const world = await openPeople(t, ['id', 'name', 'city']);
  const before = await world.rows('select * from gold.main.snap order by all');
  const without = await world.compile(snap(['id', 'name']));
  const table = await world.compile({
    'gold/app/snap.sql': `/*\ndescription: A table.\nowner: { public: a test }\ncolumns: { id: {} }\n*/\nselect id from bronze.app.people`,
  });
  const gone = await world.compile({ 'silver/app/other.sql': modelText('select id from bronze.app.people') });
  await assert.rejects(world.run({ project: without }), refuses(/gold\.snap \(its SELECT no longer gives city\)/));
  await assert.rejects(world.run({ project: table }), refuses(/gold\.snap \(it is a table now\)/));
  await assert.rejects(world.run({ project: gone }), refuses(/gold\.snap \(the project no longer has it\)/));
  const { release } = await world.run();
  const facts = { previous: release, bronze: world.lake.snapshot(), asOf: '2026-01-31' };
  assert.throws(() => planBuild({ ...facts, project: without }), refuses(/no longer gives city/));
  assert.deepEqual(await world.rows('select * from gold.main.snap order by all'), before);
  const dropHistory = new Set(['gold.snap']);
  const { outcomes } = await world.run({ project: without, dropHistory });
  assert.match(outcomes[0]?.why ?? '', /dropped as asked, and read again from bronze's log/);
  assert.deepEqual(
    await world.rows("select id, name, strftime(valid_from, '%H:%M') from gold.main.snap order by id, valid_from"),
    [
      [1, 'p1', '01:00'],
      [1, 'q1', '02:00'],
      [2, 'p2', '01:00'],
    ],
  );
  assert.equal((await world.run({ project: gone, dropHistory })).actions['gold.snap'], 'dropped');
  await world.run({ project: gone, dropHistory });
});

test('a full refresh leaves the history; dropping it by name reads the same again from the log and writes nothing', async (t) => {
  const world = await openPeople(t, ['id', 'name']);
  const before = await world.rows('select * from gold.main.snap order by all');
  const full = await world.run({ fullRefresh: true });
  assert.equal(full.actions['gold.snap'], 'unchanged');
  assert.match(full.outcomes[0]?.why ?? '', /a full refresh leaves its history/);
  const again = await world.run({ fullRefresh: true, dropHistory: new Set(['gold.snap']) });
  assert.equal(again.actions['gold.snap'], 'unchanged');
  assert.match(again.outcomes[0]?.why ?? '', /2 moments seen; the same content/);
  assert.deepEqual(again.release.files, full.release.files);
  assert.deepEqual(await world.rows('select * from gold.main.snap order by all'), before);
});

test('a type may change where every recorded value survives it, and not where one would not', async (t) => {
  const world = await openPeople(t, ['id', 'name', 'score']);
  const wider = await world.compile(
    snap(['id', 'name', 'score'], RULE, 'bronze.app.people', ['id', 'name', 'score::bigint as score']),
  );
  const { outcomes } = await world.run({ project: wider });
  assert.equal(outcomes[0]?.action, 'refreshed');
  assert.deepEqual(await world.rows('select count(*), count(score), any_value(typeof(score)) from gold.main.snap'), [
    [3, 3, 'BIGINT'],
  ]);
  const narrow = await world.compile(
    snap(['id', 'name', 'score'], RULE, 'bronze.app.people', ['id', 'try_cast(name as integer) as name', 'score']),
  );
  await assert.rejects(
    world.run({ project: narrow }),
    refuses(/name was VARCHAR and is INTEGER now, which cannot carry p1 of its history/),
  );
});

test('a key under which recorded versions overlap is refused', async (t) => {
  const world = await openPeople(t, ['id', 'name', 'city']);
  const project = await world.compile(snap(['id', 'name', 'city'], ['key: [city]', 'winner: id', RULE[1] ?? '']));
  await assert.rejects(world.run({ project }), refuses(/under the key city versions of its history overlap: city x/));
});

test('the changed versions reach an incremental model behind the snapshot, and no others', async (t) => {
  const files = {
    ...snap(['id', 'name']),
    'gold/app/lives.sql': `/*
description: Versions per row.
materialized: incremental
key: [id]
owner: { public: a test }
columns: { id: {}, versions: {}, name: {} }
*/
select id, count(*) as versions, max(name) filter (where is_current) as name from gold.snap group by id`,
  };
  const world = await openWorld(t, TABLES, files);
  const { lake, run, rows } = world;
  await lake.commit({ people: [1, 2, 3, 4, 5, 6].map((id) => ({ op: 'read' as const, row: person(id, `p${id}`) })) });
  await run();
  await lake.commit({ people: [{ op: 'update', row: person(1, 'q1') }] });
  await lake.commit({ people: [{ op: 'delete', row: person(2, 'p2') }] });
  const { outcomes } = await run({ limits: { maxTouchedShare: 0.5 } });
  const lives = outcomes.find(({ name }) => name === 'gold.lives');
  assert.equal(lives?.action, 'refreshed', lives?.why);
  assert.match(lives?.why ?? '', /2 id touched/);
  const all = 'select * from gold.main.lives order by all';
  assert.deepEqual((await rows(all)).slice(0, 3), [
    [1, 2, 'q1'],
    [2, 1, null],
    [3, 1, 'p3'],
  ]);
  const fresh = world.another('fresh');
  await fresh.run();
  assert.deepEqual(await fresh.rows(all), await rows(all));
});

test('a snapshot of a table sees it once per build, at the instant its sources were read last', async (t) => {
  const files = {
    'silver/app/people_table.sql': modelText('select id, name from bronze.app.people', [
      'materialized: table',
      'key: [id]',
    ]),
    ...snap(['id', 'name'], RULE, 'silver.people_table'),
  };
  const { lake, run, rows } = await openWorld(t, TABLES, files);
  await lake.commit({ people: [{ op: 'read', row: person(1, 'a') }] });
  await run();
  await lake.commit({ people: [{ op: 'update', row: person(1, 'b') }] });
  await lake.commit({ people: [{ op: 'update', row: person(1, 'c') }] });
  await run();
  assert.deepEqual(
    await rows("select name, strftime(valid_from, '%H:%M'), is_current from gold.main.snap order by valid_from"),
    [
      ['a', '01:00', false],
      ['c', '03:00', true],
    ],
  );
});

test('a row without a time of its change stops the run with its key', async (t) => {
  const tables = { people: { key: ['id'], columns: { id: 'BIGINT', day: 'TIMESTAMP' } } };
  for (const day of [null, 'infinity']) {
    const { lake, run } = await openWorld(
      t,
      tables,
      snap(['id', 'day'], ['key: [id]', 'snapshot: { strategy: timestamp, updated_at: day }']),
    );
    await lake.commit({ people: [{ op: 'read', row: { id: 7, day } }] });
    await assert.rejects(run(), (error) => {
      assert.ok(isSluiceError(error, 'SNAPSHOT_TIME_INVALID'));
      assert.match(error.message, new RegExp(`the row id 7 has the day ${day ?? 'NULL'}`));
      return true;
    });
  }
});

test('a header that is no snapshot, or only half of one, is refused at its place', async () => {
  const problems = async (
    lines: string[],
    sql = 'select id, note, paid_on from bronze.app.payments',
  ): Promise<string> => (await problemsOf({ 'sql/silver/app/m.sql': modelText(sql, lines) })).problems.join('\n');
  const snapshot = 'materialized: snapshot';
  const check = 'snapshot: { strategy: check, columns: all }';
  assert.match(await problems([snapshot, 'key: [id]']), /3:1: header: a snapshot must say how it sees a change/);
  assert.match(await problems([snapshot, check]), /4:1: header: a snapshot needs a key/);
  assert.match(await problems(['key: [id]', check]), /snapshot is set, but the model is a view/);
  assert.match(await problems([snapshot, 'key: [idd]', check]), /key names idd.*did you mean id\?/);
  assert.match(
    await problems([snapshot, 'key: [id, valid_from]', check]),
    /the key names valid_from, which the snapshot adds itself/,
  );
  assert.match(
    await problems([snapshot, 'key: [id]', check], 'select id, paid_on as valid_to from bronze.app.payments'),
    /the SELECT gives valid_to/,
  );
  assert.match(
    await problems([snapshot, 'key: [id]', 'snapshot: { strategy: check, columns: [nota] }']),
    /snapshot\.columns\.0 names nota.*did you mean note\?/,
  );
  assert.match(
    await problems([snapshot, 'key: [id]', 'snapshot: { strategy: timestamp, updated_at: note }']),
    /updated_at is note, a VARCHAR/,
  );
  assert.match(
    await problems([snapshot, 'key: [id]', 'snapshot: { strategy: timestamp, columns: all }']),
    /updated_at/,
  );
  assert.match(await problems([snapshot, 'key: [id]', 'snapshot: { strategy: often }']), /snapshot/);
  assert.match(
    await problems(
      [snapshot, 'key: [id]', check, 'as_of: recompute'],
      'select id from bronze.app.payments where paid_on <= as_of()',
    ),
    /a snapshot reaches as_of\(\), so that its history would depend on the dates of its runs/,
  );
});
