import { createMacroSql } from '../warehouse/transform/index.ts';
import { type Adaptation, adaptSql, originOf } from './adapt-sql.ts';
import { type BindInput, type BoundModel, bindModels, type KnownColumn } from './bind-models.ts';
import { type CarriedModel, carryModel } from './carry-model.ts';
import { carrySeed, readSeedColumns } from './carry-seeds.ts';
import { carrySingularTests, offsetOfLine } from './carry-singular-tests.ts';
import { type CarriedTests, carryTests } from './carry-tests.ts';
import { createDbtScope } from './dbt-names.ts';
import { createDescriber } from './doc-blocks.ts';
import { type Carried, createFindings, type Findings, lineAt } from './findings.ts';
import { bronzeName, createNames, type ImportContext, type ImportRequest } from './import-context.ts';
import type { ImportedFile } from './imported-file.ts';
import { ExpressionReader, evaluate, JinjaError, printValue, ValueError } from './jinja/index.ts';
import { listOthers } from './list-others.ts';
import { findSqlMacros, type SqlMacro, toMacroCall } from './macro-calls.ts';
import { readMacros } from './macros.ts';
import { type DbtNode, listNodes, orderNodes, tableOf } from './nodes.ts';
import { type DbtProject, readDbtProject } from './read-project.ts';
import { type NodeProperties, readProperties } from './read-properties.ts';
import { readsByName, renderAll, settleNodes } from './render-all.ts';
import type { RenderedFile } from './render-models.ts';

/**
 * A dbt project as the files of a Sluice project, and what could not be carried. Nothing is written here.
 *
 *   read → place → render (Jinja) → settle layers → adapt → bind (DuckDB, for columns) → header + SQL → listing
 */

export interface Imported {
  readonly project: DbtProject;
  readonly files: readonly ImportedFile[];
  readonly carried: readonly Carried[];
  readonly findings: Findings;
  /** Tables of bronze that the models read. */
  readonly bronze: readonly string[];
  /** Tests that stand in headers; those in files of their own are carried things like any other. */
  readonly headerTests: number;
}

/** Errors: DBT_PROJECT_INVALID. */
export async function importProject(request: ImportRequest): Promise<Imported> {
  const { context, usedMacros } = await openContext(request);
  const { project, properties, findings, nodes } = context;
  usedMacros.clear();
  const rendered = renderAll(context);
  const adapted = new Map([...rendered].map(([name, file]) => [name, adaptNode(context, file)]));
  const macroFiles = [...usedMacros.values()].map(toMacroFile);
  const reads = readsByName(nodes, rendered);
  const order = orderNodes([...rendered.keys()], reads).filter((name) => rendered.has(name));
  const seeds = await readSeedColumns(context);
  const bound = await bindModels({
    tables: knownTables(context, seeds),
    macros: [...usedMacros.values()].map(toTempMacro),
    models: order.flatMap((name): BindInput[] => toBindInput(nodes.get(name), rendered.get(name), adapted.get(name))),
  });
  const taken = new Set<string>();
  let headerTests = 0;
  const files: ImportedFile[] = [...macroFiles];
  const carried: Carried[] = macroFiles.map(({ path, from }) => ({
    kind: 'macro',
    name: path.slice('sql/macros/'.length, -'.sql'.length),
    from,
    to: path,
  }));
  const movesWithDate = new Map<string, string>();
  for (const name of order) {
    const [node, file, sql] = [nodes.get(name), rendered.get(name), adapted.get(name)];
    if (node === undefined || file === undefined || sql === undefined) continue;
    const tests = testsOf(context, node.properties, tableOf(node), taken);
    if (tests !== undefined) addTestFiles(tests, files, carried);
    headerTests += (tests?.count ?? 0) - (tests?.files.length ?? 0);
    if (!isUsable(context, node, file, sql)) continue;
    const columns = bound.get(tableOf(node));
    tellBindProblem(context, file, sql, columns);
    const asOf = sql.usesAsOf || file.refs.some((table) => movesWithDate.get(table) === 'view');
    const model = carryModel({
      node,
      rendered: file,
      sql: trimSql(sql.sql.text),
      usesAsOf: asOf,
      bound: columns,
      tests: tests ?? NO_TESTS,
      owner: request.owner,
      describe: context.describe,
      findings,
    });
    if (asOf) movesWithDate.set(tableOf(node), model.materialized);
    files.push(toFile(model, file, sql));
    carried.push({ kind: node.kind, name, from: file.file.file, to: model.path });
  }
  for (const node of nodes.values()) {
    const columns = seeds.get(tableOf(node));
    if (node.kind !== 'seed' || columns === undefined) continue;
    const tests = testsOf(context, node.properties, tableOf(node), taken) ?? NO_TESTS;
    addTestFiles(tests, files, carried);
    headerTests += tests.count - tests.files.length;
    const written = carrySeed(context, node, columns, tests);
    files.push(...written);
    carried.push({ kind: 'seed', name: node.name, from: node.file.file, to: written[0]?.path ?? '' });
  }
  for (const source of properties.sources.values()) {
    const tests = testsOf(context, source, bronzeName(source, request), taken, true);
    if (tests !== undefined) addTestFiles(tests, files, carried);
  }
  const singular = carrySingularTests(context, taken);
  files.push(...singular.files);
  carried.push(...singular.carried);
  listOthers(project, properties, findings);
  const bronze = [...rendered.values()].flatMap(({ refs }) => refs.filter((name) => name.startsWith('bronze.')));
  return { project, files, carried, findings, bronze: [...new Set(bronze)].sort(), headerTests };
}

