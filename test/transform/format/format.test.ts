import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { withoutLocations } from '../../../warehouse/transform/ast.ts';
import { formatModel } from '../../../warehouse/transform/format/format-model.ts';
import { openSqlEngine, type SqlEngine } from '../../../warehouse/transform/sql-engine.ts';
import { createRandom } from '../../support/random.ts';
import { randomQuery } from '../compile/random-query.ts';

/** The layout may change, the query and its comments never. */

let engine: SqlEngine;
before(async () => {
  engine = await openSqlEngine();
});
after(() => engine.close());

const CALLS = new Set(['as_of', 'ratio']);
const format = (text: string) => formatModel(engine, 'm.sql', text, CALLS);

async function treeOf(text: string): Promise<unknown> {
  const parsed = await engine.parse(text.slice(text.indexOf('*/') + 2));
  assert.equal(parsed.kind, 'query', text);
  return parsed.kind === 'query' ? withoutLocations(parsed.node) : undefined;
}

test('writes keywords in lower case, one clause per line, comments where they were', async () => {
  const result = await format(`/*
description:   kept as it is
columns: {  a: {} }   
*/
SELECT a,SUM(b) AS total -- the sum
FROM silver.t WHERE a<=As_Of() /* not
   later */ AND "B" = 'It''s' GROUP BY a`);
  assert.deepEqual(result, {
    kind: 'formatted',
    text: `/*
description:   kept as it is
columns: {  a: {} }
*/
select
  a,
  sum(b) as total -- the sum
from
  silver.t
where
  a <= As_Of()
  /* not
  later */
  and "B" = 'It''s'
group by
  a
`,
  });
});

test('random queries with comments anywhere keep their tree and every comment, and settle at once', async () => {
  const random = createRandom(7);
  let formatted = 0;
  for (let i = 0; i < 120; i++) {
    let number = 0;
    const body = randomQuery(random).replaceAll(/[ ,]/g, (char) => {
      if (!random.chance(0.04)) return char;
      number += 1;
      return `${char}${random.pick([`/* c${number} 'x' */ `, `-- c${number} /* ; "\n`, `\n-- c${number}\n\n`])}`;
    });
    const text = `/*\ndescription: x\n*/\n${body}\n`;
    const result = await format(text);
    if (result.kind === 'left') continue;
    formatted += 1;
    assert.deepEqual(await treeOf(result.text), await treeOf(text));
    for (let c = 1; c <= number; c++)
      assert.equal([...result.text.matchAll(new RegExp(`c${c}\\b(?= 'x'| /\\*|\\n)`, 'g'))].length, 1, result.text);
    assert.deepEqual(await format(result.text), result, 'a second time changes nothing');
  }
  assert.ok(formatted > 110, `only ${formatted} of 120 were laid out`);
});

const SHAPES = [
  "select list_transform(l, lambda x: x + 1), l[1:2], {'a': 1}.a, s.f.g, x::decimal(18, 2), 7 // 2 from t",
  'from t select a, b.* exclude (c) replace (d + 1 as d) where a not in (select 1) qualify row_number() over w = 1 window w as (partition by a)',
  "select $$raw -- not a comment$$, e'a\\'b -- no', 'multi\nline  text', \"quoted  name\" from t",
  'with recursive c(n) as (select 1 union all select n + 1 from c where n < 5) select * from c',
  'select a from t asof join u on t.k = u.k and t.at >= u.at',
  "select * from t pivot (sum(x) for y in ('a', 'b'))",
  "select count(*) filter (where a > 1), string_agg(b, ', ' order by c desc nulls last) from t group by grouping sets ((a), (b)), cube (c)",
  'select a from t union by name select b from u except all select c from v',
  'select [x * 2 for x in l if x > 1], case a when 1 then -1 else - -a end, interval 3 days, a is not distinct from b from t',
  'select ärger, "select", 日本 from "order" -- ende 🚀',
  'select a from t; -- after the end',
  "select 1e-5, .5, 1_000, 0x1F, -1, a - -1, not a, a ->> '$.b', a ~ 'b', a ^@ 'c'",
];

for (const sql of SHAPES) {
  test(`keeps or leaves: ${sql.slice(0, 60).replaceAll('\n', ' ')}`, async () => {
    const text = `/*\ndescription: x\n*/\n${sql}\n`;
    const result = await format(text);
    if (result.kind === 'left') assert.notEqual(result.why, '');
    else {
      assert.deepEqual(await treeOf(result.text), await treeOf(text));
      for (const comment of ['-- not a comment', '-- ende 🚀', '-- after the end', '-- no'])
        assert.equal(result.text.includes(comment), text.includes(comment));
    }
  });
}

test('what does not parse, has no header, or holds two statements is left and said why', async () => {
  const left = async (text: string) => {
    const result = await format(text);
    return result.kind === 'left' ? result.why : 'formatted';
  };
  assert.match(await left('select 1'), /does not begin with a header/);
  assert.match(await left('/*\ndescription: x\n*/\nselect from where'), /does not (parse|know)|formatter/);
  assert.match(await left('/*\ndescription: x\n*/\nselect 1; select 2'), /second statement/);
});
