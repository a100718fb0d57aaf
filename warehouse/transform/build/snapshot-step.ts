import type { DuckDb } from '../../core/duckdb.ts';
import { SluiceError } from '../../core/errors.ts';
import { quoteIdentifier, quoteLiteral } from '../../core/quote.ts';
import type { CompiledModel, SnapshotRule } from '../model.ts';
import { IS_CURRENT, IS_DELETED, VALID_FROM, VALID_TO } from '../snapshot-rule.ts';
import { keepWinners } from './one-row-per-key.ts';
import { countRows, type StoredColumn } from './warehouse-engine.ts';

/**
 * One moment of a snapshot: the rows as they are then, held against the current versions.
 *
 *   NEXT (the SELECT's rows) ─┬─ key has no current version ──► opened at the time of the change, not before its last version ended
 *   WORK (versions)          ─┼─ row changed ────────────────► the current version closed, the next opened, both at that time
 *                             └─ current version without row ► closed; with new_record a version opened that says is_deleted
 *
 * Versions of a key follow one another by at least a microsecond, so that (key, valid_from) is unique and valid_to > valid_from.
 */
export interface SnapshotStep {
  readonly db: DuckDb;
  readonly model: CompiledModel;
  readonly rule: SnapshotRule;
  /** Columns of the SELECT. */
  readonly columns: readonly StoredColumn[];
  /** SELECT of the stored history's closed versions, for keys that come back; undefined for a new snapshot. */
  readonly closedBefore: string | undefined;
}

/** Current versions and what this run made of them: the snapshot's columns. */
export const WORK = quoteIdentifier('_sluice_versions');
const NEXT = quoteIdentifier('_sluice_next');
const CLOSED = quoteIdentifier('_sluice_closed');
const FRESH = quoteIdentifier('_sluice_fresh');
const ENDED = quoteIdentifier('_sluice_ended');
const AT = quoteIdentifier('_sluice_at');
const THERE = quoteIdentifier('_sluice_there');
const TICK = 'interval 1 microsecond';

/** `instant`: when the SELECT's rows were true, as text of a TIMESTAMPTZ. Errors: KEY_NOT_UNIQUE, SNAPSHOT_TIME_INVALID. */
export async function takeStep(step: SnapshotStep, instant: string): Promise<void> {
  const { db, model, rule } = step;
  const at = `${quoteLiteral(instant)}::timestamptz`;
  try {
    await db.run(`create or replace temp table ${NEXT} as ${model.sql}`);
    await keepWinners(db, NEXT, model, rule.key, instant);
    await requireTimes(step);
    await db.run(`create or replace temp table ${CLOSED} as ${closedSql(step, at)}`);
    await db.run(
      `create or replace temp table ${FRESH} as
       select next.* from ${NEXT} as next anti join (select * from ${WORK} where ${IS_CURRENT}) as cur on ${same(rule, 'next', 'cur')}`,
    );
    const fresh = await countRows(db, FRESH);
    const opened = [changedSql(step), ...deletedSql(step)];
    if (fresh > 0) {
      await db.run(`create or replace temp table ${ENDED} as ${endedSql(step)}`);
      opened.push(freshSql(step, at));
    }
    await db.run(`create or replace temp table ${OPENED} as ${opened.join(' union all by name ')}`);
    await db.run(
      `update ${WORK} as cur set ${VALID_TO} = closed.${AT}, ${IS_CURRENT} = false
       from ${CLOSED} as closed where cur.${IS_CURRENT} and ${same(rule, 'cur', 'closed')}`,
    );
    await db.run(`insert into ${WORK} by name select * from ${OPENED}`);
  } finally {
    for (const table of [NEXT, CLOSED, FRESH, ENDED, OPENED]) await db.run(`drop table if exists ${table}`);
  }
}

const OPENED = quoteIdentifier('_sluice_opened');

/** valid_to of a current version. */
export function openEndSql({ openEnd }: SnapshotRule): string {
  return openEnd === undefined ? 'null::timestamptz' : `${quoteLiteral(openEnd)}::timestamptz`;
}

function same({ key }: SnapshotRule, one: string, other: string): string {
  return key
    .map((name) => `${one}.${quoteIdentifier(name)} is not distinct from ${other}.${quoteIdentifier(name)}`)
    .join(' and ');
}

async function requireTimes({ db, model, rule }: SnapshotStep): Promise<void> {
  if (rule.change.kind !== 'timestamp') return;
  const column = quoteIdentifier(rule.change.updatedAt);
  const keys = rule.key.map(quoteIdentifier).join(', ');
  const [row] = await db.rows<Record<string, string | null>>(
    `select columns(*)::varchar from (
       select ${keys}, ${column} as ${AT} from ${NEXT} where ${column} is null or not isfinite(${column}) order by all limit 1)`,
  );
  if (row === undefined) return;
  const shown = rule.key.map((name) => `${name} ${row[name] ?? 'NULL'}`).join(', ');
  throw new SluiceError(
    'SNAPSHOT_TIME_INVALID',
    `${model.name} (${model.file}): the row ${shown} has the ${rule.change.updatedAt} ${row['_sluice_at'] ?? 'NULL'}, which is no time of a change.`,
    {
      remedy: 'Give it a time in the SELECT (coalesce), leave the row out, or use `strategy: check`.',
      details: { model: model.name, row },
    },
  );
}

