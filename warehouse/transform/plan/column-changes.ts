import type { ModelState } from '../../core/release.ts';
import type { CompiledModel } from '../model.ts';

/** What a changed model is to those who read it, column by column: the release's table against the project's. Pure. */

export interface ColumnChange {
  readonly kind: 'added' | 'removed' | 'renamed' | 'retyped' | 'values';
  readonly column: string;
  /** renamed: the name before; retyped: the type before. */
  readonly from?: string;
  /** added, retyped: the type now; renamed: the name now. */
  readonly to?: string;
  /** True when somebody reads the column and it will not be what it was: gone, under another name, of another type. */
  readonly breaking: boolean;
  /** Models that read it, and the dataset that offers it, as `dataset <id>`. */
  readonly readers: readonly string[];
}

export interface ModelChange {
  /** new, or its own file or macros changed; through: only what it reads did. */
  readonly kind: 'added' | 'changed' | 'through' | 'none';
  /** True when other rows may come out: a filter, a join, a grouping; also when the release does not know. */
  readonly rows: boolean;
  readonly columns: readonly ColumnChange[];
}

export const UNCHANGED: ModelChange = { kind: 'none', rows: false, columns: [] };

type Change = Omit<ColumnChange, 'breaking' | 'readers'>;

/** `readersOf` gives the models that read a column of this one. */
export function changeOf(
  model: CompiledModel,
  state: ModelState | undefined,
  readersOf: (column: string) => readonly string[],
): ModelChange {
  if (state === undefined) return { kind: 'added', rows: true, columns: [] };
  if (state.fingerprint === model.fingerprint) return UNCHANGED;
  const { shape } = state;
  const kind = shape !== undefined && shape.own === model.shape.own ? 'through' : 'changed';
  const rows = shape === undefined || shape.rows !== model.shape.rows;
  const changes: readonly Change[] = [...schemaChanges(model, state), ...valueChanges(model, state)];
  return {
    kind,
    rows,
    columns: changes.map((change): ColumnChange => {
      const readers = [...readersOf(change.column), ...(offers(model, change) ? [`dataset ${model.name}`] : [])];
      const lost = change.kind === 'removed' || change.kind === 'renamed' || change.kind === 'retyped';
      return { ...change, breaking: lost && (readers.length > 0 || model.layer === 'gold'), readers };
    }),
  };
}

function offers({ dataset }: CompiledModel, { kind }: Change): boolean {
  return dataset !== undefined && kind !== 'added';
}

function schemaChanges(model: CompiledModel, state: ModelState): readonly Change[] {
  const now = new Map(model.boundColumns.map(({ name, type }) => [name, type]));
  const before = new Map(state.columns.map(({ name, type }) => [name, type]));
  const gone = state.columns.filter(({ name }) => !now.has(name));
  const come = model.boundColumns.filter(({ name }) => !before.has(name));
  const isSame = (from: string, to: string): boolean => {
    const hash = state.shape?.columns[from];
    return hash !== undefined && hash === model.shape.columns[to] && hash !== model.shape.rows;
  };
  const renamed = gone.flatMap(({ name: from, type }) => {
    const targets = come.filter((column) => column.type === type && isSame(from, column.name));
    const [target] = targets;
    return targets.length === 1 && target !== undefined ? [{ from, to: target.name }] : [];
  });
  const isRenamed = (name: string): boolean => renamed.some(({ from, to }) => from === name || to === name);
  return [
    ...renamed.map(({ from, to }): Change => ({ kind: 'renamed', column: from, from, to })),
    ...gone
      .filter(({ name }) => !isRenamed(name))
      .map(({ name, type }): Change => ({ kind: 'removed', column: name, from: type })),
    ...come
      .filter(({ name }) => !isRenamed(name))
      .map(({ name, type }): Change => ({ kind: 'added', column: name, to: type })),
    ...model.boundColumns.flatMap(({ name, type }): Change[] => {
      const from = before.get(name);
      return from === undefined || from === type ? [] : [{ kind: 'retyped', column: name, from, to: type }];
    }),
  ];
}

function valueChanges(model: CompiledModel, state: ModelState): readonly Change[] {
  const before = new Set(state.columns.map(({ name }) => name));
  return model.boundColumns.flatMap(({ name }): Change[] => {
    if (!before.has(name) || state.shape === undefined) return [];
    const hash = state.shape.columns[name];
    // A column that is no part of its own changes with the rows, and is told with them.
    const isPart = model.shape.columns[name] !== model.shape.rows || hash !== state.shape.rows;
    return hash !== model.shape.columns[name] && isPart ? [{ kind: 'values', column: name }] : [];
  });
}
