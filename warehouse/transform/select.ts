import { SluiceError } from '../core/errors.ts';
import { nearestOf } from '../core/nearest.ts';
import { reach } from './graph.ts';
import type { CompiledModel } from './model.ts';

/**
 * Names of the models that selectors choose; all of them when there is none. A selector is a model (`gold.dim_tags`, or `dim_tags` where
 * that is clear), a layer (`silver`), a folder (`gold/app`) or `tag:<tag>`; `+` before it adds everything it reads, `+` behind it
 * everything that reads it. Several add up. Errors: MODEL_SELECT_UNKNOWN.
 */
export function selectModels(models: readonly CompiledModel[], selectors: readonly string[] = []): ReadonlySet<string> {
  if (selectors.length === 0) return new Set(models.map(({ name }) => name));
  const upstream = new Map(models.map(({ name, dependencies }) => [name, dependencies]));
  const downstream = new Map(
    models.map(({ name }) => [
      name,
      models.filter((other) => other.dependencies.includes(name)).map((other) => other.name),
    ]),
  );
  const chosen = new Set<string>();
  for (const selector of selectors.flatMap((text) => text.split(/[\s,]+/)).filter((text) => text !== '')) {
    const [, before, body = '', after] = /^(\+?)(.*?)(\+?)$/.exec(selector) ?? [];
    const names = matching(models, body).map(({ name }) => name);
    if (names.length === 0) throw unknownSelector(models, selector, body);
    for (const name of names) chosen.add(name);
    if (before === '+') for (const name of reach(names, (of) => upstream.get(of) ?? [])) chosen.add(name);
    if (after === '+') for (const name of reach(names, (of) => downstream.get(of) ?? [])) chosen.add(name);
  }
  // What lies upstream of a model may be a bronze table, which no build makes.
  return new Set(models.flatMap(({ name }) => (chosen.has(name) ? [name] : [])));
}

function matching(models: readonly CompiledModel[], body: string): readonly CompiledModel[] {
  if (body.startsWith('tag:')) return models.filter((model) => model.tags.includes(body.slice(4)));
  return models.filter(
    ({ name, table, layer, domain }) =>
      name === body || table === body || layer === body || `${layer}/${domain}` === body,
  );
}

function unknownSelector(models: readonly CompiledModel[], selector: string, body: string): SluiceError {
  const tags = [...new Set(models.flatMap((model) => model.tags))].sort();
  if (body.startsWith('tag:')) {
    return new SluiceError(
      'MODEL_SELECT_UNKNOWN',
      `The selector ${selector} chooses nothing: no model has the tag ${body.slice(4)}.`,
      {
        remedy: tags.length === 0 ? 'No model has a tag yet.' : `Tags: ${tags.join(', ')}.`,
      },
    );
  }
  const near = nearestOf(
    body,
    models.flatMap(({ name, table }) => [name, table]),
  );
  return new SluiceError(
    'MODEL_SELECT_UNKNOWN',
    `The selector ${selector} chooses nothing${near === undefined ? '' : `; did you mean ${near}?`}`,
    {
      remedy:
        'Name a model, a layer, a folder (gold/app) or tag:<tag>; + before or behind adds what it reads or what reads it.',
    },
  );
}
