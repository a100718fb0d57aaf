import type { CatalogTable } from './catalog.ts';
import type { SourceSession } from './source-session.ts';

/** What a reader of changed rows must know beside the rows: whether what they show may change without one of them being written. */
export interface TableShape {
  /** Another text when it did: a column dropped and added again, swapped by renames, given another type; a partition attached; a label of an enum renamed. */
  readonly stamp: string;
  /** Why a row may show something else although it was not written and no stamp tells; null when it cannot. */
  readonly opaque: string | null;
  /** Why rows cannot be asked which transaction wrote them; null when they can. */
  readonly versionless: string | null;
}

/** Reads it inside the snapshot: one query on the catalog. */
export async function readShape(session: SourceSession, table: CatalogTable): Promise<TableShape> {
  const [row] = await session.rows<{ stamp: string; named: string | null; foreign: string | null; readable: boolean }>(
    `with recursive members as (
       select $1::oid as oid
       union
       select h.inhrelid from pg_inherits h join members m on h.inhparent = m.oid
     ), columns as (
       select a.attrelid, a.attname, a.attnum, a.xmin as version, a.atttypid, a.attgenerated
         from pg_attribute a join members m on m.oid = a.attrelid
        where a.attname = any ($2::text[]) and a.attnum > 0 and not a.attisdropped
     ), types as (
       select attname, atttypid as oid from columns
       union
       select t.attname, n.oid
         from types t join pg_type y on y.oid = t.oid
        cross join lateral (
          select y.typbasetype as oid
          union all select y.typelem
          union all select r.rngsubtype from pg_range r where y.oid in (r.rngtypid, r.rngmultitypid)
          union all select f.atttypid from pg_attribute f
                     where y.typtype = 'c' and f.attrelid = y.typrelid and f.attnum > 0 and not f.attisdropped
        ) n
        where n.oid <> 0
     ), stamps (part, stamp) as (
       select 1, string_agg(concat_ws(':', c.oid, c.relkind), ' ' order by c.oid)
         from members m join pg_class c on c.oid = m.oid
       union all
       select 2, string_agg(concat_ws(':', attrelid, attnum, version), ' ' order by attrelid, attnum) from columns
       union all
       select 3, string_agg(concat_ws(':', d.oid, d.xmin), ' ' order by d.oid)
         from pg_attrdef d join columns c on c.attrelid = d.adrelid and c.attnum = d.adnum where c.attgenerated <> ''
       union all
       select 4, string_agg(concat_ws(':', e.oid, e.xmin), ' ' order by e.oid)
         from pg_enum e where e.enumtypid in (select oid from types)
       union all
       select 5, string_agg(concat_ws(':', f.attrelid, f.attnum, f.xmin), ' ' order by f.attrelid, f.attnum)
         from pg_type y join pg_attribute f on f.attrelid = y.typrelid and f.attnum > 0
        where y.typtype = 'c' and y.oid in (select oid from types)
     )
     select (select encode(sha256(convert_to(string_agg(concat_ws('=', part, stamp), '|' order by part), 'UTF8')), 'hex')
               from stamps) as stamp,
            (select min(attname::text) from types where oid::regtype::text like 'reg%' and oid < 16384) as named,
            (select min(c.relname::text) from members m join pg_class c on c.oid = m.oid left join pg_am a on a.oid = c.relam
              where c.relkind not in ('r', 'p') or (c.relkind = 'r' and a.amname <> 'heap')) as foreign,
            case when $3 in ('r', 'p') then has_column_privilege($1::oid, 'xmin', 'select') else false end as readable`,
    [table.oid, table.contract.columns.map((column) => column.name), table.kind],
  );
  if (row === undefined) throw new Error('the query on the shape of a table returned no row');
  return {
    stamp: row.stamp,
    opaque: row.named === null ? null : `${row.named} shows names of the catalog, which change without the row`,
    versionless: whyVersionless(row.foreign, row.readable, table),
  };
}

function whyVersionless(foreign: string | null, readable: boolean, table: CatalogTable): string | null {
  if (table.kind !== 'r' && table.kind !== 'p') return 'a view’s rows have no versions';
  if (foreign !== null) return `${foreign} is no table of Postgres’ own kind, whose rows tell who wrote them`;
  return readable ? null : 'the role may read single columns only, and xmin is not among them';
}
