/** How each Postgres type travels: COPY prints it, DuckDB parses it, and the pair is exact or the value is refused. */

export interface PostgresType {
  /** pg_type.typname of the type below any domains, and its modifier (-1: none). */
  readonly name: string;
  readonly modifier: number;
  /** True for types of pg_catalog; a user's own type of the same name travels as text. */
  readonly builtIn: boolean;
}

const EXACT: Readonly<Record<string, string>> = {
  bool: 'BOOLEAN',
  int2: 'SMALLINT',
  int4: 'INTEGER',
  int8: 'BIGINT',
  float4: 'FLOAT',
  float8: 'DOUBLE',
  uuid: 'UUID',
  date: 'DATE',
  timestamp: 'TIMESTAMP',
  timestamptz: 'TIMESTAMPTZ',
};

/** The Parquet column's type as DuckDB names it. What has no exact counterpart arrives as the text Postgres prints. */
export function duckdbTypeOf(type: PostgresType): string {
  if (!type.builtIn) return 'VARCHAR';
  if (type.name === 'numeric') return decimalType(type.modifier) ?? 'VARCHAR';
  return EXACT[type.name] ?? 'VARCHAR';
}

/** DECIMAL for numeric(p,s), undefined where no DECIMAL of at most 38 digits holds every value. Scales below 0 and above p exist since Postgres 15. */
function decimalType(modifier: number): string | undefined {
  if (modifier < 4) return undefined;
  const precision = ((modifier - 4) >> 16) & 0xffff;
  const scale = (((modifier - 4) & 0x7ff) ^ 1024) - 1024;
  const digits = scale < 0 ? precision - scale : Math.max(precision, scale);
  return digits > 38 ? undefined : `DECIMAL(${digits},${Math.max(scale, 0)})`;
}

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
  return duckdbType === 'FLOAT' || duckdbType === 'DOUBLE' ? `${column}::VARCHAR` : column;
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
