import type { ParquetType } from '../../core/parquet/parquet-type.ts';
import { quoteIdentifier } from '../../core/quote.ts';
import { duckdbNameOf, parquetTypeOf, type WireScalar, type WireType } from './wire-type.ts';

/** How each Postgres type travels: as its own binary form where Parquet has the same values, else as the text Postgres prints. */

/** What happens to a value that the Parquet type cannot hold: stop, leave the row out and report it, or carry the whole column as text. */
export type MisfitPolicy = 'error' | 'quarantine' | 'text';

/** A type below any domains, as pg_type and pg_cast have it. */
export interface SourceType {
  readonly name: string;
  /** -1: none. Of an array: the modifier of its elements. */
  readonly modifier: number;
  /** True for types of pg_catalog; a user's own type of the same name travels as text. */
  readonly builtIn: boolean;
  readonly isEnum: boolean;
  /** True when a cast to text is defined, which may print otherwise than the type itself: inet, char(n), "char", users' own. */
  readonly castsToText: boolean;
  /** Of a true array, the type of its elements below any domains. */
  readonly element?: SourceType | undefined;
}

/** What must be known of the server beside the types. */
export interface ServerFacts {
  /** Digits behind the point of money, by the database's own lc_monetary. */
  readonly moneyDigits: number;
  /** True where the server does not know its texts' encoding (SQL_ASCII): each value is then checked to be UTF-8. */
  readonly unknownEncoding: boolean;
}

/** A column as the catalog has it. */
export interface SourceColumn {
  readonly name: string;
  /** As Postgres prints its type, domains and all: format_type(). */
  readonly postgresType: string;
  readonly type: SourceType;
}

export interface CarriedColumn {
  readonly name: string;
  readonly postgresType: string;
  /** The field in the select list. */
  readonly select: string;
  readonly wire: WireType;
  readonly parquet: ParquetType;
  readonly duckdbType: string;
  readonly policy: MisfitPolicy;
}

/** How a column is selected, decoded and held. Under the policy text every value arrives as Postgres prints it. */
export function carriedAs(column: SourceColumn, facts: ServerFacts, policy: MisfitPolicy): CarriedColumn {
  const own = policy === 'text' ? undefined : wireOf(column.type, facts);
  if (own === undefined) return carriedText(column, printedSql(column.name, column.type), facts, policy);
  return carried(column, quoteIdentifier(column.name), own, policy);
}

/** A column of which the select list already says how it is printed (masked columns), or of which nothing but text is wanted. */
export function carriedText(
  column: Pick<SourceColumn, 'name' | 'postgresType'>,
  select: string,
  facts: ServerFacts,
  policy: MisfitPolicy,
): CarriedColumn {
  return carried(column, select, { kind: 'text', checked: facts.unknownEncoding }, policy);
}

function carried(
  { name, postgresType }: Pick<SourceColumn, 'name' | 'postgresType'>,
  select: string,
  wire: WireType,
  policy: MisfitPolicy,
): CarriedColumn {
  const parquet = parquetTypeOf(wire);
  return { name, postgresType, select, wire, parquet, duckdbType: duckdbNameOf(parquet), policy };
}

/** Without a cast of its own a type goes to text through its output function, which is what COPY prints. num_nulls, because IS NULL also holds for a composite of NULLs. */
function printedSql(name: string, type: SourceType): string {
  const column = quoteIdentifier(name);
  if (!type.castsToText) return `${column}::text`;
  return `case when num_nulls(${column}) = 0 then format('%s', ${column}) end`;
}

function wireOf(type: SourceType, facts: ServerFacts): WireType | undefined {
  if (type.element !== undefined) {
    const element = scalarOf(type.element, facts);
    return element === undefined ? undefined : { kind: 'list', element };
  }
  if (type.builtIn && (type.name === 'timetz' || type.name === 'interval')) return { kind: type.name };
  return scalarOf(type, facts);
}

const SAME: Readonly<Record<string, WireScalar>> = {
  bool: { kind: 'bool' },
  int2: { kind: 'int2' },
  int4: { kind: 'int4' },
  int8: { kind: 'int8' },
  oid: { kind: 'uint4' },
  xid: { kind: 'uint4' },
  cid: { kind: 'uint4' },
  xid8: { kind: 'uint8' },
  float4: { kind: 'float4' },
  float8: { kind: 'float8' },
  uuid: { kind: 'uuid' },
  bytea: { kind: 'bytes' },
  jsonb: { kind: 'jsonb' },
  date: { kind: 'date' },
  time: { kind: 'time' },
  timestamp: { kind: 'timestamp', utc: false },
  timestamptz: { kind: 'timestamp', utc: true },
};
const TEXTS: ReadonlySet<string> = new Set(['text', 'varchar', 'bpchar', 'name', 'json']);

/** Undefined for what only its text tells; "char" is among that, because a byte above 127 or 0 is no text until it is printed. */
function scalarOf(type: SourceType, facts: ServerFacts): WireScalar | undefined {
  const text: WireScalar = { kind: 'text', checked: facts.unknownEncoding };
  if (type.isEnum) return text;
  if (!type.builtIn || type.element !== undefined) return undefined;
  if (type.name === 'numeric') return decimalOf(type.modifier);
  if (type.name === 'money') return { kind: 'money', digits: facts.moneyDigits };
  if (TEXTS.has(type.name)) return text;
  return Object.hasOwn(SAME, type.name) ? SAME[type.name] : undefined;
}

/** Undefined where no DECIMAL of at most 38 digits holds every value. Scales below 0 and above the precision exist since Postgres 15. */
function decimalOf(modifier: number): WireScalar | undefined {
  if (modifier < 4) return undefined;
  const precision = ((modifier - 4) >> 16) & 0xffff;
  const scale = (((modifier - 4) & 0x7ff) ^ 1024) - 1024;
  const digits = scale < 0 ? precision - scale : Math.max(precision, scale);
  return digits > 38 ? undefined : { kind: 'numeric', precision: digits, scale: Math.max(scale, 0) };
}
