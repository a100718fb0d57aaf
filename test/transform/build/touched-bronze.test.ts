import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { withTouchedBronze } from '../../../warehouse/transform/build/touched-bronze.ts';
import { openEngine } from '../../../warehouse/transform/index.ts';
import { TOUCHED_TABLE } from '../../../warehouse/transform/model.ts';
import { createRandom, type Random } from '../../support/random.ts';
import {
  buildAndPublish,
  type Change,
  compileFiles,
  createTestLake,
  openTestReleases,
  type Row,
  readGold,
  testFolder,
} from './support.ts';

const TABLES = {
  items: {
    key: ['order_id', 'line'],
    columns: { order_id: 'BIGINT', line: 'VARCHAR', parent: 'BIGINT', qty: 'INTEGER' },
  },
  marks: { key: ['order_id'], columns: { order_id: 'BIGINT', mark: 'VARCHAR' } },
};

const model = (key: string, columns: readonly string[], sql: string) => `/*
description: A test.
materialized: incremental
key: [${key}]
owner: { public: a test }
columns: { ${columns.map((name) => `${name}: {}`).join(', ')} }
*/
${sql}`;

/** By the whole key, through a view, twice in one query, in another order, by a part of the key, and by another column of the same table. */
const FILES = {
  'silver/shop/stg_items.sql':
    '/*\ndescription: Items.\n*/\nselect order_id, line, parent, qty from bronze.app.items where qty <> 3',
  'gold/shop/plain.sql': model(
    'line, order_id',
    ['line', 'order_id', 'qty', 'mark'],
    'select i.line, i.order_id, i.qty, m.mark from silver.stg_items i left join bronze.app.marks m on m.order_id = i.order_id',
  ),
  'gold/shop/twice.sql': model(
    'order_id, line',
    ['order_id', 'line', 'qty', 'twin'],
    `select i.order_id, i.line, i.qty, t.qty as twin from bronze.app.items i
left join silver.stg_items t on t.order_id = i.order_id and t.line = i.line`,
  ),
  'gold/shop/parents.sql': model(
    'order_id, line',
    ['order_id', 'line', 'parents'],
    `select i.order_id, i.line, (select count(*) from bronze.app.items p where p.order_id = i.parent) as parents
from bronze.app.items i`,
  ),
  'gold/shop/part.sql': model(
    'order_id',
    ['order_id', 'mark', 'lines'],
    `select m.order_id, m.mark, count(i.line) as lines from bronze.app.marks m
left join bronze.app.items i on i.order_id = m.order_id group by m.order_id, m.mark`,
  ),
  'gold/shop/whole.sql': `/*
description: Reads after the others, and must see all rows again.
owner: { public: a test }
columns: { items: {}, qty: {}, marks: {} }
*/
select count(*) as items, cast(sum(qty) as bigint) as qty, (select count(*) from bronze.app.marks) as marks from bronze.app.items`,
};

const MODELS = ['plain', 'twice', 'parents', 'part', 'whole'] as const;

