import type { ColumnContract, TableContract } from '../core/bronze-table.ts';
import { quoteIdentifier } from '../core/quote.ts';

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
  const md5 = `md5(${texts.join(' || ')})`;
  return `select count(*)::varchar as rows, coalesce(sum(('0x' || substr(${md5}, 1, 15))::bigint), 0)::varchar as checksum from ${from}`;
}

/** Postgres takes at most 100 arguments per call. */
function nest(texts: readonly string[]): string {
  if (texts.length <= 100) return texts.join(', ');
  const groups: string[] = [];
  for (let i = 0; i < texts.length; i += 100) groups.push(`concat(${texts.slice(i, i + 100).join(', ')})`);
  return nest(groups);
}

function postgresText(name: string, column: ColumnContract): string {
  switch (column.duckdbType) {
    case 'BOOLEAN':
      return `(${name}::bool)::int::text`;
    case 'DATE':
      return `case when isfinite(${name}) then (${name} - date '1970-01-01')::text else ${name}::text end`;
    case 'TIMESTAMP':
    case 'TIMESTAMPTZ':
      return `case when isfinite(${name}) then (extract(epoch from ${name}) * 1000000)::bigint::text else ${name}::text end`;
    default:
      // format() prints as COPY does; a cast to text would strip the padding of char(n).
      return `format('%s', ${name})`;
  }
}

function duckdbText(name: string, column: ColumnContract): string {
  switch (column.duckdbType) {
    case 'BOOLEAN':
      return `${name}::int::varchar`;
    case 'DATE':
      return `case when isfinite(${name}) then (${name} - date '1970-01-01')::varchar else ${name}::varchar end`;
    case 'TIMESTAMP':
    case 'TIMESTAMPTZ':
      return `case when isfinite(${name}) then epoch_us(${name})::varchar else ${name}::varchar end`;
    case 'FLOAT':
      return floatText(name, 6);
    case 'DOUBLE':
      return floatText(name, 15);
    default:
      return `${name}::varchar`;
  }
}

function floatText(name: string, digits: number): string {
  return `case when isnan(${name}) then 'NaN' when isinf(${name}) then if(${name} > 0, 'Infinity', '-Infinity') else printf('%.${digits}g', ${name}) end`;
}
