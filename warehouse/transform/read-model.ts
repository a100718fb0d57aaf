import type { Dataset, Owner } from '../core/dataset.ts';
import type { Diagnostics } from './diagnostics.ts';
import { cutFile, type Header, parseHeader } from './header.ts';
import {
  type ColumnTestHeader,
  headerSchema,
  type Header as ModelHeader,
  type ModelTestHeader,
} from './header-schema.ts';
import type { ModelFile } from './load.ts';
import type { Model, ModelColumn, ModelTest, Severity } from './model.ts';
import { toSnapshotRule, VALID_FROM } from './snapshot-rule.ts';
import type { SourceLocation } from './source-location.ts';
import { locate } from './source-text.ts';
import { parseAge, parseThreshold } from './test-words.ts';

/** A model and where its header fields stand. */
export interface ReadModel {
  readonly model: Model;
  /** The header as written, for checks that need what a default hides. */
  readonly header: ModelHeader;
  readonly headerAt: (...path: readonly (string | number)[]) => SourceLocation;
}

/** A model file as a Model: the header's facts with their defaults, the SELECT not looked at yet. Problems are reported and give undefined. */
export function readModel(file: ModelFile, diagnostics: Diagnostics): ReadModel | undefined {
  if (!checkPlace(file, diagnostics)) return undefined;
  const cut = cutFile(file.file, file.text, diagnostics);
  if (cut === undefined) return undefined;
  const header = parseHeader(file.file, file.text, cut, headerSchema, diagnostics);
  if (header === undefined) return undefined;
  const { value } = header;
  const { name } = file;
  const snapshot = toSnapshotRule(value);
  const key = snapshot === undefined ? (value.key ?? []) : [...snapshot.key, VALID_FROM];
  const owner = toOwner(value.owner);
  const dataset = toDataset(file, header, key, owner);
  const asOf = toAsOf(value.as_of);
  const model: Model = {
    name,
    layer: file.layer,
    table: file.table,
    domain: file.domain,
    file: file.file,
    description: value.description,
    materialized: value.materialized ?? (file.layer === 'silver' ? 'view' : 'table'),
    key,
    ...(value.winner === undefined ? {} : { winner: value.winner }),
    ...(snapshot === undefined ? {} : { snapshot }),
    incrementalBy: value.materialized === 'incremental' ? byOf(value.incremental, key) : [],
    appends: value.materialized === 'incremental' && value.incremental === 'append',
    columns: Object.entries(value.columns ?? {}).map(
      ([column, facts]): ModelColumn => ({
        name: column,
        ...(facts?.type === undefined ? {} : { type: facts.type }),
        ...(facts?.description === undefined ? {} : { description: facts.description }),
        at: header.at('columns', column),
      }),
    ),
    tests: readTests(name, header, key),
    ...(owner === undefined ? {} : { owner }),
    ...(dataset === undefined ? {} : { dataset }),
    tags: value.tags ?? [],
    ...(asOf === undefined ? {} : { asOf }),
    sql: cut.sql,
    bodyAt: locate(file.file, file.text, cut.sqlStart),
  };
  return { model, header: value, headerAt: (...path) => header.at(...path) };
}

function checkPlace(file: ModelFile, diagnostics: Diagnostics): boolean {
  const at = { file: file.file, line: 1, column: 1 };
  if (!/^[a-z][a-z0-9_]*$/.test(file.table)) {
    diagnostics.add({
      code: 'MODEL_HEADER_INVALID',
      message: `the file name ${file.table}.sql is not a table name`,
      at,
      remedy: 'Name the file after its table: lower-case letters, digits and _.',
    });
    return false;
  }
  if (file.domain === '' || file.domain.includes('/')) {
    diagnostics.add({
      code: 'MODEL_HEADER_INVALID',
      message: 'the file does not lie in a domain folder',
      at,
      remedy: `Move the file to sql/${file.layer}/<domain>/${file.table}.sql.`,
    });
    return false;
  }
  return true;
}

function byOf(incremental: ModelHeader['incremental'], key: readonly string[]): readonly string[] {
  return incremental === undefined || incremental === 'append' ? key : incremental.by;
}

function toOwner(owner: ModelHeader['owner']): Owner | undefined {
  if (owner === undefined) return undefined;
  if ('public' in owner) return { kind: 'public', reason: owner.public };
  return { kind: 'owned', org: owner.org, ...(owner.user === undefined ? {} : { user: owner.user }) };
}

function toAsOf(text: ModelHeader['as_of']): Model['asOf'] {
  if (text === undefined) return undefined;
  const column = /^appends\(\s*(\w+)\s*\)$/.exec(text)?.[1];
  return column === undefined ? { kind: 'recompute' } : { kind: 'appends', column };
}

