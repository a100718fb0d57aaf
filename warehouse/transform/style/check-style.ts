import { type AstNode, type AstValue, byteOf, ctesOf, isNode, nodeOf, nodesOf, textOf, textsOf, walk } from '../ast.ts';
import { locateInBody } from '../bind.ts';
import type { CompiledModel } from '../model.ts';
import type { ReadModel } from '../read-model.ts';
import type { SourceLocation } from '../source-location.ts';
import { offsetOfByte } from '../source-text.ts';
import type { StyleRule } from './rules.ts';

/** What makes a model hard to read or slow to scan, though it is not wrong. */

export interface StyleFinding {
  readonly rule: StyleRule;
  readonly message: string;
  readonly at: SourceLocation;
  readonly remedy: string;
}

/** `compiled` is absent for a model that does not compile: then its types are not looked at. */
export function checkStyle(
  { model, header, headerAt }: ReadModel,
  query: AstNode,
  compiled: CompiledModel | undefined,
): readonly StyleFinding[] {
  const findings: StyleFinding[] = [];
  const inSql = (node: AstNode | undefined, word: string): SourceLocation => {
    const byte = node === undefined ? undefined : firstByte(node);
    const named = model.sql.search(new RegExp(`\\b${word}\\b`, 'i'));
    const offset = byte === undefined ? Math.max(named, 0) : offsetOfByte(model.sql, byte);
    return locateInBody(model.bodyAt, model.sql, offset);
  };
  for (const { name } of unusedCtes(query)) {
    findings.push({
      rule: 'unused_cte',
      message: `nothing reads the CTE ${name}`,
      at: inSql(undefined, name.replaceAll(/\W/g, '.')),
      remedy: 'Take it out, or read it.',
    });
  }
  for (const node of walk(query)) {
    const bare = node['type'] === 'SELECT_NODE' ? unqualifiedColumns(node) : [];
    const [first] = bare;
    if (first === undefined) continue;
    const names = [...new Set(bare.map((column) => textsOf(column['column_names'])[0] ?? ''))];
    findings.push({
      rule: 'unqualified_column',
      message: `${names.join(', ')} in a join ${names.length === 1 ? 'does' : 'do'} not say of which table`,
      at: inSql(first, ''),
      remedy: 'Write table.column: a column added upstream makes the name ambiguous.',
    });
  }
  const order = nodesOf(query['modifiers']).find((modifier) => modifier['type'] === 'ORDER_MODIFIER');
  const limited = nodesOf(query['modifiers']).some((modifier) => textOf(modifier['type']) !== 'ORDER_MODIFIER');
  if (order !== undefined && !limited) {
    findings.push({
      rule: 'useless_order',
      message: 'the order of the final SELECT is not kept: a table has none',
      at: inSql(order, ''),
      remedy: 'Take the order by out; readers order what they ask for.',
    });
  }
  for (const column of model.columns) {
    if (column.description !== undefined) continue;
    findings.push({
      rule: 'missing_description',
      message: `the column ${column.name} has no description`,
      at: column.at,
      remedy: 'Say what the value means, and its unit.',
    });
  }
  for (const column of model.key) {
    if (model.tests.some((test) => test.kind === 'not_null' && test.column.toLowerCase() === column.toLowerCase()))
      continue;
    findings.push({
      rule: 'missing_key_test',
      message: `the key column ${column} is not tested for NULL`,
      at: headerAt('columns', column),
      remedy: `Add tests: [not_null] to ${column}.`,
    });
  }
  for (const { name, type } of model.materialized === 'view' ? [] : (compiled?.boundColumns ?? [])) {
    if (!/^(DECIMAL\((19|2\d|3\d),|U?HUGEINT)/.test(type)) continue;
    findings.push({
      rule: 'wide_number',
      message: `the stored column ${name} is ${type}, which scans many times slower than 18 digits`,
      at: headerAt('columns', name),
      remedy: 'Cast it to decimal(18, 2) or bigint.',
    });
  }
  for (const { name, node } of model.materialized === 'view' ? [] : floatSums(query, compiled)) {
    findings.push({
      rule: 'float_sum',
      message: `the stored column ${name} is a sum of floating-point numbers, which depends on the order of the rows: a rebuild may give other last digits`,
      at: inSql(node, ''),
      remedy: 'Cast the operand to a decimal, or give the sum an order: sum(x order by x).',
    });
  }
  const allowed = header.lint?.allow ?? [];
  const unneeded = allowed.filter((rule) => !findings.some((finding) => finding.rule === rule));
  return [
    ...findings.filter(({ rule }) => !allowed.includes(rule)),
    ...unneeded.map((rule) => ({
      rule: 'unneeded_allow' as const,
      message: `header: lint.allow names ${rule}, which finds nothing here`,
      at: headerAt('lint', 'allow', allowed.indexOf(rule)),
      remedy: 'Take it out.',
    })),
  ];
}

function firstByte(node: AstNode): number | undefined {
  for (const inner of walk(node)) {
    const byte = byteOf(inner);
    if (byte !== undefined) return byte;
  }
  return undefined;
}

const SUMS: ReadonlySet<string> = new Set(
  'sum avg fsum favg kahan_sum sumkahan product stddev stddev_pop stddev_samp variance var_pop var_samp'.split(' '),
);

/** Output columns of a floating type in which a sum without an order stands, where no cast lies between: what is cast may have been exact. */
function floatSums(
  query: AstNode,
  compiled: CompiledModel | undefined,
): readonly { readonly name: string; readonly node: AstNode }[] {
  const items = query['type'] === 'SELECT_NODE' ? nodesOf(query['select_list']) : [];
  const columns = compiled?.boundColumns ?? [];
  // A star stands for several columns: then which item is which is not known.
  if (items.length !== columns.length) return [];
  return columns.flatMap(({ name, type }, i) => {
    const node = /^(DOUBLE|FLOAT)$/.test(type) ? findSum(items[i]) : undefined;
    return node === undefined ? [] : [{ name, node }];
  });
}

function findSum(value: AstValue | undefined): AstNode | undefined {
  if (Array.isArray(value)) return value.map(findSum).find((found) => found !== undefined);
  if (!isNode(value) || value['class'] === 'CAST' || value['class'] === 'SUBQUERY') return undefined;
  const isOrdered = nodesOf(nodeOf(value['order_bys'])?.['orders']).length > 0;
  if (SUMS.has(textOf(value['function_name']).toLowerCase()) && !isOrdered) return value;
  return findSum(Object.values(value));
}

/** CTEs that neither the query they stand at nor a CTE beside them reads. */
function unusedCtes(query: AstNode): readonly { readonly name: string }[] {
  return [...walk(query)].flatMap((node) => {
    const ctes = ctesOf(node);
    return ctes.filter(({ name }) => {
      const others = ctes.filter((other) => other.name !== name).map((other) => other.query);
      const rest = Object.entries(node).flatMap(([field, value]) => (field === 'cte_map' ? [] : [value]));
      return ![...others, ...rest].some((part) => reads(part, name.toLowerCase()));
    });
  });
}

function reads(value: AstValue, name: string): boolean {
  return [...walk(value)].some(
    (node) =>
      node['type'] === 'BASE_TABLE' &&
      textOf(node['schema_name']) === '' &&
      textOf(node['table_name']).toLowerCase() === name,
  );
}

/** Columns without a table's name, where FROM joins several tables. */
function unqualifiedColumns(select: AstNode): readonly AstNode[] {
  const from = nodeOf(select['from_table']);
  if (from === undefined || tablesOf(from) < 2) return [];
  const known = new Set(
    [
      ...[...walk(from)].flatMap((node) => [...textsOf(node['using_columns']), ...textsOf(node['column_name_alias'])]),
      ...nodesOf(select['select_list']).map((item) => textOf(item['alias'])),
    ].map((name) => name.toLowerCase()),
  );
  const found: AstNode[] = [];
  const visit = (value: AstValue | undefined, hidden: ReadonlySet<string>): void => {
    if (Array.isArray(value)) for (const inner of value) visit(inner, hidden);
    if (!isNode(value) || value['class'] === 'SUBQUERY' || value['type'] === 'SUBQUERY') return;
    if (value['class'] === 'LAMBDA') {
      const own = [...walk(value['lhs'])].flatMap((node) => textsOf(node['column_names']));
      visit(value['expr'], new Set([...hidden, ...own.map((name) => name.toLowerCase())]));
      return;
    }
    const [name = '', ...more] = value['class'] === 'COLUMN_REF' ? textsOf(value['column_names']) : [];
    if (name !== '' && more.length === 0 && !hidden.has(name.toLowerCase())) found.push(value);
    for (const [field, inner] of Object.entries(value)) if (field !== 'cte_map') visit(inner, hidden);
  };
  visit(select, known);
  return found;
}

function tablesOf(from: AstNode): number {
  if (from['type'] !== 'JOIN') return from['type'] === 'BASE_TABLE' || from['type'] === 'SUBQUERY' ? 1 : 0;
  return nodesOf([from['left'] ?? null, from['right'] ?? null]).reduce((sum, side) => sum + tablesOf(side), 0);
}
