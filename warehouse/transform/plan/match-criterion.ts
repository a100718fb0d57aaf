import { SluiceError } from '../../core/errors.ts';
import { nearestOf } from '../../core/nearest.ts';
import { type CompiledModel, LAYERS, MATERIALIZATIONS } from '../model.ts';
import type { Criterion, Method } from './parse-selector.ts';

/** Which nodes of the graph a criterion names by itself, before it goes up or down: models, and bronze tables as a place to start from. */

/** What a release knows of a model, as far as `changed` asks. */
export type KnownModels = ReadonlyMap<string, { readonly fingerprint: string }>;

const STATES = ['modified', 'unmodified', 'new', 'old'] as const;
type State = (typeof STATES)[number];

/** Names of models and bronze tables. Errors: MODEL_SELECT_UNKNOWN when there is nothing of that name; that nothing changed is no error. */
export function matchCriterion(
  criterion: Criterion,
  models: readonly CompiledModel[],
  known: KnownModels,
): readonly string[] {
  const { method, value } = criterion;
  if (method === 'state') {
    const state = STATES.find((name) => name === value);
    if (state === undefined) throw unknown(criterion, STATES);
    return models.filter((model) => isIn(state, model, known)).map(({ name }) => name);
  }
  // A glob over models means models, unless it says bronze.
  const candidates = candidatesOf(method, models).filter(
    ({ name }) => method !== 'name' || value.startsWith('bronze') || !name.startsWith('bronze'),
  );
  const isHit = toMatcher(method, value);
  const found = candidates.filter(({ texts }) => texts.some(isHit)).map(({ name }) => name);
  if (found.length === 0) throw unknown(criterion, [...new Set(candidates.flatMap(({ texts }) => texts))]);
  return [...new Set(found)];
}

function isIn(state: State, { name, fingerprint }: CompiledModel, known: KnownModels): boolean {
  const before = known.get(name);
  switch (state) {
    case 'modified':
      return before?.fingerprint !== fingerprint;
    case 'unmodified':
      return before?.fingerprint === fingerprint;
    case 'new':
      return before === undefined;
    case 'old':
      return before !== undefined;
    default:
      return state satisfies never;
  }
}

interface Candidate {
  readonly name: string;
  /** What the value may be to mean it. */
  readonly texts: readonly string[];
}

function candidatesOf(method: Exclude<Method, 'state'>, models: readonly CompiledModel[]): readonly Candidate[] {
  const each = (textsOf: (model: CompiledModel) => readonly string[]): Candidate[] =>
    models.map((model) => ({ name: model.name, texts: textsOf(model) }));
  switch (method) {
    case 'name':
      return [
        ...each(({ name, table, layer, domain }) => [name, table, layer, ...foldersOf(`${layer}/${domain}`)]),
        ...bronzeOf(models).map((name) => ({ name, texts: [name] })),
      ];
    case 'tag':
      return each(({ tags }) => tags);
    case 'path':
      return each(({ file }) => [...foldersOf(file), ...foldersOf(file.slice('sql/'.length))]);
    case 'layer':
      return each(({ layer }) => [layer]);
    case 'domain':
      return each(({ domain }) => [domain, ...foldersOf(domain)]);
    case 'materialized':
      return each(({ materialized }) => [materialized]);
    case 'source':
      return bronzeOf(models).map((name) => {
        const table = name.slice(name.indexOf('.') + 1);
        return { name, texts: [table, table.slice(0, table.indexOf('.'))] };
      });
    default:
      return method satisfies never;
  }
}

/** a/b/c → a, a/b, a/b/c: every folder holds what lies below it. */
function foldersOf(path: string): readonly string[] {
  const parts = path.split('/');
  return parts.map((_, i) => parts.slice(0, i + 1).join('/'));
}

function bronzeOf(models: readonly CompiledModel[]): readonly string[] {
  return [...new Set(models.flatMap(({ dependencies }) => dependencies.filter((name) => name.startsWith('bronze'))))];
}

function toMatcher(method: Method, value: string): (text: string) => boolean {
  const wanted = method === 'path' ? value.replace(/^\.\//, '').replace(/\/$/, '') : value;
  if (!/[*?[]/.test(wanted)) return (text) => text === wanted;
  const pattern = wanted.replaceAll(/\*+|\?|\[(!?)([^\]]+)\]|[^*?[]+|\[/g, (token, not: string, set: string) => {
    if (token.startsWith('*')) return '.*';
    if (token === '?') return '.';
    if (set !== undefined) return `[${not === '!' ? '^' : ''}${set.replaceAll(/[\\\]^]/g, '\\$&')}]`;
    return token.replaceAll(/[.+^${}()|\\[\]/]/g, '\\$&');
  });
  const expression = new RegExp(`^${pattern}$`);
  return (text) => expression.test(text);
}

function unknown({ text, method, value }: Criterion, candidates: readonly string[]): SluiceError {
  const near = nearestOf(value, candidates);
  const what = method === 'tag' ? `: no model has the tag ${value}` : '';
  const hint = near === undefined ? '' : `; did you mean ${near}?`;
  return new SluiceError(
    'MODEL_SELECT_UNKNOWN',
    `The selector ${text} chooses nothing${what}${hint === '' && what !== '' ? '.' : hint}`,
    { remedy: remedyFor(method, candidates) },
  );
}

function remedyFor(method: Method, candidates: readonly string[]): string {
  switch (method) {
    case 'tag':
      return candidates.length === 0 ? 'No model has a tag yet.' : `Tags: ${[...candidates].sort().join(', ')}.`;
    case 'layer':
      return `Layers: ${LAYERS.join(', ')}.`;
    case 'materialized':
      return `Kinds: ${MATERIALIZATIONS.join(', ')}; no model of this project is of that kind.`;
    case 'state':
      return `States: ${STATES.join(', ')}; changed is state:modified.`;
    case 'source':
      return `Bronze tables: ${[...candidates].sort().slice(0, 20).join(', ')}.`;
    case 'name':
    case 'path':
    case 'domain':
      return 'Name a model, a layer, a folder (gold/app) or tag:<tag>; * stands for any letters; + before or behind adds what it reads or what reads it.';
    default:
      return method satisfies never;
  }
}
