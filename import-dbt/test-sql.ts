import { quoteIdentifier } from '../warehouse/core/quote.ts';
import type { TestDeclaration } from './read-properties.ts';
import { type Fields, toFields, toItems, toText, toTexts } from './yaml-file.ts';

/** dbt's tests in Sluice's words: a test of a column, of the model, or a SELECT of failing rows. */
export type CarriedTest =
  | { readonly kind: 'column'; readonly column: string; readonly test: unknown }
  | { readonly kind: 'model'; readonly test: Fields }
  | { readonly kind: 'sql'; readonly sql: string };

export interface TestContext {
  /** The table under test, as it stands in SQL. */
  readonly table: string;
  /** `ref('x')` or `source('s', 't')` as written in YAML → a table; undefined where it means none. */
  readonly resolve: (text: string) => string | undefined;
}

/** Undefined where the test has no such form; a text where an argument is missing or wrong. */
export function toSluiceTest(test: TestDeclaration, context: TestContext): CarriedTest | string | undefined {
  const name = test.test.replace(/^(dbt|dbt_utils|dbt_expectations)\./, '');
  const form = FORMS[name];
  if (form === undefined) return undefined;
  const where = toText(test.config['where']);
  return form({ test, where, column: test.column ?? toText(test.args['column_name']) ?? '', ...context });
}

interface Ask extends TestContext {
  readonly test: TestDeclaration;
  readonly where: string | undefined;
  readonly column: string;
}

type Form = (ask: Ask) => CarriedTest | string;

const id = (name: string): string => (/^[a-z_][a-z0-9_]*$/.test(name) ? name : quoteIdentifier(name));

/** A condition that every row must meet; with `where`, only the rows that it picks. */
function holds(ask: Ask, condition: string): CarriedTest {
  const expression = ask.where === undefined ? condition : `(${ask.where}) is not true or (${condition})`;
  if (/\/\*|\*\//.test(expression)) {
    return { kind: 'sql', sql: `select *\nfrom ${ask.table}\nwhere not (${expression})` };
  }
  return { kind: 'model', test: { expression } };
}

function failing(ask: Ask, select: string, rest: string): CarriedTest {
  const where = ask.where === undefined ? '' : ` where ${ask.where}`;
  return { kind: 'sql', sql: `select ${select}\nfrom (select * from ${ask.table}${where})${rest}` };
}

const onColumn = (ask: Ask, test: unknown): CarriedTest => ({ kind: 'column', column: ask.column, test });

function unique(ask: Ask, columns: readonly string[]): CarriedTest | string {
  if (columns.length === 0) return 'it names no columns';
  const list = columns.map(id).join(', ');
  if (ask.where !== undefined)
    return failing(ask, `${list}, count(*) as rows`, `\ngroup by ${list}\nhaving count(*) > 1`);
  return columns.length === 1 && ask.test.column !== undefined
    ? onColumn(ask, 'unique')
    : { kind: 'model', test: { unique: columns } };
}

function range(ask: Ask, min: string | undefined, max: string | undefined, inclusive: unknown): CarriedTest | string {
  const bounds = { ...(isBound(min) && { min: Number(min) }), ...(isBound(max) && { max: Number(max) }) };
  const isPlain = [min, max].every((bound) => bound === undefined || isBound(bound));
  if (isPlain && inclusive !== false && ask.where === undefined && ask.test.column !== undefined) {
    return Object.keys(bounds).length === 0 ? 'it has neither min nor max' : onColumn(ask, { range: bounds });
  }
  const [low, high] = inclusive === false ? ['>', '<'] : ['>=', '<='];
  const parts = [
    ...(min === undefined ? [] : [`${id(ask.column)} ${low} ${min}`]),
    ...(max === undefined ? [] : [`${id(ask.column)} ${high} ${max}`]),
  ];
  return parts.length === 0 ? 'it has neither min nor max' : holds(ask, parts.join(' and '));
}

const isBound = (value: string | undefined): boolean => value !== undefined && /^-?\d{1,15}(\.\d{1,6})?$/.test(value);

