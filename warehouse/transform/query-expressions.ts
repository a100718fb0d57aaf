import { type AstNode, type AstValue, isNode, nodeOf, nodesOf, numberOf, textOf, textsOf } from './ast.ts';
import { columnsOfAlias, type Frame, type QueryColumn, resolveColumn } from './query-scope.ts';

/** Expressions of a query as far as the proof of locality needs them: which plain column one is, and which columns a condition holds equal. */

/** A shape about which nothing is proven; the message says which. */
export class NotProvable extends Error {}

/** Two columns that a condition holds equal. */
export type Equality = readonly [QueryColumn, QueryColumn];

export type Item =
  | { readonly name: string | undefined; readonly node: AstNode }
  | { readonly name: string | undefined; readonly column: QueryColumn };

export function expandItem(item: AstNode, frame: Frame): readonly Item[] {
  if (item['class'] !== 'STAR') {
    const alias = textOf(item['alias']).toLowerCase();
    const names = item['class'] === 'COLUMN_REF' ? textsOf(item['column_names']) : [];
    return [{ name: alias === '' ? names.at(-1)?.toLowerCase() : alias, node: item }];
  }
  const relation = textOf(item['relation_name']);
  const columns = relation === '' ? frame.star : columnsOfAlias(frame, relation);
  const renamed = nodesOf(item['rename_list']).length > 0 || nodesOf(item['rename']).length > 0;
  if (columns === undefined || item['columns'] === true || isNode(item['expr']) || renamed) {
    throw new NotProvable('a * in it stands for columns that are not clear');
  }
  const excluded = new Set(textsOf(item['exclude_list']).map((name) => name.toLowerCase()));
  if (excluded.has('') || nodesOf(item['qualified_exclude_list']).length > 0) {
    throw new NotProvable('a * in it excludes columns that are not clear');
  }
  const replaced = new Map(
    nodesOf(item['replace_list']).map((entry) => [textOf(entry['key']).toLowerCase(), nodeOf(entry['value'])]),
  );
  return columns.flatMap((column): readonly Item[] => {
    if (column.name !== undefined && excluded.has(column.name)) return [];
    const replacement = column.name === undefined ? undefined : replaced.get(column.name);
    return [replacement === undefined ? { name: column.name, column } : { name: column.name, node: replacement }];
  });
}

/** Alias → the FROM column it renames, null when it is more than that. An alias seen by name only. */
export function aliasesOf(items: readonly Item[], frame: Frame): Map<string, QueryColumn | null> {
  const aliases = new Map<string, QueryColumn | null>();
  for (const item of items) {
    if (item.name === undefined || 'column' in item) continue;
    const names = item.node['class'] === 'COLUMN_REF' ? textsOf(item.node['column_names']) : [];
    const column = names.length === 0 ? undefined : resolveColumn(names, [frame]);
    const before = aliases.get(item.name);
    aliases.set(item.name, column === undefined || (before !== undefined && before !== column) ? null : column);
  }
  return aliases;
}

/** The column that an expression is, if it is one. */
export function resolveReference(value: AstValue | undefined, frames: readonly Frame[]): QueryColumn | undefined {
  if (!isNode(value) || value['class'] !== 'COLUMN_REF') return undefined;
  return resolveColumn(textsOf(value['column_names']), frames);
}

export function typeOf(node: AstNode): string | undefined {
  if (node['class'] !== 'CAST') return undefined;
  const type = nodeOf(node['cast_type']);
  const info = nodeOf(type?.['type_info']);
  const id = textOf(type?.['id']);
  if (info === undefined) return SIMPLE_TYPES.has(id) ? id : undefined;
  const [width, scale] = [numberOf(info['width']), numberOf(info['scale'])];
  return id === 'DECIMAL' && width !== undefined && scale !== undefined ? `DECIMAL(${width},${scale})` : undefined;
}

const SIMPLE_TYPES: ReadonlySet<string> = new Set([
  'BOOLEAN',
  'INTEGER',
  'BIGINT',
  'VARCHAR',
  'DATE',
  'TIMESTAMP',
  'UUID',
]);

export function columnsOf(
  nodes: readonly AstNode[],
  resolve: (value: AstValue | undefined) => QueryColumn | undefined,
): ReadonlySet<QueryColumn> {
  return new Set(nodes.flatMap((node) => resolve(node) ?? []));
}

/** Equalities of plain columns among the conjuncts of a condition. */
export function equalitiesOf(value: AstValue | undefined, frames: readonly Frame[]): readonly Equality[] {
  if (!isNode(value)) return [];
  if (value['type'] === 'CONJUNCTION_AND')
    return nodesOf(value['children']).flatMap((child) => equalitiesOf(child, frames));
  if (value['type'] !== 'COMPARE_EQUAL' && value['type'] !== 'COMPARE_NOT_DISTINCT_FROM') return [];
  const sides = [value['left'], value['right']].map((side) =>
    isNode(side) && side['class'] === 'COLUMN_REF' ? resolveColumn(textsOf(side['column_names']), frames) : undefined,
  );
  return sides[0] !== undefined && sides[1] !== undefined ? [[sides[0], sides[1]]] : [];
}
