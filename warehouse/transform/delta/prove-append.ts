import { type AstNode, isNode, nodesOf, textOf } from '../ast.ts';
import { NotProvable } from '../query-expressions.ts';
import { functionNameOf } from './nodes.ts';
import { AS_OF, type NormalForm, ownNodes, type Query, type SelectQuery } from './normal-query.ts';

/**
 * Proves that the rows of a query over more rows are its rows before and those of the new rows alone: each row is made of one row of one
 * table, whatever else stands there. Throws NotProvable with what stands in the way.
 */
export function proveAppend(form: NormalForm): void {
  if (form.root.reads.has(AS_OF))
    throw new NotProvable('it asks for as_of(), which moves under rows that were written');
  proveQuery(form.root, form);
}

function proveQuery(query: Query, form: NormalForm): void {
  if (query.kind === 'select') {
    proveSelect(query, form);
    return;
  }
  if (query.operation !== 'UNION' || !query.all)
    throw new NotProvable(`${query.operation.toLowerCase()} compares each row with others; only union all does not`);
  proveQuery(query.left, form);
  proveQuery(query.right, form);
}

function proveSelect(query: SelectQuery, form: NormalForm): void {
  if (query.grouping.kind !== 'none') throw new NotProvable('an aggregate changes as rows come');
  if (query.limited) throw new NotProvable('a limit chooses anew as rows come');
  const modifiers = nodesOf(query.exact['modifiers']);
  if (modifiers.some((modifier) => modifier['type'] === 'DISTINCT_MODIFIER'))
    throw new NotProvable('distinct compares each row with others');
  const parts = [...query.outputs, ...query.where, ...query.steps.flatMap((step) => step.on)];
  for (const node of ownNodes([...parts, query.qualify ?? null])) {
    if (node['class'] === 'WINDOW' || (node['class'] === 'FUNCTION' && form.isWindow(functionNameOf(node))))
      throw new NotProvable('a window changes as rows come');
    if (form.subqueryOf(node) !== undefined) throw new NotProvable('a subquery looks at rows that may change');
  }
  for (const { leaf, join } of query.steps) {
    if (leaf.reads.size > 0) throw new NotProvable('a join meets a table whose rows may change');
    if (join !== 'inner' && join !== 'left') throw new NotProvable(`a ${join} join compares each row with others`);
  }
  if (query.first === undefined || query.first.reads.size === 0)
    throw new NotProvable('a part of it reads no table, and would come again with each run');
  if (query.first.kind === 'query') proveQuery(query.first.query, form);
}

/** The query over other tables: `nameOf` gives the temporary table to read in place of one. */
export function readInstead(form: NormalForm, nameOf: (table: string) => string): AstNode {
  const names = new Map<string, string>();
  const collect = (query: Query): void => {
    if (query.kind === 'set') {
      collect(query.left);
      collect(query.right);
    } else if (query.first?.kind === 'table') names.set(query.first.alias, nameOf(query.first.table));
    else if (query.first?.kind === 'query') collect(query.first.query);
  };
  collect(form.root);
  const replace = (value: AstNode[string]): AstNode[string] => {
    if (Array.isArray(value)) return value.map(replace);
    if (!isNode(value)) return value;
    const name = value['type'] === 'BASE_TABLE' ? names.get(textOf(value['alias'])) : undefined;
    if (name !== undefined) return { ...value, table_name: name, schema_name: '', catalog_name: '' };
    return Object.fromEntries(Object.entries(value).map(([field, inner]) => [field, replace(inner)]));
  };
  return replace(form.root.exact) as AstNode;
}
