import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type DuckDb, openDuckDb } from '../../../warehouse/core/duckdb.ts';
import {
  type CompiledModel,
  type CompiledProject,
  type ModelLineage,
  traceLineage,
} from '../../../warehouse/transform/index.ts';
import { createRandom, type Random } from '../../support/random.ts';
import { bronzeTable, compileAccepted, modelText } from '../compile/project.ts';
import { randomQuery } from '../compile/random-query.ts';

/** DuckDB as the oracle: one column of one table is changed at random; an output column that changes must have it in its lineage. */

const COLUMNS = { k: 'INTEGER', s: 'VARCHAR', v: 'INTEGER', l: 'VARCHAR[]' };
const BRONZE = [bronzeTable('app.a', COLUMNS), bronzeTable('app.b', COLUMNS)];
const VIEW = 'select x.k, x.s, y.v, x.l from bronze.app.b x left join silver.stored y on y.k = x.k and y.s = x.s';
const TABLES = ['bronze.app.a', 'bronze.app.b', 'silver.stored'] as const;
const EXPRESSIONS = [
  'sum(q.v) over (partition by q.k)',
  'coalesce(q.v, q.k)',
  'case when q.s is null then q.v else 0 end',
  'q.k * 2',
  '(select max(z.v) from bronze.app.a z where z.k = q.k)',
  'q.s',
  'exists (select 1 from bronze.app.b z where z.s = q.s and z.v > 1)',
] as const;

test('every output column that a changed input column can change has it in its lineage', async (t) => {
  const random = createRandom(20261121);
  const project = await compileRandom(random, 14);
  const lineage = await traceLineage(project, BRONZE);
  const db = await openWarehouse();
  t.after(() => db.close());
  const seen = { changes: 0, pairs: 0, listed: 0 };
  for (const model of project.models) {
    if (!/^m\d/.test(model.table)) continue;
    const traced = lineage.get(model.name);
    assert.ok(traced);
    for (const column of traced.columns) assert.equal(column.unknown, undefined, model.sql);
    await checkModel(db, model, traced, random, seen, lineage);
  }
  t.diagnostic(`${seen.changes} changed columns, ${seen.listed} of ${seen.pairs} possible pairs are in the lineage`);
  assert.ok(seen.changes > 100, `only ${seen.changes} columns changed: the oracle says too little`);
  assert.ok(seen.listed < seen.pairs * 0.9, 'a lineage that lists everything proves nothing');
});

async function checkModel(
  db: DuckDb,
  model: CompiledModel,
  traced: ModelLineage,
  random: Random,
  seen: { changes: number; pairs: number; listed: number },
  lineage: ReadonlyMap<string, ModelLineage>,
): Promise<void> {
  for (const table of TABLES) {
    for (const column of Object.keys(COLUMNS)) {
      const isInput = (input: { table: string; column: string }) => expand(input, lineage).has(`${table}.${column}`);
      // The rows of a view it reads are rows of its own.
      const views = model.dependencies.flatMap((name) => lineage.get(name)?.rows.inputs ?? []);
      const deciding = [...traced.rows.inputs, ...views].some(isInput);
      const outputs = traced.columns.filter(({ inputs }) => deciding || inputs.some(isInput));
      const listed = new Set(outputs.map((output) => output.column));
      seen.pairs += traced.columns.length;
      seen.listed += listed.size;
      await db.run(TABLES.map((name) => fillSql(name, random)).join('; '));
      const before = await valuesOf(db, model);
      await db.run(changeSql(table, column, random));
      const after = await valuesOf(db, model);
      for (const output of traced.columns) {
        if (before[output.column] === after[output.column]) continue;
        seen.changes += 1;
        assert.ok(
          listed.has(output.column),
          `${table}.${column} changes ${output.column}, but its lineage is ${JSON.stringify(output)}, rows ${JSON.stringify(traced.rows)}\n${model.sql}`,
        );
      }
    }
  }
}

/** An input seen through the view. */
function expand(input: { table: string; column: string }, lineage: ReadonlyMap<string, ModelLineage>): Set<string> {
  if (input.table !== 'silver.looked_at') return new Set([`${input.table}.${input.column}`]);
  const column = lineage.get(input.table)?.columns.find((one) => one.column === input.column);
  return new Set(column?.inputs.map((one) => `${one.table}.${one.column}`));
}

async function compileRandom(random: Random, count: number): Promise<CompiledProject> {
  const texts = new Map<string, string>([
    ['sql/silver/app/stored.sql', modelText('select k, s, v, l from bronze.app.a', ['materialized: table'])],
    ['sql/silver/app/looked_at.sql', modelText(VIEW)],
  ]);
  for (let i = 0; i < count; i++) {
    const list = EXPRESSIONS.filter(() => random.chance(0.4)).map((sql, place) => `${sql} as e${place}`);
    const filter = random.chance(0.3)
      ? ` where ${random.pick(['q.v > 0', 'q.k in (select k from bronze.app.b)', "q.s = 'p'"])}`
      : '';
    const query = `select ${['q.*', ...list].join(', ')} from (${randomQuery(random)}) q${filter}`;
    texts.set(`sql/silver/app/m${i}.sql`, modelText(query));
  }
  return compileAccepted(Object.fromEntries(texts), BRONZE, count / 3);
}

async function openWarehouse(): Promise<DuckDb> {
  const db = await openDuckDb({ threads: 1 });
  for (const catalog of ['bronze', 'silver']) await db.run(`attach ':memory:' as ${catalog}`);
  await db.run('create schema bronze.app');
  for (const table of TABLES) await db.run(`create table ${table} (k integer, s varchar, v integer, l varchar[])`);
  await db.run(`create view silver.looked_at as ${VIEW}`);
  return db;
}

function value(column: string, random: Random): string {
  if (column === 's') return random.pick(['null', "'p'", "'q'", "'r'"]);
  if (column === 'l') return `[${random.pick(['', "'p'", "'q', 'p'", 'null'])}]::varchar[]`;
  return random.pick(['null', '0', '1', '2', '3']);
}

function fillSql(table: string, random: Random): string {
  const rows = Array.from(
    { length: 3 + random.below(8) },
    () =>
      `(${Object.keys(COLUMNS)
        .map((column) => value(column, random))
        .join(', ')})`,
  );
  return `delete from ${table}; insert into ${table} values ${rows.join(', ')}`;
}

function changeSql(table: string, column: string, random: Random): string {
  return Array.from({ length: 3 }, () => {
    const where = random.chance(0.5) ? '' : ` where ${random.pick(['k > 0', 'v is null', "s = 'p'", 'v < 2'])}`;
    return `update ${table} set ${column} = ${value(column, random)}${where}`;
  }).join('; ');
}

/** Each column's values as a bag. */
async function valuesOf(db: DuckDb, { sql, boundColumns }: CompiledModel): Promise<Record<string, string>> {
  const lists = boundColumns.map(
    ({ name }) => `list_sort(list(coalesce("${name}"::varchar, '∅')))::varchar as "${name}"`,
  );
  const [row] = await db.rows<Record<string, string>>(`select ${lists.join(', ')} from (${sql}\n)`);
  return row ?? {};
}
