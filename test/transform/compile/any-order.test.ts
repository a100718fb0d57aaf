import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openDuckDb } from '../../../warehouse/core/duckdb.ts';
import { isSluiceError } from '../../../warehouse/core/errors.ts';
import { type CompiledProject, compileProject, type ProjectFiles } from '../../../warehouse/transform/index.ts';
import { createRandom, type Random } from '../../support/random.ts';
import { BRONZE, filesOf, modelText } from './project.ts';

/** Models are bound many at a time, as soon as what they read is known: whatever comes when, the outcome is one. */

const MODELS = 150;

/** Chains, diamonds and loners of views, tables and increments: each reads one or two that stand before it. */
function randomProject(random: Random): Record<string, string> {
  const texts: Record<string, string> = {};
  const silver: string[] = [];
  const pickTable = () =>
    (random.chance(0.1) ? undefined : silver[random.below(silver.length)]) ?? 'bronze.app.payments';
  for (let i = 0; i < MODELS; i++) {
    const isGold = random.chance(0.2);
    const header = ['materialized: table', 'materialized: incremental', 'tests: [{ expression: amount > 0 }]'][
      random.below(3)
    ];
    const sql = random.chance(0.3)
      ? `select a.id, a.user_id + ${i} as user_id, b.amount from ${pickTable()} as a join ${pickTable()} as b on a.id = b.id`
      : `select id, user_id, cast(amount * ${i + 1} as decimal(${15 + (i % 20)}, 2)) as amount from ${pickTable()}`;
    const more = header?.endsWith('incremental') === true ? ['key: [id]'] : [];
    texts[`sql/${isGold ? 'gold' : 'silver'}/app/m${i}.sql`] = modelText(sql, [
      ...(header === undefined ? [] : [header, ...more]),
      ...(isGold ? ['owner: { public: a test }', 'columns: { id: {}, user_id: {}, amount: {} }'] : []),
    ]);
    if (!isGold) silver.push(`silver.m${i}`);
  }
  return texts;
}

function shuffled(texts: Readonly<Record<string, string>>, random: Random): ProjectFiles {
  const files = filesOf(texts);
  const places = new Map(files.models.map((file) => [file, random.below(1_000_000)]));
  return { ...files, models: files.models.toSorted((a, b) => (places.get(a) ?? 0) - (places.get(b) ?? 0)) };
}

/** All that was found out, or all that is wrong. */
async function outcomeOf(files: ProjectFiles): Promise<unknown> {
  try {
    const project = await compileProject({ files, bronzeTables: BRONZE });
    return project.models.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  } catch (error) {
    if (!isSluiceError(error)) throw error;
    return { code: error.code, message: error.message, remedy: error.remedy };
  }
}

test('the order of the files changes nothing about a project, and DuckDB gives each model the same columns', async () => {
  const random = createRandom(7);
  for (let round = 0; round < 2; round++) {
    const texts = randomProject(random);
    const project = await compileProject({ files: filesOf(texts), bronzeTables: BRONZE });
    const expected = await outcomeOf(filesOf(texts));
    for (let again = 0; again < 2; again++) assert.deepEqual(await outcomeOf(shuffled(texts, random)), expected);
    assert.deepEqual(
      project.models.map(({ boundColumns }) => boundColumns),
      await columnsByDuckDb(project),
    );
  }
});

test('the order of the files changes nothing about what is wrong: all of it is said, and nothing of what stands below', async () => {
  const random = createRandom(8);
  for (let round = 0; round < 2; round++) {
    const texts = randomProject(random);
    const files = Object.keys(texts).filter((file) => file.startsWith('sql/silver'));
    const broken = [
      'select id, user_id, no_such_column as amount from bronze.app.payments',
      'select id, user_id, amount from silver.no_such_table',
      "select id, user_id, amount from read_csv('/etc/passwd')",
      'select id, user_id, amount, random() as r from bronze.app.payments',
      'select id, user_id amount from bronze.app.payments where',
    ].map((sql) => {
      const file = files.splice(random.below(files.length), 1)[0] ?? '';
      texts[file] = modelText(sql);
      return file;
    });
    const expected = (await outcomeOf(filesOf(texts))) as { readonly message: string };
    for (let again = 0; again < 2; again++) assert.deepEqual(await outcomeOf(shuffled(texts, random)), expected);
    const named = new Set(expected.message.match(/sql\/\w+\/app\/m\d+\.sql(?=:\d)/g));
    // A model that is broken itself and stands below another broken one waits for its turn.
    assert.ok(named.size > 0);
    for (const file of named) assert.ok(broken.includes(file), expected.message);
  }
});

/** Views made one after the other in the order of the build, as no compiler does it. */
async function columnsByDuckDb({ models }: CompiledProject): Promise<unknown> {
  const db = await openDuckDb();
  try {
    for (const catalog of ['bronze', 'silver', 'gold']) await db.run(`attach ':memory:' as ${catalog}`);
    await db.run('create schema bronze.app');
    for (const { table, contract } of BRONZE) {
      const columns = contract.columns.map(({ name, duckdbType }) => `"${name}" ${duckdbType}`);
      await db.run(`create table bronze.app.${table} (${columns.join(', ')})`);
    }
    const described: unknown[] = [];
    for (const { name, sql } of models) {
      await db.run(`create table ${name} as from (${sql}\n) limit 0`);
      described.push(await db.rows(`select column_name as name, column_type as type from (describe ${name})`));
    }
    return described;
  } finally {
    db.close();
  }
}
