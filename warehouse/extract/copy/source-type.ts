import type { SourceSession } from '../source-session.ts';
import type { ServerFacts, SourceColumn, SourceType } from './carried-as.ts';

/** What carriedAs() must know, read from the source's catalog. */

/** A column as the catalog has it, and what else leaves with it. */
export interface CatalogColumn extends SourceColumn {
  /** Its type below any domains, as in DDL. */
  readonly baseText: string;
  readonly notNull: boolean;
}

interface TypeRow {
  readonly column: string;
  readonly type_text: string;
  readonly is_element: boolean;
  readonly base_text: string;
  readonly not_null: boolean;
  readonly name: string;
  readonly modifier: number;
  readonly built_in: boolean;
  readonly is_enum: boolean;
  readonly is_array: boolean;
  readonly casts_to_text: boolean;
}

/** A table's columns by name, their types below any domains, those of elements too. int2vector and oidvector have elements and are no arrays. */
export async function readSourceColumns(
  session: Pick<SourceSession, 'rows'>,
  tableOid: string,
): Promise<ReadonlyMap<string, CatalogColumn>> {
  const rows = await session.rows<TypeRow>(
    `with recursive arrays as (
       select t.oid as array, t.typelem as element
         from pg_type t join pg_type e on e.oid = t.typelem and e.typarray = t.oid
     ), base as (
       select attnum, atttypid as type, atttypmod as modifier, false as is_element
         from pg_attribute where attrelid = $1::oid and attnum > 0 and not attisdropped
       union all
       select b.attnum, step.type, step.modifier, step.is_element
         from base b
         join pg_type t on t.oid = b.type
         cross join lateral (
           select t.typbasetype as type, t.typtypmod as modifier, b.is_element where t.typtype = 'd'
           union all
           select a.element, b.modifier, true from arrays a where a.array = b.type and not b.is_element
         ) step
     )
     select a.attname as column, format_type(a.atttypid, a.atttypmod) as type_text, b.is_element, t.typname as name, b.modifier,
            format_type(t.oid, b.modifier) as base_text, a.attnotnull as not_null,
            t.typnamespace = 'pg_catalog'::regnamespace as built_in, t.typtype = 'e' as is_enum,
            exists (select from arrays where arrays.array = t.oid) as is_array,
            exists (select from pg_cast c where c.castsource = t.oid and c.casttarget = 'pg_catalog.text'::regtype
                       and c.castmethod <> 'i') as casts_to_text
       from base b
       join pg_type t on t.oid = b.type and t.typtype <> 'd'
       join pg_attribute a on a.attrelid = $1::oid and a.attnum = b.attnum`,
    [tableOid],
  );
  const elements = new Map(rows.filter((row) => row.is_element).map((row) => [row.column, row]));
  return new Map(
    rows
      .filter((row) => !row.is_element)
      .map((row) => {
        const element = row.is_array ? elements.get(row.column) : undefined;
        const column: CatalogColumn = {
          name: row.column,
          postgresType: row.type_text,
          type: typeOf(row, element),
          baseText: row.base_text,
          notNull: row.not_null,
        };
        return [row.column, column];
      }),
  );
}

function typeOf(row: TypeRow, element: TypeRow | undefined): SourceType {
  return {
    name: row.name,
    modifier: row.modifier,
    builtIn: row.built_in,
    isEnum: row.is_enum,
    castsToText: row.casts_to_text,
    // An array of domains over arrays: its elements are arrays in turn, which only text tells.
    ...(element !== undefined && !element.is_array && { element: typeOf(element, undefined) }),
  };
}

/** Money is an integer, and where its point stands is a matter of lc_monetary: the one a new session would have, not the one this session is pinned to. */
export async function readServerFacts(session: Pick<SourceSession, 'rows'>): Promise<ServerFacts> {
  const [row] = await session.rows<{ encoding: string; pinned: string; own: string }>(
    `select current_setting('server_encoding') as encoding, setting as pinned, reset_val as own
       from pg_settings where name = 'lc_monetary'`,
  );
  if (row === undefined) throw new Error('pg_settings has no lc_monetary');
  await session.rows(`select set_config('lc_monetary', $1, false)`, [row.own]);
  const [one] = await session.rows<{ cents: string }>(`select encode(cash_send($1::text::money), 'hex') as cents`, [
    '1',
  ]);
  await session.rows(`select set_config('lc_monetary', $1, false)`, [row.pinned]);
  const units = Number(`0x${one?.cents ?? ''}`);
  const moneyDigits = Math.round(Math.log10(units));
  if (10 ** moneyDigits !== units) throw new Error(`one unit of money is ${units}, no power of ten`);
  return { moneyDigits, unknownEncoding: row.encoding === 'SQL_ASCII' };
}