test('models that read the touched keys of bronze alone are what a rebuild makes of the same commits', async (t) => {
  const dir = await testFolder(t);
  const random = createRandom(20261121);
  const lake = createTestLake(dir, TABLES);
  const releases = openTestReleases(dir);
  const project = await compileFiles(dir, FILES, lake.snapshot());
  const cuts = new Map(
    project.models.map(({ table, refresh }) => [table, refresh.kind === 'partition' ? Object.keys(refresh.cut) : []]),
  );
  assert.deepEqual(cuts.get('plain'), ['bronze.app.items']);
  assert.deepEqual(cuts.get('twice'), ['bronze.app.items']);
  const build = (target: typeof releases) =>
    buildAndPublish({ dir, releases: target, project, bronze: lake.snapshot(), limits: { maxTouchedShare: 1 } });
  const items = new Map<string, Row>();
  const marks = new Map<string, Row>();
  let refreshed = 0;
  for (let run = 0; run < 5; run++) {
    for (let commit = 0; commit < 1 + random.below(3); commit++) {
      await lake.commit({
        items: changeRows(random, items, () => ({
          order_id: random.below(4),
          line: random.pick(['', 'a', 'b']),
          parent: random.pick([null, 0, 1, 2]),
          qty: random.below(6),
        })),
        marks: changeRows(random, marks, () => ({ order_id: random.below(4), mark: random.pick([null, 'x', 'y']) })),
      });
    }
    const grown = await build(releases);
    refreshed += grown.outcomes.filter(({ action }) => action === 'refreshed').length;
    const fresh = openTestReleases(join(dir, `fresh-${run}`));
    const rebuilt = await build(fresh);
    for (const name of MODELS) {
      const sql = `select * from gold.main.${name} order by all`;
      const expected = await readGold(fresh, rebuilt.release, sql);
      assert.deepEqual(await readGold(releases, grown.release, sql), expected, `${name}, run ${run}`);
    }
  }
  assert.ok(refreshed > 8, `only ${refreshed} refreshes`);
});

test('a table shows the touched keys only while it is asked to, whether that goes well or not', async (t) => {
  const dir = await testFolder(t);
  const lake = createTestLake(dir, TABLES);
  const rows = [1, 2, 3].flatMap((order_id) =>
    ['a', 'b'].map((line) => ({ order_id, line, parent: null, qty: order_id })),
  );
  await lake.commit({ items: rows.map((row) => ({ op: 'read' as const, row })) });
  await lake.commit({
    items: [
      { op: 'update', row: { order_id: 1, line: 'a', parent: null, qty: 9 } },
      { op: 'delete', row: { order_id: 2, line: 'b', parent: null, qty: 2 } },
    ],
  });
  const bronze = lake.snapshot();
  const project = await compileFiles(dir, FILES, bronze);
  const rule = project.models.find(({ table }) => table === 'plain')?.refresh;
  assert.ok(rule?.kind === 'partition');
  await mkdir(join(dir, 'engine'));
  const paths = { silver: join(dir, 'engine', 'silver.duckdb'), gold: join(dir, 'engine', 'gold.duckdb') };
  const db = await openEngine({ paths, bronze, project, asOf: '2026-01-01', workDir: join(dir, 'work'), limits: {} });
  t.after(() => db.close());
  const read = async () =>
    (
      await db.rows<{ x: string }>("select concat_ws(':', order_id, line, qty) as x from bronze.app.items order by 1")
    ).map(({ x }) => x);
  const all = ['1:a:9', '1:b:1', '2:a:2', '3:a:3', '3:b:3'];
  assert.deepEqual(await read(), all);
  await db.run(`create temp table ${TOUCHED_TABLE} (line varchar, order_id bigint)`);
  await db.run(`insert into ${TOUCHED_TABLE} values ('a', 1), ('b', 2), ('b', 7), (null, 3)`);
  assert.deepEqual(await withTouchedBronze(db, bronze, rule, read), ['1:a:9']);
  assert.deepEqual(await read(), all);
  await assert.rejects(
    withTouchedBronze(db, bronze, rule, () => db.run('select * from nowhere')),
    /no/,
  );
  assert.deepEqual(await read(), all);
});

function changeRows(random: Random, state: Map<string, Row>, make: () => Row): Change[] {
  const changes = new Map<string, Change>();
  for (let i = random.below(4); i > 0; i--) {
    const row = make();
    const key = JSON.stringify([row['order_id'], row['line']]);
    const before = state.get(key);
    if (changes.has(key)) continue;
    if (before !== undefined && random.chance(0.3)) {
      state.delete(key);
      changes.set(key, { op: 'delete', row: before });
      continue;
    }
    state.set(key, row);
    changes.set(key, { op: before === undefined ? 'insert' : 'update', row });
  }
  return [...changes.values()];
}
