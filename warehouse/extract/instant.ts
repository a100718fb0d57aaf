/** Instants in microseconds since 1970, which a Date does not hold. Years 1 to 9999 only, which are written in four digits. */

const FIRST = BigInt(Date.parse('0001-01-01T00:00:00Z')) * 1000n;
const BEHIND = BigInt(Date.parse('9999-12-31T23:59:59Z') + 1000) * 1000n;
const TEXT = /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?(?:\+00|Z)$/;

/** Of a text in UTC as Postgres, DuckDB or ISO has it; undefined for any other. */
export function readInstant(text: string): bigint | undefined {
  const [, date, time, fraction = ''] = TEXT.exec(text) ?? [];
  if (date === undefined || date.startsWith('0000')) return undefined;
  const millis = Date.parse(`${date}T${time}Z`);
  return Number.isNaN(millis) ? undefined : BigInt(millis) * 1000n + BigInt(fraction.padEnd(6, '0'));
}

/** ISO with six digits and Z, so that texts compare as instants; undefined outside the years that have one. */
export function isoInstant(micros: bigint): string | undefined {
  if (micros < FIRST || micros >= BEHIND) return undefined;
  const part = ((micros % 1_000_000n) + 1_000_000n) % 1_000_000n;
  const seconds = new Date(Number((micros - part) / 1000n)).toISOString().slice(0, 19);
  return `${seconds}.${String(part).padStart(6, '0')}Z`;
}

/** As DuckDB prints a TIMESTAMPTZ in UTC; undefined outside the years. */
export function duckdbInstant(micros: bigint): string | undefined {
  return isoInstant(micros)
    ?.replace('T', ' ')
    .replace(/\.?0*Z$/, '+00');
}
