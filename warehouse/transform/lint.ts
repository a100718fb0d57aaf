import { type AstNode, byteOf, isNode, nodeOf, nodesOf, textOf, visitNodes, walk } from './ast.ts';
import { locateInBody } from './bind.ts';
import type { Diagnostics } from './diagnostics.ts';
import type { CompiledModel, Model } from './model.ts';
import type { ParsedModel } from './parsed-model.ts';
import type { LoadedMacros } from './read-macros.ts';
import type { References } from './references.ts';
import { offsetOfByte } from './source-text.ts';
import type { SqlEngine } from './sql-engine.ts';

/** Refuses SQL whose result is not decided by its inputs, or is not exact: found on the tree, so comments and strings never count. */
export function lintQuery(
  entry: { readonly model: Model; readonly query: AstNode; readonly references: References },
  engine: SqlEngine,
  diagnostics: Diagnostics,
): void {
  const { model, query, references } = entry;
  const report: Report = (node, message, remedy) => {
    const offset = node === undefined ? 0 : offsetOfByte(model.sql, firstByteOf(node));
    diagnostics.add({ code: 'MODEL_LINT', message, at: locateInBody(model.bodyAt, model.sql, offset), remedy });
  };
  visitNodes(query, (node) => lintNode(node, engine, report));
  for (const { name, node } of references.tableFunctions) {
    if (TABLE_FUNCTIONS.has(name)) continue;
    report(
      node,
      `the table function ${name} reads something else than the model's tables`,
      `Read bronze, silver or gold; allowed are ${[...TABLE_FUNCTIONS].join(', ')}.`,
    );
  }
  if (model.layer === 'gold') lintFinalColumns(query, report);
  lintLayers(model, references, report);
}

/** A model that moves with the logical date must say how, and only such a model. */
export function lintAsOf(
  { model, dependencies, calls, headerAt }: Pick<ParsedModel, 'model' | 'dependencies' | 'calls' | 'headerAt'>,
  context: {
    readonly macros: LoadedMacros;
    readonly models: ReadonlyMap<string, CompiledModel>;
    readonly diagnostics: Diagnostics;
  },
): void {
  const { macros, models, diagnostics } = context;
  const viaMacro = calls.some((name) => macros.reached.get(name)?.has('as_of') === true);
  const viaView = dependencies.some(
    (name) => models.get(name)?.materialized === 'view' && models.get(name)?.reachesAsOf,
  );
  const reaches = viaMacro || viaView;
  if (reaches && model.asOf === undefined) {
    diagnostics.add({
      code: 'MODEL_HEADER_INVALID',
      message: `header: the model reaches as_of()${viaMacro ? '' : ' through a view'}, but does not say how it moves with it`,
      at: headerAt('as_of'),
      remedy:
        'Add `as_of: recompute`, or `as_of: appends(<date column>)` where a later date only adds rows of later days.',
    });
  }
  if (!reaches && model.asOf !== undefined) {
    diagnostics.add({
      code: 'MODEL_HEADER_INVALID',
      message: 'header: as_of is set, but the model does not reach as_of()',
      at: headerAt('as_of'),
      remedy: 'Take the field out.',
    });
  }
}

/** DuckDB gives some nodes no place; then the first below it that has one is near enough. */
function firstByteOf(node: AstNode): number {
  for (const inner of walk(node)) {
    const byte = byteOf(inner);
    if (byte !== undefined) return byte;
  }
  return 0;
}

/** True when a query calls a table function that is not a model's to call. */
export function readsElsewhere({ tableFunctions }: References): boolean {
  return tableFunctions.some(({ name }) => !TABLE_FUNCTIONS.has(name));
}

/** The same for a macro's body: what a model may not call it may not reach through a macro either. */
export function lintExpression(body: AstNode, engine: SqlEngine, report: Report): void {
  visitNodes(body, (node) => lintNode(node, engine, report));
}

export type Report = (node: AstNode | undefined, message: string, remedy: string) => void;

const TABLE_FUNCTIONS: ReadonlySet<string> = new Set(['unnest', 'generate_series', 'range', 'repeat', 'repeat_row']);

/** Marked CONSISTENT by DuckDB, yet not decided by their arguments. */
const UNDECIDED: ReadonlySet<string> = new Set([
  'getvariable',
  'approx_quantile',
  'reservoir_quantile',
  'current_setting',
  'version',
]);

/** Written without parentheses, they parse as columns. */
const CLOCK_KEYWORDS: ReadonlySet<string> = new Set([
  'current_date',
  'current_time',
  'current_timestamp',
  'localtime',
  'localtimestamp',
]);

/** Their result depends on the order in which rows arrive, wholly or among ties. */
const ORDERED_AGGREGATES: ReadonlySet<string> = new Set([
  'list',
  'array_agg',
  'string_agg',
  'group_concat',
  'listagg',
  'first',
  'last',
  'any_value',
  'arbitrary',
  'arg_min',
  'arg_max',
  'argmin',
  'argmax',
  'min_by',
  'max_by',
  'arg_min_null',
  'arg_max_null',
  'mode',
]);

const ORDERED_WINDOWS: ReadonlySet<string> = new Set([
  'WINDOW_ROW_NUMBER',
  'WINDOW_FIRST_VALUE',
  'WINDOW_LAST_VALUE',
  'WINDOW_NTH_VALUE',
  'WINDOW_LAG',
  'WINDOW_LEAD',
  'WINDOW_NTILE',
  'WINDOW_FILL',
]);

