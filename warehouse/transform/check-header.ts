import { nearestOf } from '../core/nearest.ts';
import { quoteIdentifier, quotePath } from '../core/quote.ts';
import { describeProblem } from './bind.ts';
import type { Diagnostics } from './diagnostics.ts';
import type { Model, ModelTest, RefreshRule } from './model.ts';
import type { ParsedModel } from './parsed-model.ts';
import type { SourceLocation } from './source-location.ts';
import type { BoundColumn, SqlEngine } from './sql-engine.ts';

/** Holds a header against what its SELECT gives: every column it names exists, every type it promises is the bound one. */
export async function checkHeader(
  engine: SqlEngine,
  entry: ParsedModel,
  bound: readonly BoundColumn[],
  diagnostics: Diagnostics,
): Promise<void> {
  const { model, header, headerAt } = entry;
  const report = (at: SourceLocation, message: string, remedy: string) =>
    diagnostics.add({ code: 'MODEL_HEADER_INVALID', message, at, remedy });
  const names = new Set(bound.map(({ name }) => name.toLowerCase()));
  const checkColumn = (column: string, field: string, at: SourceLocation) => {
    if (names.has(column.toLowerCase())) return;
    const near = nearestOf(column, names);
    diagnostics.add({
      code: 'MODEL_COLUMN_UNKNOWN',
      message: `header: ${field} names ${column}, which the SELECT does not give${near === undefined ? '' : `; did you mean ${near}?`}`,
      at,
      remedy: `The SELECT gives ${bound.map(({ name }) => name).join(', ')}.`,
    });
  };
  checkOutput(entry, bound, diagnostics);
  for (const column of model.columns) checkColumn(column.name, 'columns', column.at);
  model.key.forEach((column, i) => checkColumn(column, 'key', headerAt('key', i)));
  const by = header.incremental === undefined || header.incremental === 'append' ? [] : header.incremental.by;
  by.forEach((column, i) => checkColumn(column, 'incremental.by', headerAt('incremental', 'by', i)));
  if (model.owner?.kind === 'owned') {
    checkColumn(model.owner.org, 'owner.org', headerAt('owner', 'org'));
    if (model.owner.user !== undefined) checkColumn(model.owner.user, 'owner.user', headerAt('owner', 'user'));
  }
  for (const [field, column] of Object.entries(header.dataset?.filters ?? {})) {
    checkColumn(column, `dataset.filters.${field}`, headerAt('dataset', 'filters', field));
  }
  if (model.asOf?.kind === 'appends') checkColumn(model.asOf.column, 'as_of', headerAt('as_of'));
  if (model.materialized === 'incremental' && !model.appends && model.key.length === 0) {
    report(
      headerAt('materialized'),
      'header: an incremental model needs a key',
      'Add `key: [columns that identify a row]`.',
    );
  }
  if (model.materialized !== 'incremental' && header.incremental !== undefined) {
    report(
      headerAt('incremental'),
      `header: incremental is set, but the model is a ${model.materialized}`,
      'Write `materialized: incremental`, or take the block out.',
    );
  }
  if (header.dataset !== undefined && model.layer !== 'gold') {
    report(
      headerAt('dataset'),
      'header: only gold tables are served as datasets',
      'Move the model to gold, or take the dataset block out.',
    );
  }
  if (header.dataset !== undefined && model.key.length === 0) {
    report(headerAt('dataset'), 'header: a dataset needs a key', 'Add `key: [columns that identify a row]`.');
  }
  if (model.layer === 'gold') checkGold(entry, bound, report);
  await checkTypes(engine, entry, bound, diagnostics);
}

function checkOutput({ model }: ParsedModel, bound: readonly BoundColumn[], diagnostics: Diagnostics): void {
  const seen = new Set<string>();
  for (const { name } of bound) {
    if (seen.has(name.toLowerCase())) {
      diagnostics.add({
        code: 'MODEL_SQL_INVALID',
        message: `the SELECT gives the column ${name} twice`,
        at: model.bodyAt,
        remedy: 'Name each column of the SELECT once, with `as` where two tables share a name.',
      });
    }
    seen.add(name.toLowerCase());
  }
}

