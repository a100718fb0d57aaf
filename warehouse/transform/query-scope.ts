/** Columns and the names by which a query can reach them: DuckDB's rules where they are plain, `undefined` wherever they are not. */

/** One column of one relation. Compared by identity. `type` is known only where it is certain. */
export interface QueryColumn {
  /** Lower case; undefined for an expression that DuckDB names. */
  readonly name: string | undefined;
  readonly type: string | undefined;
}

interface Binding {
  readonly alias: string;
  /** Catalog, schema and table of a table that has no alias of its own. */
  readonly path: readonly string[];
  readonly columns: readonly QueryColumn[];
}

/** What a FROM clause offers to the rest of its SELECT. */
export interface Frame {
  readonly bindings: readonly Binding[];
  /** Names usable without a qualifier; `ambiguous` where two relations have it. */
  readonly names: ReadonlyMap<string, QueryColumn | 'ambiguous'>;
  /** What `*` gives. */
  readonly star: readonly QueryColumn[];
  /** Aliases of the select list; null where the item is more than a column. */
  readonly aliases: ReadonlyMap<string, QueryColumn | null>;
}

export const EMPTY_FRAME: Frame = { bindings: [], names: new Map(), star: [], aliases: new Map() };

export function frameOf(alias: string, path: readonly string[], columns: readonly QueryColumn[]): Frame {
  const names = new Map<string, QueryColumn | 'ambiguous'>();
  for (const column of columns) {
    if (column.name !== undefined) names.set(column.name, names.has(column.name) ? 'ambiguous' : column);
  }
  return { bindings: [{ alias, path, columns }], names, star: columns, aliases: new Map() };
}

/** The frame of a join; `merged` are the columns that USING makes one of two. */
export function joinFrames(left: Frame, right: Frame, merged: ReadonlyMap<string, QueryColumn>): Frame {
  const names = new Map(left.names);
  for (const [name, column] of right.names) names.set(name, names.has(name) ? 'ambiguous' : column);
  for (const [name, column] of merged) names.set(name, column);
  const isMerged = (column: QueryColumn) => column.name !== undefined && merged.has(column.name);
  return {
    bindings: [...left.bindings, ...right.bindings],
    names,
    star: [
      ...left.star.map((column) => (isMerged(column) ? (merged.get(column.name ?? '') ?? column) : column)),
      ...right.star.filter((column) => !isMerged(column)),
    ],
    aliases: new Map(),
  };
}

/** The columns of `alias.*`. */
export function columnsOfAlias(frame: Frame, alias: string): readonly QueryColumn[] | undefined {
  const found = frame.bindings.filter((binding) => binding.alias === alias.toLowerCase());
  return found.length === 1 ? found[0]?.columns : undefined;
}

/**
 * The column a reference means, looked up from the innermost frame outwards. Undefined whenever it is not surely that one plain column:
 * struct fields, ambiguity, an alias that hides a column, a name an unnamed column might have. Losing a column only loses a proof.
 */
export function resolveColumn(names: readonly string[], frames: readonly Frame[]): QueryColumn | undefined {
  const parts = names.map((name) => name.toLowerCase());
  for (const frame of frames) {
    const found = lookUp(parts, frame);
    if (found === 'stop') return undefined;
    if (found !== undefined) return found;
    if (frame.bindings.some(({ columns }) => columns.some((column) => column.name === undefined))) return undefined;
  }
  return undefined;
}

/** What a name, its parts in lower case, means in one frame: `stop` where it means something there that is not surely one column. */
export function lookUp(parts: readonly string[], frame: Frame): QueryColumn | 'stop' | undefined {
  return parts.length === 1 ? resolveName(parts[0] ?? '', frame) : resolvePath(parts, frame);
}

function resolveName(name: string, frame: Frame): QueryColumn | 'stop' | undefined {
  const column = frame.names.get(name);
  const alias = frame.aliases.get(name);
  if (column === 'ambiguous') return 'stop';
  if (alias === undefined) return column;
  // Which of the two wins differs from clause to clause, so both must be the same.
  return alias !== null && (column === undefined || column === alias) ? alias : 'stop';
}

function resolvePath(parts: readonly string[], frame: Frame): QueryColumn | 'stop' | undefined {
  const qualifier = parts.slice(0, -1);
  const matching = frame.bindings.filter(({ alias, path }) =>
    qualifier.length === 1 ? alias === qualifier[0] : path.slice(-qualifier.length).join('\0') === qualifier.join('\0'),
  );
  if (matching.length === 0) {
    // The first part may be a column here, and the rest its fields.
    return frame.names.has(parts[0] ?? '') || frame.aliases.has(parts[0] ?? '') ? 'stop' : undefined;
  }
  const columns = matching.flatMap((binding) => binding.columns.filter((column) => column.name === parts.at(-1)));
  return columns.length === 1 && matching.length === 1 && !frame.names.has(parts[0] ?? '') ? columns[0] : 'stop';
}