function lintNode(node: AstNode, engine: SqlEngine, report: Report): void {
  if (isNode(node['sample'])) {
    report(node, 'a sample differs from run to run', 'Choose rows by a condition on their values.');
  }
  if (node['class'] === 'FUNCTION' || node['class'] === 'WINDOW') lintCall(node, engine, report);
  if (node['class'] === 'COLLATE')
    report(node, 'a collation makes different values equal', 'Compare lower(x) or strip_accents(x) instead.');
  if (node['class'] === 'PARAMETER') report(node, 'a model takes no parameters', 'Use as_of() or a literal.');
  if (node['class'] === 'COLUMN_REF' && Array.isArray(node['column_names']) && node['column_names'].length === 1) {
    const name = textOf(node['column_names'][0]).toLowerCase();
    if (CLOCK_KEYWORDS.has(name)) report(node, `${name} reads the clock`, CLOCK_REMEDY);
  }
  if (node['modifiers'] === undefined) return;
  const modifiers = nodesOf(node['modifiers']);
  const has = (type: string) =>
    modifiers.some((modifier) => modifier['type'] === type && nodesOf(modifier['orders']).length > 0);
  const ordered = has('ORDER_MODIFIER');
  for (const modifier of modifiers) {
    if (textOf(modifier['type']).startsWith('LIMIT') && !ordered) {
      report(
        nodeOf(modifier['limit']),
        'limit without order by takes any rows',
        'Add an order by that decides between all rows.',
      );
    }
    const targets = nodesOf(modifier['distinct_on_targets']);
    if (targets.length > 0 && !ordered) {
      report(
        targets[0],
        'distinct on without order by takes any row',
        'Add an order by that decides between all rows.',
      );
    }
  }
}

const CLOCK_REMEDY = 'Use as_of(): the logical date is an input of the run.';

function lintCall(node: AstNode, engine: SqlEngine, report: Report): void {
  const name = textOf(node['function_name']).toLowerCase();
  const children = nodesOf(node['children']);
  const isWindow = node['class'] === 'WINDOW';
  if ((name === '/' || name === 'fdiv') && !children.some(isDoubleCast)) {
    report(
      node,
      `${name === '/' ? '`/`' : name} gives a DOUBLE, which is not exact`,
      'Use ratio(n, d) for DECIMAL(18,6), `//` for whole numbers, or cast an operand to DOUBLE.',
    );
  }
  if ((name === 'avg' || (name === 'mean' && isWindow)) && !children.some(isDoubleCast)) {
    report(
      node,
      `${name} gives a DOUBLE, which is not exact`,
      isWindow
        ? 'Use ratio(sum(x) over (…), count(x) over (…)), or cast the operand to DOUBLE.'
        : 'Use mean(x) for DECIMAL(18,6), or cast the operand to DOUBLE.',
    );
  }
  if (name !== 'error' && (engine.volatile.has(name) || UNDECIDED.has(name))) {
    report(node, `${name}() is not decided by its arguments`, CLOCK_REMEDY);
  }
  if (name === 'age' && children.length === 1)
    report(node, 'age() of one argument reads the clock', 'Write age(as_of(), x).');
  const orders = isWindow
    ? [...nodesOf(node['orders']), ...nodesOf(node['arg_orders'])]
    : nodesOf(nodeOf(node['order_bys'])?.['orders']);
  if (ORDERED_AGGREGATES.has(name) && orders.length === 0 && node['distinct'] !== true) {
    report(
      node,
      `${name}() without an order gives any result`,
      `Write ${name}(x order by …) with an order that decides between all rows.`,
    );
  }
  if (isWindow && ORDERED_WINDOWS.has(textOf(node['type'])) && orders.length === 0) {
    report(
      node,
      `${name || 'the window'}() without an order gives any result`,
      'Add an order by that decides between all rows of the partition.',
    );
  }
}

function isDoubleCast(node: AstNode): boolean {
  const type = textOf(nodeOf(node['cast_type'])?.['id']);
  return node['class'] === 'CAST' && (type === 'DOUBLE' || type === 'FLOAT');
}

/** Readers rely on gold's columns: they must be readable in the file, not depend on what stands upstream. */
function lintFinalColumns(query: AstNode, report: Report): void {
  if (query['type'] === 'SET_OPERATION_NODE') {
    for (const side of [query['left'], query['right'], ...nodesOf(query['children'])])
      if (isNode(side)) lintFinalColumns(side, report);
    return;
  }
  const star = nodesOf(query['select_list']).find((item) => item['class'] === 'STAR');
  if (star !== undefined) report(star, 'a gold model selects *', 'Name the final columns.');
}

function lintLayers(model: Model, references: References, report: Report): void {
  for (const { name, node } of references.tables) {
    if (model.layer === 'silver' && name?.startsWith('gold.') === true) {
      report(
        node,
        `a silver model reads ${name}, which is built after it`,
        'Move what it needs to silver, or the model to gold.',
      );
    }
    if (model.layer === 'gold' && model.materialized === 'view' && name?.startsWith('gold.') === false) {
      report(
        node,
        `a gold view reads ${name}, which readers of gold do not have`,
        'Materialize the model as a table, or read gold only.',
      );
    }
  }
}
