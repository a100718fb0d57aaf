import { type AstNode, type AstValue, nodeOf, textOf } from '../ast.ts';

/** Nodes of DuckDB's syntax tree as its JSON reader wants them, for queries that are written here and not by a person. */

const NO_NAMES: AstNode = { map: [] };
const NOWHERE = '\u000018446744073709551615';

export function columnNode(alias: string, name: string): AstNode {
  return {
    class: 'COLUMN_REF',
    type: 'COLUMN_REF',
    alias: '',
    query_location: NOWHERE,
    column_names: alias === '' ? [name] : [alias, name],
  };
}

export function textNode(text: string): AstNode {
  return constantNode({ type: { id: 'VARCHAR', type_info: null }, is_null: false, value: text });
}

/** The number one: what a SELECT gives of which only the existence of rows matters. */
export const ONE: AstNode = constantNode({
  type: { id: 'INTEGER', type_info: null },
  is_null: false,
  value: '\u00001',
});

function constantNode(value: AstNode): AstNode {
  return { class: 'CONSTANT', type: 'VALUE_CONSTANT', alias: '', query_location: NOWHERE, value };
}

function booleanNode(value: boolean): AstNode {
  return {
    class: 'CAST',
    type: 'OPERATOR_CAST',
    alias: '',
    query_location: NOWHERE,
    child: textNode(value ? 't' : 'f'),
    cast_type: { id: 'BOOLEAN', type_info: null },
    try_cast: false,
  };
}

export const TRUE = booleanNode(true);
export const FALSE = booleanNode(false);

export function renamed(node: AstNode, alias: string): AstNode {
  return node['alias'] === alias ? node : { ...node, alias };
}

export function comparison(
  type: 'COMPARE_EQUAL' | 'COMPARE_NOT_DISTINCT_FROM' | 'COMPARE_GREATERTHAN' | 'COMPARE_LESSTHANOREQUALTO',
  left: AstNode,
  right: AstNode,
): AstNode {
  return { class: 'COMPARISON', type, alias: '', query_location: NOWHERE, left, right };
}

export function dateNode(date: string): AstNode {
  return {
    class: 'CAST',
    type: 'OPERATOR_CAST',
    alias: '',
    query_location: NOWHERE,
    child: textNode(date),
    cast_type: { id: 'DATE', type_info: null },
    try_cast: false,
  };
}

/** `left < 0` */
export function comparisonBelowZero(left: AstNode): AstNode {
  const right = constantNode({ type: { id: 'INTEGER', type_info: null }, is_null: false, value: '\u00000' });
  return { class: 'COMPARISON', type: 'COMPARE_LESSTHAN', alias: '', query_location: NOWHERE, left, right };
}

export function isNull(child: AstNode): AstNode {
  return operator('OPERATOR_IS_NULL', [child]);
}

export function operator(type: string, children: readonly AstNode[]): AstNode {
  return { class: 'OPERATOR', type, alias: '', query_location: NOWHERE, children };
}

export function conjunction(kind: 'AND' | 'OR', parts: readonly AstNode[]): AstNode | undefined {
  if (parts.length <= 1) return parts[0];
  return { class: 'CONJUNCTION', type: `CONJUNCTION_${kind}`, alias: '', query_location: NOWHERE, children: parts };
}

export function exists(query: AstNode): AstNode {
  return {
    class: 'SUBQUERY',
    type: 'SUBQUERY',
    alias: '',
    query_location: NOWHERE,
    subquery_type: 'EXISTS',
    subquery: { node: query, named_param_map: [] },
    child: null,
    comparison_type: 'INVALID',
  };
}

/** A table under a name of its own. `path` is catalog, schema and table, as many as there are. */
export function tableItem(path: readonly string[], alias: string): AstNode {
  const [table = '', schema = '', catalog = ''] = path.toReversed();
  return {
    type: 'BASE_TABLE',
    alias,
    sample: null,
    query_location: NOWHERE,
    schema_name: schema,
    table_name: table,
    column_name_alias: [],
    catalog_name: catalog,
    at_clause: null,
  };
}

export function queryItem(query: AstNode, alias: string): AstNode {
  return {
    type: 'SUBQUERY',
    alias,
    sample: null,
    query_location: NOWHERE,
    subquery: { node: query, named_param_map: [] },
    column_name_alias: [],
  };
}

export function joinItem(left: AstNode, right: AstNode, type: string, condition: AstNode): AstNode {
  return {
    type: 'JOIN',
    alias: '',
    sample: null,
    query_location: NOWHERE,
    left,
    right,
    condition,
    join_type: type,
    ref_type: 'REGULAR',
    using_columns: [],
    delim_flipped: false,
    duplicate_eliminated_columns: [],
  };
}

export const NO_ROWS_ITEM: AstNode = { type: 'EMPTY', alias: '', sample: null, query_location: NOWHERE };

export interface SelectParts {
  readonly items: readonly AstNode[];
  readonly from: AstNode;
  readonly where?: readonly AstNode[];
  readonly groups?: readonly AstNode[];
  readonly groupSets?: AstValue;
  readonly having?: AstNode | undefined;
  readonly qualify?: AstNode | undefined;
  readonly modifiers?: readonly AstNode[];
}

export function selectNode(parts: SelectParts): AstNode {
  return {
    type: 'SELECT_NODE',
    modifiers: parts.modifiers ?? [],
    cte_map: NO_NAMES,
    select_list: parts.items,
    from_table: parts.from,
    where_clause: conjunction('AND', parts.where ?? []) ?? null,
    group_expressions: parts.groups ?? [],
    group_sets: parts.groupSets ?? [],
    aggregate_handling: 'STANDARD_HANDLING',
    having: parts.having ?? null,
    sample: null,
    qualify: parts.qualify ?? null,
  };
}

export function setNode(operation: string, all: boolean, left: AstNode, right: AstNode): AstNode {
  return {
    type: 'SET_OPERATION_NODE',
    modifiers: [],
    cte_map: NO_NAMES,
    setop_type: operation,
    setop_all: all,
    left,
    right,
  };
}

/** All rows of some queries of the same columns. */
export function unionAll(queries: readonly AstNode[]): AstNode {
  const [first, ...others] = queries;
  if (first === undefined) throw new RangeError('a union of nothing');
  return others.reduce((left, right) => setNode('UNION', true, left, right), first);
}

export const DISTINCT: AstNode = { type: 'DISTINCT_MODIFIER', distinct_on_targets: [] };

/** The query node inside a subquery expression or a derived table. */
export function innerQuery(node: AstNode): AstNode | undefined {
  return nodeOf(nodeOf(node['subquery'])?.['node']);
}

export function functionNameOf(node: AstNode): string {
  return textOf(node['function_name']).toLowerCase();
}
