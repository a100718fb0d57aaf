import { type AstNode, type AstValue, ctesOf, isNode, nodeOf, nodesOf, numberOf, textOf, textsOf } from '../ast.ts';
import { isCteReference, tableNameOf, writtenAs } from '../references.ts';
import type { BoundColumn } from '../sql-engine.ts';
import {
  bindingOf,
  findColumn,
  joinNames,
  type Names,
  NO_NAMES,
  namesOf,
  parameterNames,
  resolveNames,
  type TracedColumn,
  type TracedRelation,
} from './names.ts';
import { columnTrace, computedTrace, joinTraces, NOTHING, sameTrace, type Trace, unknownTrace } from './trace.ts';

/** Follows every column of a query's syntax tree down to the columns of the tables it reads. */

export interface TraceContext {
  /** Columns of every table a query may name. */
  readonly columns: ReadonlyMap<string, readonly BoundColumn[]>;
  /** True for aggregates and for macros that hold one. */
  readonly isAggregate: (functionName: string) => boolean;
}

interface Scope {
  readonly ctes: ReadonlyMap<string, () => TracedRelation>;
  /** Names of the queries around, innermost first. */
  readonly frames: readonly Names[];
}

interface From {
  readonly names: Names;
  readonly rows: Trace;
}

/** Columns of a query, in order, and what decides its rows. */
export function traceQuery(query: AstNode, context: TraceContext): TracedRelation {
  return traceNode(query, { ctes: new Map(), frames: [] }, context);
}

function traceNode(node: AstNode, outer: Scope, context: TraceContext): TracedRelation {
  let ctes = outer.ctes;
  for (const { name, aliases, query } of ctesOf(node)) {
    const around: Scope = { ctes, frames: outer.frames };
    let known: TracedRelation | undefined;
    const read = () => (known ??= renamed(traceNode(query, around, context), aliases));
    ctes = new Map(ctes).set(name.toLowerCase(), read);
  }
  const scope = { ctes, frames: outer.frames };
  const type = textOf(node['type']);
  if (type === 'SELECT_NODE') return traceSelect(node, scope, context);
  if (type === 'SET_OPERATION_NODE') return traceSetOperation(node, scope, context);
  if (type === 'RECURSIVE_CTE_NODE') return traceRecursion(node, scope, context);
  return openRelation(`it has a ${type.toLowerCase().replaceAll('_', ' ')}`);
}

function openRelation(why: string): TracedRelation {
  return { columns: [], open: why, rows: unknownTrace(why) };
}

function traceSetOperation(node: AstNode, scope: Scope, context: TraceContext): TracedRelation {
  const operation = textOf(node['setop_type']);
  const children = nodesOf(node['children']);
  const sides = (children.length > 0 ? children : nodesOf([node['left'] ?? null, node['right'] ?? null])).map((side) =>
    traceNode(side, scope, context),
  );
  const open = sides.map((side) => side.open).find((why) => why !== undefined);
  const columns =
    operation === 'UNION_BY_NAME' ? uniteByName(sides) : open === undefined ? uniteByPlace(sides) : undefined;
  if (columns === undefined) return openRelation(open ?? 'the columns of a set operation are not clear');
  // UNION ALL keeps every row; the others compare all columns of both sides.
  const compared = operation.startsWith('UNION') && node['setop_all'] === true ? [] : columns;
  const relation: TracedRelation = {
    columns,
    ...(open === undefined ? {} : { open }),
    rows: joinTraces([
      ...sides.map((side) => side.rows),
      computedTrace(...compared.map((column) => column.trace)),
      ...(open !== undefined && compared.length > 0 ? [unknownTrace(open)] : []),
    ]),
  };
  const names = namesOf('', [], relation);
  return {
    ...relation,
    rows: joinTraces([
      relation.rows,
      traceModifiers(node, columns, { ...scope, frames: [names, ...scope.frames] }, context),
    ]),
  };
}

