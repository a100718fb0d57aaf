import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildAndPublish, compileFiles, createTestLake, openTestReleases, readGold, testFolder } from './support.ts';

const INTERVAL = 'STRUCT("months" INTEGER, "days" INTEGER, micros BIGINT)';
const COLUMNS = {
  id: 'BIGINT',
  tags: 'VARCHAR[]',
  samples: 'DOUBLE[]',
  every: INTERVAL,
  opens: 'STRUCT(t TIME, offset_s INTEGER)',
  payload: 'BLOB',
  starts: 'TIME',
  ref: 'UINTEGER',
};
const row = (id: number, more: Readonly<Record<string, string | null>> = {}) => ({
  id,
  tags: "['a', 'b c']",
  samples: '[0.5, NULL]',
  every: "{'months': 1, 'days': 2, 'micros': 3600000000}",
  opens: "{'t': '08:00:00', 'offset_s': 7200}",
  payload: String.raw`\x00\xFF`,
  starts: '23:59:59.5',
  ref: '4294967295',
  ...more,
});

/** The example of docs/models.md. */
const NEXT_AT = `timestamp '2024-01-31 00:00:00' + to_months(every."months") + to_days(every."days") + to_microseconds(every.micros)`;

const FILES = {
  'silver/shop/stg_plans.sql': `/*
description: Plans.
materialized: incremental
key: [id]
columns: { id: { tests: [not_null, unique] }, tags: { type: "VARCHAR[]" }, starts: { type: TIME }, ref: { type: UINTEGER, tests: [{ range: { min: 0 } }] } }
*/
select id, tags, samples, every, opens, payload, starts, ref, ${NEXT_AT} as next_at from bronze.app.plans`,
  'gold/shop/fct_plans.sql': `/*
description: Plans.
materialized: incremental
key: [id]
owner: { public: a test }
columns: { id: {}, tags: {}, samples: {}, every: {}, opens: {}, payload: {}, starts: {}, ref: {}, next_at: {}, months: {} }
*/
select id, tags, samples, every, opens, payload, starts, ref, next_at, every."months" as months from silver.stg_plans`,
  'gold/shop/tag_counts.sql': `/*
description: Plans per tag.
owner: { public: a test }
columns: { tag: {}, plans: {} }
*/
select tag, count(*) as plans from (select unnest(tags) as tag from silver.stg_plans) group by tag`,
};

test('lists, structs, bytes and times pass through silver and gold, and only a row that differs is written', async (t) => {
  const dir = await testFolder(t);
  const lake = createTestLake(dir, { plans: { key: ['id'], columns: COLUMNS } });
  const releases = openTestReleases(dir);
  const run = async (fullRefresh = false) => {
    const project = await compileFiles(dir, FILES, lake.snapshot());
    return buildAndPublish({
      dir,
      releases,
      project,
      bronze: lake.snapshot(),
      limits: { maxTouchedShare: 1 },
      fullRefresh,
    });
  };
  const changedIn = (result: Awaited<ReturnType<typeof run>>, name: string) =>
    result.outcomes.find((outcome) => outcome.name === name)?.changedRows;
  await lake.commit({ plans: [1, 2, 3].map((id) => ({ op: 'read' as const, row: row(id) })) });
  const first = await run();
  assert.deepEqual(
    await readGold(
      releases,
      first.release,
      'select next_at::varchar, months, hex(payload), opens.offset_s from gold.main.fct_plans where id = 1',
    ),
    [['2024-03-02 01:00:00', 1, '00FF', 7200]],
  );
  const changes: readonly Readonly<Record<string, string | null>>[] = [
    { samples: '[0.0]' },
    { samples: '[-0.0]' },
    { samples: '[nan]' },
    { samples: null },
    { samples: '[]' },
    { samples: '[NULL]' },
    { tags: null },
    { tags: '[]' },
    { every: "{'months': 1, 'days': 2, 'micros': 3600000001}" },
    { every: null },
    { payload: '' },
    { payload: null },
    { opens: "{'t': '08:00:00', 'offset_s': 3600}" },
    { starts: '24:00:00' },
    { ref: '0' },
  ];
  let before: Readonly<Record<string, string | null>> = {};
  for (const change of changes) {
    const label = JSON.stringify(change);
    before = { ...before, ...change };
    await lake.commit({ plans: [{ op: 'update', row: row(2, before) }] });
    const changed = await run();
    assert.deepEqual(
      [label, changedIn(changed, 'gold.fct_plans'), changedIn(changed, 'silver.stg_plans')],
      [label, 1, 1],
    );
    await lake.commit({ plans: [{ op: 'update', row: row(2, before) }] });
    assert.deepEqual([label, changedIn(await run(), 'gold.fct_plans') ?? 0], [label, 0]);
  }
  const again = await run(true);
  assert.deepEqual(
    again.outcomes.map((outcome) => outcome.changedRows),
    [0, 0, 0],
    'a full refresh finds the same rows',
  );
  assert.deepEqual(await readGold(releases, again.release, 'select * from gold.main.tag_counts order by all'), [
    ['a', 2],
    ['b c', 2],
  ]);
});
