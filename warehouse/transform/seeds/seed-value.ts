/** What a field of a seed may look like, by its column's type: nothing is trimmed, rounded or guessed. */

interface ValueShape {
  readonly pattern: RegExp;
  /** For people: what was expected. */
  readonly form: string;
}

const INTEGER: ValueShape = { pattern: /^[+-]?\d+$/, form: 'a whole number, e.g. 42' };
const REAL: ValueShape = { pattern: /^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$/, form: 'a number, e.g. 1.5 or 2e-3' };
const DAY = String.raw`\d{4}-\d{2}-\d{2}`;
const CLOCK = String.raw`\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?`;

const SHAPES: Readonly<Record<string, ValueShape>> = {
  VARCHAR: { pattern: /^/, form: 'text' },
  BOOLEAN: { pattern: /^(true|false)$/, form: 'true or false' },
  DATE: { pattern: new RegExp(`^${DAY}$`), form: 'a date, e.g. 2026-01-31' },
  TIME: { pattern: new RegExp(`^${CLOCK}$`), form: 'a time, e.g. 08:30:00' },
  TIMESTAMP: {
    pattern: new RegExp(`^${DAY}[ T]${CLOCK}$`),
    form: 'a timestamp without a zone, e.g. 2026-01-31 08:30:00',
  },
  'TIMESTAMP WITH TIME ZONE': {
    pattern: new RegExp(`^${DAY}[ T]${CLOCK}(Z|[+-]\\d{2}(:\\d{2})?)$`),
    form: 'a timestamp with its zone, e.g. 2026-01-31 08:30:00Z',
  },
  UUID: {
    pattern: /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i,
    form: 'a UUID with its hyphens',
  },
  DOUBLE: REAL,
  FLOAT: REAL,
  ...Object.fromEntries(
    ['TINYINT', 'SMALLINT', 'INTEGER', 'BIGINT', 'HUGEINT'].flatMap((type) => [
      [type, INTEGER],
      [`U${type}`, INTEGER],
    ]),
  ),
};

/** undefined for a type that seeds do not have. */
export function shapeOf(type: string): ValueShape | undefined {
  const scale = /^DECIMAL\(\d+,(\d+)\)$/.exec(type)?.[1];
  if (scale === undefined) return SHAPES[type];
  return {
    // Zeros behind the last place change nothing; any other digit there would be rounded away.
    pattern: new RegExp(scale === '0' ? String.raw`^[+-]?\d+(\.0*)?$` : String.raw`^[+-]?\d+(\.\d{1,${scale}}0*)?$`),
    form: `a number with at most ${scale} decimal places`,
  };
}
