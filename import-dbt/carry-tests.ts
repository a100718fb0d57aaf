import type { Findings } from './findings.ts';
import { JinjaError, Relation, type Scope, toValue, ValueError } from './jinja/index.ts';
import { bindMacro, type MacroLibrary } from './macros.ts';
import type { NodeProperties, TestDeclaration } from './read-properties.ts';
import { type TestContext, toSluiceTest } from './test-sql.ts';
import { writeTest } from './write-model.ts';
import { type Fields, toText } from './yaml-file.ts';

/** The tests of a model's or source's properties as tests of its header and files in sql/tests. */
export interface CarriedTests {
  readonly columns: ReadonlyMap<string, readonly unknown[]>;
  readonly model: readonly Fields[];
  readonly files: readonly { readonly path: string; readonly text: string; readonly from: TestDeclaration }[];
  readonly count: number;
}

export interface TestRequest extends TestContext {
  readonly node: Pick<NodeProperties, 'name' | 'columns' | 'tests'>;
  readonly macros: MacroLibrary;
  readonly scope: Scope;
  readonly findings: Findings;
  /** Names of sql/tests that are taken. */
  readonly taken: Set<string>;
  /** Sources have no header: every test becomes a file. */
  readonly isSource?: boolean;
}

export function carryTests(request: TestRequest): CarriedTests {
  const { node, findings, table } = request;
  const columns = new Map<string, unknown[]>();
  const model: Fields[] = [];
  const files: { path: string; text: string; from: TestDeclaration }[] = [];
  let count = 0;
  for (const test of [...node.columns.flatMap((column) => column.tests), ...node.tests]) {
    const leave = (what: string, remedy: string): void =>
      findings.add({
        kind: 'left_out',
        file: test.file,
        line: test.line,
        subject: describe(test, node.name),
        what,
        remedy,
      });
    const change = (what: string, remedy = ''): void =>
      findings.add({
        kind: 'changed',
        file: test.file,
        line: test.line,
        subject: describe(test, node.name),
        what,
        remedy,
      });
    if (test.config['enabled'] === false) {
      leave('the test is disabled', '');
      continue;
    }
    const carried = toSluiceTest(test, request) ?? renderGeneric(test, request);
    if (carried === undefined || typeof carried === 'string') {
      leave(carried ?? `the test ${test.test} is not known`, 'Write it as a SELECT of failing rows in sql/tests.');
      continue;
    }
    count++;
    const severity = toText(test.config['severity'])?.toLowerCase() === 'warn' ? 'warn' : 'error';
    const thresholds = toThresholds(test.config, severity, leave);
    if (test.test === 'unique' && carried.kind === 'column' && !isNeverNull(node, carried.column)) {
      change(
        'NULL counts as a value: dbt leaves NULLs out of unique',
        'Test a SELECT without the NULLs in sql/tests, if there may be several.',
      );
    }
    const named = {
      ...(severity === 'warn' && { severity }),
      ...thresholds,
      ...(test.name === undefined ? {} : { name: test.name }),
    };
    if (carried.kind === 'sql' || request.isSource === true) {
      const name = freeName(test.name ?? `${node.name}_${test.column ?? ''}_${test.test}`, request.taken);
      const sql = carried.kind === 'sql' ? carried.sql : toSelect(carried, table);
      const description = `${describe(test, node.name)}: ${test.file}:${test.line} of the dbt project.`;
      files.push({
        path: `sql/tests/${name}.sql`,
        text: writeTest(description, { ...(severity === 'warn' && { severity }), ...thresholds }, sql),
        from: test,
      });
    } else if (carried.kind === 'column') {
      const list = columns.get(carried.column) ?? [];
      columns.set(carried.column, [...list, withFacts(carried.test, named)]);
    } else model.push({ ...carried.test, ...named });
  }
  return { columns, model, files, count };
}

/** How many failures are too many: a number with its sign. Of a warning only warn_if counts, as in dbt. */
function toThresholds(config: Fields, severity: string, leave: (what: string, remedy: string) => void): Fields {
  const found: Record<string, string> = {};
  for (const word of severity === 'warn' ? ['warn_if'] : ['warn_if', 'error_if']) {
    const written = toText(config[word]);
    if (written === undefined) continue;
    const match = /^\s*(>=?|<=?|!=|=)\s*(\d+)\s*$/.exec(written);
    if (match === null) leave(`${word}: ${written} is no number with a sign`, 'Write it as `">10"`.');
    else found[word] = `${match[1]}${match[2]}`;
  }
  return found;
}

