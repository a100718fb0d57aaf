import { type AstNode, type AstValue, isNode, nodeOf, nodesOf, textOf, textsOf, walk } from '../ast.ts';
import { NotProvable } from '../query-expressions.ts';
import { EMPTY_FRAME, type Frame, frameOf, joinFrames, lookUp, type QueryColumn } from '../query-scope.ts';
import { isCteReference, tableNameOf } from '../references.ts';
import {
  columnNode,
  comparison,
  conjunction,
  functionNameOf,
  innerQuery,
  joinItem,
  operator,
  queryItem,
  TRUE,
  tableItem,
} from './nodes.ts';
import { conjunctsOf } from './normal-expression.ts';
import { AS_OF, columnRefs, type JoinKind, type Leaf, outputName, type Query, type Step } from './normal-query.ts';
import type { NormalFrom, Normalizer, NormalScope } from './normalizer.ts';

const JOINS: Readonly<Record<string, JoinKind>> = {
  INNER: 'inner',
  LEFT: 'left',
  RIGHT: 'right',
  OUTER: 'full',
  FULL: 'full',
  SEMI: 'semi',
  ANTI: 'anti',
};

export function normalizeFrom(node: AstNode, scope: NormalScope, normalizer: Normalizer): NormalFrom {
  const type = textOf(node['type']);
  if (type === 'EMPTY') return { first: undefined, steps: [], frame: EMPTY_FRAME };
  if (type === 'JOIN') return normalizeJoin(node, scope, normalizer);
  const { leaf, frame } = normalizeLeaf(node, scope, normalizer);
  return { first: { ...leaf, looksAt: new Set() }, steps: [], frame };
}

interface NamedLeaf {
  readonly leaf: Leaf;
  readonly frame: Frame;
}

function normalizeLeaf(node: AstNode, scope: NormalScope, normalizer: Normalizer): NamedLeaf {
  normalizer.tick();
  if (isNode(node['sample']) || isNode(node['at_clause']))
    throw new NotProvable('it reads a sample or an old version of a table');
  const type = textOf(node['type']);
  const rename = textsOf(node['column_name_alias']);
  const alias = textOf(node['alias']).toLowerCase();
  if (type === 'BASE_TABLE') return normalizeTable(node, scope, normalizer);
  if (type === 'SUBQUERY') {
    const query = innerQuery(node);
    if (query !== undefined) return leafOf(normalizer.query(query, scope), { alias, path: [], rename }, normalizer);
  }
  if (type === 'TABLE_FUNCTION' || type === 'EXPRESSION_LIST') return normalizeRows(node, scope, normalizer);
  throw new NotProvable(`it reads a ${type.toLowerCase().replaceAll('_', ' ')}`);
}

interface Naming {
  readonly alias: string;
  /** Catalog, schema and table of what has no alias of its own. */
  readonly path: readonly string[];
  readonly rename: readonly string[];
}

/** A query as a leaf of FROM; its first columns may be renamed. */
function leafOf(query: Query, naming: Naming, normalizer: Normalizer): NamedLeaf {
  const alias = normalizer.nextAlias();
  if (naming.rename.length > query.names.length) throw new NotProvable('the columns of a table in it are not clear');
  const columns = query.names.map((name, i): QueryColumn => {
    const column = { name: naming.rename[i]?.toLowerCase() ?? name, type: undefined };
    normalizer.nodes.set(column, columnNode(alias, outputName(i)));
    return column;
  });
  const exact = queryItem(query.exact, alias);
  const leaf: Leaf = { kind: 'query', alias, query, exact, reads: query.reads, looksAt: outerAliases(query.exact) };
  return { leaf, frame: frameOf(naming.alias, naming.path, columns) };
}

/** Every alias named; those it defines itself are never looked for, for aliases are unique. */
function outerAliases(value: AstValue): ReadonlySet<string> {
  return new Set([...columnRefs(value)].map(({ alias }) => alias));
}