function uniteByPlace(sides: readonly TracedRelation[]): readonly TracedColumn[] | undefined {
  const [first] = sides;
  if (first === undefined || sides.some((side) => side.columns.length !== first.columns.length)) return undefined;
  return first.columns.map(({ name }, i) => ({
    name,
    trace: joinTraces(sides.flatMap((side) => side.columns[i]?.trace ?? [])),
  }));
}

function uniteByName(sides: readonly TracedRelation[]): readonly TracedColumn[] | undefined {
  const byName = new Map<string, Trace[]>();
  for (const { name, trace } of sides.flatMap((side) => side.columns)) {
    if (name === undefined) return undefined;
    byName.set(name, [...(byName.get(name) ?? []), trace]);
  }
  return [...byName].map(([name, traces]) => ({ name, trace: joinTraces(traces) }));
}

/** The rows of a round are the input of the next: repeated until no round adds an input. */
function traceRecursion(node: AstNode, scope: Scope, context: TraceContext): TracedRelation {
  const [left, right] = [nodeOf(node['left']), nodeOf(node['right'])];
  if (left === undefined || right === undefined) return openRelation('it is recursive in an unknown way');
  if (nodesOf(node['key_targets']).length > 0) return openRelation('it is recursive by key');
  let current = renamed(traceNode(left, scope, context), textsOf(node['aliases']));
  const name = textOf(node['cte_name']).toLowerCase();
  for (;;) {
    const before = current;
    const round = traceNode(right, { ...scope, ctes: new Map(scope.ctes).set(name, () => before) }, context);
    if (before.open !== undefined || round.open !== undefined || round.columns.length !== before.columns.length)
      return openRelation(before.open ?? round.open ?? 'the columns of a recursion are not clear');
    const columns = before.columns.map((column, i) => ({
      name: column.name,
      trace: joinTraces([column.trace, round.columns[i]?.trace ?? NOTHING]),
    }));
    const compared = node['union_all'] === true ? [] : columns.map((column) => column.trace);
    current = { columns, rows: joinTraces([before.rows, round.rows, computedTrace(...compared)]) };
    const settled = columns.every((column, i) => sameTrace(column.trace, before.columns[i]?.trace ?? NOTHING));
    if (settled && sameTrace(current.rows, before.rows)) return current;
  }
}

type Item = TracedColumn & { readonly node?: AstNode };

function traceSelect(node: AstNode, scope: Scope, context: TraceContext): TracedRelation {
  const fromNode = nodeOf(node['from_table']);
  const from: From = fromNode === undefined ? { names: NO_NAMES, rows: NOTHING } : traceFrom(fromNode, scope, context);
  const aliases = new Map<string, Trace>();
  // The map fills while the list is read: an item may use the aliases of those before it.
  const names: Names = { ...from.names, aliases };
  const inner: Scope = { ctes: scope.ctes, frames: [names, ...scope.frames] };
  let open: string | undefined;
  const items = nodesOf(node['select_list']).flatMap((item): readonly Item[] => {
    if (item['class'] === 'STAR') {
      const expanded = expandStar(item, names, inner, context);
      if (typeof expanded !== 'string') return expanded;
      open ??= expanded;
      return [];
    }
    if (holds(item, isStar)) {
      open ??= 'an expression over several columns stands for columns that are not clear';
      return [];
    }
    const trace = traceExpression(item, inner, context);
    const alias = textOf(item['alias']).toLowerCase();
    if (alias !== '') aliases.set(alias, trace);
    const written = item['class'] === 'COLUMN_REF' ? textsOf(item['column_names']).at(-1)?.toLowerCase() : undefined;
    return [{ name: alias === '' ? written : alias, trace, node: item }];
  });
  const clauses = [node['where_clause'], node['having'], node['qualify']].filter(isNode);
  const groups = nodesOf(node['group_expressions']).map((group) => {
    const place = group['class'] === 'CONSTANT' ? numberOf(nodeOf(group['value'])?.['value']) : undefined;
    return place === undefined ? traceDeciding(group, names, inner, context) : (items[place - 1]?.trace ?? NOTHING);
  });
  const grouped =
    node['aggregate_handling'] === 'FORCE_AGGREGATES'
      ? items.filter((item) => item.node === undefined || !aggregates(item.node, context)).map((item) => item.trace)
      : [];
  const unnested = items.filter((item) => item.node !== undefined && unnests(item.node)).map((item) => item.trace);
  const sampled = isNode(node['sample']) ? [unknownTrace('it takes a sample')] : [];
  const rows = computedTrace(
    from.rows,
    ...clauses.map((clause) => traceDeciding(clause, names, inner, context)),
    ...groups,
    ...grouped,
    ...unnested,
    ...sampled,
    ...(open !== undefined && node['aggregate_handling'] === 'FORCE_AGGREGATES' ? [unknownTrace(open)] : []),
    traceModifiers(node, items, inner, context),
  );
  return { columns: items.map(({ name, trace }) => ({ name, trace })), ...(open === undefined ? {} : { open }), rows };
}

