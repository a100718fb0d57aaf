import type { CatalogTable } from './catalog.ts';
import type { SourceSession } from './source-session.ts';

/** A whole read in parts: ranges of a table's own pages, disjoint and complete within one snapshot. */

export interface TablePart {
  /** Condition for Postgres; null is the whole table. */
  readonly where: string | null;
  readonly pages: number;
}

/** Parts get as many pages as give about this many bytes of heap. */
export const PART_BYTES = 256 * 2 ** 20;

/**
 * Ranges of ctid. Pages are counted as of now: what is appended meanwhile is not visible in the snapshot, and the last part has no end anyway.
 * A partitioned or inherited table is cut at the same page numbers in each of its leaves. Other access methods than heap give ctid
 * another meaning: their tables, views and foreign leaves are one part.
 */
export async function planParts(
  session: SourceSession,
  table: Pick<CatalogTable, 'oid' | 'kind'>,
  partBytes = PART_BYTES,
): Promise<readonly TablePart[]> {
  const whole = (pages: number): readonly TablePart[] => [{ where: null, pages }];
  if (table.kind !== 'r' && table.kind !== 'p') return whole(0);
  const leaves = await session.rows<{ pages: number; heap: boolean; block: number }>(
    `with recursive leaf as (
       select $1::oid as oid
       union
       select h.inhrelid from leaf join pg_inherits h on h.inhparent = leaf.oid
     )
     select (pg_relation_size(c.oid) / current_setting('block_size')::int)::float8 as pages,
            c.relkind = 'r' and am.amname = 'heap' as heap, current_setting('block_size')::int as block
       from leaf join pg_class c on c.oid = leaf.oid left join pg_am am on am.oid = c.relam
      where c.relkind <> 'p'`,
    [table.oid],
  );
  const pages = leaves.reduce((sum, leaf) => sum + leaf.pages, 0);
  const longest = Math.max(0, ...leaves.map((leaf) => leaf.pages));
  const count = Math.ceil((pages * (leaves[0]?.block ?? 0)) / partBytes);
  if (count <= 1 || !leaves.every((leaf) => leaf.heap)) return whole(pages);
  const step = Math.ceil(longest / count);
  return Array.from({ length: Math.ceil(longest / step) }, (_, i): TablePart => {
    const [from, to] = [i * step, (i + 1) * step];
    const conditions = [
      ...(i === 0 ? [] : [`ctid >= '(${from},0)'::tid`]),
      ...(to >= longest ? [] : [`ctid < '(${to},0)'::tid`]),
    ];
    const covered = leaves.reduce((sum, leaf) => sum + Math.max(0, Math.min(to, leaf.pages) - from), 0);
    return { where: conditions.length === 0 ? null : conditions.join(' and '), pages: covered };
  });
}
