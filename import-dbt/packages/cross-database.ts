import { type Callable, printValue, type Value } from '../jinja/index.ts';
import { sql, toList, withParameters } from './named-arguments.ts';

/** dbt's own macros for SQL that differs between databases, as DuckDB says it. */

const call = <Name extends string>(
  name: string,
  parameters: readonly Name[],
  body: (values: Readonly<Record<Name, Value>>) => string,
): Callable => withParameters(`dbt.${name}`, parameters, body);

const or = (value: Value, preset: string): string => (value === undefined || value === null ? preset : sql(value));
const quoted = (value: Value): string => `'${printValue(value).replaceAll("'", "''")}'`;

export const crossDatabaseMacros: Readonly<Record<string, Callable>> = {
  type_string: () => 'varchar',
  type_timestamp: () => 'timestamp',
  type_int: () => 'integer',
  type_bigint: () => 'bigint',
  type_float: () => 'float',
  type_numeric: () => 'numeric(28, 6)',
  type_boolean: () => 'boolean',
  current_timestamp: () => 'as_of()',
  current_timestamp_backcompat: () => 'as_of()',
  concat: call('concat', ['fields'], ({ fields }) => toList(fields).map(sql).join(' || ')),
  dateadd: call(
    'dateadd',
    ['datepart', 'interval', 'from_date_or_timestamp'],
    (v) => `(${sql(v.from_date_or_timestamp)} + (interval '1 ${sql(v.datepart)}' * (${sql(v.interval)})))`,
  ),
  datediff: call(
    'datediff',
    ['first_date', 'second_date', 'datepart'],
    (v) =>
      `date_diff('${sql(v.datepart)}', cast(${sql(v.first_date)} as timestamp), cast(${sql(v.second_date)} as timestamp))`,
  ),
  date_trunc: call('date_trunc', ['datepart', 'date'], (v) => `date_trunc('${sql(v.datepart)}', ${sql(v.date)})`),
  date: call('date', ['year', 'month', 'day'], (v) => `make_date(${sql(v.year)}, ${sql(v.month)}, ${sql(v.day)})`),
  last_day: call(
    'last_day',
    ['date', 'datepart'],
    (v) =>
      `cast(date_trunc('${sql(v.datepart)}', ${sql(v.date)}) + interval '1 ${sql(v.datepart)}' - interval 1 day as date)`,
  ),
  safe_cast: call('safe_cast', ['field', 'type'], (v) => `try_cast(${sql(v.field)} as ${sql(v.type)})`),
  cast: call('cast', ['field', 'type'], (v) => `cast(${sql(v.field)} as ${sql(v.type)})`),
  cast_bool_to_text: call('cast_bool_to_text', ['field'], (v) => `cast(${sql(v.field)} as varchar)`),
  hash: call('hash', ['field'], (v) => `md5(cast(${sql(v.field)} as varchar))`),
  length: call('length', ['expression'], (v) => `length(${sql(v.expression)})`),
  position: call(
    'position',
    ['substring_text', 'string_text'],
    (v) => `position(${sql(v.substring_text)} in ${sql(v.string_text)})`,
  ),
  replace: call(
    'replace',
    ['field', 'old_chars', 'new_chars'],
    (v) => `replace(${sql(v.field)}, ${sql(v.old_chars)}, ${sql(v.new_chars)})`,
  ),
  right: call(
    'right',
    ['string_text', 'length_expression'],
    (v) => `right(${sql(v.string_text)}, ${sql(v.length_expression)})`,
  ),
  split_part: call(
    'split_part',
    ['string_text', 'delimiter_text', 'part_number'],
    (v) => `split_part(${sql(v.string_text)}, ${sql(v.delimiter_text)}, ${sql(v.part_number)})`,
  ),
  string_literal: call('string_literal', ['value'], (v) => quoted(v.value)),
  escape_single_quotes: call('escape_single_quotes', ['value'], (v) => printValue(v.value).replaceAll("'", "''")),
  listagg: call('listagg', ['measure', 'delimiter_text', 'order_by_clause'], (v) =>
    `string_agg(${sql(v.measure)}, ${or(v.delimiter_text, "','")} ${or(v.order_by_clause, '')})`.replace(' )', ')'),
  ),
  bool_or: call('bool_or', ['expression'], (v) => `bool_or(${sql(v.expression)})`),
  any_value: call('any_value', ['expression'], (v) => `any_value(${sql(v.expression)})`),
  except: () => 'except',
  intersect: () => 'intersect',
};
