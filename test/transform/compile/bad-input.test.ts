import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bronzeTable, modelText, problemsOf } from './project.ts';

/** A project of one silver model; its SELECT begins on line 4 (5 with one more header line, and so on). */
const silver = (sql: string, header: readonly string[] = []) => ({ 'sql/silver/app/m.sql': modelText(sql, header) });
const PAYMENTS = 'bronze.app.payments';

const GOLD = (lines: readonly string[], sql = `select user_id, amount from ${PAYMENTS}`) => ({
  'sql/gold/app/g.sql': modelText(sql, lines),
});
const OWNED = ['owner: { user: user_id, org: user_id }', 'columns: { user_id: { type: BIGINT }, amount: }'];

interface Case {
  readonly says: string;
  readonly files: Readonly<Record<string, string>>;
  readonly code: string;
  readonly problems: readonly string[];
  readonly remedy?: RegExp;
}

const CASES: readonly Case[] = [
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
    says: 'no header',
    files: { 'sql/silver/app/m.sql': 'select 1 as x' },
    code: 'MODEL_HEADER_INVALID',
    problems: ['sql/silver/app/m.sql:1:1: the file does not begin with a header'],
  },
  {
    says: 'a header that is not closed',
    files: { 'sql/silver/app/m.sql': '\n/*\ndescription: x\nselect 1' },
    code: 'MODEL_HEADER_INVALID',
    problems: ['sql/silver/app/m.sql:2:1: the header is not closed'],
  },
  {
    says: 'a comment opened in the header',
    files: { 'sql/silver/app/m.sql': '/*\ndescription: all of sql/* here\n*/\nselect 1 as x' },
    code: 'MODEL_HEADER_INVALID',
    problems: ['sql/silver/app/m.sql:2:24: the header holds `/*`'],
    remedy: /nests comments/,
  },
  {
    says: 'a comment closed in the header',
    files: { 'sql/silver/app/m.sql': '/*\ndescription: a */ b\ntags: [x]\n*/\nselect 1 as x' },
    code: 'MODEL_HEADER_INVALID',
    problems: ['sql/silver/app/m.sql:2:16: the header holds `*/`, which closes it early'],
  },
  {
    says: 'broken YAML',
    files: { 'sql/silver/app/m.sql': '/*\ndescription: a\ntags: [x\n*/\nselect 1 as x' },
    code: 'MODEL_HEADER_INVALID',
    problems: [
      'sql/silver/app/m.sql:4:1: header: flow sequence in block collection must be sufficiently indented and end with a ]',
    ],
  },
  {
    says: 'a field given twice',
    files: silver('select 1 as x', ['tags: [a]', 'tags: [b]']),
    code: 'MODEL_HEADER_INVALID',
    problems: ['sql/silver/app/m.sql:4:1: header: map keys must be unique'],
  },
  {
    says: 'an unknown field, a wrong word and a wrong type, all at once',
    files: silver('select 1 as x', ['materialised: view', 'materialized: tabel', 'tags: x']),
    code: 'MODEL_HEADER_INVALID',
    problems: [
      'sql/silver/app/m.sql:3:1: header: materialised is not a known field',
      'sql/silver/app/m.sql:4:1: header: materialized: invalid option: expected one of "view"|"table"|"incremental"|"snapshot"',
      'sql/silver/app/m.sql:5:1: header: tags: invalid input: expected array, received string',
    ],
  },
  {
    says: 'an unknown field of a column',
    files: silver('select 1 as x', ['columns:', '  x: { type: INTEGER, typo: 1 }']),
    code: 'MODEL_HEADER_INVALID',
    problems: ['sql/silver/app/m.sql:4:23: header: columns.x.typo is not a known field'],
  },
  {
    says: 'a test that is none, and a word in one that is none, with the nearest',
    files: silver('select 1 as x', [
      'columns:',
      '  x:',
      '    tests:',
      '      - not_nul',
      '      - { acepted_values: [1] }',
      '      - { not_null: true, wher: x = 1 }',
      '      - { not_null: true, warn_if: many }',
      '      - positive',
      'tests: [{ row_cuont: { min: 1 } }, { freshness: { column: x, error_after: soon } }]',
    ]),
    code: 'MODEL_HEADER_INVALID',
    problems: [
      'sql/silver/app/m.sql:6:9: header: columns.x.tests.0: not_nul is not a test or a word of one; did you mean not_null?',
      'sql/silver/app/m.sql:7:9: header: columns.x.tests.1: acepted_values is not a test or a word of one; did you mean accepted_values?',
      'sql/silver/app/m.sql:8:27: header: columns.x.tests.2.wher is not a known field; did you mean where?',
      'sql/silver/app/m.sql:9:27: header: columns.x.tests.3.warn_if: is a comparison, e.g. ">10", "!=0" or ">1%"',
      'sql/silver/app/m.sql:10:9: header: columns.x.tests.4: positive is not a test or a word of one; tests here are not_null, unique, accepted_values, relationships, range',
      'sql/silver/app/m.sql:11:9: header: tests.0: row_cuont is not a test or a word of one; did you mean row_count?',
      'sql/silver/app/m.sql:11:62: header: tests.1.freshness.error_after: is a time, e.g. 1 day or 36 hours',
    ],
  },
  {
    says: 'tests whose filter, column or severity does not fit',
    files: silver(`select id, amount from ${PAYMENTS}`, [
      'columns: { id: { tests: [{ not_null: true, where: amuont > 0 }, { unique: true, severity: warn, error_if: ">1" }] } }',
      'tests: [{ freshness: { column: amount, warn_after: 1 day } }]',
    ]),
    code: 'MODEL_COLUMN_UNKNOWN',
    problems: [
      'sql/silver/app/m.sql:3:26: test: unknown column amuont; did you mean amount?',
      'sql/silver/app/m.sql:3:65: test: error_if is set, but a test of severity warn is never an error',
      'sql/silver/app/m.sql:4:9: test: freshness of amount, which is DECIMAL(14,2) and no point in time',
    ],
  },
  {
    says: 'no description',
    files: { 'sql/silver/app/m.sql': '/*\ntags: [a]\n*/\nselect 1 as x' },
    code: 'MODEL_HEADER_INVALID',
    problems: ['sql/silver/app/m.sql:2:1: header: description: invalid input: expected string, received undefined'],
  },
  {
    says: 'header columns that the SELECT does not give',
    files: silver(`select id, amount from ${PAYMENTS}`, ['key: [idd]', 'columns: { amuont: { tests: [not_null] } }']),
    code: 'MODEL_COLUMN_UNKNOWN',
    problems: [
      'sql/silver/app/m.sql:3:7: header: key names idd, which the SELECT does not give; did you mean id?',
      'sql/silver/app/m.sql:4:12: header: columns names amuont, which the SELECT does not give; did you mean amount?',
    ],
  },
  {
    says: 'a declared type that is not the bound one',
    files: silver(`select id, amount from ${PAYMENTS}`, [
      'columns: { amount: { type: "DECIMAL(18,2)" }, id: { type: NUMBERR } }',
    ]),
    code: 'MODEL_HEADER_INVALID',
    problems: [
      'sql/silver/app/m.sql:3:22: header: amount is declared DECIMAL(18,2), the SELECT gives DECIMAL(14,2)',
      'sql/silver/app/m.sql:3:53: header: id is declared NUMBERR, which is not a type',
    ],
  },
  {
    says: 'incremental without a key, and a block that does nothing',
    files: {
      ...silver(`select id from ${PAYMENTS}`, ['materialized: incremental']),
      'sql/silver/app/n.sql': modelText(`select id from ${PAYMENTS}`, ['key: [id]', 'incremental: { by: [id] }']),
    },
    code: 'MODEL_HEADER_INVALID',
    problems: [
      'sql/silver/app/m.sql:3:1: header: an incremental model needs a key',
      'sql/silver/app/n.sql:4:1: header: incremental is set, but the model is a view',
    ],
  },
  {
    says: 'a gold table without an owner',
    files: GOLD(OWNED.slice(1)),
    code: 'MODEL_HEADER_INVALID',
    problems: ['sql/gold/app/g.sql:2:1: header: a gold table must say who owns its rows'],
    remedy: /owner: \{ org/,
  },
  {
    says: 'an owner column that is not there',
    files: GOLD(['owner: { org: org_id, user: user_id }', ...OWNED.slice(1)]),
    code: 'MODEL_COLUMN_UNKNOWN',
    problems: ['sql/gold/app/g.sql:3:10: header: owner.org names org_id, which the SELECT does not give'],
  },
  {
    says: 'a gold column that is not declared',
    files: GOLD(['owner: { public: a test }', 'columns: { user_id: }']),
    code: 'MODEL_HEADER_INVALID',
    problems: ['sql/gold/app/g.sql:4:1: header: the column amount is not declared'],
    remedy: /amount: \{ type: DECIMAL\(14,2\)/,
  },
  {
    says: 'a dataset without a key, and one in silver',
    files: {
      ...GOLD([...OWNED, 'dataset: { friendly_name: G, group: facts, filters: { date_column: day } }']),
      ...silver(`select id from ${PAYMENTS}`, ['key: [id]', 'dataset: { friendly_name: M, group: facts }']),
    },
    code: 'MODEL_HEADER_INVALID',
    problems: [
      'sql/gold/app/g.sql:5:1: header: a dataset needs a key',
      'sql/gold/app/g.sql:5:55: header: dataset.filters.date_column names day, which the SELECT does not give',
      'sql/silver/app/m.sql:4:1: header: only gold tables are served as datasets',
    ],
  },
  {
    says: 'a bare / and avg on decimals',
    files: silver(
      `select id,\n  amount / 2 as half,\n  avg(amount) over (partition by id) as mean,\n  amount::double / 2 as fine\nfrom ${PAYMENTS}`,
    ),
    code: 'MODEL_LINT',
    problems: [
      'sql/silver/app/m.sql:5:10: `/` gives a DOUBLE, which is not exact',
      'sql/silver/app/m.sql:6:3: avg gives a DOUBLE, which is not exact',
    ],
    remedy: /ratio/,
  },
  {
    says: 'functions that are not deterministic',
    files: silver(
      `select id, now() as a, current_date as b, random() as c, uuid() as d, getvariable('x') as e, age(paid_on::timestamp) as f from ${PAYMENTS}`,
    ),
    code: 'MODEL_LINT',
    problems: [
      'sql/silver/app/m.sql:4:12: now() is not decided by its arguments',
      'sql/silver/app/m.sql:4:24: current_date reads the clock',
      'sql/silver/app/m.sql:4:43: random() is not decided by its arguments',
      'sql/silver/app/m.sql:4:58: uuid() is not decided by its arguments',
      'sql/silver/app/m.sql:4:71: getvariable() is not decided by its arguments',
      'sql/silver/app/m.sql:4:94: age() of one argument reads the clock',
    ],
    remedy: /as_of/,
  },
  {
    says: 'lists and choices without an order',
    files: silver(
      `select id, list(note) as a, string_agg(note, ',') as b, any_value(note) as c, list(note order by id) as d,\n  arg_max(note, amount) as e from ${PAYMENTS} group by id`,
    ),
    code: 'MODEL_LINT',
    problems: [
      'sql/silver/app/m.sql:4:12: list() without an order gives any result',
      'sql/silver/app/m.sql:4:29: string_agg() without an order gives any result',
      'sql/silver/app/m.sql:4:57: any_value() without an order gives any result',
      'sql/silver/app/m.sql:5:3: arg_max() without an order gives any result',
    ],
  },
  {
    says: 'row_number, limit, distinct on and a sample without an order',
    files: {
      'sql/silver/app/a.sql': modelText(`select id, row_number() over (partition by user_id) as n from ${PAYMENTS}`),
      'sql/silver/app/b.sql': modelText(`select id from ${PAYMENTS} limit 3`),
      'sql/silver/app/c.sql': modelText(`select distinct on (id) id, note from ${PAYMENTS}`),
      'sql/silver/app/d.sql': modelText(`select id from ${PAYMENTS} using sample 10%`),
    },
    code: 'MODEL_LINT',
    problems: [
      'sql/silver/app/a.sql:4:12: row_number() without an order gives any result',
      'sql/silver/app/b.sql:4:42: limit without order by takes any rows',
      'sql/silver/app/c.sql:4:21: distinct on without order by takes any row',
      'sql/silver/app/d.sql:4:8: a sample differs from run to run',
    ],
  },
  {
    says: 'a table function that reads files',
    files: silver("select * from read_csv('/etc/passwd')"),
    code: 'MODEL_LINT',
    problems: ["sql/silver/app/m.sql:4:15: the table function read_csv reads something else than the model's tables"],
  },
  {
    says: 'a collation, under which different values are equal',
    files: silver(`select id from ${PAYMENTS} where note collate nocase = 'x'`),
    code: 'MODEL_LINT',
    problems: ['sql/silver/app/m.sql:4:42: a collation makes different values equal'],
  },
  {
    says: 'select * in gold',
    files: GOLD(
      ['owner: { public: a test }', 'columns: { user_id: , amount: }'],
      `select * from (select user_id, amount from ${PAYMENTS})`,
    ),
    code: 'MODEL_LINT',
    problems: ['sql/gold/app/g.sql:6:8: a gold model selects *'],
  },
  {
    says: 'a silver model that reads gold, and a gold view that reads silver',
    files: {
      ...GOLD(OWNED),
      'sql/silver/app/m.sql': modelText('select user_id from gold.g'),
      'sql/gold/app/v.sql': modelText('select user_id from silver.s', [
        'materialized: view',
        'owner: { public: x }',
        'columns: { user_id: }',
      ]),
      'sql/silver/app/s.sql': modelText(`select user_id from ${PAYMENTS}`),
    },
    code: 'MODEL_LINT',
    problems: [
      'sql/gold/app/v.sql:7:21: a gold view reads silver.s, which readers of gold do not have',
      'sql/silver/app/m.sql:4:21: a silver model reads gold.g, which is built after it',
    ],
  },
  {
    says: 'as_of() without the header field, through a view and a macro too, and the field without as_of()',
    files: {
      'sql/macros/past.sql': 'create macro past(d) as d <= as_of()',
      'sql/silver/app/a.sql': modelText(`select id from ${PAYMENTS} where paid_on <= as_of()`, ['as_of: recompute']),
      'sql/silver/app/b.sql': modelText('select id from silver.a'),
      'sql/silver/app/c.sql': modelText(`select id from ${PAYMENTS} where past(paid_on)`),
      'sql/silver/app/d.sql': modelText(`select id from ${PAYMENTS}`, ['as_of: appends(paid_on)']),
    },
    code: 'MODEL_HEADER_INVALID',
    problems: [
      'sql/silver/app/b.sql:2:1: header: the model reaches as_of() through a view, but does not say how it moves with it',
      'sql/silver/app/c.sql:2:1: header: the model reaches as_of(), but does not say how it moves with it',
      'sql/silver/app/d.sql:3:1: header: as_of names paid_on, which the SELECT does not give',
      'sql/silver/app/d.sql:3:1: header: as_of is set, but the model does not reach as_of()',
    ],
  },
  {
    says: 'tests that name what is not there',
    files: silver(`select id, amount from ${PAYMENTS}`, [
      'columns:',
      '  amount: { tests: [{ relationships: { to: silver.mm, column: id } }, { range: { min: abc } }] }',
      '  id: { tests: [{ relationships: { to: bronze.app.payments, column: idd } }] }',
      'tests: [{ unique: [idd] }, { expression: "amuont > 0" }]',
    ]),
    code: 'MODEL_REFERENCE_UNKNOWN',
    problems: [
      'sql/silver/app/m.sql:4:21: test: unknown table silver.mm; did you mean silver.m?',
      'sql/silver/app/m.sql:4:71: test: the limit abc is not a DECIMAL(14,2), the type of amount',
      'sql/silver/app/m.sql:5:17: test: bronze.app.payments has no column idd',
      'sql/silver/app/m.sql:6:9: test: silver.m has no column idd',
      'sql/silver/app/m.sql:6:28: test: unknown column amuont; did you mean amount?',
    ],
  },
  {
    says: 'files in the wrong place',
    files: {
      'sql/silver/m.sql': modelText('select 1 as x'),
      'sql/silver/app/My-Table.sql': modelText('select 1 as x'),
      'sql/silver/app/t.sql': modelText('select 1 as x'),
      'sql/silver/other/t.sql': modelText('select 1 as x'),
    },
    code: 'MODEL_HEADER_INVALID',
    problems: [
      'sql/silver/app/My-Table.sql:1:1: the file name My-Table.sql is not a table name',
      'sql/silver/m.sql:1:1: the file does not lie in a domain folder',
      'sql/silver/other/t.sql:1:1: the table silver.t is defined by sql/silver/app/t.sql already',
    ],
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
  {
    says: 'a SQL test that does not bind',
    files: {
      'sql/tests/one.sql': '/*\ndescription: x\nseverity: fatal\n*/\nselect 1',
      'sql/tests/two.sql': '/*\ndescription: x\n*/\nselect id from silver.nothing',
    },
    code: 'MODEL_HEADER_INVALID',
    problems: [
      'sql/tests/one.sql:3:1: header: severity: invalid option: expected one of "error"|"warn"',
      'sql/tests/two.sql:4:16: unknown table silver.nothing',
    ],
  },
];

for (const { says, files, code, problems, remedy } of CASES) {
  test(`refuses ${says}`, async () => {
    const found = await problemsOf(files);
    assert.deepEqual([...found.problems].sort(), [...problems].sort());
    assert.equal(found.error.code, code);
    assert.ok(found.error.remedy !== undefined && found.error.remedy !== '');
    if (remedy !== undefined) assert.match(found.error.remedy, remedy);
  });
}

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
