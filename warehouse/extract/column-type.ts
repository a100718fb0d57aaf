/** The lake's types in SQL: how texts become their values, what equality must see, which type holds which. */

/** SQL over the text of one value that yields the value, or fails for a value the type cannot hold. `text` is a column reference. */
export function parseSql(text: string, duckdbType: string): string {
  if (duckdbType === 'VARCHAR') return text;
  if (['DATE', 'TIMESTAMP', 'TIMESTAMPTZ'].includes(duckdbType)) {
    // Postgres prints the era last, DuckDB reads it after the day.
    return `cast(case when ${text} like '% BC' then regexp_replace(${text}, '^(\\S+)(.*) BC$', '\\1 (BC)\\2') else ${text} end as ${duckdbType})`;
  }
  return `cast(${text} as ${duckdbType})`;
}

/** SQL for a key's value out of its text in a list of rows set aside (wire-text.ts); NULL where the text is none of the type. */
export function keyFromTextSql(text: string, duckdbType: string): string {
  const type = duckdbType.replaceAll('"', '');
  const part = (pattern: string, as: string): string => `try_cast(regexp_extract(${text}, '${pattern}', 1) as ${as})`;
  const orZero = (pattern: string): string => `coalesce(${part(pattern, 'bigint')}, 0)`;
  if (type === 'BLOB') return `case when ${text} like '\\x%' then unhex(substr(${text}, 3)) end`;
  if (type === TIMETZ) {
    const sign = `case when ${text} like '%-%' then -1 else 1 end`;
    const seconds = `${orZero('[+-](\\d+)')} * 3600 + ${orZero('[+-]\\d+:(\\d+)')} * 60 + ${orZero('[+-]\\d+:\\d+:(\\d+)')}`;
    return `struct_pack(t := ${part('^([0-9:.]+)', 'time')}, offset_s := (${sign} * (${seconds}))::integer)`;
  }
  if (type === INTERVAL) {
    const sign = `case when regexp_matches(${text}, ' -\\S+:') then -1 else 1 end`;
    const seconds = `${orZero('(\\d+):\\d+:')} * 3600 + ${orZero(':(\\d+):')} * 60`;
    const micros = `(${seconds}) * 1000000 + (${part('\\d+:\\d+:([0-9.]+)$', 'decimal(18,6)')} * 1000000)::bigint`;
    return `struct_pack(months := ${part('^(\\S+) mons', 'integer')}, days := ${part('mons (\\S+) days', 'integer')}, micros := ${sign} * (${micros}))`;
  }
  if (type.endsWith('[]')) return `try_cast('[' || substr(${text}, 2, length(${text}) - 2) || ']' as ${duckdbType})`;
  return parseSql(text, duckdbType).replace(/^cast\(/, 'try_cast(');
}

/** As DuckDB names them, without the quotes it puts around field names that are words of SQL. */
export const TIMETZ = 'STRUCT(t TIME, offset_s INTEGER)';
export const INTERVAL = 'STRUCT(months INTEGER, days INTEGER, micros BIGINT)';

/** A value as what equality must see: DuckDB holds -0.0 = 0.0, and Postgres can tell them apart. */
export function comparableSql(column: string, duckdbType: string): string {
  return /^(FLOAT|DOUBLE)(\[\])?$/.test(duckdbType) ? `${column}::VARCHAR` : column;
}

const WIDER: Readonly<Record<string, readonly string[]>> = {
  SMALLINT: ['INTEGER', 'BIGINT'],
  INTEGER: ['BIGINT'],
  FLOAT: ['DOUBLE'],
};

/** True when every value of one type is a value of the other, unchanged. */
export function widens(from: string, to: string): boolean {
  if (from === to || WIDER[from]?.includes(to) === true) return true;
  const [old, grown] = [decimalDigits(from), decimalDigits(to)];
  if (old === undefined || grown === undefined) return false;
  return grown.scale >= old.scale && grown.width - grown.scale >= old.width - old.scale;
}

function decimalDigits(type: string): { width: number; scale: number } | undefined {
  const match = /^DECIMAL\((\d+),(\d+)\)$/.exec(type);
  return match === null ? undefined : { width: Number(match[1]), scale: Number(match[2]) };
}
