import { SluiceError } from '../../core/errors.ts';
import { nearestOf } from '../../core/nearest.ts';

/**
 * A selector as text becomes data. The grammar is dbt's:
 *
 *   a b      both (union)             a,b      what both choose (intersection)
 *   +a  a+   with all it reads, with all that reads it;  2+a  a+3  only so many steps
 *   @a       a, all that reads it, and all that those read
 *   method:value, and * ? [abc] in any value
 */

const METHODS = ['name', 'tag', 'path', 'layer', 'domain', 'materialized', 'source', 'state'] as const;
export type Method = (typeof METHODS)[number];

/** Words of dbt for the same thing. */
const SYNONYMS: Readonly<Record<string, Method>> = {
  fqn: 'name',
  file: 'path',
  'config.materialized': 'materialized',
  'config.tags': 'tag',
};

/** One criterion: the models it names and how far around them it goes. */
export interface Criterion {
  readonly text: string;
  readonly method: Method;
  readonly value: string;
  /** Steps upstream and downstream: 0 none, Infinity all. */
  readonly up: number;
  readonly down: number;
  /** @: what reads it, and everything that those read. */
  readonly whole: boolean;
}

const CRITERION = /^(@?)(?:(\d*)(\+))?(?:([a-z][\w.]*):)?(.*?)(?:(\+)(\d*))?$/i;

/** Union of intersections. Errors: MODEL_SELECT_UNKNOWN. */
export function parseSelectors(selectors: readonly string[]): readonly (readonly Criterion[])[] {
  return selectors
    .flatMap((text) => text.trim().split(/\s+/))
    .map((text) => text.split(',').map((part) => parseCriterion(part, text)));
}

function parseCriterion(part: string, whole: string): Criterion {
  const [, at, upSteps, up, word, value = '', down, downSteps] = CRITERION.exec(part) ?? [];
  if (value === '') {
    const remedy = whole.includes(',')
      ? 'A comma joins two criteria, without a space around it: tag:daily,gold. For both of two models leave a space: a b.'
      : 'Name a model, a folder or a method with a value: gold.orders, gold/shop, tag:daily.';
    throw new SluiceError('MODEL_SELECT_UNKNOWN', `The selector ${JSON.stringify(whole)} names nothing.`, { remedy });
  }
  if (at === '@' && (up !== undefined || down !== undefined)) {
    throw new SluiceError('MODEL_SELECT_UNKNOWN', `The selector ${part} has both @ and +.`, {
      remedy: '@ takes what reads the model and all that those read: leave the + out.',
    });
  }
  const stepsOf = (plus: string | undefined, steps: string | undefined): number =>
    plus === undefined ? 0 : steps === undefined || steps === '' ? Number.POSITIVE_INFINITY : Number(steps);
  const facts = { text: part, up: stepsOf(up, upSteps), down: stepsOf(down, downSteps), whole: at === '@' };
  if (word === undefined) {
    if (value === 'changed') return { ...facts, method: 'state', value: 'modified' };
    return { ...facts, method: 'name', value };
  }
  return { ...facts, method: methodOf(word, part), value };
}

function methodOf(word: string, text: string): Method {
  const method = METHODS.find((known) => known === word) ?? SYNONYMS[word];
  if (method !== undefined) return method;
  const near = nearestOf(word, METHODS);
  throw new SluiceError(
    'MODEL_SELECT_UNKNOWN',
    `The selector ${text} uses ${word}:, which is no way to choose${near === undefined ? '' : `; did you mean ${near}:?`}`,
    { remedy: `Ways to choose: ${METHODS.map((known) => `${known}:`).join(', ')} and changed.` },
  );
}