function normalizeTable(node: AstNode, scope: NormalScope, normalizer: Normalizer): NamedLeaf {
  const written = [node['catalog_name'], node['schema_name'], node['table_name']].map((part) => textOf(part));
  const path = written.filter((part) => part !== '');
  const lower = path.map((part) => part.toLowerCase());
  const own = textOf(node['alias']).toLowerCase();
  const naming = {
    alias: own === '' ? (lower.at(-1) ?? '') : own,
    path: own === '' ? lower : [],
    rename: textsOf(node['column_name_alias']),
  };
  if (isCteReference(node, scope.ctes)) {
    const cte = scope.ctes.get(lower[0] ?? '');
    if (cte === undefined) throw new NotProvable('a CTE in it is not clear');
    const query = normalizer.query(cte.query, { ctes: cte.ctes, frames: cte.frames });
    const rename = [...naming.rename, ...cte.aliases.slice(naming.rename.length)];
    return leafOf(query, { ...naming, path: [], rename }, normalizer);
  }
  const table = tableNameOf(node);
  const bound = table === undefined ? undefined : normalizer.columnsOf(table);
  if (table === undefined || bound === undefined) throw new NotProvable(`the table ${lower.join('.')} is not known`);
  const view = normalizer.viewAt(table);
  if (view !== undefined) {
    const query = normalizer.query(view, { ctes: new Map(), frames: [] });
    if (query.names.length !== bound.length) throw new NotProvable(`the columns of the view ${table} are not clear`);
    const names = bound.map(({ name }) => name);
    return leafOf(query, { ...naming, rename: [...naming.rename, ...names.slice(naming.rename.length)] }, normalizer);
  }
  const alias = normalizer.nextAlias();
  if (naming.rename.length > bound.length) throw new NotProvable('the columns of a table in it are not clear');
  const columns = bound.map(({ name }, i): QueryColumn => {
    const column = { name: naming.rename[i]?.toLowerCase() ?? name.toLowerCase(), type: undefined };
    normalizer.nodes.set(column, columnNode(alias, name));
    return column;
  });
  normalizer.foundTable(alias, table);
  const exact = tableItem(path, alias);
  const leaf: Leaf = { kind: 'table', alias, table, path, exact, reads: new Set([table]), looksAt: new Set() };
  return { leaf, frame: frameOf(naming.alias, naming.path, columns) };
}

const ONE_COLUMN: ReadonlySet<string> = new Set(['unnest', 'generate_series', 'range']);

function normalizeRows(node: AstNode, scope: NormalScope, normalizer: Normalizer): NamedLeaf {
  const call = nodeOf(node['function']);
  const values = node['values'];
  if (node['with_ordinality'] !== undefined && node['with_ordinality'] !== 'WITHOUT_ORDINALITY')
    throw new NotProvable('a table function in it numbers its rows');
  if ([...walk(call === undefined ? values : call['children'])].some((part) => part['class'] === 'SUBQUERY'))
    throw new NotProvable('a subquery stands in the arguments of a table function');
  const rename = textsOf(node['column_name_alias']);
  const [firstRow] = Array.isArray(values) ? values : [];
  const given =
    call === undefined
      ? nodesOf(firstRow).map((_, i) => `col${i}`)
      : ONE_COLUMN.has(functionNameOf(call))
        ? [functionNameOf(call)]
        : [];
  const names = [...rename, ...given.slice(rename.length)];
  if (names.length === 0) throw new NotProvable('the columns of a table function in it are not clear');
  const alias = normalizer.nextAlias();
  const resolve = (value: AstValue): AstValue =>
    Array.isArray(value) ? value.map(resolve) : isNode(value) ? normalizer.expression(value, scope) : value;
  const columns = names.map((name): QueryColumn => {
    const column = { name: name.toLowerCase(), type: undefined };
    normalizer.nodes.set(column, columnNode(alias, name));
    return column;
  });
  const exact: AstNode = {
    ...node,
    alias,
    column_name_alias: names,
    ...(call === undefined
      ? { values: resolve(values ?? []) }
      : { function: { ...call, children: resolve(call['children'] ?? []) } }),
  };
  const leaf: Leaf = {
    kind: 'rows',
    alias,
    exact,
    reads: readsOfCalls(exact, normalizer),
    looksAt: outerAliases(exact),
  };
  const own = textOf(node['alias']).toLowerCase();
  return { leaf, frame: frameOf(own === '' && call !== undefined ? functionNameOf(call) : own, [], columns) };
}

function readsOfCalls(node: AstNode, { isAsOf }: Normalizer): ReadonlySet<string> {
  const asks = [...walk(node)].some((part) => part['class'] === 'FUNCTION' && isAsOf(functionNameOf(part)));
  return new Set(asks ? [AS_OF] : []);
}