function relationship(ask: Ask): CarriedTest | string {
  const { args } = ask.test;
  const to = ask.resolve(toText(args['to']) ?? '');
  const field = toText(args['field']);
  if (to === undefined || field === undefined) return 'it does not say to which table and field';
  const isUp = to.startsWith('gold.') && ask.table.startsWith('silver.');
  if (ask.where === undefined && !isUp) return onColumn(ask, { relationships: { to, column: field } });
  return failing(
    ask,
    'child.*',
    ` as child\nanti join ${to} as parent on parent.${id(field)} = child.${id(ask.column)}\nwhere child.${id(ask.column)} is not null`,
  );
}

function valuesOf(args: Fields): readonly unknown[] {
  return toItems(args['values'] ?? args['value_set']).filter((value) => value !== null);
}

const literal = (value: unknown): string =>
  typeof value === 'number' || typeof value === 'boolean' ? String(value) : `'${String(value).replaceAll("'", "''")}'`;

const accepted: Form = (ask) => {
  const values = valuesOf(ask.test.args);
  if (values.length === 0) return 'it names no values';
  if (ask.where === undefined && ask.test.column !== undefined) return onColumn(ask, { accepted_values: values });
  return holds(ask, `${id(ask.column)} in (${values.map(literal).join(', ')})`);
};

const notNull: Form = (ask) =>
  ask.where === undefined && ask.test.column !== undefined
    ? onColumn(ask, 'not_null')
    : holds(ask, `${id(ask.column)} is not null`);

const FORMS: Readonly<Record<string, Form>> = {
  not_null: notNull,
  expect_column_values_to_not_be_null: notNull,
  unique: (ask) => unique(ask, ask.column === '' ? [] : [ask.column]),
  expect_column_values_to_be_unique: (ask) => unique(ask, ask.column === '' ? [] : [ask.column]),
  unique_combination_of_columns: (ask) => unique(ask, toTexts(ask.test.args['combination_of_columns'])),
  expect_compound_columns_to_be_unique: (ask) => unique(ask, toTexts(ask.test.args['column_list'])),
  accepted_values: accepted,
  expect_column_values_to_be_in_set: accepted,
  not_accepted_values: (ask) =>
    holds(ask, `${id(ask.column)} not in (${valuesOf(ask.test.args).map(literal).join(', ')})`),
  relationships: relationship,
  relationships_where: (ask) => relationship({ ...ask, where: toText(ask.test.args['from_condition']) ?? ask.where }),
  expression_is_true: (ask) => {
    const expression = toText(ask.test.args['expression']);
    if (expression === undefined) return 'it has no expression';
    return holds(ask, ask.test.column === undefined ? expression : `${id(ask.column)} ${expression}`);
  },
  accepted_range: (ask) => {
    const { min_value: min, max_value: max, inclusive } = ask.test.args;
    return range(ask, toText(min), toText(max), inclusive);
  },
  expect_column_values_to_be_between: (ask) => {
    const { min_value: min, max_value: max, strictly } = ask.test.args;
    return range(ask, toText(min), toText(max), strictly !== true);
  },
  not_empty_string: (ask) =>
    holds(
      ask,
      ask.test.args['trim_whitespace'] === false ? `${id(ask.column)} <> ''` : `trim(${id(ask.column)}) <> ''`,
    ),
  at_least_one: (ask) => failing(ask, 'count(*) as rows', `\nhaving count(${id(ask.column)}) = 0`),
  not_constant: (ask) => failing(ask, 'count(*) as rows', `\nhaving count(distinct ${id(ask.column)}) = 1`),
  equal_rowcount: (ask) => compareCounts(ask, '<>'),
  fewer_rows_than: (ask) => compareCounts(ask, '>='),
  not_null_proportion: (ask) => {
    const least = toText(toFields(ask.test.args)['at_least']) ?? '1';
    return failing(ask, 'count(*) as rows', `\nhaving count(${id(ask.column)}) < ${least} * count(*)`);
  },
};

function compareCounts(ask: Ask, sign: string): CarriedTest | string {
  const other = ask.resolve(toText(ask.test.args['compare_model']) ?? '');
  if (other === undefined) return 'it does not say with which table to compare';
  return {
    kind: 'sql',
    sql: `select a.rows as rows, b.rows as other_rows\nfrom (select count(*) as rows from ${ask.table}) as a\ncross join (select count(*) as rows from ${other}) as b\nwhere a.rows ${sign} b.rows`,
  };
}
