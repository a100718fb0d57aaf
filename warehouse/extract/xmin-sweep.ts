import type { CursorWatermark, SweepMark } from '../core/bronze-commit.ts';
import { quoteLiteral, quotePath } from '../core/quote.ts';
import type { CatalogTable } from './catalog.ts';
import type { GuardReading } from './guard.ts';
import type { SourceSession } from './source-session.ts';
import type { TableShape } from './table-shape.ts';

/**
 * The sweep: rows are found by the transaction that wrote them. Let S be the snapshot of the last read and S' this one's. Every transaction that S
 * did not see has a number of at least S.xmin (subtransactions come after their parents, prepared ones count as running), so what changed is among
 *
 *   rows visible in S' with S.xmin ≤ xmin < next number     asked as     age(xmin) between 1 and age(S.xmin)
 *
 * docs/decisions/0010 tells why no row is missed, also behind a wraparound, and what voids S.
 */

/** A column of this name no table can have. */
export const XMIN = 'xmin';

/** Ages are 32-bit and signed; the numbers given out while this snapshot reads need room, too. */
const FURTHEST = 2_000_000_000n;
/** A mark so far back is renewed even when nothing changed, long before it is too old. */
const STALE = 500_000_000n;
/** Numbers of transactions that a mark of a table without a key may name. */
const SEEN_MOST = 5_000;

export interface Snapshot {
  readonly xmin: bigint;
  readonly xmax: bigint;
}

export function parseSnapshot(id: string): Snapshot {
  const [xmin = '', xmax = ''] = id.split(':');
  return { xmin: BigInt(xmin), xmax: BigInt(xmax) };
}

/** Either under what a mark written now stays valid, as a text that changes when that does, or why none can be written. */
export type SweepProof = { readonly proof: string } | { readonly why: string };

export function proveSweep(shape: TableShape, guard: GuardReading, systemIdentifier: string | null): SweepProof {
  const why = shape.opaque ?? shape.versionless;
  if (why !== null) return { why };
  if (systemIdentifier === null || guard.timeline === 'unknown' || guard.epoch === 'unknown')
    return { why: 'the role may not read which cluster and timeline this is' };
  return { proof: `${systemIdentifier} ${guard.timeline} ${guard.epoch} ${shape.stamp}` };
}

/** Why a sweep from this mark would not be sound now; null when it is. */
export function whyNoSweep(mark: SweepMark | undefined, proof: SweepProof, now: string): string | null {
  if ('why' in proof) return proof.why;
  if (mark === undefined) return 'no snapshot to begin at';
  if (mark.proof !== proof.proof) return 'its columns or partitions or the server changed';
  const [then, current] = [parseSnapshot(mark.snapshot), parseSnapshot(now)];
  if (current.xmax < then.xmax) return 'the server’s count of transactions went back';
  if (current.xmax - then.xmin > FURTHEST) return 'the last read is more than 2,000,000,000 transactions ago';
  return null;
}

/** True when no transaction became visible in between. Standbys do not list who runs, so theirs tell only when nobody does. */
export function sawTheSame(then: string, now: string, isStandby: boolean): boolean {
  if (then !== now) return false;
  const { xmin, xmax } = parseSnapshot(now);
  return !isStandby || xmin === xmax;
}

/** Condition for Postgres on the rows that a sweep from this mark brings: a superset of what changed, exactly that where the mark names what was seen. */
export function sweptSql(mark: SweepMark): string {
  const found = `age(xmin) between 1 and age(${xidSql(parseSnapshot(mark.snapshot).xmin)})`;
  if (mark.seen === undefined || mark.seen.length === 0) return found;
  return `(${found} and not xmin = any (${quoteLiteral(`{${mark.seen.join(',')}}`)}::xid[]))`;
}

/** pg_current_snapshot() counts in 64 bits, rows in the lower 32. */
function xidSql(xid: bigint): string {
  return `${quoteLiteral(String(xid % 2n ** 32n))}::xid`;
}

/** True when the mark should move: rows were read and it gets ahead, or it grows old. Otherwise a quiet table costs no commit. */
function isWorthMoving(before: SweepMark, after: SweepMark, rowsRead: number): boolean {
  const [then, now] = [parseSnapshot(before.snapshot), parseSnapshot(after.snapshot)];
  const sawOthers = before.seen?.toSorted().join() !== after.seen?.toSorted().join();
  return (rowsRead > 0 && (now.xmin > then.xmin || sawOthers)) || now.xmax - then.xmin > STALE;
}

/** What a table without a key must be counted for: there rows read twice could not be told apart, and rows that went would stay. */
export interface AppendCount {
  /** Rows that the mark did not see. */
  readonly fresh: number;
  /** All rows. */
  readonly total: number;
  /** Which of the transactions that are not before every running one have rows here; null when they are too many to name. */
  readonly seen: readonly string[] | null;
}

/** One scan of the table inside the snapshot. */
export async function countAppended(
  session: SourceSession,
  table: CatalogTable,
  mark: SweepMark | null,
  now: string,
): Promise<AppendCount> {
  const { xmin, xmax } = parseSnapshot(now);
  const unsettled = xmin === xmax ? 'false' : `age(xmin) between 1 and age(${xidSql(xmin)})`;
  const [row] = await session.rows<{ fresh: string; total: string; seen: string[] | null }>(
    `select count(*) filter (where ${mark === null ? 'true' : sweptSql(mark)})::text as fresh, count(*)::text as total,
            (array_agg(distinct xmin::text) filter (where ${unsettled}))[1:${SEEN_MOST + 1}] as seen
       from ${quotePath(table.schema, table.table)}`,
  );
  const seen = row?.seen ?? [];
  return {
    fresh: Number(row?.fresh ?? 0),
    total: Number(row?.total ?? 0),
    seen: seen.length > SEEN_MOST ? null : seen,
  };
}

/** True when the commit must name the table for its watermark's sake. */
export function isWatermarkMoved(
  before: CursorWatermark | null,
  after: CursorWatermark | null,
  rowsRead: number,
): boolean {
  if (before === null || after === null) return before !== after;
  if (before.column !== after.column || before.proof !== after.proof) return true;
  if (before.column !== XMIN && before.value !== after.value) return true;
  if (before.sweep === undefined || after.sweep === undefined) return before.sweep !== after.sweep;
  return before.sweep.proof !== after.sweep.proof || isWorthMoving(before.sweep, after.sweep, rowsRead);
}

/** The watermark of a table that has no cursor to go by. */
export function xminWatermark(mark: SweepMark): CursorWatermark {
  return { column: XMIN, value: mark.snapshot, proof: mark.proof, sweep: mark };
}