function normalizeJoin(node: AstNode, scope: NormalScope, normalizer: Normalizer): NormalFrom {
  const [leftNode, rightNode] = [nodeOf(node['left']), nodeOf(node['right'])];
  const [type, reference] = [textOf(node['join_type']), textOf(node['ref_type'])];
  // DuckDB 1.5.6 sometimes lets a NULL on the left of >= match, depending on how the table was written: then no two runs need agree.
  if (reference === 'ASOF') throw new NotProvable('it has an asof join, whose matches of NULL are not reliable');
  const join = Object.hasOwn(JOINS, type) ? JOINS[type] : undefined;
  const isPlain = reference === 'REGULAR' || reference === 'CROSS';
  if (leftNode === undefined || rightNode === undefined || join === undefined || !isPlain)
    throw new NotProvable(`it has a ${reference.toLowerCase()} ${type.toLowerCase()} join`);
  const left = normalizeFrom(leftNode, scope, normalizer);
  // A table on the right may look at those on its left (LATERAL), which DuckDB allows without the word.
  const rightScope = { ...scope, frames: [left.frame, ...scope.frames] };
  const right =
    textOf(rightNode['type']) === 'JOIN'
      ? asOneLeaf(normalizeFrom(rightNode, rightScope, normalizer), normalizer)
      : normalizeLeaf(rightNode, rightScope, normalizer);
  const pairs = textsOf(node['using_columns']).map((name) => {
    const [a, b] = [left.frame, right.frame].map((frame) => lookUp([name.toLowerCase()], frame));
    if (a === undefined || b === undefined || a === 'stop' || b === 'stop')
      throw new NotProvable('the columns of a USING in it are not clear');
    return { name: name.toLowerCase(), left: a, right: b };
  });
  const nodeFor = (column: QueryColumn): AstNode => {
    const found = normalizer.nodes.get(column);
    if (found === undefined) throw new NotProvable('the columns of a USING in it are not clear');
    return found;
  };
  const merged = new Map(
    pairs.map(({ name, left: a, right: b }): [string, QueryColumn] => {
      if (join === 'right') return [name, b];
      if (join !== 'full') return [name, a];
      const column = { name, type: undefined };
      normalizer.nodes.set(column, operator('OPERATOR_COALESCE', [nodeFor(a), nodeFor(b)]));
      return [name, column];
    }),
  );
  const both = joinFrames(left.frame, right.frame, merged);
  const condition = nodeOf(node['condition']);
  const on = [
    ...pairs.map(({ left: a, right: b }) => comparison('COMPARE_EQUAL', nodeFor(a), nodeFor(b))),
    ...(condition === undefined
      ? []
      : conjunctsOf(normalizer.expression(condition, { ...scope, frames: [both, ...scope.frames] }))),
  ];
  const before = [left.first, ...left.steps.map((step) => step.leaf)].flatMap((leaf) => leaf?.alias ?? []);
  const looksAt = new Set(before.filter((alias) => right.leaf.looksAt.has(alias)));
  if (looksAt.size > 0 && join !== 'inner' && join !== 'left')
    throw new NotProvable(`it has a ${join} join of a table that looks at those before it`);
  const step: Step = { join, leaf: { ...right.leaf, looksAt }, on };
  if (left.first === undefined) throw new NotProvable('it joins nothing');
  return {
    first: left.first,
    steps: [...left.steps, step],
    frame: join === 'semi' || join === 'anti' ? left.frame : both,
  };
}

/** A join on the right of a join, as a derived table of all its columns. */
function asOneLeaf(from: NormalFrom, normalizer: Normalizer): NamedLeaf {
  const columns = [...new Set([...from.frame.star, ...from.frame.bindings.flatMap((binding) => binding.columns)])];
  const outputs = columns.map((column) => normalizer.nodes.get(column) ?? TRUE);
  const query = normalizer.plainSelect(
    from,
    outputs,
    columns.map(({ name }) => name),
  );
  const alias = normalizer.nextAlias();
  columns.forEach((column, i) => normalizer.nodes.set(column, columnNode(alias, outputName(i))));
  const exact = queryItem(query.exact, alias);
  const leaf: Leaf = { kind: 'query', alias, query, exact, reads: query.reads, looksAt: outerAliases(query.exact) };
  return { leaf, frame: from.frame };
}

const KINDS: Readonly<Record<JoinKind, string>> = {
  inner: 'INNER',
  left: 'LEFT',
  right: 'RIGHT',
  full: 'FULL',
  semi: 'SEMI',
  anti: 'ANTI',
};

export function joinOf(left: AstNode, right: AstNode, join: JoinKind, on: readonly AstNode[]): AstNode {
  return joinItem(left, right, KINDS[join], conjunction('AND', on) ?? TRUE);
}

/** The FROM clause as it was meant. */
export function exactFrom({ first, steps }: Pick<NormalFrom, 'first' | 'steps'>): AstNode | undefined {
  if (first === undefined) return undefined;
  return steps.reduce((from, { join, leaf, on }) => joinOf(from, leaf.exact, join, on), first.exact);
}
