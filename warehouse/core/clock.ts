/** Time as an input, so that tests and replays decide what now is. */
export interface Clock {
  /** Now, as an instant. */
  now(): Date;
}

export const systemClock: Clock = { now: () => new Date() };

/** An ISO calendar date, YYYY-MM-DD. */
export type IsoDate = string;

/** The UTC calendar date of an instant. */
export function toIsoDate(instant: Date): IsoDate {
  return instant.toISOString().slice(0, 10);
}

/** True for a real calendar date written YYYY-MM-DD (no 2026-02-30). */
export function isIsoDate(text: string): boolean {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text)) return false;
  const instant = new Date(`${text}T00:00:00Z`);
  return !Number.isNaN(instant.getTime()) && toIsoDate(instant) === text;
}