async function openContext(
  request: ImportRequest,
): Promise<{ readonly context: ImportContext; readonly usedMacros: Map<string, SqlMacro> }> {
  const project = await readDbtProject(request.dir);
  const properties = readProperties(project);
  const findings = createFindings();
  const macros = readMacros(project, findings);
  const sqlMacros = await findSqlMacros(macros, project.name);
  const usedMacros = new Map<string, SqlMacro>();
  const shared = {
    request,
    project,
    properties,
    macros,
    describe: createDescriber(project),
    macroCall: ((expression, scope) => {
      const call = toMacroCall(expression, scope, sqlMacros);
      if (call !== undefined) usedMacros.set(call.macro.name, call.macro);
      return call?.sql;
    }) satisfies ImportContext['macroCall'],
  };
  const first = listNodes(project, properties, request.layers ?? []);
  const looking = { ...shared, nodes: first, findings: createFindings() };
  const nodes = settleNodes({ ...looking, names: createNames(looking) });
  const settled = { ...shared, nodes, findings };
  return { context: { ...settled, names: createNames(settled) }, usedMacros };
}

function adaptNode({ nodes, findings }: ImportContext, file: RenderedFile): Adaptation {
  const snapshots = new Set([...nodes.values()].filter(({ kind }) => kind === 'snapshot').map(tableOf));
  const sql = adaptSql(file.sql, { readsSnapshot: file.refs.some((table) => snapshots.has(table)) });
  for (const { offset, what, remedy } of sql.changes) {
    const line = lineAt(file.file.text, originOf(file.sql, offset));
    findings.add({ kind: 'changed', file: file.file.file, line, subject: file.file.name, what, remedy });
  }
  return sql;
}

function knownTables(
  { properties, request, nodes }: ImportContext,
  seeds: ReadonlyMap<string, readonly KnownColumn[]>,
): ReadonlyMap<string, readonly KnownColumn[] | undefined> {
  const tables = new Map<string, readonly KnownColumn[] | undefined>();
  for (const source of properties.sources.values()) {
    const name = bronzeName(source, request);
    // Columns of sources.yml are those that somebody described, seldom all: only with a type for each are they taken for the table's.
    const declared = source.columns.map((column) => ({
      name: column.name,
      ...(column.dataType === undefined ? {} : { type: column.dataType }),
    }));
    const isWhole = declared.length > 0 && declared.every(({ type }) => type !== undefined);
    tables.set(name, request.bronze?.get(name) ?? (isWhole ? declared : undefined));
  }
  for (const node of nodes.values()) if (node.kind === 'seed') tables.set(tableOf(node), seeds.get(tableOf(node)));
  return tables;
}

