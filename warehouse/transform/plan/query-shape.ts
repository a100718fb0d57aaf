import { hash } from 'node:crypto';
import { type AstNode, type AstValue, isList, isNode, nodeOf, nodesOf, textOf, textsOf, visitNodes } from '../ast.ts';
import { isCteReference, tableNameOf } from '../references.ts';

/**
 * A query taken apart into what decides its rows and what decides each column's values, on the syntax tree alone:
 *
 *   with paid as (select id, amount / 100 as amount from silver.payments where amount > 0)   rows:   … where amount > 0 … on r.id = p.id
 *   select r.id, p.amount, upper(r.name) as name from silver.refs r join paid p on r.id = p.id       items: id, amount, amount (of paid), name
 *
 * An item of a select list is a part of its own where leaving it out changes nothing but that column. Everything else, and every item of which
 * that is not sure, belongs to the rows. Parts are tied together by name only: a part that says `amount` is taken to read every column and every
 * item called amount. That ties too much together at times, never too little.
 */

export interface QueryPart {
  /** Which SELECT it is an item of, in the order of the text, with its name; empty for what is no item. */
  readonly place: string;
  readonly hash: string;
  /** Every name in it once, in lower case: columns, qualifiers, USING. */
  readonly names: readonly string[];
  /** Functions and macros it calls. */
  readonly functions: readonly string[];
}

export interface QueryShape {
  readonly rows: QueryPart;
  /** Items that are parts of their own, of every SELECT of the query, by the name they give. */
  readonly items: ReadonlyMap<string, readonly QueryPart[]>;
  /** The parts of the final select list by output name; undefined when it belongs to the rows. */
  readonly outputs: ReadonlyMap<string, QueryPart> | undefined;
  /** Tables of which every column counts, whether named or not: a `*` stands over them. */
  readonly wide: ReadonlySet<string> | 'all';
}

export interface ShapeContext {
  readonly isAggregate: (functionName: string) => boolean;
  /** True for functions that make several rows of one, and macros that hide one. */
  readonly makesRows: (functionName: string) => boolean;
}

type Place = 'top' | 'inner' | 'whole';

/** Takes a canonical query. */
export function shapeQuery(query: AstNode, context: ShapeContext): QueryShape {
  const stars = findStars(query);
  const items = new Map<string, QueryPart[]>();
  const outputs = new Map<string, QueryPart>();
  let isSplit = false;
  let selects = 0;

  const strip = (value: AstValue, place: Place): AstValue => {
    if (typeof value !== 'object' || value === null) return value;
    if (isList(value)) return stripList(value, place);
    const type = textOf(value['type']);
    if (type === 'SELECT_NODE') return stripSelect(value, place);
    if (value['class'] === 'SUBQUERY' || type === 'SET_OPERATION_NODE' || type === 'RECURSIVE_CTE_NODE') {
      // Columns meet by their place there, not by name.
      return stripFields(value, () => 'whole');
    }
    // The names of a table in FROM: t(a, b) renames by place.
    if (type === 'SUBQUERY' && textsOf(value['column_name_alias']).length > 0) return stripFields(value, () => 'whole');
    return stripFields(value, () => place);
  };
  // Most of a tree holds no SELECT and stays as it is: a copy is made where something is taken out.
  const stripList = (list: readonly AstValue[], place: Place): readonly AstValue[] => {
    let copy: AstValue[] | undefined;
    for (const [i, item] of list.entries()) {
      const stripped = strip(item, place);
      if (stripped !== item) (copy ??= [...list])[i] = stripped;
    }
    return copy ?? list;
  };
  const stripFields = (node: AstNode, placeOf: (field: string) => Place): AstNode => {
    let copy: Record<string, AstValue> | undefined;
    for (const field in node) {
      const inner = node[field];
      if (typeof inner !== 'object' || inner === null) continue;
      const stripped = field === 'cte_map' ? stripCtes(inner) : strip(inner, placeOf(field));
      if (stripped !== inner) (copy ??= { ...node })[field] = stripped;
    }
    return copy ?? node;
  };
  const stripCtes = (value: AstValue): AstValue => {
    if (!isNode(value)) return value;
    const entries = nodesOf(value['map']);
    if (entries.length === 0) return value;
    const map = entries.map((entry): AstNode => {
      const renamed = textsOf(nodeOf(entry['value'])?.['aliases']).length > 0;
      const place = renamed || stars.reachesInside ? 'whole' : 'inner';
      return { ...entry, value: strip(entry['value'] ?? null, place) };
    });
    return { ...value, map };
  };
  const stripSelect = (node: AstNode, place: Place): AstNode => {
    const below = stars.reachesInside ? 'whole' : 'inner';
    const list = nodesOf(node['select_list']);
    const found = place === 'whole' || stars.tables === 'all' ? [] : list.map(findNames);
    const splits = place !== 'whole' && stars.tables !== 'all' && canSplit(node, list, found, context);
    if (!splits) return stripFields(node, (field) => (field === 'from_table' ? below : 'whole'));
    if (place === 'top') isSplit = true;
    const select = (selects += 1);
    const kept: AstValue[] = [];
    for (const [i, item] of list.entries()) {
      const name = nameOf(item);
      if (name === undefined) {
        kept.push(strip(item, 'whole'));
        continue;
      }
      const { names, functions } = found[i] ?? findNames(item);
      // Its name is no part of what it is: a column under another name is the same column.
      const part = {
        place: `${select}.${name}`,
        hash: hashOf(item['alias'] === '' ? item : { ...item, alias: '' }),
        names,
        functions,
      };
      const same = items.get(name);
      if (same === undefined) items.set(name, [part]);
      else same.push(part);
      if (place === 'top') outputs.set(name, part);
    }
    const { select_list: _list, ...others } = node;
    const rest = stripFields(others, (field) => (field === 'from_table' ? below : 'whole'));
    // One row for all, or one for each: without GROUP BY an aggregate among the items decides.
    const aggregated = found.some(({ calls }) => calls.some(context.isAggregate));
    return { ...rest, select_list: kept, split: true, aggregated };
  };

  const rows = toPart(strip(query, 'top'));
  return { rows, items, outputs: isSplit ? outputs : undefined, wide: stars.tables };
}

