import type { ColumnContract, TableContract } from '../core/bronze-table.ts';
import { quoteIdentifier } from '../core/quote.ts';
import { INTERVAL, TIMETZ } from './column-type.ts';

/**
 * A checksum of a table that does not depend on the order of rows, computed by Postgres on its side and by DuckDB on ours: the sum of 60 bits
 * of each row's MD5. Both render a value to the same text by their own means, so that a fault on the way between them shows.
 * Floats take part with 15 (float8) and 6 (float4) digits, as far as the two print alike.
 */
export function postgresChecksumSql(contract: TableContract, from: string): string {
  const texts = contract.columns.map((column) => {
    const name = quoteIdentifier(column.name);
    const text = postgresText(name, column);
    // num_nulls, because IS NULL also holds for a composite of NULLs.
    return `case when num_nulls(${name}) = 1 then '~' else length(${text}) || ':' || ${text} end`;
  });
  const md5 = `md5(convert_to(concat(${nest(texts)}), 'UTF8'))`;
  return `select count(*)::text as rows, coalesce(sum(('x' || substr(${md5}, 1, 15))::bit(60)::bigint), 0)::text as checksum from ${from}`;
}

export function duckdbChecksumSql(contract: TableContract, from: string): string {
  const texts = contract.columns.map((column) => {
    const name = quoteIdentifier(column.name);
    const text = duckdbText(name, column);
    return `case when ${name} is null then '~' else length(${text}) || ':' || ${text} end`;
  });
  // concat and not ||: a chain of 1,600 columns is deeper than DuckDB's parser goes.
  const md5 = `md5(concat(${texts.join(', ')}))`;
  return `select count(*)::varchar as rows, coalesce(sum(('0x' || substr(${md5}, 1, 15))::bigint), 0)::varchar as checksum from ${from}`;
}

/** Postgres takes at most 100 arguments per call. */
function nest(texts: readonly string[]): string {
  if (texts.length <= 100) return texts.join(', ');
  const groups: string[] = [];
  for (let i = 0; i < texts.length; i += 100) groups.push(`concat(${texts.slice(i, i + 100).join(', ')})`);
  return nest(groups);
}

/** The text both sides compare for one value that is not NULL, made by Postgres. */
export function postgresText(name: string, column: Pick<ColumnContract, 'duckdbType'>): string {
  const duckdbType = plainType(column);
  const element = elementOf(duckdbType);
  if (element !== undefined) {
    const text = postgresText('e', { duckdbType: element });
    const list = `(select coalesce(string_agg(case when e is null then '~' else length(${text}) || ':' || ${text} end, ',' order by o), '') from unnest(${name}) with ordinality as u (e, o))`;
    // A list has one dimension; what has more is printed as Postgres prints it, and so differs.
    return `case when coalesce(array_ndims(${name}), 1) = 1 then ${list} else format('%s', ${name}) end`;
  }
  if (decimalScale(duckdbType) !== undefined) {
    // money and numeric without precision arrive with a fixed scale: equal when they are equal numbers, and never rounded here.
    const [number, rounded] = [`(${name})::numeric`, `round((${name})::numeric, ${decimalScale(duckdbType)})`];
    return `case when ${number} = ${rounded} then ${rounded}::text else ${number}::text end`;
  }
  switch (duckdbType) {
    case 'BOOLEAN':
      return `(${name}::bool)::int::text`;
    case 'DATE':
      return `case when isfinite(${name}) then (${name} - date '1970-01-01')::text else ${name}::text end`;
    case 'TIMESTAMP':
    case 'TIMESTAMPTZ':
      // What is set aside lies beyond the microseconds of a bigint.
      return `case when isfinite(${name}) and ${name} <= '294247-01-10 04:00:54.775806+00' then (extract(epoch from ${name}) * 1000000)::bigint::text else ${name}::text end`;
    case 'TIME':
      return `(extract(epoch from ${name}) * 1000000)::bigint::text`;
    case 'BLOB':
      return `encode(${name}, 'hex')`;
    case TIMETZ:
      // Seconds east of UTC.
      return `(extract(epoch from (${name})::time) * 1000000)::bigint || ' ' || extract(timezone from ${name})::int`;
    case INTERVAL: {
      const part = (field: string): string => `extract(${field} from ${name})::bigint`;
      const micros = `(${part('hour')} * 3600000000 + ${part('minute')} * 60000000 + ${part('microseconds')})`;
      return `case when isfinite(${name}) then (${part('year')} * 12 + ${part('month')}) || ' ' || ${part('day')} || ' ' || ${micros} else ${name}::text end`;
    }
    default:
      // format() prints as COPY does; a cast to text would strip the padding of char(n).
      return `format('%s', ${name})`;
  }
}

/** The same by DuckDB. */
export function duckdbText(name: string, column: Pick<ColumnContract, 'duckdbType'>): string {
  const duckdbType = plainType(column);
  const element = elementOf(duckdbType);
  if (element !== undefined) {
    const text = duckdbText('e', { duckdbType: element });
    return `array_to_string(list_transform(${name}, e -> case when e is null then '~' else length(${text}) || ':' || ${text} end), ',')`;
  }
  switch (duckdbType) {
    case 'BOOLEAN':
      return `${name}::int::varchar`;
    case 'DATE':
      return `case when isfinite(${name}) then (${name} - date '1970-01-01')::varchar else ${name}::varchar end`;
    case 'TIMESTAMP':
    case 'TIMESTAMPTZ':
      return `case when isfinite(${name}) then epoch_us(${name})::varchar else ${name}::varchar end`;
    case 'TIME':
      return `epoch_us(${name})::varchar`;
    case 'BLOB':
      return `lower(hex(${name}))`;
    case TIMETZ:
      return `epoch_us(${name}.t)::varchar || ' ' || ${name}.offset_s::varchar`;
    case INTERVAL:
      return `${name}.months::varchar || ' ' || ${name}.days::varchar || ' ' || ${name}.micros::varchar`;
    case 'FLOAT':
      return floatText(name, 6);
    case 'DOUBLE':
      return floatText(name, 15);
    default:
      return `${name}::varchar`;
  }
}

/** SQL for DuckDB that shows such a text to people. */
export function shownText(text: string, duckdbType: string): string {
  const asNumber = `try_cast(${text} as bigint)`;
  switch (duckdbType) {
    case 'BOOLEAN':
      return `coalesce((${asNumber} = 1)::varchar, ${text})`;
    case 'DATE':
      return `coalesce(try_cast((date '1970-01-01' + ${asNumber}::integer) as varchar), ${text})`;
    case 'TIMESTAMP':
      return `coalesce(make_timestamp(${asNumber})::varchar, ${text})`;
    case 'TIMESTAMPTZ':
      return `coalesce(make_timestamp(${asNumber})::varchar || '+00', ${text})`;
    default:
      return text;
  }
}

/** Without the quotes that DuckDB puts around field names that are words of SQL. */
function plainType({ duckdbType }: Pick<ColumnContract, 'duckdbType'>): string {
  return duckdbType.replaceAll('"', '');
}

function elementOf(duckdbType: string): string | undefined {
  return duckdbType.endsWith('[]') ? duckdbType.slice(0, -2) : undefined;
}

function decimalScale(duckdbType: string): number | undefined {
  const match = /^DECIMAL\(\d+,(\d+)\)$/.exec(duckdbType);
  return match === null ? undefined : Number(match[1]);
}

function floatText(name: string, digits: number): string {
  return `case when isnan(${name}) then 'NaN' when isinf(${name}) then if(${name} > 0, 'Infinity', '-Infinity') else printf('%.${digits}g', ${name}) end`;
}
