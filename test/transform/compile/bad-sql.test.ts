import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bronzeTable, modelText, problemsOf } from './project.ts';
import { PAYMENTS, refuses, silver } from './refused.ts';

/** SELECTs and macros that do not hold: names that are nowhere, circles, what DuckDB does not parse or bind. */

refuses([
  {
    says: 'an unknown column, with the nearest',
    files: silver(`select id,\n  amuont\nfrom ${PAYMENTS}`),
    code: 'MODEL_COLUMN_UNKNOWN',
    problems: ['sql/silver/app/m.sql:5:3: unknown column amuont; did you mean amount?'],
    remedy: /amount/,
  },
  {
    says: 'an unknown column behind letters of several bytes',
    files: silver(`select 'é😀' as a, zzz from ${PAYMENTS}`),
    code: 'MODEL_COLUMN_UNKNOWN',
    problems: ['sql/silver/app/m.sql:4:20: unknown column zzz'],
  },
  {
    says: 'a number beyond DOUBLE',
    files: silver(`select id,\n  1e400 as x from ${PAYMENTS}`),
    code: 'MODEL_SQL_INVALID',
    problems: ['sql/silver/app/m.sql:5:3: a number is larger than a DOUBLE can hold (about 1.8e308)'],
  },
  {
    says: 'an unknown alias',
    files: silver(`select q.id from ${PAYMENTS} p`),
    code: 'MODEL_COLUMN_UNKNOWN',
    problems: ['sql/silver/app/m.sql:4:8: no table or alias q in FROM; did you mean p?'],
  },
  {
    says: 'an unknown table, with the nearest',
    files: silver('select id\nfrom bronze.app.paymets'),
    code: 'MODEL_REFERENCE_UNKNOWN',
    problems: ['sql/silver/app/m.sql:5:6: unknown table bronze.app.paymets; did you mean bronze.app.payments?'],
  },
  {
    says: 'a table of the wrong layer',
    files: { ...silver('select 1 as x'), 'sql/silver/app/n.sql': modelText('select x from gold.m') },
    code: 'MODEL_REFERENCE_UNKNOWN',
    problems: ['sql/silver/app/n.sql:4:15: unknown table gold.m; did you mean silver.m?'],
  },
  {
    says: 'a table without its layer',
    files: silver('select id from payments'),
    code: 'MODEL_REFERENCE_UNKNOWN',
    problems: ['sql/silver/app/m.sql:4:16: unknown table payments; did you mean bronze.app.payments?'],
  },
  {
    says: 'a cycle by its path',
    files: {
      'sql/silver/app/a.sql': modelText('select x\nfrom silver.c'),
      'sql/silver/app/b.sql': modelText('select x from silver.a'),
      'sql/silver/app/c.sql': modelText('select x from silver.b'),
    },
    code: 'MODEL_CYCLE',
    problems: [
      'sql/silver/app/a.sql:5:6: models read each other in a circle: silver.a → silver.c → silver.b → silver.a',
    ],
  },
  {
    says: 'a model that reads itself',
    files: silver('select x from silver.m'),
    code: 'MODEL_CYCLE',
    problems: ['sql/silver/app/m.sql:4:15: models read each other in a circle: silver.m → silver.m'],
  },
  {
    says: 'a syntax error',
    files: silver(`select 'é',\n  1 +, 2\nfrom ${PAYMENTS}`),
    code: 'MODEL_SQL_INVALID',
    problems: ['sql/silver/app/m.sql:5:6: syntax error at or near ","'],
  },
  {
    says: 'a type error',
    files: silver(`select id from ${PAYMENTS}\nwhere note > date '2026-01-01'`),
    code: 'MODEL_SQL_INVALID',
    problems: [
      'sql/silver/app/m.sql:5:12: cannot compare values of type VARCHAR and type DATE - an explicit cast is required',
    ],
  },
  {
    says: 'an unknown function, with the nearest',
    files: silver(`select ratoi(amount, 2) as r from ${PAYMENTS}`),
    code: 'MODEL_SQL_INVALID',
    problems: ['sql/silver/app/m.sql:4:8: unknown function ratoi; did you mean ratio?'],
  },
  {
    says: 'a statement that is no SELECT',
    files: silver('delete from silver.m'),
    code: 'MODEL_SQL_INVALID',
    problems: ['sql/silver/app/m.sql:4:1: only SELECT statements can be serialized to json'],
  },
  {
    says: 'two statements',
    files: silver('select 1 as x;\nselect 2 as y'),
    code: 'MODEL_SQL_INVALID',
    problems: ['sql/silver/app/m.sql:5:1: a second statement follows'],
  },
  {
    says: 'no statement',
    files: silver('-- later'),
    code: 'MODEL_SQL_INVALID',
    problems: ['sql/silver/app/m.sql:4:1: the file holds no SELECT'],
  },
  {
    says: 'a column given twice',
    files: silver(`select id, amount as id from ${PAYMENTS}`),
    code: 'MODEL_SQL_INVALID',
    problems: ['sql/silver/app/m.sql:4:1: the SELECT gives the column id twice'],
  },
  {
    says: 'macros that are none, repeat a name, read tables, call each other or do not bind',
    files: {
      'sql/macros/a.sql': '-- what it does\nselect 1',
      'sql/macros/b.sql': 'create macro ratio(a) as a',
      'sql/macros/c.sql': 'create macro c(x) as (select max(id) from bronze.app.payments)',
      'sql/macros/d.sql': 'create macro d(x) as e(x);',
      'sql/macros/e.sql': 'create macro e(x) as d(x);',
      'sql/macros/f.sql': '/* why */\ncreate macro f(x) as x + zzz',
      'sql/macros/g.sql': 'create macro upper(x) as x',
      'sql/macros/h.sql': 'create macro h(x) as table select 1',
    },
    code: 'MODEL_SQL_INVALID',
    problems: [
      'sql/macros/a.sql:2:1: the file does not define a macro',
      'sql/macros/b.sql:1:1: the macro ratio is defined already',
      'sql/macros/c.sql:1:22: the macro reads a table',
      'sql/macros/d.sql:1:22: macros call each other in a circle: d → e → d',
      'sql/macros/f.sql:2:26: macro f: unknown column zzz',
      'sql/macros/g.sql:1:1: the macro upper has the name of a function of DuckDB',
      'sql/macros/h.sql:1:22: a macro that gives a table is not carried',
    ],
  },
]);

test('a message shows the source line and a caret under the place', async () => {
  const { error } = await problemsOf(silver(`select id,\n\tamuont\nfrom ${PAYMENTS}`));
  assert.equal(
    error.message,
    'sql/silver/app/m.sql:5:2: unknown column amuont; did you mean amount?\n  5 | \tamuont\n    | \t^',
  );
});

test('a model below a broken one adds no error of its own', async () => {
  const { problems } = await problemsOf({
    'sql/silver/app/a.sql': modelText(`select zz from ${PAYMENTS}`),
    'sql/silver/app/b.sql': modelText('select yy from silver.a'),
  });
  assert.deepEqual(problems, ['sql/silver/app/a.sql:4:8: unknown column zz']);
});

test('a table that was never extracted is told apart from a mistyped one', async () => {
  const { error } = await problemsOf(silver('select id from bronze.app.loans'), [
    bronzeTable('app.x', { id: 'BIGINT' }),
  ]);
  assert.match(error.message, /unknown table bronze\.app\.loans$/m);
  assert.match(error.remedy ?? '', /extract a new source table/);
});