/** Names, functions and hash of a piece of a canonical tree. */
export function toPart(value: AstValue): QueryPart {
  const { names, functions } = findNames(value);
  return { place: '', hash: hashOf(value), names, functions };
}

interface NamesFound extends Pick<QueryPart, 'names' | 'functions'> {
  /** Those of the functions that are called as such, windows left out. */
  readonly calls: readonly string[];
  readonly hasStar: boolean;
}

const NOTHING_CALLED = { functions: [], calls: [], hasStar: false } as const;

function findNames(value: AstValue): NamesFound {
  // Most items of select lists are no more than a column.
  if (isNode(value) && value['class'] === 'COLUMN_REF')
    return { names: [...new Set(textsOf(value['column_names']).map((name) => name.toLowerCase()))], ...NOTHING_CALLED };
  const names = new Set<string>();
  const functions = new Set<string>();
  const calls = new Set<string>();
  let hasStar = false;
  visitNodes(value, (node) => {
    const kind = node['class'];
    if (kind === 'COLUMN_REF') for (const name of textsOf(node['column_names'])) names.add(name.toLowerCase());
    if (kind === 'STAR') hasStar = true;
    if (node['using_columns'] !== undefined)
      for (const name of textsOf(node['using_columns'])) names.add(name.toLowerCase());
    const called = textOf(node['function_name']).toLowerCase();
    if (called === '') return;
    functions.add(called);
    if (kind === 'FUNCTION') calls.add(called);
  });
  return { names: [...names], functions: [...functions], calls: [...calls], hasStar };
}

export function hashOf(value: unknown): string {
  const text = JSON.stringify(value);
  if (text.length > SHORT) return shorten(text);
  const known = hashes.get(text) ?? shorten(text);
  if (hashes.size >= KEPT_HASHES) hashes.clear();
  hashes.set(text, known);
  return known;
}

function shorten(text: string): string {
  return hash('sha256', text).slice(0, 16);
}

/** A plain column of a select list is the same piece of text in model after model. */
const hashes = new Map<string, string>();
const SHORT = 200;
const KEPT_HASHES = 5000;

function nameOf(item: AstNode): string | undefined {
  const alias = textOf(item['alias']).toLowerCase();
  if (alias !== '') return alias;
  return item['class'] === 'COLUMN_REF' ? textsOf(item['column_names']).at(-1)?.toLowerCase() : undefined;
}

/** True when each item of the select list decides its own column and nothing else. */
function canSplit(
  node: AstNode,
  items: readonly AstNode[],
  found: readonly NamesFound[],
  context: ShapeContext,
): boolean {
  const names = items.map(nameOf);
  const modifiers = nodesOf(node['modifiers']);
  return (
    new Set(names).size === names.length &&
    node['aggregate_handling'] !== 'FORCE_AGGREGATES' &&
    !found.some(({ functions, hasStar }) => hasStar || functions.some(context.makesRows)) &&
    // An ordinal (order by 1, group by 1) or ALL means whatever stands in the list.
    !nodesOf(node['group_expressions']).some((group) => group['class'] === 'CONSTANT') &&
    !modifiers.some(
      (modifier) =>
        (textOf(modifier['type']) === 'DISTINCT_MODIFIER' && nodesOf(modifier['distinct_on_targets']).length === 0) ||
        nodesOf(modifier['distinct_on_targets']).some((target) => target['class'] === 'CONSTANT') ||
        nodesOf(modifier['orders']).some((order) => {
          const by = textOf(nodeOf(order['expression'])?.['class']);
          return by === 'CONSTANT' || by === 'STAR';
        }),
    )
  );
}

interface Stars {
  /** Tables directly under a `*` or used as a whole row. */
  readonly tables: ReadonlySet<string> | 'all';
  /** A `*` stands over a CTE or a subquery: every item in there counts. */
  readonly reachesInside: boolean;
}