/** ORDER BY decides rows only together with LIMIT or DISTINCT ON; DISTINCT compares all columns. */
function traceModifiers(node: AstNode, items: readonly TracedColumn[], scope: Scope, context: TraceContext): Trace {
  const modifiers = nodesOf(node['modifiers']);
  const all = items.map((item) => item.trace);
  const names = scope.frames[0] ?? NO_NAMES;
  const chooses = modifiers.some(
    (modifier) => textOf(modifier['type']).startsWith('LIMIT') || nodesOf(modifier['distinct_on_targets']).length > 0,
  );
  return computedTrace(
    ...modifiers.flatMap((modifier): readonly Trace[] => {
      const type = textOf(modifier['type']);
      const read = (expression: AstNode): Trace => {
        const place = expression['class'] === 'CONSTANT' ? numberOf(nodeOf(expression['value'])?.['value']) : undefined;
        if (place !== undefined) return items[place - 1]?.trace ?? NOTHING;
        if (expression['class'] === 'STAR') return joinTraces(all);
        return traceDeciding(expression, names, scope, context);
      };
      if (type === 'ORDER_MODIFIER')
        return chooses
          ? nodesOf(modifier['orders']).flatMap((order) => nodesOf([order['expression'] ?? null]).map(read))
          : [];
      if (type === 'DISTINCT_MODIFIER') {
        const targets = nodesOf(modifier['distinct_on_targets']);
        return targets.length === 0 ? all : targets.map(read);
      }
      return nodesOf([modifier['limit'] ?? null, modifier['offset'] ?? null]).map((part) =>
        traceExpression(part, scope, context),
      );
    }),
  );
}

/** In clauses that decide rows a name may mean the alias before the column, differently from clause to clause: both count. */
function traceDeciding(expression: AstNode, names: Names, scope: Scope, context: TraceContext): Trace {
  const trace = traceExpression(expression, scope, context);
  if (names.aliases.size === 0) return trace;
  const alsoMeant = columnNames(expression).flatMap((name) => names.aliases.get(name) ?? []);
  return joinTraces([trace, ...alsoMeant]);
}

function columnNames(value: AstValue | undefined): readonly string[] {
  if (Array.isArray(value)) return value.flatMap(columnNames);
  if (!isNode(value)) return [];
  const own = value['class'] === 'COLUMN_REF' ? textsOf(value['column_names']) : [];
  return [
    ...(own.length === 1 ? own.map((name) => name.toLowerCase()) : []),
    ...Object.values(value).flatMap(columnNames),
  ];
}

