import { type Day, instant } from './calendar.ts';
import type { Row, TableName } from './rows.ts';

/**
 * One row's whole life, decided beforehand: what the application's table holds at the end of any day is a pure function of the
 * seed and that day. Loading writes the state of one day; evolving writes what differs between a day and the next.
 */
export interface Entity {
  readonly table: TableName;
  /** The row at the end of a day; undefined while it does not exist. */
  at(day: Day): Row | undefined;
  /** False only when the row is surely the same at the end of this day as of the day before. */
  mayChangeOn(day: Day): boolean;
}

/** A change of an entity on a day. */
export interface Change {
  readonly table: TableName;
  readonly kind: 'insert' | 'update' | 'delete';
  readonly row: Row;
}

/** What happened to the row on this day, if anything. A newer updated_at alone is no change: the trigger sets it. */
export function changeOn(entity: Entity, day: Day): Change | undefined {
  if (!entity.mayChangeOn(day)) return undefined;
  const before = entity.at(day - 1);
  const after = entity.at(day);
  const { table } = entity;
  if (after === undefined) return before === undefined ? undefined : { table, kind: 'delete', row: before };
  if (before === undefined) return { table, kind: 'insert', row: after };
  return isSameRow(before, after) ? undefined : { table, kind: 'update', row: after };
}

function isSameRow(before: Row, after: Row): boolean {
  return Object.keys(after).every((column) => column === 'updated_at' || before[column] === after[column]);
}

/** The instant of the latest of some days that are not after `today`. */
export function latestInstant(today: Day, microseconds: number, ...days: readonly Day[]): string {
  let latest = Number.NEGATIVE_INFINITY;
  for (const day of days) if (day <= today && day > latest) latest = day;
  return instant(latest, microseconds);
}

export const NEVER: Day = Number.POSITIVE_INFINITY;
