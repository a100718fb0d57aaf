import { type AstValue, isNode, nodesOf, textOf } from './ast.ts';

/**
 * A query's tree without what cannot change its rows: positions, comments and layout (the tree has none), and the letter case of tables,
 * their aliases and columns. Names that become data keep theirs: constants, and the fields of a struct.
 */
export function canonicalQuery(value: AstValue): AstValue {
  return canonical(value, false);
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
  if (Array.isArray(value)) return value.map((item: AstValue) => canonical(item, inStruct));
  if (!isNode(value)) return value;
  const isStruct = STRUCTS.has(textOf(value['function_name']).toLowerCase());
  const isTable = value['class'] === undefined;
  return Object.fromEntries(
    Object.entries(value).flatMap(([field, inner]): [string, AstValue][] => {
      if (field === 'query_location') return [];
      if (!inStruct && NAMES.has(field)) return [[field, lower(inner)]];
      // The alias of an expression names a column, which readers see as written; that of a table only this query.
      if (field === 'alias' && isTable) return [[field, lower(inner)]];
      if (field === 'cte_map' && isNode(inner)) {
        const map = nodesOf(inner['map']).map((entry) => ({
          key: textOf(entry['key']).toLowerCase(),
          value: canonical(entry['value'] ?? null, false),
        }));
        return [[field, { map }]];
      }
      return [[field, canonical(inner, isStruct)]];
    }),
  );
}

function lower(value: AstValue): AstValue {
  if (typeof value === 'string') return value.toLowerCase();
  return Array.isArray(value) ? value.map(lower) : canonical(value, false);
}
