import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { withoutLocations } from '../../warehouse/transform/ast.ts';
import { openSqlEngine, type SqlEngine } from '../../warehouse/transform/sql-engine.ts';

let engine: SqlEngine;
before(async () => {
  engine = await openSqlEngine();
  await engine.run(`create type memory.color as enum ('a', 'b''"x');
    create table silver.orders (id bigint, c color, "Odd ""name" int, s struct("a b" int, c varchar[]), j json, d decimal(38, 10), only_orders int)`);
});
after(() => engine.close());

/** Described together as each by itself. */
async function assertAlike(sqls: readonly string[]): Promise<void> {
  const each = [];
  for (const sql of sqls) each.push(await engine.describe(sql));
  assert.deepEqual(await engine.describeAll(sqls), each);
}

test('queries described together give the names and types that each gives alone', async () => {
  await assertAlike([
    'select * from silver.orders',
    'select null as a, [] as b, [null] as c, {x: null} as d',
    `select 'x', 5, 5.5, 1e3, 99999999999999999999, 'a'::color, "sum"(1)`,
    'select id as ID, c as "c " from silver.orders order by id limit 1 -- the first',
    'select null union all select null',
    "values (1, 'a')",
    'select 1 as "|0", 2 as "0"',
    'with q as (select 1 as a) select * from q',
    'select unnest([1, 2]), unnest({a: 1, b: 2})',
  ]);
});

test('columns of one name keep it', async () => {
  await assertAlike([
    'select 1 as a, 2 as a, 3 as A, 4 as a_1',
    'select 1, 1',
    'select a.*, b.* from silver.orders as a, silver.orders as b',
    'select 1 as a_1, 2 as a',
  ]);
});

test('a query does not see the columns of the one described before it', async () => {
  const sqls = ['select only_orders from silver.orders', 'select only_orders as other', 'select 1 as sound'];
  await assertAlike(sqls);
  const kinds = (await engine.describeAll(sqls)).map(({ kind }) => kind);
  assert.deepEqual(kinds, ['columns', 'problem', 'columns']);
});

test('a query that names another by what stands around it is refused as it is alone', async () => {
  await assertAlike(['select 1 as a', 'select * from "|0"', 'select "|" from silver.orders']);
});

test('a column named as the mark between queries stays one', async () => {
  await assertAlike([
    'select 1 as a',
    `from (values (1, 2)) as v(b, "|")`,
    'pivot (select 1 as b, chr(124) as c) on c in (chr(124)) using sum(b)',
    'select 1 as c',
  ]);
});

test('the JSON of a tree without places is what JavaScript writes of it, whatever its texts hold', async () => {
  const characters = Array.from({ length: 0x300 }, (_, i) => String.fromCodePoint(i + 1));
  const sqls = [
    ...characters.map((character) => `select '${character.replace("'", "''")}' as a, 12.50 as b, [1, 2.5, 1e3] as c`),
    `select '"query_location":12,' as "query_location", '","named_param_map":[]},{"node":' as b`,
    'with a as (select 9007199254740993 as n) select n from a where n in (1, 2) limit 3',
  ];
  let seen = 0;
  for await (const { item, parsed } of engine.parseAll(sqls, (sql) => sql)) {
    assert.equal(parsed.kind, 'query', item);
    if (parsed.kind !== 'query') continue;
    seen += 1;
    assert.equal(parsed.text, JSON.stringify(parsed.node), item);
    const whole = await engine.parse(item);
    assert.deepEqual(whole.kind === 'query' && withoutLocations(whole.node), parsed.node, item);
  }
  assert.equal(seen, sqls.length);
});

test('texts that hold no single statement are refused among others as they are alone', async () => {
  for (const sql of ['select 1; select 2', '', '-- nothing', 'selec 1', 'select 1e400', 'select * from']) {
    const answers = [];
    for await (const { parsed } of engine.parseAll(['select 1', sql], (text) => text)) answers.push(parsed);
    assert.deepEqual(answers[1], await engine.parse(sql), sql);
  }
});
