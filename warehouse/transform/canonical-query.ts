import { type AstNode, type AstValue, isList, isNode, nodesOf, textOf } from './ast.ts';

/**
 * A query's tree without what cannot change its rows: positions, comments and layout (the tree has none), and the letter case of tables,
 * their aliases and columns. Names that become data keep theirs: constants, and the fields of a struct.
 */
export function canonicalQuery<T extends AstValue>(query: T): T {
  if (!isNode(query)) return canonical(query, false) as T;
  const found = known.get(query) ?? canonical(query, false);
  known.set(query, found);
  return found as T;
}

/** A query is asked for several times while its model is compiled. */
const known = new WeakMap<AstNode, AstValue>();

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
  if (isList(value)) return value.map((item) => canonical(item, inStruct));
  const isStruct = STRUCTS.has(textOf(value['function_name']).toLowerCase());
  const isTable = value['class'] === undefined;
  const result: Record<string, AstValue> = {};
  for (const field in value) {
    if (field === 'query_location') continue;
    const inner = value[field] ?? null;
    // The alias of an expression names a column, which readers see as written; that of a table only this query.
    if ((!inStruct && NAMES.has(field)) || (field === 'alias' && isTable)) result[field] = lower(inner);
    else if (field === 'cte_map' && isNode(inner)) result[field] = { map: nodesOf(inner['map']).map(canonicalCte) };
    else if (typeof inner !== 'object') result[field] = inner;
    else result[field] = canonical(inner, isStruct);
  }
  return result;
}

function canonicalCte(entry: AstNode): AstNode {
  return { key: textOf(entry['key']).toLowerCase(), value: canonical(entry['value'] ?? null, false) };
}

function lower(value: AstValue): AstValue {
  if (typeof value === 'string') return value.toLowerCase();
  return typeof value === 'object' && value !== null && isList(value) ? value.map(lower) : canonical(value, false);
}
