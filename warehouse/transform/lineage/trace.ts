/** What a value or a set of rows is computed from: columns of tables, or unknown with the reason. */

export interface Trace {
  /** <table>\0<column> → whether the value is that column's own, unchanged. */
  readonly inputs: ReadonlyMap<string, 'copied' | 'computed'>;
  /** Why more may be in it than `inputs` says. */
  readonly unknown?: string;
}

export const NOTHING: Trace = { inputs: new Map() };

export function unknownTrace(why: string): Trace {
  return { inputs: new Map(), unknown: why };
}

export function columnTrace(table: string, column: string): Trace {
  return { inputs: new Map([[`${table}\0${column}`, 'copied']]) };
}

/** Both together; an input that one of them computes with is computed. */
export function joinTraces(traces: readonly Trace[]): Trace {
  const [first] = traces;
  if (traces.length === 1 && first !== undefined) return first;
  const inputs = new Map<string, 'copied' | 'computed'>();
  let unknown: string | undefined;
  for (const trace of traces) {
    unknown ??= trace.unknown;
    for (const [column, kind] of trace.inputs) {
      if (kind === 'computed' || !inputs.has(column)) inputs.set(column, kind);
    }
  }
  return { inputs, ...(unknown === undefined ? {} : { unknown }) };
}

/** The same inputs, none of them carried as they are. */
export function computedTrace(...traces: readonly Trace[]): Trace {
  const joined = joinTraces(traces);
  return { ...joined, inputs: new Map([...joined.inputs.keys()].map((column) => [column, 'computed'])) };
}

export function sameTrace(a: Trace, b: Trace): boolean {
  return (
    a.unknown === b.unknown &&
    a.inputs.size === b.inputs.size &&
    [...a.inputs].every(([column, kind]) => b.inputs.get(column) === kind)
  );
}
