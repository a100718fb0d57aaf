import type { CompiledModel } from '../model.ts';
import type { ModelChange } from './column-changes.ts';

/** How far a change of definition reaches, by what each model reads: a model that reads none of the changed columns is spared, and so are its readers. */

export interface Reached {
  /** Other rows may come out. */
  readonly rows: boolean;
  /** Columns whose values may change; of no meaning where `rows` is true. */
  readonly columns: ReadonlySet<string>;
  /** Columns of direct dependencies through which the change came, as <table>.<column>; <table> alone when its rows change. */
  readonly through: readonly string[];
}

export interface ReachOfChange {
  readonly reached: ReadonlyMap<string, Reached>;
  /** Models downstream of a change that it provably does not reach. */
  readonly spared: readonly string[];
}

/** `models` in build order. */
export function followChange(
  models: readonly CompiledModel[],
  changes: ReadonlyMap<string, ModelChange>,
): ReachOfChange {
  const reached = new Map<string, Reached>();
  const downstream = new Set<string>();
  const spared: string[] = [];
  for (const model of models) {
    const own = changes.get(model.name);
    const isBelow = model.dependencies.some((name) => downstream.has(name));
    const found = reachedBy(model, own, reached);
    const isOwn = own !== undefined && own.kind !== 'none';
    if (isBelow || isOwn) downstream.add(model.name);
    if (found !== undefined) reached.set(model.name, found);
    else if (isBelow && !isOwn) spared.push(model.name);
  }
  return { reached, spared };
}

function reachedBy(
  model: CompiledModel,
  own: ModelChange | undefined,
  reached: ReadonlyMap<string, Reached>,
): Reached | undefined {
  const { reads } = model.shape;
  const changed = new Set<string>();
  const through: string[] = [];
  let rows = own?.rows ?? false;
  for (const name of model.dependencies) {
    const upstream = reached.get(name);
    if (upstream === undefined) continue;
    if (upstream.rows) {
      rows = true;
      through.push(name);
      continue;
    }
    for (const column of upstream.columns) changed.add(`${name}.${column}`);
  }
  const hits = (list: readonly string[]): readonly string[] => list.filter((column) => changed.has(column));
  const rowHits = hits(reads.rows);
  if (rowHits.length > 0) rows = true;
  const columnHits = Object.entries(reads.columns).filter(([, list]) => hits(list).length > 0);
  const ownColumns = (own?.columns ?? []).map(({ kind, column, to }) => (kind === 'renamed' ? (to ?? column) : column));
  const columns = new Set([...ownColumns, ...columnHits.map(([column]) => column)]);
  if (!rows && columns.size === 0) return undefined;
  const hit = new Set([...rowHits, ...columnHits.flatMap(([, list]) => hits(list))]);
  return { rows, columns, through: [...through, ...hit].sort() };
}
