import type { IsoDate } from '../warehouse/core/clock.ts';

/** A calendar day as the number of days since 1970-01-01. */
export type Day = number;

const MS_PER_DAY = 86_400_000;
const isoDates = new Map<Day, IsoDate>();

export function isoDate(day: Day): IsoDate {
  let text = isoDates.get(day);
  if (text === undefined) {
    text = new Date(day * MS_PER_DAY).toISOString().slice(0, 10);
    isoDates.set(day, text);
  }
  return text;
}

export function dayOf(date: IsoDate): Day {
  return Date.parse(`${date}T00:00:00Z`) / MS_PER_DAY;
}

/** An instant on a UTC day, to the microsecond, as Postgres reads it. */
export function instant(day: Day, microseconds: number): string {
  const seconds = Math.floor(microseconds / 1_000_000);
  const time = `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  return `${isoDate(day)} ${time}.${String(microseconds % 1_000_000).padStart(6, '0')}+00`;
}

const two = (value: number): string => (value < 10 ? `0${value}` : String(value));

/** 0 = Monday … 6 = Sunday. */
export function weekdayOf(day: Day): number {
  // 1970-01-01 was a Thursday
  return (((day + 3) % 7) + 7) % 7;
}

const daysOfMonth = new Map<Day, number>();

export function dayOfMonth(day: Day): number {
  let number = daysOfMonth.get(day);
  if (number === undefined) {
    number = Number(isoDate(day).slice(8));
    daysOfMonth.set(day, number);
  }
  return number;
}

/** 1 … 12 */
export function monthOf(day: Day): number {
  return Number(isoDate(day).slice(5, 7));
}

/** Months since year 0, for counting whole months. */
export function monthIndex(day: Day): number {
  return Number(isoDate(day).slice(0, 4)) * 12 + monthOf(day) - 1;
}

export function isLastOfMonth(day: Day): boolean {
  return dayOfMonth(day + 1) === 1;
}

/** True when the n-th of the month falls on this day; months too short have it on their last day. */
export function isNthOfMonth(day: Day, n: number): boolean {
  const today = dayOfMonth(day);
  return today === n || (today < n && isLastOfMonth(day));
}

/** True when the n-th, moved back to Friday from a weekend, falls on this day: how salaries are paid. */
export function isPayday(day: Day, n: number): boolean {
  const weekday = weekdayOf(day);
  if (weekday > 4) return false;
  if (isNthOfMonth(day, n)) return true;
  return weekday === 4 && (isNthOfMonth(day + 1, n) || isNthOfMonth(day + 2, n));
}

/** The day itself, or the Monday after a weekend: how banks book orders. */
export function nextBusinessDay(day: Day): Day {
  const weekday = weekdayOf(day);
  return weekday > 4 ? day + 7 - weekday : day;
}
