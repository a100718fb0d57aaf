import { nearestOf } from '../core/nearest.ts';
import type { Age, Threshold } from './model.ts';

/** The words of a test in a header, as people write them. */

const COMMON_WORDS = ['severity', 'name', 'where', 'warn_if', 'error_if'] as const;
export const COLUMN_TEST_WORDS = ['not_null', 'unique', 'accepted_values', 'relationships', 'range'] as const;
export const MODEL_TEST_WORDS = ['unique', 'expression', 'row_count', 'freshness'] as const;
/** Every word that may stand in a test. */
export const TEST_WORDS = [
  ...COLUMN_TEST_WORDS,
  ...MODEL_TEST_WORDS,
  ...COMMON_WORDS,
  'warn_after',
  'error_after',
] as const;

/** What to say of a test that has none of the known forms because of a word in it; undefined when every word is known. */
export function describeUnknownTest(test: unknown, tests: readonly string[]): string | undefined {
  const words = typeof test === 'string' ? [test] : typeof test === 'object' && test !== null ? Object.keys(test) : [];
  const known = typeof test === 'string' ? tests : [...tests, ...COMMON_WORDS];
  const unknown = words.find((word) => !known.includes(word));
  if (unknown === undefined) return undefined;
  const near = nearestOf(unknown, known);
  const hint = near === undefined ? `; tests here are ${tests.join(', ')}` : `; did you mean ${near}?`;
  return `${unknown} is not a test or a word of one${hint}`;
}

/** ">10", "!= 0", ">= 1.5%"; undefined when the text is none. */
export function parseThreshold(text: string): Threshold | undefined {
  const [, operator, value, percent] = /^\s*(>=|<=|!=|<>|==?|>|<)\s*(\d+(?:\.\d+)?)\s*(%?)\s*$/.exec(text) ?? [];
  if (operator === undefined || value === undefined) return undefined;
  const name = operator === '<>' ? '!=' : operator === '==' ? '=' : operator;
  return { operator: name as Threshold['operator'], value: Number(value), isShare: percent === '%' };
}

const MINUTES = { minute: 1, hour: 60, day: 1440, week: 10_080 } as const;

/** "36 hours", "1 day"; undefined when the text is none. */
export function parseAge(text: string): Age | undefined {
  const [, count, unit] = /^\s*(\d{1,6})\s*(minute|hour|day|week)s?\s*$/.exec(text) ?? [];
  if (count === undefined || unit === undefined) return undefined;
  return { text: text.trim(), minutes: Number(count) * MINUTES[unit as keyof typeof MINUTES] };
}