function checkGold(
  { model, headerAt }: ParsedModel,
  bound: readonly BoundColumn[],
  report: (at: SourceLocation, message: string, remedy: string) => void,
): void {
  if (model.owner === undefined) {
    report(
      headerAt('dataset'),
      'header: a gold table must say who owns its rows',
      'Add `owner: { org: <column>, user: <column> }`, or `owner: { public: <why> }`.',
    );
  }
  const declared = new Set(model.columns.map(({ name }) => name.toLowerCase()));
  for (const { name, type } of bound) {
    if (declared.has(name.toLowerCase())) continue;
    report(
      headerAt('columns'),
      `header: the column ${name} is not declared`,
      `Add it under columns, e.g. \`${name}: { type: ${type}, description: … }\`: gold columns are a contract with readers.`,
    );
  }
}

async function checkTypes(
  engine: SqlEngine,
  { model, headerAt }: ParsedModel,
  bound: readonly BoundColumn[],
  diagnostics: Diagnostics,
): Promise<void> {
  for (const { name, type } of model.columns) {
    const actual = bound.find((column) => column.name.toLowerCase() === name.toLowerCase())?.type;
    if (type === undefined || actual === undefined || type === actual) continue;
    const at = headerAt('columns', name, 'type');
    const canonical = await canonicalType(engine, type);
    if (canonical === actual) continue;
    diagnostics.add({
      code: 'MODEL_HEADER_INVALID',
      message:
        canonical === undefined
          ? `header: ${name} is declared ${type}, which is not a type`
          : `header: ${name} is declared ${canonical}, the SELECT gives ${actual}`,
      at,
      remedy:
        canonical === undefined
          ? `The SELECT gives ${actual}.`
          : `Cast it in the SELECT (${name}::${type}), or declare ${actual}.`,
    });
  }
}

/** A type as DuckDB names it; undefined when it is none. */
async function canonicalType(engine: SqlEngine, type: string): Promise<string | undefined> {
  const known = typeNames.get(engine) ?? new Map<string, string | undefined>();
  typeNames.set(engine, known);
  if (!known.has(type)) {
    const declared = await engine.describe(`select null::${type} as declared`);
    const isOne = declared.kind === 'columns' && declared.columns.length === 1;
    known.set(type, isOne ? declared.columns[0]?.type : undefined);
  }
  return known.get(type);
}

/** The same words (int, text, timestamptz) are declared in header after header. */
const typeNames = new WeakMap<SqlEngine, Map<string, string | undefined>>();

