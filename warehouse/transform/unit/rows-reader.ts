import type { Diagnostics } from '../diagnostics.ts';
import type { SourceLocation } from '../source-location.ts';
import { readCsvRows } from './csv-rows.ts';
import type { ChangeField, RowsField } from './unit-schema.ts';
import type { Cell, GivenChange, WrittenRows } from './unit-test.ts';
import type { YamlFile } from './yaml-file.ts';

/** Rows as the folder of one unit test states them: in its test.yaml, or in CSV files that it names or that lie in given/, expect/ and existing/. */
export interface RowsReader {
  filesOf(kind: 'given' | 'expect' | 'existing'): Iterable<[string, GivenChange & { readonly kind: 'rows' }]>;
  changes(given: Readonly<Record<string, ChangeField>> | undefined, path: Path): Iterable<[string, GivenChange]>;
  rowsByName(field: Readonly<Record<string, RowsField>> | undefined, path: Path): Iterable<[string, WrittenRows]>;
  rows(field: RowsField, path: Path): WrittenRows | undefined;
  /** Reports UNIT_TEST_INVALID. */
  problem(at: SourceLocation, message: string, remedy: string): void;
  missingFile(at: SourceLocation, name: string): void;
}

/** Steps into test.yaml. */
export type Path = readonly (string | number)[];

export interface RowsSource {
  /** The test's own, ending in `/`. */
  readonly folder: string;
  readonly yaml: Pick<YamlFile<unknown>, 'at'>;
  /** Every file of sql/unit. */
  readonly texts: ReadonlyMap<string, string>;
  readonly diagnostics: Diagnostics;
}

export function createRowsReader({ folder, yaml, texts, diagnostics }: RowsSource): RowsReader {
  /** given/bronze.app.orders.csv and its like. */
  function* filesOf(
    kind: 'given' | 'expect' | 'existing',
  ): Generator<[string, GivenChange & { readonly kind: 'rows' }]> {
    const prefix = `${folder}${kind}/`;
    const pattern =
      kind === 'given' ? /^(bronze\.[^.]+\.[^.]+|(silver|gold)\.[^.]+)\.csv$/ : /^(silver|gold)\.[^.]+\.csv$/;
    for (const [file, text] of texts) {
      if (!file.startsWith(prefix)) continue;
      const name = file.slice(prefix.length);
      if (!pattern.test(name)) {
        const shape = kind === 'given' ? 'bronze.<source>.<table>.csv, silver.<table>.csv' : 'silver.<table>.csv';
        problem(
          { file, line: 1, column: 1 },
          `the file name ${name} is not that of a table`,
          `Name files in ${kind}/ ${shape} or gold.<table>.csv.`,
        );
        continue;
      }
      const rows = readCsv(file, text);
      if (rows !== undefined) yield [name.slice(0, -'.csv'.length), { kind: 'rows', rows }];
    }
  }

  function* changes(
    given: Readonly<Record<string, ChangeField>> | undefined,
    path: Path,
  ): Generator<[string, GivenChange]> {
    for (const [table, field] of Object.entries(given ?? {})) {
      const here = [...path, table];
      if (typeof field === 'string' || Array.isArray(field) || 'rows' in field) {
        const rows = readRows(field, here);
        if (rows !== undefined) yield [table, { kind: 'rows', rows }];
        continue;
      }
      const part = (op: 'insert' | 'update' | 'delete') => {
        const rows = field[op] === undefined ? undefined : readRows(field[op], [...here, op]);
        return rows === undefined ? {} : { [op]: rows };
      };
      yield [table, { kind: 'changes', at: yaml.at(...here), ...part('insert'), ...part('update'), ...part('delete') }];
    }
  }

  function* rowsByName(
    field: Readonly<Record<string, RowsField>> | undefined,
    path: Path,
  ): Generator<[string, WrittenRows]> {
    for (const [name, rows] of Object.entries(field ?? {})) {
      const read = readRows(rows, [...path, name]);
      if (read !== undefined) yield [name, read];
    }
  }

  function readRows(field: RowsField, path: Path): WrittenRows | undefined {
    const at = yaml.at(...path);
    if (typeof field === 'string') {
      const file = `${folder}${field}`;
      const text = texts.get(file);
      if (text !== undefined) return readCsv(file, text);
      missingFile(at, field);
      return undefined;
    }
    const list = Array.isArray(field) ? field : field.rows;
    const types = Array.isArray(field) ? {} : field.types;
    const base = Array.isArray(field) ? path : [...path, 'rows'];
    const columns = new Map<string, WrittenRows['columns'][number]>();
    for (const [name, type] of Object.entries(types)) {
      columns.set(name, { name, type, at: yaml.at(...path, 'types', name) });
    }
    const rows = list.map((row, i) => {
      const cells = new Map<string, Cell>();
      for (const [name, value] of Object.entries(row)) {
        if (!columns.has(name)) columns.set(name, { name, at: yaml.at(...base, i, name) });
        cells.set(name, toCell(value));
      }
      return { at: yaml.at(...base, i), cells };
    });
    return { at, columns: [...columns.values()], rows };
  }

  function readCsv(file: string, text: string): WrittenRows | undefined {
    return readCsvRows(file, text, (at, message, remedy) => problem(at, message, remedy));
  }

  function missingFile(at: SourceLocation, name: string): void {
    problem(at, `${name} is not in ${folder}`, 'Add the file, or correct its name.');
  }

  function problem(at: SourceLocation, message: string, remedy: string): void {
    diagnostics.add({ code: 'UNIT_TEST_INVALID', message, at, remedy });
  }

  return { filesOf, changes, rowsByName, rows: readRows, problem, missingFile };
}

function toCell(value: unknown): Cell {
  if (value === null || value === undefined) return null;
  if (typeof value === 'string') return value;
  return typeof value === 'boolean' ? String(value) : { json: JSON.stringify(value) };
}
