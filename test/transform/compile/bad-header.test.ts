import { modelText } from './project.ts';
import { GOLD, OWNED, PAYMENTS, refuses, silver } from './refused.ts';

/** Headers, and tests and places of files, that do not fit their SELECT. */

refuses([
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
]);