/** The columns of a `*`, or why they are not clear. */
function expandStar(item: AstNode, names: Names, scope: Scope, context: TraceContext): readonly Item[] | string {
  const relation = textOf(item['relation_name']);
  const binding = relation === '' ? undefined : bindingOf(names, relation);
  if (item['columns'] === true || isNode(item['expr']))
    return 'a COLUMNS() in it stands for columns that are not clear';
  if (relation !== '' && binding === undefined) return `${relation}.* stands for columns that are not clear`;
  const open = binding === undefined ? names.open : binding.open;
  if (open !== undefined) return open;
  if (nodesOf(item['qualified_exclude_list']).length > 0) return 'a * excludes columns that are not clear';
  const excluded = new Set(textsOf(item['exclude_list']).map((name) => name.toLowerCase()));
  if (excluded.has('') || nodesOf(item['rename_list']).length > 0)
    return 'a * renames or excludes columns that are not clear';
  const replaced = new Map(
    nodesOf(item['replace_list']).map((entry) => [textOf(entry['key']).toLowerCase(), nodeOf(entry['value'])]),
  );
  return (binding?.columns ?? names.star).flatMap((column): readonly Item[] => {
    if (column.name !== undefined && excluded.has(column.name)) return [];
    const node = column.name === undefined ? undefined : replaced.get(column.name);
    return [node === undefined ? column : { name: column.name, trace: traceExpression(node, scope, context), node }];
  });
}

/** True when the expression itself has such a part, not a subquery in it. */
function holds(value: AstValue | undefined, isSuch: (part: AstNode) => boolean): boolean {
  if (Array.isArray(value)) return value.some((inner: AstValue) => holds(inner, isSuch));
  if (!isNode(value) || value['class'] === 'SUBQUERY') return false;
  return isSuch(value) || Object.values(value).some((inner) => holds(inner, isSuch));
}

const isStar = (part: AstNode): boolean => part['class'] === 'STAR';

function aggregates(expression: AstNode, { isAggregate }: TraceContext): boolean {
  return holds(
    expression,
    (part) => part['class'] === 'FUNCTION' && isAggregate(textOf(part['function_name']).toLowerCase()),
  );
}

function unnests(expression: AstNode): boolean {
  return holds(expression, (part) => ['unnest', 'unlist'].includes(textOf(part['function_name']).toLowerCase()));
}

function traceExpression(node: AstNode, scope: Scope, context: TraceContext): Trace {
  switch (textOf(node['class'])) {
    case 'COLUMN_REF':
      return resolveNames(textsOf(node['column_names']), scope.frames);
    case 'SUBQUERY':
      return traceSubquery(node, scope, context);
    case 'LAMBDA':
      return traceLambda(node, scope, context);
    case 'STAR':
      return computedTrace(...(scope.frames[0]?.star.map((column) => column.trace) ?? []));
    case 'POSITIONAL_REFERENCE':
      return unknownTrace('a column is named by its position');
    default: {
      if (!LAMBDA_FUNCTIONS.test(textOf(node['function_name'])))
        return computedTrace(...traceParts(Object.values(node), scope, context));
      const parts = nodesOf(node['children']).map((part) =>
        part['class'] === 'LAMBDA' ? traceLambda(part, scope, context, true) : traceExpression(part, scope, context),
      );
      return computedTrace(...parts);
    }
  }
}

const LAMBDA_FUNCTIONS = /^((list|array)_)?(transform|filter|reduce|apply)$/i;

function traceParts(value: AstValue, scope: Scope, context: TraceContext): readonly Trace[] {
  if (Array.isArray(value)) return value.flatMap((inner: AstValue) => traceParts(inner, scope, context));
  return isNode(value) ? [traceExpression(value, scope, context)] : [];
}

