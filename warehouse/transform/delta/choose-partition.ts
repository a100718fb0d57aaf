import { NotProvable } from '../query-expressions.ts';
import type { BoundColumn } from '../sql-engine.ts';

/** Which output columns name the partitions of a model. Any will do for truth; a finer choice touches less. */

/** For every table read: which outputs a change of it can be traced to, or why none. */
export type TraceByTable = ReadonlyMap<string, readonly boolean[] | string>;

export interface Partition {
  readonly by: readonly { readonly name: string; readonly index: number; readonly type: string }[];
  /** Tables whose change reaches no partition by name, and why. */
  readonly others: Readonly<Record<string, string>>;
}

/** Types whose values are equal exactly when they are the same value, so that a partition is what `=` says. */
const PARTITION_TYPE =
  /^(BOOLEAN|U?TINYINT|U?SMALLINT|U?INTEGER|U?BIGINT|U?HUGEINT|DECIMAL\(\d+,\d+\)|VARCHAR|DATE|TIME|TIMESTAMP|TIMESTAMP_(S|MS|NS)|TIMESTAMP WITH TIME ZONE|UUID|BLOB)$/;

/**
 * The columns asked for where every table can be traced to them; else as many of them as serve more tables; else the one other column
 * that serves the most. Throws NotProvable when no change can be traced to any.
 */
export function choosePartition(
  asked: readonly string[],
  bound: readonly BoundColumn[],
  traces: TraceByTable,
): Partition {
  const indexes = asked.map((name) => bound.findIndex((column) => column.name.toLowerCase() === name.toLowerCase()));
  const isTyped = (i: number): boolean => PARTITION_TYPE.test(bound[i]?.type ?? '');
  const isKnown = (table: string, i: number): boolean => {
    const trace = traces.get(table);
    return typeof trace === 'object' && trace[i] === true;
  };
  const tables = [...traces.keys()];
  const served = (candidate: readonly number[]): number =>
    candidate.length > 0 && candidate.every(isTyped)
      ? tables.filter((table) => candidate.every((i) => isKnown(table, i))).length
      : 0;
  const reached = tables.filter((table) => indexes.some((i) => isTyped(i) && isKnown(table, i)));
  const narrowed = indexes.filter((i) => isTyped(i) && reached.every((table) => isKnown(table, i)));
  const candidates = [indexes, narrowed];
  let best = candidates.reduce((one, other) => (served(other) > served(one) ? other : one));
  if (served(best) === 0) {
    for (const [i] of bound.entries()) if (served([i]) > served(best)) best = [i];
  }
  const by = best.map((index) => ({ index, name: bound[index]?.name ?? '', type: bound[index]?.type ?? '' }));
  const names = by.map(({ name }) => name).join(', ');
  const others = tables.flatMap((table): [string, string][] => {
    const trace = traces.get(table);
    if (typeof trace === 'string') return [[table, trace]];
    const lost = best.find((i) => !isKnown(table, i));
    return lost === undefined ? [] : [[table, `${bound[lost]?.name ?? names} cannot be traced from it`]];
  });
  if (served(best) > 0) return { by, others: Object.fromEntries(others) };
  const untyped = indexes.find((i) => !isTyped(i));
  if (untyped !== undefined && tables.some((table) => isKnown(table, untyped)))
    throw new NotProvable(`${bound[untyped]?.name} is a ${bound[untyped]?.type}, whose equal values may differ`);
  throw new NotProvable(
    `no change can be traced to ${asked.join(', ')} (${others.map(([table, why]) => `${table}: ${why}`).join('; ')})`,
  );
}
