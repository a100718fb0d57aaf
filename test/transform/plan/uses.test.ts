import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bronzeTable, compile, modelText } from '../compile/project.ts';

/** Which columns upstream a model's fingerprint holds: never one too few. `extra` is a column that no model of this file names. */

const NARROW = bronzeTable('app.t', { id: 'BIGINT', grp: 'VARCHAR', amount: 'DECIMAL(14,2)' }, ['id']);
const WIDE = bronzeTable('app.t', { id: 'BIGINT', grp: 'VARCHAR', amount: 'DECIMAL(14,2)', extra: 'VARCHAR' }, ['id']);
const U = bronzeTable('app.u', { id: 'BIGINT', label: 'VARCHAR' }, ['id']);

async function isMovedByExtra(sql: string): Promise<boolean> {
  const fingerprintIn = async (table: typeof NARROW): Promise<string | undefined> => {
    const { models } = await compile({ 'sql/silver/app/m.sql': modelText(sql) }, [table, U]);
    return models[0]?.fingerprint;
  };
  return (await fingerprintIn(NARROW)) !== (await fingerprintIn(WIDE));
}

const READS_ALL = [
  'select * from bronze.app.t',
  'from bronze.app.t',
  'select t.* from bronze.app.t as t join bronze.app.u as u on u.id = t.id',
  'select * exclude (grp) from bronze.app.t',
  "select columns('a.*|e.*') from bronze.app.t",
  'select id, t as whole from bronze.app.t as t',
  'select id, to_json(t)::varchar as whole from bronze.app.t',
  'select count(distinct t) as n from bronze.app.t as t',
  'select a, b from bronze.app.t as t(a, b, c)',
  'select id, label from bronze.app.t natural join bronze.app.u',
  'with s as (select * from bronze.app.t) select * from s',
  'with s as (from bronze.app.t) select id from s order by all',
  'select id from bronze.app.u as u where exists (select * from bronze.app.t as t where t.id = u.id)',
  'select id from (select * from bronze.app.t) as s',
  'select u.id from bronze.app.u as u join bronze.app.t as t on u.label = t::varchar',
];

const READS_SOME = [
  'select id, grp from bronze.app.t',
  'select count(*) as n from bronze.app.t',
  'select grp, sum(amount)::decimal(18, 2) as total from bronze.app.t group by all',
  'with s as (select id, grp from bronze.app.t) select * from s',
  'select u.id, label from bronze.app.u as u join bronze.app.t as t using (id)',
  'select distinct on (grp) grp, id from bronze.app.t order by grp, id',
  'select id from bronze.app.t qualify row_number() over (partition by grp order by amount desc, id) = 1',
  'select id, grp from bronze.app.t union all select id, label from bronze.app.u',
  "select id, {'a': amount, 'b': grp} as pair from bronze.app.t",
];

test('a model that may see every column is moved by each of them', async () => {
  for (const sql of READS_ALL) assert.equal(await isMovedByExtra(sql), true, sql);
});

test('a model that names its columns is not moved by others', async () => {
  for (const sql of READS_SOME) assert.equal(await isMovedByExtra(sql), false, sql);
});

test('a name that would come to mean the new column is a name that is read', async () => {
  const inner =
    'select id from bronze.app.u as u where label in (select label from bronze.app.t as t where t.id = u.id)';
  const withLabel = bronzeTable('app.t', { id: 'BIGINT', label: 'VARCHAR' }, ['id']);
  const without = bronzeTable('app.t', { id: 'BIGINT', other: 'VARCHAR' }, ['id']);
  const fingerprintIn = async (table: typeof withLabel) =>
    (await compile({ 'sql/silver/app/m.sql': modelText(inner) }, [table, U])).models[0]?.fingerprint;
  assert.notEqual(await fingerprintIn(withLabel), await fingerprintIn(without), 'label was u’s, and is now t’s');
});

