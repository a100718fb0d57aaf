import { modelText } from './project.ts';
import { GOLD, OWNED, PAYMENTS, refuses, silver } from './refused.ts';

/** SELECTs that DuckDB takes and a warehouse must not: not exact, not decided by their input, reading where they may not. */

refuses([
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
]);
