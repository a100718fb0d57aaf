import { computedTrace, joinTraces, type Trace, unknownTrace } from './trace.ts';

/** By which names a query can reach a column, and what each is made of. Where DuckDB's choice is not certain the answer is unknown. */

export interface TracedColumn {
  /** Lower case; undefined for an expression that DuckDB names. */
  readonly name: string | undefined;
  readonly trace: Trace;
}

export interface TracedRelation {
  readonly columns: readonly TracedColumn[];
  /** Why there may be more columns than these, in places nobody knows. */
  readonly open?: string;
  /** What decides which rows there are, how many, and which of them belong together. */
  readonly rows: Trace;
}

interface Binding {
  readonly alias: string;
  /** Catalog, schema and table, where the table has no alias of its own. */
  readonly path: readonly string[];
  readonly columns: readonly TracedColumn[];
  readonly open?: string;
}

/** What a FROM clause offers. */
export interface Names {
  readonly bindings: readonly Binding[];
  /** Columns that USING made one of two, by name. */
  readonly merged: ReadonlyMap<string, TracedColumn>;
  /** What `*` gives. */
  readonly star: readonly TracedColumn[];
  readonly open?: string;
  /** Select-list aliases, used where FROM has no column of the name. */
  readonly aliases: ReadonlyMap<string, Trace>;
}

export const NO_NAMES: Names = { bindings: [], merged: new Map(), star: [], aliases: new Map() };

export function namesOf(alias: string, path: readonly string[], relation: TracedRelation): Names {
  const open = relation.open === undefined ? {} : { open: relation.open };
  return {
    bindings: [{ alias, path, columns: relation.columns, ...open }],
    merged: new Map(),
    star: relation.columns,
    ...open,
    aliases: new Map(),
  };
}

export function joinNames(left: Names, right: Names, merged: ReadonlyMap<string, TracedColumn>): Names {
  const open = left.open ?? right.open;
  const isMerged = (column: TracedColumn) => column.name !== undefined && merged.has(column.name);
  return {
    bindings: [...left.bindings, ...right.bindings],
    merged: new Map([...left.merged, ...right.merged, ...merged]),
    star: [
      ...left.star.map((column) => (isMerged(column) ? (merged.get(column.name ?? '') ?? column) : column)),
      ...right.star.filter((column) => !isMerged(column)),
    ],
    ...(open === undefined ? {} : { open }),
    aliases: new Map(),
  };
}

/** A lambda's parameters: names without a column behind them. */
export function parameterNames(parameters: readonly string[], trace: Trace): Names {
  return namesOf('', [], { columns: parameters.map((name) => ({ name, trace })), rows: trace });
}

/** The columns of `alias.*`. */
export function bindingOf(names: Names, alias: string): Binding | undefined {
  const found = names.bindings.filter((binding) => binding.alias === alias.toLowerCase());
  return found.length === 1 ? found[0] : undefined;
}

/** The column of this name without a qualifier; undefined when FROM has none, unknown where it may have one or has several. */
export function findColumn(name: string, names: Names): Trace | undefined {
  const merged = names.merged.get(name);
  if (merged !== undefined) return merged.trace;
  const found = names.bindings.flatMap((binding) => binding.columns.filter((column) => column.name === name));
  if (found.length === 1) return found[0]?.trace;
  if (found.length > 1) return unknownTrace(`the name ${name} has several meanings`);
  if (names.open !== undefined) return unknownTrace(names.open);
  return undefined;
}

/** What a reference means, from the innermost query outwards. */
export function resolveNames(written: readonly string[], frames: readonly Names[]): Trace {
  const parts = written.map((name) => name.toLowerCase());
  for (const names of frames) {
    const found = parts.length === 1 ? resolveOne(parts[0] ?? '', names) : resolvePath(parts, names);
    if (found !== undefined) return found;
    if (names.bindings.some(({ columns }) => columns.some((column) => column.name === undefined)))
      return unknownTrace(`the name ${written.join('.')} may be that of an unnamed expression`);
  }
  return unknownTrace(`the name ${written.join('.')} is not clear`);
}

function resolveOne(name: string, names: Names): Trace | undefined {
  const column = findColumn(name, names);
  if (column !== undefined) return column;
  const alias = names.aliases.get(name);
  if (alias !== undefined) return alias;
  const row = bindingOf(names, name);
  // A table's name as a value is the whole row.
  return row === undefined ? undefined : wholeRow(row);
}

function resolvePath(parts: readonly string[], names: Names): Trace | undefined {
  // The longest qualifier that is a table wins; what is left beyond the column are fields of a struct.
  for (let length = Math.min(3, parts.length - 1); length >= 1; length--) {
    const qualifier = parts.slice(0, length);
    const matching = names.bindings.filter(({ alias, path }) =>
      length === 1 ? alias === qualifier[0] : path.slice(-length).join('\0') === qualifier.join('\0'),
    );
    if (matching.length > 1) return unknownTrace(`the name ${parts.join('.')} has several meanings`);
    const [binding] = matching;
    if (binding === undefined) continue;
    const columns = binding.columns.filter((column) => column.name === parts[length]);
    const [column] = columns;
    if (columns.length === 1 && column !== undefined)
      return parts.length === length + 1 ? column.trace : computedTrace(column.trace);
    if (binding.open !== undefined) return unknownTrace(binding.open);
  }
  const struct = resolveOne(parts[0] ?? '', names);
  return struct === undefined ? undefined : computedTrace(struct);
}

function wholeRow(binding: Binding): Trace {
  const row = computedTrace(joinTraces(binding.columns.map((column) => column.trace)));
  return binding.open === undefined ? row : { ...row, unknown: binding.open };
}
