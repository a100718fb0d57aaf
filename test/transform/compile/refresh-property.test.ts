import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type DuckDb, openDuckDb } from '../../../warehouse/core/duckdb.ts';
import { type CompiledModel, type RefreshRule, TOUCHED_TABLE } from '../../../warehouse/transform/index.ts';
import { createRandom, type Random } from '../../support/random.ts';
import { bronzeTable, compileAccepted, modelText } from './project.ts';
import { randomQuery } from './random-query.ts';

const COLUMNS = { k: 'INTEGER', s: 'VARCHAR', v: 'INTEGER', l: 'VARCHAR[]' };
const BRONZE = [bronzeTable('app.a', COLUMNS), bronzeTable('app.b', COLUMNS)];
const LOOKED_AT = 'select x.k, x.s, y.v, x.l from bronze.app.b x left join silver.stored y on y.k = x.k and y.s = x.s';
const INPUTS = ['bronze.app.a', 'bronze.app.b', 'silver.stored'];

type Partition = Extract<RefreshRule, { kind: 'partition' }>;

test('recomputing the touched partitions from cut tables equals a rebuild, for random queries and changes', async (t) => {
  const random = createRandom(20261121);
  const models = await compileRandom(random, 200);
  const db = await openWarehouse();
  t.after(() => db.close());
  let checked = 0;
  let effective = 0;
  for (const model of models) {
    if (model.refresh.kind !== 'partition') continue;
    const rule = model.refresh;
    if (Object.keys(rule.cut).length === 0) continue;
    for (let round = 0; round < 3; round++) {
      await db.run(INPUTS.map((input) => fillSql(input, random)).join('; '));
      checked += 1;
      if (await refreshesLikeRebuild(db, model, rule, random)) effective += 1;
    }
  }
  t.diagnostic(`${models.length} queries, ${checked} refreshes, ${effective} that changed the model`);
  // The test says nothing when too little is provable or nothing changes.
  assert.ok(checked > 200, `only ${checked} refreshes`);
  assert.ok(effective > 90, `only ${effective} refreshes changed anything`);
});

/** Random models that DuckDB accepts; what it refuses (an ambiguous name, a join it cannot do) is left out. */
async function compileRandom(random: Random, count: number): Promise<readonly CompiledModel[]> {
  const texts = new Map<string, string>([
    ['sql/silver/app/stored.sql', modelText('select k, s, v, l from bronze.app.a', ['materialized: table'])],
    ['sql/silver/app/looked_at.sql', modelText(LOOKED_AT)],
  ]);
  for (let i = 0; i < count; i++) {
    const by = random.pick(['k', 'k, s', 's', 'k']);
    const header = ['materialized: incremental', 'key: [k, s, v]', `incremental: { by: [${by}] }`];
    texts.set(`sql/silver/app/m${i}.sql`, modelText(randomQuery(random), header));
  }
  const project = await compileAccepted(Object.fromEntries(texts), BRONZE, count / 3);
  return project.models.filter(({ table }) => /^m\d/.test(table));
}

async function openWarehouse(): Promise<DuckDb> {
  const db = await openDuckDb({ threads: 1 });
  for (const catalog of ['bronze', 'silver']) await db.run(`attach ':memory:' as ${catalog}`);
  await db.run('create schema bronze.app');
  for (const input of INPUTS) {
    for (const copy of [input, `${input}_before`])
      await db.run(`create table ${copy} (k integer, s varchar, v integer, l varchar[])`);
  }
  await db.run(`create view silver.looked_at as ${LOOKED_AT}`);
  return db;
}

function row(random: Random): string {
  const k = random.pick(['null', '0', '1', '2', '3']);
  const s = random.pick(['null', "'p'", "'q'"]);
  const v = random.pick(['null', '0', '1', '2', '3']);
  return `(${k}, ${s}, ${v}, [${random.pick(['', "'p'", "'q', 'p'", 'null'])}]::varchar[])`;
}

function fillSql(table: string, random: Random): string {
  const rows = Array.from({ length: 2 + random.below(9) }, () => row(random));
  return `delete from ${table}; insert into ${table} values ${rows.join(', ')}`;
}

/** Changes some local inputs, refreshes by the rule and by a rebuild, and compares. True when the model's content changed. */
async function refreshesLikeRebuild(
  db: DuckDb,
  model: CompiledModel,
  rule: Partition,
  random: Random,
): Promise<boolean> {
  const inputs = Object.keys(rule.cut).filter(() => random.chance(0.8));
  const types = rule.by.map((name) => `"${name}" ${model.boundColumns.find((column) => column.name === name)?.type}`);
  const on = rule.by.map((name) => `r."${name}" is not distinct from t."${name}"`).join(' and ');
  const script = [
    `create or replace temp table stored_rows as ${model.sql}`,
    'create or replace temp table rows_before as from stored_rows',
    `create or replace temp table ${TOUCHED_TABLE} (${types.join(', ')})`,
    ...inputs.flatMap((input) => [
      `delete from ${input}_before; insert into ${input}_before from ${input}`,
      ...changeSql(input, random),
      // As bags: a duplicate that goes or comes is a change.
      ...(rule.cut[input] ?? []).map((columns) => {
        const list = columns.map((column) => `"${column}"`).join(', ');
        return `insert into ${TOUCHED_TABLE} select distinct ${list} from (
          (from ${input} except all from ${input}_before) union all (from ${input}_before except all from ${input}))`;
      }),
    ]),
    `delete from stored_rows r using (select distinct * from ${TOUCHED_TABLE}) t where ${on}`,
    `insert into stored_rows by name ${rule.touchedSql}`,
  ];
  await db.run(script.join(';\n'));
  const wrong = await differences(db, 'stored_rows', `(${model.sql}\n)`);
  if (wrong.length > 0) {
    const data = await Promise.all(
      INPUTS.map(
        async (input) =>
          `${input}: ${print(await db.rows(`from ${input}_before`))} → ${print(await db.rows(`from ${input}`))}`,
      ),
    );
    assert.fail(
      `${model.sql}\nby ${rule.by.join(', ')}, leaves ${print(rule.cut)}\n${data.join('\n')}\nwrong: ${print(wrong)}`,
    );
  }
  return (await differences(db, 'stored_rows', 'rows_before')).length > 0;
}

function changeSql(table: string, random: Random): readonly string[] {
  return Array.from({ length: 2 + random.below(3) }, () => {
    const key = random.pick(['k = 1', 'k is null', 'v = 2', "s = 'p'", 's is null', 'k = 2 and v = 1']);
    return random.pick([
      `insert into ${table} values ${row(random)}`,
      `delete from ${table} where ${key}`,
      `update ${table} set v = coalesce(v, 0) + 1 where ${key}`,
      `update ${table} set k = ${random.pick(['0', '1', 'null'])} where ${key}`,
      `update ${table} set s = ${random.pick(["'q'", 'null'])} where ${key}`,
    ]);
  });
}

async function differences(db: DuckDb, one: string, other: string): Promise<readonly unknown[]> {
  return db.rows(`select k, s, v, sum(sign) as surplus from (
    select k, s, v, 1 as sign from ${one} union all select k, s, v, -1 from ${other}) group by k, s, v having sum(sign) <> 0`);
}

function print(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) => (typeof inner === 'bigint' ? Number(inner) : inner));
}