function toDataset(
  file: ModelFile,
  header: Header<ModelHeader>,
  key: readonly string[],
  owner: Owner | undefined,
): Omit<Dataset, 'columns'> | undefined {
  const dataset = header.value.dataset;
  // A dataset without an owner is reported by the lint; it never gets this far as a compiled model.
  if (dataset === undefined || owner === undefined) return undefined;
  const { date_column: dateColumn, ...ids } = dataset.filters ?? {};
  return {
    id: file.table,
    friendlyName: dataset.friendly_name,
    description: header.value.description,
    group: dataset.group,
    ...(dataset.time_grain === undefined ? {} : { timeGrain: dataset.time_grain }),
    key,
    owner,
    filters: {
      ...(dateColumn === undefined ? {} : { dateColumn }),
      ids: Object.fromEntries(Object.entries(ids).map(([name, column]) => [name.replace(/_id_column$/, ''), column])),
    },
    ...(dataset.entity === undefined ? {} : { entity: dataset.entity }),
  };
}

/** Declared tests in order, and the key's own uniqueness, which a key promises without saying. */
export function readTests(
  model: string,
  header: Header<Pick<ModelHeader, 'columns' | 'tests'>>,
  key: readonly string[],
): readonly ModelTest[] {
  const { columns = {}, tests = [] } = header.value;
  const list = [
    ...Object.entries(columns).flatMap(([column, facts]) =>
      (facts?.tests ?? []).map((test, i) =>
        toColumnTest(model, column, test, header.at('columns', column, 'tests', i)),
      ),
    ),
    ...tests.map((test, i) => toModelTest(model, test, header.at('tests', i))),
  ];
  const isKey = (test: ModelTest) =>
    test.kind === 'unique' &&
    test.severity === 'error' &&
    test.where === undefined &&
    test.errorIf === undefined &&
    [...test.columns].sort().join() === [...key].sort().join();
  const implied: ModelTest[] =
    key.length === 0 || list.some(isKey)
      ? []
      : [
          {
            kind: 'unique',
            columns: key,
            name: `${model}.unique(${key.join(',')})`,
            severity: 'error',
            at: header.at('key'),
          },
        ];
  const seen = new Map<string, number>();
  return [...implied, ...list].map((test) => {
    const count = (seen.get(test.name) ?? 0) + 1;
    seen.set(test.name, count);
    return count === 1 ? test : { ...test, name: `${test.name}_${count}` };
  });
}

function toColumnTest(model: string, column: string, test: ColumnTestHeader, at: ModelTest['at']): ModelTest {
  if (typeof test === 'string') {
    const facts = { name: `${model}.${column}.${test}`, severity: 'error' as const, at };
    return test === 'not_null' ? { ...facts, kind: test, column } : { ...facts, kind: test, columns: [column] };
  }
  const facts = (kind: string) => toFacts(`${model}.${test.name ?? `${column}.${kind}`}`, test, at);
  if ('not_null' in test) return { ...facts('not_null'), kind: 'not_null', column };
  if ('unique' in test) return { ...facts('unique'), kind: 'unique', columns: [column] };
  if ('accepted_values' in test) {
    return { ...facts('accepted_values'), kind: 'accepted_values', column, values: test.accepted_values };
  }
  if ('relationships' in test) {
    const { to, column: toColumn } = test.relationships;
    return { ...facts('relationships'), kind: 'relationships', column, to, toColumn };
  }
  const { min, max } = test.range;
  return {
    ...facts('range'),
    kind: 'range',
    column,
    ...(min === undefined ? {} : { min: String(min) }),
    ...(max === undefined ? {} : { max: String(max) }),
  };
}

function toModelTest(model: string, test: ModelTestHeader, at: ModelTest['at']): ModelTest {
  const facts = (kind: string) => toFacts(`${model}.${test.name ?? kind}`, test, at);
  if ('unique' in test) return { ...facts(`unique(${test.unique.join(',')})`), kind: 'unique', columns: test.unique };
  if ('row_count' in test) {
    const { min, max } = test.row_count;
    const bounds = { ...(min === undefined ? {} : { min }), ...(max === undefined ? {} : { max }) };
    return { ...facts('row_count'), kind: 'row_count', ...bounds };
  }
  if ('freshness' in test) {
    const { column, warn_after: warn, error_after: error } = test.freshness;
    const [warnAfter, errorAfter] = [parseAge(warn ?? ''), parseAge(error ?? '')];
    return {
      ...facts(`${column}.freshness`),
      // A test without error_after never holds a release back.
      severity: errorAfter === undefined ? 'warn' : 'error',
      kind: 'freshness',
      column,
      ...(warnAfter === undefined ? {} : { warnAfter }),
      ...(errorAfter === undefined ? {} : { errorAfter }),
    };
  }
  return { ...facts('expression'), kind: 'expression', sql: test.expression };
}

/** What every test says besides what it tests. */
function toFacts(
  name: string,
  test: {
    readonly severity?: Severity | undefined;
    readonly where?: string | undefined;
    readonly warn_if?: string | undefined;
    readonly error_if?: string | undefined;
  },
  at: ModelTest['at'],
): Omit<ModelTest, 'kind'> {
  const [warnIf, errorIf] = [parseThreshold(test.warn_if ?? ''), parseThreshold(test.error_if ?? '')];
  return {
    name,
    severity: test.severity ?? 'error',
    at,
    ...(test.where === undefined ? {} : { where: test.where }),
    ...(warnIf === undefined ? {} : { warnIf }),
    ...(errorIf === undefined ? {} : { errorIf }),
  };
}
