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

/** The same, NULL where the value does not fit. */
export function tryParseSql(text: string, duckdbType: string): string {
  return parseSql(text, duckdbType).replace(/^cast\(/, 'try_cast(');
}

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
