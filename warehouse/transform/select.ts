import { SluiceError } from '../core/errors.ts';
import type { CompiledModel } from './model.ts';
import { type KnownModels, matchCriterion } from './plan/match-criterion.ts';
import { type Criterion, parseSelectors } from './plan/parse-selector.ts';

export interface SelectOptions {
  /** Selectors of what is left out, after everything else. */
  readonly exclude?: readonly string[];
  /** Models of the current release, for `changed`; without them every model is new. */
  readonly known?: KnownModels;
}

/**
 * Names of the models that selectors choose, in build order; all of them when there is none. docs/changing-models.md has the grammar: dbt's,
 * where the same words are used. Errors: MODEL_SELECT_UNKNOWN.
 */
export function selectModels(
  models: readonly CompiledModel[],
  selectors: readonly string[] = [],
  { exclude = [], known = new Map() }: SelectOptions = {},
): ReadonlySet<string> {
  const upstream = new Map(models.map(({ name, dependencies }) => [name, dependencies]));
  const downstream = new Map<string, string[]>();
  for (const { name, dependencies } of models) {
    for (const other of dependencies) downstream.set(other, [...(downstream.get(other) ?? []), name]);
  }
  const readsOf = (name: string): readonly string[] => upstream.get(name) ?? [];
  const readersOf = (name: string): readonly string[] => downstream.get(name) ?? [];

  const choose = (criterion: Criterion): ReadonlySet<string> => {
    const start = matchCriterion(criterion, models, known);
    const found = criterion.whole
      ? within(within(start, readersOf), readsOf)
      : new Set([...within(start, readsOf, criterion.up), ...within(start, readersOf, criterion.down)]);
    if (start.length === 0 || [...found].some((name) => upstream.has(name))) return found;
    throw new SluiceError(
      'MODEL_SELECT_UNKNOWN',
      `The selector ${criterion.text} chooses no model: a build makes no bronze table.`,
      {
        remedy: `Put + behind it for the models that read it: ${criterion.text}+`,
      },
    );
  };
  const chooseAll = (texts: readonly string[]): ReadonlySet<string> =>
    new Set(
      parseSelectors(texts).flatMap((criteria) => {
        const [first = new Set<string>(), ...others] = criteria.map(choose);
        return [...first].filter((name) => others.every((other) => other.has(name)));
      }),
    );

  const chosen = selectors.length === 0 ? new Set(upstream.keys()) : chooseAll(selectors);
  const left = chooseAll(exclude);
  // What lies upstream of a model may be a bronze table, which no build makes.
  return new Set(models.flatMap(({ name }) => (chosen.has(name) && !left.has(name) ? [name] : [])));
}

/** The names themselves and all that is at most so many steps away. */
function within(
  start: Iterable<string>,
  next: (name: string) => readonly string[],
  steps = Number.POSITIVE_INFINITY,
): ReadonlySet<string> {
  const found = new Set(start);
  let edge = [...found];
  for (let step = 0; step < steps && edge.length > 0; step++) {
    const further = [...new Set(edge.flatMap(next))].filter((name) => !found.has(name));
    for (const name of further) found.add(name);
    edge = further;
  }
  return found;
}
