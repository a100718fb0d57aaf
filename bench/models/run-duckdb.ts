import { join } from 'node:path';
import { openDuckDb } from '../../warehouse/core/duckdb.ts';
import { quoteLiteral } from '../../warehouse/core/quote.ts';
import { ITEMS_TABLE_SQL, trivialModels } from './project.ts';

/** The floor: the models' and tests' own statements, one by one, into two files. Arguments: folder, number of models. */

const [dir = '.', count = '0'] = process.argv.slice(2);
const models = trivialModels(Number(count));
const db = await openDuckDb();
for (const name of ['silver', 'gold']) await db.run(`attach ${quoteLiteral(join(dir, `${name}.duckdb`))} as ${name}`);
await db.run(`attach ':memory:' as bronze; create table bronze.main.items as ${ITEMS_TABLE_SQL}`);
for (const layer of ['silver', 'gold']) {
  for (const { table, sql } of models.filter((model) => model.layer === layer))
    await db.run(`create table ${layer}.main.${table} as ${sql((from, name) => `${from}.main.${name}`)}`);
  for (const { table } of models.filter((model) => model.layer === layer))
    for (const column of ['id', 'amount'])
      await db.rows(`select count(*) as n from (select * from ${layer}.main.${table} where ${column} is null)`);
}
await db.run('checkpoint silver; checkpoint gold');
db.close();