function toBindInput(
  node: DbtNode | undefined,
  file: RenderedFile | undefined,
  sql: Adaptation | undefined,
): BindInput[] {
  if (node === undefined || file === undefined || sql === undefined || !file.complete) return [];
  return [{ name: tableOf(node), sql: trimSql(sql.sql.text), reads: file.refs, isSnapshot: node.kind === 'snapshot' }];
}

function toTempMacro({ name, parameters, sql }: SqlMacro): string {
  return createMacroSql(
    { name, parameters, file: '', sql: sql.replace(/^create macro/, 'create or replace macro') },
    'temp',
  );
}

function toMacroFile({ name, macro, sql }: SqlMacro): ImportedFile {
  const line = lineAt(macro.file.text, macro.at);
  return {
    path: `sql/macros/${name}.sql`,
    text: `-- The dbt macro ${macro.name}, ${macro.file.file}.\n${sql};\n`,
    from: macro.file.file,
    lineOf: () => line,
  };
}

const NO_TESTS: CarriedTests = { columns: new Map(), model: [], files: [], count: 0 };

function testsOf(
  context: ImportContext,
  node: NodeProperties | undefined,
  table: string,
  taken: Set<string>,
  isSource = false,
): CarriedTests | undefined {
  if (node === undefined) return undefined;
  const { names, findings, macros } = context;
  const file = { self: table, settings: {}, config: () => undefined, refs: () => undefined };
  const scope = createDbtScope({ ...names, remark: () => undefined }, file);
  const resolve = (text: string): string | undefined => {
    try {
      const code = text.replace(/^\s*\{\{|\}\}\s*$/g, '');
      return printValue(evaluate(new ExpressionReader(code, 0).expression(), scope)) || undefined;
    } catch (error) {
      if (error instanceof JinjaError || error instanceof ValueError) return undefined;
      throw error;
    }
  };
  return carryTests({ node, table, resolve, macros, scope, findings, taken, isSource });
}

function addTestFiles(tests: CarriedTests, files: ImportedFile[], carried: Carried[]): void {
  for (const { path, text, from } of tests.files) {
    files.push({ path, text, from: from.file, lineOf: () => from.line });
    carried.push({ kind: 'test', name: from.test, from: from.file, to: path });
  }
}

function isUsable(context: ImportContext, node: DbtNode, file: RenderedFile, sql: Adaptation): boolean {
  const leave = (what: string, remedy: string): void =>
    context.findings.add({ kind: 'left_out', file: file.file.file, line: 1, subject: node.name, what, remedy });
  if (!file.complete) {
    leave('the model is not written: parts of it could not be evaluated', 'See the lines above; then import again.');
    return false;
  }
  if (trimSql(sql.sql.text) === '') {
    leave('the model holds no SQL', 'Write a SELECT, or take the file out.');
    return false;
  }
  return true;
}

function tellBindProblem(
  { findings }: ImportContext,
  file: RenderedFile,
  sql: Adaptation,
  bound: BoundModel | undefined,
): void {
  if (bound?.problem === undefined) return;
  const offset = bound.problem.offset + leadingSpace(sql.sql.text);
  findings.add({
    kind: 'left_out',
    file: file.file.file,
    line: lineAt(file.file.text, originOf(sql.sql, offset)),
    subject: file.file.name,
    what: `DuckDB refuses the SQL: ${bound.problem.message}`,
    remedy: 'Write it in DuckDB’s SQL; the file was written as it is.',
  });
}

function toFile(model: CarriedModel, file: RenderedFile, { sql }: Adaptation): ImportedFile {
  const skipped = leadingSpace(sql.text);
  const body = sql.text.slice(skipped);
  return {
    path: model.path,
    text: model.text,
    from: file.file.file,
    lineOf: (line) =>
      line < model.bodyLine
        ? 1
        : lineAt(file.file.text, originOf(sql, skipped + offsetOfLine(body, line - model.bodyLine + 1))),
  };
}

const leadingSpace = (text: string): number => text.length - text.trimStart().length;
const trimSql = (text: string): string => text.trim().replace(/\s*;\s*$/, '');
