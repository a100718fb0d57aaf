import type { CompiledModel } from '../model.ts';
import type { NewModel } from './compile-cache.ts';
import type { KeyFacts } from './keys.ts';

/** A compiled model as two lines of JSON: what every command asks of every model, and the rest, which is read when it is asked for. */

export interface StoredModel {
  readonly file: string;
  /** JSON of the facts and the hot fields. */
  readonly line: string;
  readonly cold: string;
}

export interface CachedModel extends StoredModel, KeyFacts {
  /** Of the file's text. */
  readonly hash: string;
  /** Of the file when it was read; empty when it might still change unseen. */
  readonly stamp: string;
  /** Hash of all that the compile took from elsewhere: tables, views and macros. */
  readonly key: string;
  readonly name: string;
  /** Tables that its tests look at, with the hash of their columns. */
  readonly related: Readonly<Record<string, string>>;
  /** Hash of all that models reading it may depend on. */
  readonly face: string;
  /** False when it is incremental and its rule was not wanted then. */
  readonly hasRule: boolean;
  readonly declaration: string;
  readonly model: CompiledModel;
}

const HOT = [
  'name',
  'layer',
  'table',
  'domain',
  'file',
  'materialized',
  'appends',
  'tags',
  'dependencies',
  'inputs',
  'boundColumns',
  'fingerprint',
  'usesAsOf',
  'reachesAsOf',
] as const satisfies readonly (keyof CompiledModel)[];
const isHot = (field: string): boolean => HOT.some((name) => name === field);

export function storeModel({ file, facts, model }: NewModel): StoredModel {
  const entries = Object.entries(model);
  const hot = Object.fromEntries(entries.filter(([field]) => isHot(field)));
  const fields = entries.flatMap(([field]) => (isHot(field) ? [] : [field]));
  return {
    file,
    line: JSON.stringify({ facts: { ...facts, file }, hot, fields }),
    cold: JSON.stringify(Object.fromEntries(entries.filter(([field]) => !isHot(field)))),
  };
}

interface Line {
  readonly facts: Omit<CachedModel, 'line' | 'cold' | 'model'>;
  readonly hot: Pick<CompiledModel, (typeof HOT)[number]>;
  /** Names of the cold fields. */
  readonly fields: readonly string[];
}

export function reviveModel(line: string, cold: string): CachedModel {
  const { facts, hot, fields } = JSON.parse(line) as Line;
  let read: Readonly<Record<string, unknown>> | undefined;
  const rest = () => (read ??= JSON.parse(cold) as Record<string, unknown>);
  const model = { ...hot };
  for (const field of fields)
    Object.defineProperty(model, field, { enumerable: true, configurable: true, get: () => rest()[field] });
  return { ...facts, line, cold, model: model as CompiledModel };
}