const FROM_TYPES: ReadonlySet<string> = new Set([
  'BASE_TABLE',
  'JOIN',
  'SUBQUERY',
  'TABLE_FUNCTION',
  'EXPRESSION_LIST',
  'EMPTY',
]);
const QUERY_TYPES: ReadonlySet<string> = new Set(['SELECT_NODE', 'SET_OPERATION_NODE', 'RECURSIVE_CTE_NODE']);

function findStars(query: AstNode): Stars {
  const tables = new Set<string>();
  const state = { all: false, inside: false };
  const aliases = new Set<string>();
  const columns = new Set<string>();
  let isPlain = true;
  visitNodes(query, (node) => {
    const kind = node['class'];
    if (kind === 'STAR') isPlain = false;
    if (kind === 'COLUMN_REF') columns.add(lastNameOf(node));
    const type = textOf(node['type']);
    if (type === 'BASE_TABLE' && textsOf(node['column_name_alias']).length > 0) isPlain = false;
    if (kind === undefined && isFromNode(node)) {
      if (!FROM_TYPES.has(type) || isNode(node['at_clause'])) state.all = true;
      for (const name of [textOf(node['alias']), textOf(node['table_name'])]) {
        if (name !== '') aliases.add(name.toLowerCase());
      }
    }
    if (type === 'JOIN' && !['REGULAR', 'CROSS', 'ASOF'].includes(textOf(node['ref_type']))) state.all = true;
    if (type.endsWith('_NODE') && !QUERY_TYPES.has(type)) state.all = true;
    if (kind === 'POSITIONAL_REFERENCE') state.all = true;
  });
  // Neither a `*`, nor a name that may be a whole row, nor a renamed column: what follows would find nothing.
  if (isPlain && columns.isDisjointFrom(aliases))
    return { tables: state.all ? 'all' : tables, reachesInside: state.inside };
  const visit = (value: AstValue, ctes: ReadonlySet<string>): void => {
    if (Array.isArray(value)) for (const item of value as readonly AstValue[]) visit(item, ctes);
    if (!isNode(value)) return;
    let scope = ctes;
    const map = nodesOf(nodeOf(value['cte_map'])?.['map']);
    if (map.length > 0) scope = new Set([...ctes, ...map.map((entry) => textOf(entry['key']).toLowerCase())]);
    if (textOf(value['type']) === 'SELECT_NODE' && hasStar(value, aliases)) {
      for (const table of tablesIn(value['from_table'] ?? null)) {
        const name = isCteReference(table, scope) ? undefined : tableNameOf(table);
        if (textOf(table['type']) !== 'BASE_TABLE' || name === undefined) state.inside = true;
        else tables.add(name);
      }
    }
    // A table whose columns are renamed by place counts with all of them.
    if (textOf(value['type']) === 'BASE_TABLE' && textsOf(value['column_name_alias']).length > 0) {
      const name = isCteReference(value, scope) ? undefined : tableNameOf(value);
      if (name === undefined) state.inside = true;
      else tables.add(name);
    }
    for (const inner of Object.values(value)) visit(inner, scope);
  };
  visit(query, new Set());
  return { tables: state.all ? 'all' : tables, reachesInside: state.inside };
}

function isFromNode(node: AstNode): boolean {
  return node['class'] === undefined && 'alias' in node && ('sample' in node || 'join_type' in node);
}

/** A `*` of this SELECT itself, or a table's name used as a value: the whole row. A subquery's own are looked at in their turn. */
function hasStar(node: AstNode, aliases: ReadonlySet<string>): boolean {
  const seen = (value: AstValue): boolean => {
    if (Array.isArray(value)) return (value as readonly AstValue[]).some(seen);
    if (!isNode(value)) return false;
    if (value['class'] === 'STAR') return true;
    if (value['class'] === 'COLUMN_REF') return aliases.has(lastNameOf(value));
    return Object.values(value).some(seen);
  };
  return (
    conditionsIn(node['from_table'] ?? null).some(seen) ||
    Object.entries(node).some(([field, inner]) => field !== 'from_table' && field !== 'cte_map' && seen(inner))
  );
}

function lastNameOf(column: AstNode): string {
  return textsOf(column['column_names']).at(-1)?.toLowerCase() ?? '';
}

function conditionsIn(from: AstValue): readonly AstValue[] {
  if (!isNode(from) || textOf(from['type']) !== 'JOIN') return [];
  const sides = [from['left'] ?? null, from['right'] ?? null];
  return [from['condition'] ?? null, ...sides.flatMap(conditionsIn)];
}

/** Base tables, and whatever else stands in a FROM clause, joins opened. */
function tablesIn(from: AstValue): readonly AstNode[] {
  if (!isNode(from)) return [];
  if (textOf(from['type']) === 'JOIN') return [...tablesIn(from['left'] ?? null), ...tablesIn(from['right'] ?? null)];
  return ['EMPTY', 'TABLE_FUNCTION', 'EXPRESSION_LIST'].includes(textOf(from['type'])) ? [] : [from];
}
