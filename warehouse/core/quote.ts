/** The only ways in which TypeScript puts text into SQL. Values are bound; identifiers and the rare literal go through here. */

/** A double-quoted SQL identifier, valid in Postgres and DuckDB. Throws on NUL, which neither can hold. */
export function quoteIdentifier(name: string): string {
  if (name.includes('\0')) throw new RangeError('an SQL identifier cannot contain a NUL character');
  return `"${name.replaceAll('"', '""')}"`;
}

/** A dotted, quoted name: quotePath('gold', 'main', 'dim_tags') is "gold"."main"."dim_tags". */
export function quotePath(...names: readonly string[]): string {
  return names.map(quoteIdentifier).join('.');
}

/** A single-quoted SQL string literal, for places that take no bound value (DDL, COPY options, file lists). */
export function quoteLiteral(text: string): string {
  if (text.includes('\0')) throw new RangeError('an SQL literal cannot contain a NUL character');
  return `'${text.replaceAll("'", "''")}'`;
}
