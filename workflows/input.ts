import { createFailure } from './failures.ts';

/**
 * Reads the one JSON object that a workflow is started with. By hand: a schema library costs about 1 MB per cached workflow. Every problem is
 * named at once, with the field and what belongs there, and the run fails at its first step.
 */

/** What a field may hold; `problem` says what is wrong with a value, or nothing. */
export interface Field {
  readonly required?: boolean;
  readonly problem: (value: unknown) => string | undefined;
}

export type Fields = Readonly<Record<string, Field>>;

const MAX_ITEMS = 1_000;
const MAX_LENGTH = 500;

const isText = (value: unknown): value is string =>
  typeof value === 'string' && value.length > 0 && value.length <= MAX_LENGTH;

export const text = (what: string): Field => ({
  problem: (value) => (isText(value) ? undefined : `must be ${what}, a text of 1 to ${MAX_LENGTH} characters`),
});

export const name: Field = {
  problem: (value) =>
    isText(value) && /^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(value)
      ? undefined
      : 'must be a name of letters, digits, ".", "-" and "_"',
};

export const texts = (what: string): Field => ({
  problem: (value) => {
    if (!Array.isArray(value) || value.length === 0) return `must be a list of ${what}, with at least one`;
    if (value.length > MAX_ITEMS) return `has ${value.length} entries, at most ${MAX_ITEMS} are allowed`;
    const at = value.findIndex((item) => !isText(item));
    return at === -1 ? undefined : `holds, as entry ${at + 1}, ${show(value[at])}, which is not a text`;
  },
});

export const date: Field = {
  problem: (value) => (isDate(value) ? undefined : 'must be a calendar date such as "2026-06-30"'),
};

export const flag: Field = {
  problem: (value) => (typeof value === 'boolean' ? undefined : 'must be true or false'),
};

export const count = (minimum: number, maximum: number): Field => ({
  problem: (value) =>
    Number.isInteger(value) && (value as number) >= minimum && (value as number) <= maximum
      ? undefined
      : `must be a whole number from ${minimum} to ${maximum}`,
});

export const oneOf = (...values: readonly string[]): Field => ({
  problem: (value) => (values.includes(value as string) ? undefined : `must be one of ${values.map(show).join(', ')}`),
});

/** A bound of a range: a whole number or a text that Postgres reads as the column's type. */
export const bound: Field = {
  problem: (value) =>
    isText(value) || Number.isSafeInteger(value)
      ? undefined
      : 'must be a whole number or a text, e.g. 1000 or "2026-06-01"',
};

export const timeZone: Field = {
  problem: (value) => {
    try {
      if (isText(value) && Intl.DateTimeFormat('en', { timeZone: value })) return undefined;
    } catch {
      // an unknown name, said below
    }
    return 'must be an IANA time zone such as "UTC" or "Europe/Berlin"';
  },
};

/** The input as an object whose fields are as declared. Throws USAGE with every problem. Null counts as not given. */
export function readInput(workflow: string, raw: unknown, fields: Fields, example: object): Record<string, unknown> {
  const problems: string[] = [];
  const input: Record<string, unknown> = {};
  if (raw !== undefined && raw !== null && (typeof raw !== 'object' || Array.isArray(raw))) {
    throw refuse(workflow, [`it is ${show(raw)}, not one JSON object`], example);
  }
  for (const [key, value] of Object.entries(raw ?? {})) {
    if (value === null || value === undefined) continue;
    const field = Object.hasOwn(fields, key) ? fields[key] : undefined;
    const problem =
      field === undefined ? `is not a field; the fields are ${Object.keys(fields).join(', ')}` : field.problem(value);
    if (problem === undefined) input[key] = value;
    else problems.push(`${key.slice(0, 100)} ${problem}${field === undefined ? '' : `, not ${show(value)}`}`);
  }
  for (const [key, field] of Object.entries(fields)) {
    if (field.required === true && !(key in input) && !problems.some((problem) => problem.startsWith(`${key} `)))
      problems.push(`${key} is missing`);
  }
  if (problems.length > 0) throw refuse(workflow, problems, example);
  return input;
}

export function refuse(workflow: string, problems: readonly string[], example: object): Error {
  return createFailure(
    'USAGE',
    `The input of the workflow ${workflow} is wrong: ${problems.slice(0, 10).join('; ')}.`,
    `Start it with one JSON object, e.g. ${JSON.stringify(example)}.`,
  );
}

function isDate(value: unknown): value is string {
  if (typeof value !== 'string' || !/^\d{4}-\d{2}-\d{2}$/.test(value)) return false;
  const instant = new Date(`${value}T00:00:00Z`);
  return !Number.isNaN(instant.getTime()) && instant.toISOString().startsWith(value);
}

function show(value: unknown): string {
  const shown = JSON.stringify(value) ?? String(value);
  return shown.length > 80 ? `${shown.slice(0, 80)}…` : shown;
}
