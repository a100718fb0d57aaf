import type { DuckDbQueries } from '../core/duckdb.ts';
import { GUARD_MARGIN_SECONDS } from './guard.ts';
import { duckdbInstant, readInstant } from './instant.ts';

/** From where the next run reads a cursor column: instants as texts in UTC. */
export interface CursorFacts {
  /** The newest that was read; null when nothing was. */
  readonly newest: string | null;
  /** Nothing older than this can still appear. */
  readonly bound: string;
  /** The watermark so far, which stays valid. */
  readonly kept: string | null;
}

/** The older of what was read and of what is safe, less the margin; never behind the watermark so far. DuckDB is asked for texts that only it reads. */
export async function nextCursorValue(db: Pick<DuckDbQueries, 'rows'>, facts: CursorFacts): Promise<string> {
  const own = plainCursorValue(facts);
  if (own !== undefined) return own;
  const { newest, bound, kept } = facts;
  const [row] = await db.rows<{ value: string }>(
    `select greatest(least($1::timestamptz, $2::timestamptz) - interval ${GUARD_MARGIN_SECONDS} seconds, $3::timestamptz)::varchar as value`,
    [newest ?? bound, bound, kept],
  );
  if (row === undefined) throw new TypeError('DuckDB gave no row for a watermark');
  return row.value;
}

/** The same without DuckDB, which takes longer to open than most first loads have left; undefined for years before 1 or after 9999 and for infinity. */
export function plainCursorValue({ newest, bound, kept }: CursorFacts): string | undefined {
  const most = readInstant(bound);
  const seen = newest === null ? most : readInstant(newest);
  const least = kept === null ? undefined : readInstant(kept);
  if (most === undefined || seen === undefined || (kept !== null && least === undefined)) return undefined;
  const next = (seen < most ? seen : most) - BigInt(GUARD_MARGIN_SECONDS) * 1_000_000n;
  return duckdbInstant(least !== undefined && least > next ? least : next);
}
