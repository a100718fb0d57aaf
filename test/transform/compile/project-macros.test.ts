import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compile, modelText, problemsOf } from './project.ts';

/** What docs/models.md says of macros: in every model, in the fingerprint of those that call them, and no way around what a model may not do. */

async function problems(macro: string, select = 'select 1 as x'): Promise<string> {
  const texts = { 'sql/macros/f.sql': macro, 'sql/silver/app/m.sql': modelText(select) };
  return (await problemsOf(texts)).problems.join('\n');
}

test('a macro may not do what a model may not: clock, chance, inexact division, lists without an order', async () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['create macro f(a) as a + random();', /^sql\/macros\/f\.sql:1:26: random\(\) is not decided by its arguments/],
    ['-- why\ncreate macro f(a) as\n  now() + a;', /^sql\/macros\/f\.sql:3:3: now\(\) is not decided by its arguments/],
    ['create macro f() as current_date;', /current_date reads the clock/],
    ['create macro f(a, b) as a / b;', /^sql\/macros\/f\.sql:1:27: `\/` gives a DOUBLE, which is not exact/],
    ['create macro f(a) as avg(a);', /avg gives a DOUBLE/],
    ['create macro f(a) as list(a);', /list\(\) without an order gives any result/],
    ["create macro f(a) as getvariable('x');", /getvariable\(\) is not decided/],
  ];
  for (const [macro, expected] of cases) assert.match(await problems(macro), expected);
});

test('a macro that gives a table, reads one, or has a default or a typed parameter is refused in plain words', async () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    [
      'create macro f(a) as table select a as x;',
      /^sql\/macros\/f\.sql:1:22: a macro that gives a table is not carried/,
    ],
    [
      'create macro f(a) as\ntable (select a as x);',
      /^sql\/macros\/f\.sql:2:1: a macro that gives a table is not carried/,
    ],
    ['create macro f(a) as (select max(x) from silver.m);', /the macro reads a table/],
    [
      'create macro f(a, b := 2) as a + b;',
      /^sql\/macros\/f\.sql:1:1: the parameter `b := 2` of the macro f is not a plain name/,
    ],
    ['create macro f(a, b := (1 + 2)) as a + b;', /^sql\/macros\/f\.sql:1:1: a parameter of the macro has a default/],
    ['create macro f(a integer) as a + 1;', /the parameter `a integer` of the macro f is not a plain name/],
    ['create macro f(a) as a; create macro g(a) as a;', /a second statement follows/],
    ['create macro f(a) as f(a);', /macros call each other in a circle: f → f/],
    ['create macro ratio(a) as a;', /the macro ratio is defined already/],
    ['create macro sum(a) as a;', /the macro sum has the name of a function of DuckDB/],
  ];
  for (const [macro, expected] of cases) assert.match(await problems(macro), expected);
});

test('the body and the order of the parameters of a macro are part of the fingerprint of those that call it, however deep', async () => {
  const fingerprints = async (macro: string) => {
    const { models } = await compile({
      'sql/macros/less.sql': macro,
      'sql/macros/outer.sql': 'create macro outer_less(a, b) as less(a, b) + 0;',
      'sql/silver/app/with.sql': modelText('select outer_less(1, 2) as x'),
      'sql/silver/app/without.sql': modelText('select ratio(1, 2) as x'),
    });
    return Object.fromEntries(models.map(({ table, fingerprint }) => [table, fingerprint]));
  };
  const first = await fingerprints('create macro less(a, b) as a - b;');
  const layout = await fingerprints('-- said otherwise\ncreate or replace macro LESS( a,b ) as\n a -  b');
  const swapped = await fingerprints('create macro less(b, a) as a - b;');
  const other = await fingerprints('create macro less(a, b) as a + b;');
  assert.deepEqual(layout, first);
  for (const changed of [swapped, other]) {
    assert.notEqual(changed['with'], first['with']);
    assert.equal(changed['without'], first['without']);
  }
});
