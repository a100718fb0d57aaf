import { type AstNode, type AstValue, isList, isNode, textOf } from './ast.ts';

/**
 * A query's tree without what cannot change its rows: positions, comments and layout (the tree has none), and the letter case of tables,
 * their aliases and columns. Names that become data keep theirs: constants, and the fields of a struct.
 */
export function canonicalQuery<T extends AstValue>(query: T): T {
  return canonical(query, false) as T;
}

/** Fields that name a table, a column or a function: DuckDB compares them without case. */
const NAMES: ReadonlySet<string> = new Set([
  'table_name',
  'schema_name',
  'catalog_name',
  'function_name',
  'relation_name',
  'column_names',
  'using_columns',
  'column_name_alias',
  'aliases',
  'exclude_list',
]);

const STRUCTS: ReadonlySet<string> = new Set(['struct_pack', 'row', 'struct_insert', 'struct_update', 'union_value']);

function canonical(value: AstValue, inStruct: boolean): AstValue {
  if (typeof value !== 'object' || value === null) return value;
  if (isList(value)) return mapList(value, (item) => canonical(item, inStruct));
  const isStruct = value['function_name'] !== undefined && STRUCTS.has(textOf(value['function_name']).toLowerCase());
  const isTable = value['class'] === undefined;
  // Most trees are written in lower case: only what changes is copied.
  let copy = value['query_location'] === undefined ? undefined : withoutPlace(value);
  for (const field in value) {
    if (field === 'query_location') continue;
    const inner = value[field] ?? null;
    let found = inner;
    // The alias of an expression names a column, which readers see as written; that of a table only this query.
    if ((!inStruct && NAMES.has(field)) || (field === 'alias' && isTable)) found = lower(inner);
    else if (field === 'cte_map' && isNode(inner)) found = canonicalCtes(inner);
    else if (typeof inner === 'object') found = canonical(inner, isStruct);
    if (found !== inner) (copy ??= { ...value })[field] = found;
  }
  return copy ?? value;
}

function canonicalCtes(ctes: AstNode): AstNode {
  const before = ctes['map'] ?? [];
  const map = isList(before) ? mapList(before, (entry) => (isNode(entry) ? canonicalCte(entry) : entry)) : before;
  return map === before ? ctes : { map };
}

function canonicalCte(entry: AstNode): AstNode {
  const key = textOf(entry['key']).toLowerCase();
  const value = canonical(entry['value'] ?? null, false);
  return key === entry['key'] && value === entry['value'] ? entry : { key, value };
}

function lower(value: AstValue): AstValue {
  if (typeof value === 'string') return value.toLowerCase();
  return typeof value === 'object' && value !== null && isList(value) ? mapList(value, lower) : canonical(value, false);
}

/** As map, but a list of which nothing changes is itself. */
function mapList(list: readonly AstValue[], change: (item: AstValue) => AstValue): readonly AstValue[] {
  let copy: AstValue[] | undefined;
  for (const [i, item] of list.entries()) {
    const changed = change(item);
    if (changed !== item) (copy ??= [...list])[i] = changed;
  }
  return copy ?? list;
}

function withoutPlace(node: AstNode): Record<string, AstValue> {
  const { query_location: _, ...rest } = node;
  return rest;
}