function traceSubquery(node: AstNode, scope: Scope, context: TraceContext): Trace {
  const query = nodeOf(nodeOf(node['subquery'])?.['node']);
  if (query === undefined) return unknownTrace('it has a subquery of an unknown shape');
  const relation = traceNode(query, scope, context);
  const child = nodeOf(node['child']);
  // EXISTS asks for rows only.
  const values = /EXISTS/.test(textOf(node['subquery_type'])) ? [] : relation.columns.map((column) => column.trace);
  return computedTrace(
    relation.rows,
    ...values,
    ...(relation.open === undefined ? [] : [unknownTrace(relation.open)]),
    ...(child === undefined ? [] : [traceExpression(child, scope, context)]),
  );
}

/** The parameters hold what the list beside the lambda holds, which counts already. */
function traceLambda(node: AstNode, scope: Scope, context: TraceContext, isSure = false): Trace {
  const [left, body] = [nodeOf(node['lhs']), nodeOf(node['expr'])];
  if (left === undefined || body === undefined) return unknownTrace('it has a lambda of an unknown shape');
  const parameters = columnNames(left);
  const inner = { ...scope, frames: [parameterNames(parameters, NOTHING), ...scope.frames] };
  // Elsewhere -> may be the operator of JSON, whose left side is a value.
  const operand = isSure
    ? []
    : parameters.map((name) => resolveNames([name], scope.frames)).filter((trace) => trace.unknown === undefined);
  return computedTrace(traceExpression(body, inner, context), ...operand);
}

function traceFrom(node: AstNode, scope: Scope, context: TraceContext): From {
  if (isNode(node['sample']) || isNode(node['at_clause'])) {
    return openFrom(node, 'it reads a sample or an old version of a table');
  }
  const alias = textOf(node['alias']).toLowerCase();
  const rename = textsOf(node['column_name_alias']);
  switch (textOf(node['type'])) {
    case 'EMPTY':
      return { names: NO_NAMES, rows: NOTHING };
    case 'BASE_TABLE':
      return traceTable(node, scope, context);
    case 'JOIN':
      return traceJoin(node, scope, context);
    case 'SUBQUERY': {
      const query = nodeOf(nodeOf(node['subquery'])?.['node']);
      if (query === undefined) break;
      return named(renamed(traceNode(query, scope, context), rename), alias, []);
    }
    case 'EXPRESSION_LIST': {
      const lists = (Array.isArray(node['values']) ? node['values'] : []).map((list: AstValue) => nodesOf(list));
      const columns = (lists[0] ?? []).map((_, i) => ({
        name: `col${i}`,
        trace: joinTraces(
          lists.flatMap((list) => (list[i] === undefined ? [] : [traceExpression(list[i], scope, context)])),
        ),
      }));
      return named(renamed({ columns, rows: NOTHING }, rename), alias, []);
    }
    case 'TABLE_FUNCTION':
      return traceTableFunction(node, scope, context);
    default:
  }
  return openFrom(node, `it reads a ${textOf(node['type']).toLowerCase().replaceAll('_', ' ')}`);
}

function openFrom(node: AstNode, why: string): From {
  return named(openRelation(why), textOf(node['alias']).toLowerCase(), []);
}

function named(relation: TracedRelation, alias: string, path: readonly string[]): From {
  return { names: namesOf(alias, path, relation), rows: relation.rows };
}

function renamed(relation: TracedRelation, names: readonly string[]): TracedRelation {
  if (names.length === 0) return relation;
  if (relation.open !== undefined) return openRelation(relation.open);
  return {
    ...relation,
    columns: relation.columns.map((column, i) => ({ ...column, name: names[i]?.toLowerCase() ?? column.name })),
  };
}

const ONE_COLUMN: ReadonlySet<string> = new Set(['unnest', 'generate_series', 'range']);