function describe(test: TestDeclaration, node: string): string {
  return `${test.test} of ${node}${test.column === undefined ? '' : `.${test.column}`}`;
}

function isNeverNull(node: TestRequest['node'], column: string): boolean {
  return node.columns.some(({ name, tests }) => name === column && tests.some(({ test }) => test === 'not_null'));
}

/** A test of a word (`not_null`) or of a map, with its severity and name. */
function withFacts(test: unknown, facts: Fields): unknown {
  if (Object.keys(facts).length === 0) return test;
  return typeof test === 'string' ? { [test]: true, ...facts } : { ...(test as Fields), ...facts };
}

/** A header's test as the SELECT of its failing rows, for tables that have no header. */
function toSelect(
  carried: { kind: 'column'; column: string; test: unknown } | { kind: 'model'; test: Fields },
  table: string,
): string {
  if (carried.kind === 'model') {
    const { expression, unique } = carried.test;
    if (Array.isArray(unique))
      return `select ${unique.join(', ')}\nfrom ${table}\ngroup by ${unique.join(', ')}\nhaving count(*) > 1`;
    return `select *\nfrom ${table}\nwhere not (${String(expression)})`;
  }
  const { column, test } = carried;
  const fields = typeof test === 'object' && test !== null ? (test as Fields) : {};
  if (test === 'not_null') return `select *\nfrom ${table}\nwhere ${column} is null`;
  if (test === 'unique')
    return `select ${column}\nfrom ${table}\nwhere ${column} is not null\ngroup by ${column}\nhaving count(*) > 1`;
  const {
    accepted_values: accepted,
    relationships,
    range,
  } = fields as {
    accepted_values?: readonly unknown[];
    relationships?: { to: string; column: string };
    range?: { min?: number; max?: number };
  };
  if (accepted !== undefined) {
    const list = accepted.map((value) =>
      typeof value === 'string' ? `'${value.replaceAll("'", "''")}'` : String(value),
    );
    return `select *\nfrom ${table}\nwhere ${column} not in (${list.join(', ')})`;
  }
  if (relationships !== undefined) {
    return `select child.*\nfrom ${table} as child\nanti join ${relationships.to} as parent on parent.${relationships.column} = child.${column}\nwhere child.${column} is not null`;
  }
  const bounds = [
    ...(range?.min === undefined ? [] : [`${column} < ${range.min}`]),
    ...(range?.max === undefined ? [] : [`${column} > ${range.max}`]),
  ];
  return `select *\nfrom ${table}\nwhere ${bounds.join(' or ')}`;
}

/** A generic test of the project or an installed package: its macro, rendered for this table and column. */
function renderGeneric(
  test: TestDeclaration,
  { macros, scope, table }: TestRequest,
): { readonly kind: 'sql'; readonly sql: string } | string | undefined {
  const macro = macros.tests.get(test.test);
  if (macro === undefined) return undefined;
  const where = toText(test.config['where']);
  const model = new Relation(where === undefined ? table : `(select * from ${table} where ${where})`);
  const named = new Map(Object.entries(test.args).map(([name, value]) => [name, toValue(value)]));
  if (test.column !== undefined) named.set('column_name', test.column);
  named.set('model', model);
  try {
    const sql = bindMacro(macro, scope)({ positional: [], named });
    return typeof sql === 'string' ? { kind: 'sql', sql } : 'its macro gives no SQL';
  } catch (error) {
    if (error instanceof ValueError || error instanceof JinjaError) return error.message;
    throw error;
  }
}

export function freeName(wanted: string, taken: Set<string>): string {
  const base =
    wanted
      .toLowerCase()
      .replaceAll(/[^a-z0-9]+/g, '_')
      .replaceAll(/^_+|_+$/g, '') || 'test';
  let name = base;
  for (let i = 2; taken.has(name); i++) name = `${base}_${i}`;
  taken.add(name);
  return name;
}