/** Checks what tests name once every model is bound: columns, tables they relate to, expressions. */
export async function checkTests(
  engine: SqlEngine,
  { model }: Pick<ParsedModel, 'model'>,
  bound: readonly BoundColumn[],
  tables: ReadonlyMap<string, readonly BoundColumn[]>,
  diagnostics: Diagnostics,
): Promise<void> {
  const unknown = (at: SourceLocation, column: string, table: string, columns: readonly BoundColumn[]) => {
    if (columns.some(({ name }) => name.toLowerCase() === column.toLowerCase())) return;
    const remedy = `${table} has ${columns.map(({ name }) => name).join(', ')}.`;
    diagnostics.add({ code: 'MODEL_COLUMN_UNKNOWN', message: `test: ${table} has no column ${column}`, at, remedy });
  };
  for (const test of model.tests) {
    // The key's own test names what the header's key names, which is checked there.
    if (test.kind === 'unique' && test.columns !== model.key)
      for (const column of test.columns) unknown(test.at, column, model.name, bound);
    if (test.kind === 'relationships') {
      const target = tables.get(test.to);
      if (target !== undefined) unknown(test.at, test.toColumn, test.to, target);
      else {
        const near = nearestOf(test.to, tables.keys());
        diagnostics.add({
          code: 'MODEL_REFERENCE_UNKNOWN',
          message: `test: unknown table ${test.to}${near === undefined ? '' : `; did you mean ${near}?`}`,
          at: test.at,
          remedy: 'Name a table of the project or of bronze.',
        });
      }
      if (test.to.startsWith('gold.') && model.layer === 'silver') {
        diagnostics.add({
          code: 'MODEL_HEADER_INVALID',
          message: `test: a silver table cannot be held against ${test.to}, which is built after it`,
          at: test.at,
          remedy: 'Put the test on the gold table.',
        });
      }
    }
    if (test.kind === 'range') {
      const column = bound.find(({ name }) => name.toLowerCase() === test.column.toLowerCase());
      for (const limit of [test.min, test.max]) {
        if (limit === undefined || column === undefined) continue;
        const cast = `select cast('${limit.replaceAll("'", "''")}' as ${column.type})`;
        const problem = await engine.attempt(cast, 0);
        if (problem === undefined) continue;
        const message = `test: the limit ${limit} is not a ${column.type}, the type of ${test.column}`;
        diagnostics.add({ code: 'MODEL_HEADER_INVALID', message, at: test.at, remedy: 'Write a limit of that type.' });
      }
    }
    if (test.kind === 'freshness') checkFreshness(test, bound, unknown, model.name, diagnostics);
    if (test.severity === 'warn' && test.errorIf !== undefined) {
      const message = 'test: error_if is set, but a test of severity warn is never an error';
      diagnostics.add({ code: 'MODEL_HEADER_INVALID', message, at: test.at, remedy: 'Take one of the two out.' });
    }
    for (const sql of conditionsOf(model, test)) {
      const described = await engine.describe(sql);
      if (described.kind !== 'problem') continue;
      const facts = describeProblem(described, engine);
      diagnostics.add({ ...facts, message: `test: ${facts.message}`, at: test.at });
    }
  }
}

/** The queries that bind what a test's SQL says of a row. */
export function conditionsOf({ layer, table }: Pick<Model, 'layer' | 'table'>, test: ModelTest): readonly string[] {
  return [test.where, test.kind === 'expression' ? test.sql : undefined].flatMap((sql) =>
    sql === undefined
      ? []
      : [`select (${sql}\n)::boolean as ${quoteIdentifier('holds')} from ${quotePath(layer, 'main', table)}`],
  );
}

/** The queries that checkTests() has described for a model. */
export function expressionsOf(model: Model): readonly string[] {
  return model.tests.flatMap((test) => conditionsOf(model, test));
}

function checkFreshness(
  test: ModelTest & { readonly kind: 'freshness' },
  bound: readonly BoundColumn[],
  unknown: (at: SourceLocation, column: string, table: string, columns: readonly BoundColumn[]) => void,
  table: string,
  diagnostics: Diagnostics,
): void {
  unknown(test.at, test.column, table, bound);
  const column = bound.find(({ name }) => name.toLowerCase() === test.column.toLowerCase());
  if (column === undefined || /^(DATE|TIMESTAMP\b.*)$/.test(column.type)) return;
  const message = `test: freshness of ${test.column}, which is ${column.type} and no point in time`;
  diagnostics.add({ code: 'MODEL_HEADER_INVALID', message, at: test.at, remedy: 'Name a DATE or TIMESTAMP column.' });
}

/** `incremental: append` is a promise that the compiler must be able to prove. */
export function checkAppend({ model, headerAt }: ParsedModel, refresh: RefreshRule, diagnostics: Diagnostics): void {
  if (!model.appends || refresh.kind !== 'rebuild') return;
  diagnostics.add({
    code: 'MODEL_HEADER_INVALID',
    message: `header: incremental is append, but ${refresh.why}`,
    at: headerAt('incremental'),
    remedy: 'Take `incremental: append` out and give a key: then the rows a change reaches are computed again.',
  });
}
