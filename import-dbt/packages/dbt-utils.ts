import { quoteIdentifier, quoteLiteral } from '../../warehouse/core/quote.ts';
import { type Callable, isTruthy, printValue, type Value, ValueError } from '../jinja/index.ts';
import { sql, toList, withParameters } from './named-arguments.ts';

/** The macros of dbt_utils that people use most, as one piece of DuckDB SQL. Others come from an installed package, or are listed. */

const call = <Name extends string>(
  name: string,
  parameters: readonly Name[],
  body: (values: Readonly<Record<Name, Value>>) => string,
): Callable => withParameters(`dbt_utils.${name}`, parameters, body);

function surrogateKey(fields: readonly Value[], missing: string): string {
  if (fields.length === 0) throw new ValueError('dbt_utils.generate_surrogate_key: no column is named');
  const parts = fields.map((field) => `coalesce(cast(${sql(field)} as varchar), ${quoteLiteral(missing)})`);
  return `md5(${parts.join(" || '-' || ")})`;
}

const refused =
  (name: string): Callable =>
  () => {
    throw new ValueError(
      `dbt_utils.${name} asks the database while the project is compiled`,
      'Write what it would find as a list, or as a join in SQL.',
    );
  };

export const dbtUtilsMacros: Readonly<Record<string, Callable>> = {
  generate_surrogate_key: call('generate_surrogate_key', ['field_list'], ({ field_list: list }) =>
    surrogateKey(toList(list), '_dbt_utils_surrogate_key_null_'),
  ),
  surrogate_key: ({ positional }) =>
    surrogateKey(
      positional.flatMap((item) => toList(item)),
      '',
    ),
  date_spine: call('date_spine', ['datepart', 'start_date', 'end_date'], (v) => {
    const part = sql(v.datepart);
    return `select unnest(range(cast(${sql(v.start_date)} as timestamp), cast(${sql(v.end_date)} as timestamp), interval '1 ${part}')) as date_${part}`;
  }),
  generate_series: call(
    'generate_series',
    ['upper_bound'],
    (v) => `select unnest(range(1, ${sql(v.upper_bound)} + 1)) as generated_number`,
  ),
  star: call('star', ['from', 'relation_alias', 'except'], (v) => {
    const alias = v.relation_alias === undefined ? '' : `${sql(v.relation_alias)}.`;
    const left = toList(v.except).map((column) => quoteIdentifier(printValue(column)));
    return left.length === 0 ? `${alias}*` : `${alias}* exclude (${left.join(', ')})`;
  }),
  pivot: call(
    'pivot',
    [
      'column',
      'values',
      'alias',
      'agg',
      'cmp',
      'prefix',
      'suffix',
      'then_value',
      'else_value',
      'quote_identifiers',
      'distinct',
    ],
    (v) =>
      toList(v.values)
        .map((value) => {
          const name = `${sql(v.prefix)}${printValue(value)}${sql(v.suffix)}`;
          const then = v.then_value === undefined ? '1' : sql(v.then_value);
          const otherwise = v.else_value === undefined ? '0' : sql(v.else_value);
          const test = `${sql(v.column)} ${sql(v.cmp) || '='} ${quoteLiteral(printValue(value))}`;
          const inner = `${isTruthy(v.distinct) ? 'distinct ' : ''}case when ${test} then ${then} else ${otherwise} end`;
          return `${sql(v.agg) || 'sum'}(${inner})${v.alias === false ? '' : ` as ${quoteIdentifier(name)}`}`;
        })
        .join(',\n    '),
  ),
  union_relations: call('union_relations', ['relations', 'source_column_name', 'where'], (v) => {
    const column = v.source_column_name === undefined ? '_dbt_source_relation' : sql(v.source_column_name);
    const where = v.where === undefined ? '' : ` where ${sql(v.where)}`;
    return toList(v.relations)
      .map((table) => {
        const origin =
          v.source_column_name === null ? '' : `${quoteLiteral(sql(table))} as ${quoteIdentifier(column)}, `;
        return `select ${origin}* from ${sql(table)}${where}`;
      })
      .join('\nunion all by name\n');
  }),
  deduplicate: call(
    'deduplicate',
    ['relation', 'partition_by', 'order_by'],
    (v) =>
      `select * from ${sql(v.relation)} qualify row_number() over (partition by ${sql(v.partition_by)} order by ${sql(v.order_by)}) = 1`,
  ),
  group_by: call(
    'group_by',
    ['n'],
    (v) => `group by ${Array.from({ length: Number(v.n) }, (_, i) => i + 1).join(', ')}`,
  ),
  safe_divide: call(
    'safe_divide',
    ['numerator', 'denominator'],
    (v) => `(${sql(v.numerator)}) / nullif((${sql(v.denominator)}), 0)`,
  ),
  safe_add: call('safe_add', ['field_list'], (v) =>
    toList(v.field_list)
      .map((field) => `coalesce(${sql(field)}, 0)`)
      .join(' + '),
  ),
  safe_subtract: call('safe_subtract', ['field_list'], (v) =>
    toList(v.field_list)
      .map((field) => `coalesce(${sql(field)}, 0)`)
      .join(' - '),
  ),
  slugify: call('slugify', ['string'], (v) =>
    printValue(v.string)
      .toLowerCase()
      .replaceAll(/[ -]+/g, '_')
      .replaceAll(/[^a-z0-9_]+/g, '')
      .replace(/^(?=[0-9])/, '_'),
  ),
  pretty_time: () => '',
  pretty_log_format: () => '',
  log_info: () => '',
  get_column_values: refused('get_column_values'),
  get_single_value: refused('get_single_value'),
  get_query_results_as_dict: refused('get_query_results_as_dict'),
  get_relations_by_pattern: refused('get_relations_by_pattern'),
  get_relations_by_prefix: refused('get_relations_by_prefix'),
  get_filtered_columns_in_relation: refused('get_filtered_columns_in_relation'),
  unpivot: refused('unpivot'),
};
