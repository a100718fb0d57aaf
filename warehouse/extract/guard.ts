import type { SourceSession } from './source-session.ts';

/**
 * The computed guard of cursor mode. A column that a trigger sets from now() holds the start of the transaction that wrote the row. So every row
 * committed after a snapshot has a cursor of at least the oldest transaction's start as it was BEFORE the snapshot: from there the next run reads.
 *
 *   t = clock, oldest running xact_start ──► prepared transactions ──► snapshot ──► watermark = min(newest cursor seen, oldest, t) − margin
 *
 * Order matters: read after the snapshot, a transaction in flight in it may already be gone from the list.
 */

export interface GuardReading {
  /** clock_timestamp() of the server, before the snapshot: ISO, UTC, always with microseconds, so that texts compare as instants. */
  readonly clock: string;
  /** min(clock, oldest running transaction's start). */
  readonly bound: string;
  /** Why no table's watermark can be computed in this run; null when it can. */
  readonly unprovable: string | null;
  /** True when the only obstacle is a prepared transaction: then an older watermark stays valid. */
  readonly prepared: boolean;
  /** WAL timeline: after a failover the clock is another server's, and numbers of lost transactions are given out again. `unknown` where the role may not ask. */
  readonly timeline: string;
  /** When the server's statistics began: a recovery from a crash resets them, and it too may give numbers out again. */
  readonly epoch: string;
  readonly standby: boolean;
  readonly lsn: string | null;
}

/** Transactions set their start a moment before they show it; and timestamptz(n) rounds. */
export const GUARD_MARGIN_SECONDS = 5;

/**
 * Must run outside any transaction, before the snapshot is taken. A session without a state, to a role that may see all, is one that is still
 * connecting: it has not run a statement, and one that hides itself says so (disabled) before its first.
 */
export async function readGuard(session: SourceSession): Promise<GuardReading> {
  const [activity] = await session.rows<{
    clock: string;
    bound: string;
    sees_all: boolean;
    hidden: boolean;
    replica: boolean;
    epoch: string | null;
    may_read_control: boolean;
  }>(
    `with t as materialized (select clock_timestamp() as clock)
     select to_char(t.clock at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as clock,
            least(t.clock, (select min(a.xact_start) from pg_stat_activity a
                             where a.datname = current_database() and a.pid <> pg_backend_pid()))::text as bound,
            pg_has_role(current_user, 'pg_read_all_stats', 'usage') as sees_all,
            exists (select from pg_stat_activity a
                     where a.datname = current_database() and a.pid <> pg_backend_pid() and a.state = 'disabled') as hidden,
            pg_is_in_recovery() as replica,
            (select stats_reset::text from pg_stat_bgwriter) as epoch,
            has_function_privilege('pg_catalog.pg_control_checkpoint()', 'execute') as may_read_control
       from t`,
  );
  const [prepared] = await session.rows<{ some: boolean }>(
    'select exists (select from pg_prepared_xacts where database = current_database()) as some',
  );
  if (activity === undefined || prepared === undefined) throw new Error('the guard query returned no row');
  const [wal] = activity.replica
    ? []
    : await session.rows<{ lsn: string; timeline: string }>(
        'select pg_current_wal_lsn()::text as lsn, left(pg_walfile_name(pg_current_wal_lsn()), 8) as timeline',
      );
  // A standby's own history never goes back; its last restart point names the timeline of the backup it was made from, or a later one.
  const [control] =
    activity.replica && activity.may_read_control
      ? await session.rows<{ timeline: string }>(
          `select lpad(upper(to_hex(timeline_id)), 8, '0') as timeline from pg_control_checkpoint()`,
        )
      : [];
  const why = activity.replica
    ? 'a replica does not show what runs on its primary'
    : !activity.sees_all
      ? 'the role lacks pg_read_all_stats and cannot see when other sessions began'
      : activity.hidden
        ? 'a session has track_activities off and hides its transaction'
        : null;
  return {
    clock: activity.clock,
    bound: activity.bound,
    unprovable: why ?? (prepared.some ? 'a prepared transaction has no known start' : null),
    prepared: why === null && prepared.some,
    timeline: wal?.timeline ?? control?.timeline ?? 'unknown',
    epoch: activity.epoch ?? 'unknown',
    standby: activity.replica,
    lsn: wal?.lsn ?? null,
  };
}