/** Its arguments decide how many rows it gives and what is in them. */
function traceTableFunction(node: AstNode, scope: Scope, context: TraceContext): From {
  const call = nodeOf(node['function']);
  const name = textOf(call?.['function_name']).toLowerCase();
  const alias = textOf(node['alias']).toLowerCase();
  if (call === undefined || !ONE_COLUMN.has(name)) return openFrom(node, `the columns of ${name}() are not clear`);
  const trace = computedTrace(traceExpression(call, scope, context));
  const ordinality = node['with_ordinality'] === 'WITH_ORDINALITY' ? [{ name: 'ordinality', trace }] : [];
  const relation = { columns: [{ name, trace }, ...ordinality], rows: trace };
  return named(renamed(relation, textsOf(node['column_name_alias'])), alias === '' ? name : alias, []);
}

function traceTable(node: AstNode, scope: Scope, context: TraceContext): From {
  const { path, alias, hasOwnAlias } = writtenAs(node);
  const rename = textsOf(node['column_name_alias']);
  if (isCteReference(node, scope.ctes)) {
    const relation = scope.ctes.get(path[0] ?? '')?.() ?? openRelation('a CTE in it is not clear');
    return named(renamed(relation, rename), alias, []);
  }
  const table = tableNameOf(node);
  const bound = table === undefined ? undefined : context.columns.get(table);
  if (table === undefined || bound === undefined) return openFrom(node, `the table ${path.join('.')} is not known`);
  const columns = bound.map(({ name }) => ({ name: name.toLowerCase(), trace: columnTrace(table, name) }));
  return named(renamed({ columns, rows: NOTHING }, rename), alias, hasOwnAlias ? [] : path);
}

function traceJoin(node: AstNode, scope: Scope, context: TraceContext): From {
  const [leftNode, rightNode] = [nodeOf(node['left']), nodeOf(node['right'])];
  if (leftNode === undefined || rightNode === undefined) return openFrom(node, 'it has a join of an unknown shape');
  const kind = textOf(node['join_type']);
  const left = traceFrom(leftNode, scope, context);
  // A table on the right may look at those on its left (LATERAL), which DuckDB allows without the word.
  const right = traceFrom(rightNode, { ...scope, frames: [left.names, ...scope.frames] }, context);
  const natural = textOf(node['ref_type']) === 'NATURAL';
  const open = natural ? (left.names.open ?? right.names.open) : undefined;
  const using = natural
    ? sharedNames(left.names, right.names)
    : textsOf(node['using_columns']).map((name) => name.toLowerCase());
  const pairs = using.map((name) => {
    const [a, b] = [left.names, right.names].map(
      (names) => findColumn(name, names) ?? unknownTrace(`the column ${name} of a USING is not clear`),
    );
    return { name, left: a ?? NOTHING, right: b ?? NOTHING };
  });
  const merged = new Map(
    pairs.map((pair) => [pair.name, { name: pair.name, trace: mergedTrace(kind, pair.left, pair.right) }]),
  );
  const both = joinNames(left.names, right.names, merged);
  const condition = nodeOf(node['condition']);
  const rows = computedTrace(
    left.rows,
    right.rows,
    ...pairs.flatMap((pair) => [pair.left, pair.right]),
    ...(condition === undefined
      ? []
      : [traceExpression(condition, { ...scope, frames: [both, ...scope.frames] }, context)]),
    ...(open === undefined ? [] : [unknownTrace(open)]),
  );
  const probes = kind === 'SEMI' || kind === 'ANTI';
  return { names: probes ? left.names : open === undefined ? both : { ...both, open }, rows };
}

function sharedNames(left: Names, right: Names): readonly string[] {
  const names = new Set(left.star.flatMap((column) => column.name ?? []));
  return [...new Set(right.star.flatMap((column) => column.name ?? []))].filter((name) => names.has(name));
}

/** Which column an unqualified USING name means: the side that is never filled with NULL; of a FULL join either. */
function mergedTrace(kind: string, left: Trace, right: Trace): Trace {
  if (kind === 'RIGHT') return right;
  return kind === 'OUTER' || kind === 'FULL' ? joinTraces([left, right]) : left;
}
