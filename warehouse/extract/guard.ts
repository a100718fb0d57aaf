import type { CatalogTable } from './catalog.ts';
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
  /** WAL timeline: after a failover the clock is another server's. */
  readonly timeline: string;
  readonly lsn: string | null;
}

/** Transactions set their start a moment before they show it; and timestamptz(n) rounds. */
export const GUARD_MARGIN_SECONDS = 5;

/** Must run outside any transaction, before the snapshot is taken. */
export async function readGuard(session: SourceSession): Promise<GuardReading> {
  const [activity] = await session.rows<{
    clock: string;
    bound: string;
    sees_all: boolean;
    hidden: boolean;
    replica: boolean;
  }>(
    `with t as materialized (select clock_timestamp() as clock)
     select to_char(t.clock at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as clock,
            least(t.clock, (select min(a.xact_start) from pg_stat_activity a
                             where a.datname = current_database() and a.pid <> pg_backend_pid()))::text as bound,
            pg_has_role(current_user, 'pg_read_all_stats', 'usage') as sees_all,
            exists (select from pg_stat_activity a
                     where a.datname = current_database() and a.pid <> pg_backend_pid()
                       and (a.state = 'disabled' or (a.state is null and a.backend_type = 'client backend'))) as hidden,
            pg_is_in_recovery() as replica
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
    timeline: wal?.timeline ?? 'replica',
    lsn: wal?.lsn ?? null,
  };
}

/** Either the proof that a database trigger sets the cursor of every row, as a text that changes when anything of it is touched, or why not. */
export type CursorProof = { readonly proof: string } | { readonly why: string };

interface TriggerRow {
  readonly relation: string;
  readonly name: string;
  readonly insert: boolean;
  readonly update: boolean;
  readonly always: boolean;
  readonly narrowed: boolean;
  readonly language: string;
  readonly source: string;
  readonly stamp: string;
}

/** Reads the proof inside the snapshot: a trigger visible there was created after all writers without it had ended. */
export async function proveCursor(session: SourceSession, table: CatalogTable, timeline: string): Promise<CursorProof> {
  const cursor = table.definition.cursor;
  if (cursor === undefined) return { why: 'no cursor is declared' };
  if (cursor.setBy === 'application') return { why: `${cursor.column} is set by the application` };
  const type = table.contract.columns.find((column) => column.name === cursor.column)?.duckdbType;
  if (type !== 'TIMESTAMPTZ') return { why: `${cursor.column} is not a timestamptz` };
  if (table.kind !== 'r' && table.kind !== 'p') return { why: 'a view has no trigger that sets its cursor' };
  const [shape] = await session.rows<{ leaves: string[]; children: boolean; subscribed: boolean }>(
    `with leaves as (
       select l.relid::oid as oid from pg_partition_tree($1::oid::regclass) l where l.isleaf
       union select $1::oid where (select relkind from pg_class where oid = $1::oid) = 'r'
     )
     select (select array_agg(oid::text order by oid) from leaves) as leaves,
            exists (select from pg_inherits h join pg_class p on p.oid = h.inhparent
                     where p.relkind = 'r' and h.inhparent in (select oid from leaves)) as children,
            exists (select from pg_subscription_rel s where s.srrelid in (select oid from leaves)) as subscribed`,
    [table.oid],
  );
  if (shape?.children === true) return { why: 'tables inherit from it, and inheritance leaves triggers behind' };
  const leaves = shape?.leaves ?? [];
  const triggers = await session.rows<TriggerRow>(
    `select t.tgrelid::text as relation, t.tgname as name, t.tgtype & 4 = 4 as insert, t.tgtype & 16 = 16 as update,
            t.tgenabled = 'A' as always, t.tgqual is not null or t.tgattr::text <> '' as narrowed,
            l.lanname as language, p.prosrc as source,
            concat_ws(':', t.oid, t.xmin, p.oid, p.xmin) as stamp
       from pg_trigger t join pg_proc p on p.oid = t.tgfoid join pg_language l on l.oid = p.prolang
      where t.tgrelid = any ($1::oid[]) and not t.tgisinternal and t.tgenabled in ('O', 'A') and t.tgtype & 3 = 3
      order by t.tgrelid, t.tgname collate "C"`,
    [leaves],
  );
  const stamps = [timeline];
  for (const leaf of leaves) {
    const own = triggers.filter((trigger) => trigger.relation === leaf);
    const problem = leafProblem(own, cursor.column, shape?.subscribed === true);
    if (problem !== null) return { why: problem };
    stamps.push(leaf, ...own.map((trigger) => trigger.stamp));
  }
  return { proof: stamps.join(' ') };
}

/** Insert and update must each end with a trigger that sets the column in every case, and no trigger after it may touch it. */
function leafProblem(triggers: readonly TriggerRow[], column: string, subscribed: boolean): string | null {
  for (const event of ['insert', 'update'] as const) {
    const fired = triggers.filter((trigger) => trigger[event]);
    const at = fired.findLastIndex((trigger) => !trigger.narrowed && setsFromNow(trigger, column));
    const setter = fired[at];
    if (setter === undefined) return `no trigger sets ${column} from now() before every ${event}`;
    const after = fired
      .slice(at + 1)
      .find((trigger) => trigger.language !== 'plpgsql' || mentions(trigger.source, column));
    if (after !== undefined) return `the trigger ${after.name} may set ${column} after ${setter.name}`;
    if (subscribed && !setter.always)
      return `replicated rows skip the trigger ${setter.name} (it is not enabled always)`;
  }
  return null;
}

/** Only a body of plain assignments is accepted: anything conditional could leave the column as it was. */
function setsFromNow(trigger: TriggerRow, column: string): boolean {
  if (trigger.language !== 'plpgsql') return false;
  const body = trigger.source
    .replace(/--[^\n]*/g, ' ')
    .replace(/\/\*[\s\S]*?\*\//g, ' ')
    .trim();
  const block = /^begin\s+((?:new\s*\.\s*[^;]+?:?=[^;]+;\s*)+)return\s+new\s*;\s*end\s*;?$/i.exec(body);
  const statements = block?.[1]?.split(';') ?? [];
  const assignments = statements.flatMap((statement) => {
    const match = /^\s*new\s*\.\s*("(?:[^"]|"")+"|[a-z_][a-z0-9_$]*)\s*:?=\s*([\s\S]+?)\s*$/i.exec(statement);
    return match === null ? [] : [{ target: unquote(match[1] ?? ''), value: match[2] ?? '' }];
  });
  const last = assignments.findLast((assignment) => assignment.target === column);
  return last !== undefined && NOW.test(last.value);
}

const NOW =
  /^(?:(?:pg_catalog\s*\.\s*)?(?:now|transaction_timestamp|statement_timestamp|clock_timestamp)\s*\(\s*\)|current_timestamp)$/i;

function unquote(name: string): string {
  return name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name.toLowerCase();
}

/** True when a function might write the column: it names it, or writes NEW whole or by a name computed at run time. */
function mentions(source: string, column: string): boolean {
  const text = source.toLowerCase();
  return text.includes(column.toLowerCase()) || /\bexecute\b|\bnew\s*:?=|\binto\s+new\b|json|record|hstore/.test(text);
}
