/** DuckDB's syntax tree as JSON, read without losing a digit. Numbers stay text, marked with NUL, so that they print as they came. */

export type AstValue = null | boolean | string | readonly AstValue[] | AstNode;
export interface AstNode {
  readonly [field: string]: AstValue;
}

const NO_LOCATION = 2 ** 63;

/*
 * JSON.parse would turn 9007199254740993 into …992 and 100.0 into 100, which DuckDB then refuses. Fields of the tree are plain words, and inside
 * of a string every quote is escaped: a word, a bare quote and a colon stand before a value only, so no token need be read one by one.
 */
const NUMBER = /(\w":)(?:(-?\d[\d.eE+-]*)|(\[[-+.,eE\d[\]]*\d[-+.,eE\d[\]]*\]))/g;

/** DuckDB's JSON with every number as text, marked. */
export function markNumbers(json: string): string {
  return json.replace(NUMBER, (_, field: string, number: string | undefined, list = '') =>
    number === undefined ? `${field}${list.replace(/-?\d[\d.eE+-]*/g, '"\\u0000$&"')}` : `${field}"\\u0000${number}"`,
  );
}

export function printAst(node: AstNode): string {
  return JSON.stringify(node).replace(/"\\u0000([^"]*)"/g, '$1');
}

export function isNode(value: AstValue | undefined): value is AstNode {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function nodesOf(value: AstValue | undefined): readonly AstNode[] {
  return Array.isArray(value) ? value.filter(isNode) : [];
}

export function nodeOf(value: AstValue | undefined): AstNode | undefined {
  return isNode(value) ? value : undefined;
}

export function textOf(value: AstValue | undefined): string {
  return typeof value === 'string' && !value.startsWith('\0') ? value : '';
}

export function textsOf(value: AstValue | undefined): readonly string[] {
  return Array.isArray(value) ? value.map((item: AstValue) => textOf(item)) : [];
}

/** A number that fits a double, e.g. an ordinal; undefined for anything else. */
export function numberOf(value: AstValue | undefined): number | undefined {
  return typeof value === 'string' && value.startsWith('\0') ? Number(value.slice(1)) : undefined;
}

/** Byte offset of a node in the SQL text, where DuckDB knows it. */
export function byteOf(node: AstNode): number | undefined {
  const byte = numberOf(node['query_location']);
  return byte === undefined || byte >= NO_LOCATION ? undefined : byte;
}

/** Every node below and including this one, parents first. */
export function* walk(value: AstValue | undefined): Generator<AstNode> {
  const stack: (AstValue | undefined)[] = [value];
  while (stack.length > 0) {
    const top = stack.pop();
    if (typeof top !== 'object' || top === null) continue;
    if (!isList(top)) yield top;
    const inner = isList(top) ? top : Object.values(top);
    for (let i = inner.length - 1; i >= 0; i--) {
      const item = inner[i];
      if (typeof item === 'object' && item !== null) stack.push(item);
    }
  }
}

/** As walk, in the same order, for the walks that every model takes: a generator costs several times as much. */
export function visitNodes(value: AstValue | undefined, visit: (node: AstNode) => void): void {
  if (typeof value !== 'object' || value === null) return;
  if (isList(value)) {
    for (const item of value) visitNodes(item, visit);
    return;
  }
  visit(value);
  for (const field in value) {
    const inner = value[field];
    if (typeof inner === 'object' && inner !== null) visitNodes(inner, visit);
  }
}

/** Expression nodes outside subqueries; a subquery itself, and what is compared with it, is among them. */
export function* ownNodes(value: AstValue | undefined): Generator<AstNode> {
  if (Array.isArray(value)) for (const item of value) yield* ownNodes(item);
  else if (isNode(value)) {
    yield value;
    for (const [field, inner] of Object.entries(value)) {
      if (!(value['class'] === 'SUBQUERY' && field === 'subquery')) yield* ownNodes(inner);
    }
  }
}

export function isList(value: AstValue): value is readonly AstValue[] {
  return Array.isArray(value);
}

/** The tree without positions: equal for equal queries, whatever their layout and comments. */
export function withoutLocations(value: AstValue): AstValue {
  if (Array.isArray(value)) return value.map(withoutLocations);
  if (!isNode(value)) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([field, inner]) =>
      field === 'query_location' ? [] : [[field, withoutLocations(inner)]],
    ),
  );
}

/** Common table expressions defined at a query node: name, column aliases and query, in order. */
export function ctesOf(node: AstNode): readonly { name: string; aliases: readonly string[]; query: AstNode }[] {
  return nodesOf(nodeOf(node['cte_map'])?.['map']).flatMap((entry) => {
    const value = nodeOf(entry['value']);
    const query = nodeOf(nodeOf(value?.['query'])?.['node']);
    return query === undefined ? [] : [{ name: textOf(entry['key']), aliases: textsOf(value?.['aliases']), query }];
  });
}