const VIEW_CHANGES: readonly (readonly [string, string, boolean])[] = [
  // The view before, the view after, whether a model that reads only `id` and `amount` of it is another now.
  ['select id, amount, grp from bronze.app.t', 'select id, amount, upper(grp) as grp from bronze.app.t', false],
  ['select id, amount, grp from bronze.app.t', 'select id, amount + 1 as amount, grp from bronze.app.t', true],
  ['select id, amount, grp from bronze.app.t', 'select distinct id, amount, grp from bronze.app.t', true],
  [
    'select distinct id, amount, grp from bronze.app.t',
    'select distinct id, amount, upper(grp) as grp from bronze.app.t',
    true,
  ],
  [
    'select id, amount, grp from bronze.app.t',
    "select id, amount, unnest(string_split(grp, ',')) as grp from bronze.app.t",
    true,
  ],
  [
    'select id, amount, grp from bronze.app.t order by 3 limit 5',
    'select id, amount, id::varchar as grp from bronze.app.t order by 3 limit 5',
    true,
  ],
  [
    'select max(id) as id, max(amount) as amount, 1 as grp from bronze.app.t',
    'select 1 as id, 1.0 as amount, 1 as grp from bronze.app.t',
    true,
  ],
  [
    'select 1 as id, 1.5 as amount, 1 as grp from bronze.app.t',
    'select 1 as id, 1.5 as amount, count(*) as grp from bronze.app.t',
    true,
  ],
  [
    'select id, amount, grp from bronze.app.t group by all',
    'select id, amount, upper(grp) as grp from bronze.app.t group by all',
    true,
  ],
  [
    'select id, amount, grp from bronze.app.t where flag > 1',
    'select id, amount, grp from bronze.app.t where flag > 2',
    true,
  ],
  [
    'select id, amount, grp || id as flag from bronze.app.t where flag > 1',
    'select id, amount, id as flag from bronze.app.t where flag > 1',
    true,
  ],
  [
    'with a as (select id, amount as x, amount as y, grp from bronze.app.t) select id, x - y as amount, grp from a',
    'with a as (select id, amount + 1 as x, amount as y, grp from bronze.app.t) select id, x - y as amount, grp from a',
    true,
  ],
  [
    'with a as (select id, amount as x, amount + 1 as y, grp from bronze.app.t) select id, x - y as amount, grp from a',
    'with a as (select id, amount + 1 as x, amount as y, grp from bronze.app.t) select id, x - y as amount, grp from a',
    true,
  ],
  [
    'with a as (select id, 1 as v from bronze.app.t), b as (select id, 2 as v from bronze.app.t) select a.id, a.v as amount, 0 as grp from a join b using (id)',
    'with a as (select id, 2 as v from bronze.app.t), b as (select id, 1 as v from bronze.app.t) select a.id, a.v as amount, 0 as grp from a join b using (id)',
    true,
  ],
  [
    'with a as (select id, amount, upper(grp) as g from bronze.app.t) select id, amount, g as grp from a',
    'with a as (select id, amount, lower(grp) as g from bronze.app.t) select id, amount, g as grp from a',
    false,
  ],
  [
    'select id, amount, grp from bronze.app.t union all select id, 0, label from bronze.app.u',
    'select id, amount, grp from bronze.app.t union all select 0, id, label from bronze.app.u',
    true,
  ],
];

test('the SQL of a view moves a model through the columns it reads and through the rows, and through nothing else', async () => {
  const table = bronzeTable('app.t', { id: 'BIGINT', grp: 'VARCHAR', amount: 'DECIMAL(14,2)', flag: 'BIGINT' }, ['id']);
  for (const [before, after, moved] of VIEW_CHANGES) {
    const fingerprintOver = async (view: string): Promise<string | undefined> => {
      const files = {
        'sql/silver/app/v.sql': modelText(view),
        'sql/silver/app/w.sql': modelText('select id, amount from silver.v', ['materialized: table']),
      };
      return (await compile(files, [table, U])).models.find(({ name }) => name === 'silver.w')?.fingerprint;
    };
    assert.equal((await fingerprintOver(before)) !== (await fingerprintOver(after)), moved, `${before}\n${after}`);
  }
});