/** The time a row itself gives for its change; undefined where the run's instant is all there is. */
function ownTime({ change }: SnapshotRule, alias: string): string | undefined {
  return change.kind === 'timestamp' ? `${alias}.${quoteIdentifier(change.updatedAt)}::timestamptz` : undefined;
}

/** Current versions that end at this moment, with the time. */
function closedSql({ rule, columns }: SnapshotStep, at: string): string {
  const keeps = rule.hardDeletes === 'new_record';
  const own = ownTime(rule, 'next');
  const change = own ?? at;
  // A deleted row that is back carries its old time as often as not: then it is back since this moment.
  const back = own === undefined ? at : `case when ${own} > cur.${VALID_FROM} then ${own} else ${at} end`;
  const time = `case when next.${THERE} is null then ${at} ${keeps ? `when cur.${IS_DELETED} then ${back} ` : ''}else ${change} end`;
  const gone = { close: 'true', ignore: 'false', new_record: `not cur.${IS_DELETED}` }[rule.hardDeletes];
  const changed = `${keeps ? `cur.${IS_DELETED} or ` : ''}${changeSql(rule, columns)}`;
  return `select ${rule.key.map((name) => `cur.${quoteIdentifier(name)}`).join(', ')}, next.${THERE},
       greatest(${time}, cur.${VALID_FROM} + ${TICK}) as ${AT}
     from (select * from ${WORK} where ${IS_CURRENT}) as cur
     left join (select *, true as ${THERE} from ${NEXT}) as next on ${same(rule, 'cur', 'next')}
     where case when next.${THERE} is null then ${gone} else ${changed} end`;
}

function changeSql({ change, key }: SnapshotRule, columns: readonly StoredColumn[]): string {
  if (change.kind === 'timestamp') {
    const column = quoteIdentifier(change.updatedAt);
    // NULL only in versions kept from before the column was there.
    return `(next.${column} > cur.${column} or cur.${column} is null)`;
  }
  const watched = new Set(
    (change.columns === 'all' ? columns.map(({ name }) => name) : change.columns).map((name) => name.toLowerCase()),
  );
  for (const name of key) watched.delete(name.toLowerCase());
  // By value and not by text: DuckDB's files turn -0.0 into 0.0, which must not look like a change at every build.
  const differs = columns.flatMap(({ name }) => {
    const column = quoteIdentifier(name);
    return watched.has(name.toLowerCase()) ? [`next.${column} is distinct from cur.${column}`] : [];
  });
  return differs.length === 0 ? 'false' : `(${differs.join(' or ')})`;
}

function version(step: SnapshotStep, alias: string, from: string, isDeleted: boolean): string {
  const { rule, columns } = step;
  const list = columns.map(({ name }) => `${alias}.${quoteIdentifier(name)}`);
  const flag = rule.hardDeletes === 'new_record' ? `, ${String(isDeleted)} as ${IS_DELETED}` : '';
  return `${list.join(', ')}, ${from} as ${VALID_FROM}, ${openEndSql(rule)} as ${VALID_TO}, true as ${IS_CURRENT}${flag}`;
}

function changedSql(step: SnapshotStep): string {
  return `select ${version(step, 'next', `closed.${AT}`, false)} from ${NEXT} as next
     join ${CLOSED} as closed on ${same(step.rule, 'next', 'closed')} where closed.${THERE}`;
}

function deletedSql(step: SnapshotStep): readonly string[] {
  if (step.rule.hardDeletes !== 'new_record') return [];
  return [
    `select ${version(step, 'cur', `closed.${AT}`, true)} from (select * from ${WORK} where ${IS_CURRENT}) as cur
     join ${CLOSED} as closed on ${same(step.rule, 'cur', 'closed')} where closed.${THERE} is null`,
  ];
}

/** When the last version of each fresh key ended, for keys that were there before. */
function endedSql({ rule, closedBefore }: SnapshotStep): string {
  const keys = rule.key.map(quoteIdentifier).join(', ');
  const closed = [`select ${keys}, ${VALID_TO} from ${WORK} where not ${IS_CURRENT}`];
  if (closedBefore !== undefined) closed.push(`select ${keys}, ${VALID_TO} from (${closedBefore})`);
  return `select ${rule.key.map((name) => `old.${quoteIdentifier(name)}`).join(', ')}, max(old.${VALID_TO}) as ${AT}
     from (${closed.join(' union all ')}) as old semi join ${FRESH} as fresh on ${same(rule, 'old', 'fresh')}
     group by all`;
}

function freshSql(step: SnapshotStep, at: string): string {
  const own = ownTime(step.rule, 'fresh');
  const back = `greatest(${at}, ended.${AT})`;
  const from =
    own === undefined ? back : `case when ended.${AT} is null or ${own} > ended.${AT} then ${own} else ${back} end`;
  return `select ${version(step, 'fresh', from, false)} from ${FRESH} as fresh
     left join ${ENDED} as ended on ${same(step.rule, 'fresh', 'ended')}`;
}
