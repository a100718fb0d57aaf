import type { TableContract } from '../../core/bronze-table.ts';
import { isIsoDate } from '../../core/clock.ts';
import type { Diagnostics } from '../diagnostics.ts';
import type { ProjectFile } from '../load.ts';
import type { SourceLocation } from '../source-location.ts';
import { readCsvRows } from './csv-rows.ts';
import {
  type BronzeTableField,
  bronzeFileSchema,
  type ChangeField,
  type FailsField,
  type RowsField,
  type StepFields,
  type UnitTestFile,
  unitTestSchema,
} from './unit-schema.ts';
import {
  type Cell,
  type GivenChange,
  UNIT_MODES,
  type UnitMode,
  type UnitStep,
  type UnitTest,
  type WrittenRows,
} from './unit-test.ts';
import { readYamlFile, type YamlFile } from './yaml-file.ts';

/** sql/unit/ as unit tests: test.yaml of each folder with the CSV files beside it. Problems are reported with file and line. */

export const UNIT_FOLDER = 'sql/unit/';
export const BRONZE_FILE = `${UNIT_FOLDER}bronze.yaml`;

type Path = readonly (string | number)[];

/** Columns of bronze tables as sql/unit/bronze.yaml states them, by bronze.<source>.<table>; none when there is no such file. */
export function readBronzeFile(
  files: readonly ProjectFile[],
  diagnostics: Diagnostics,
): ReadonlyMap<string, TableContract> {
  const found = files.find(({ file }) => file === BRONZE_FILE);
  if (found === undefined) return new Map();
  const read = readYamlFile(found.file, found.text, bronzeFileSchema, diagnostics);
  return read === undefined ? new Map() : toContracts(read.value, read, [], diagnostics);
}

export function readUnitTests(files: readonly ProjectFile[], diagnostics: Diagnostics): readonly UnitTest[] {
  const texts = new Map(files.map(({ file, text }) => [file, text]));
  return files.flatMap(({ file, text }) => {
    if (!/^sql\/unit\/.+\/test\.ya?ml$/.test(file)) return [];
    const read = readYamlFile(file, text, unitTestSchema, diagnostics);
    if (read === undefined) return [];
    const folder = file.slice(0, file.lastIndexOf('/') + 1);
    return [new Reader(folder, read, texts, diagnostics).read()];
  });
}

/** One test's folder, so that paths and problems need not be handed on. */
class Reader {
  readonly #folder: string;
  readonly #yaml: YamlFile<UnitTestFile>;
  readonly #texts: ReadonlyMap<string, string>;
  readonly #diagnostics: Diagnostics;

  constructor(
    folder: string,
    yaml: YamlFile<UnitTestFile>,
    texts: ReadonlyMap<string, string>,
    diagnostics: Diagnostics,
  ) {
    this.#folder = folder;
    this.#yaml = yaml;
    this.#texts = texts;
    this.#diagnostics = diagnostics;
  }

  read(): UnitTest {
    const { value, at } = this.#yaml;
    const given = new Map([...this.#filesOf('given'), ...this.#changes(value.given, ['given'])]);
    const expect = new Map([...this.#filesOf('expect')].map(([name, rows]) => [name, rows.rows]));
    for (const [name, rows] of this.#rowsByName(value.expect, ['expect'])) expect.set(name, rows);
    const existing = new Map([...this.#filesOf('existing')].map(([name, rows]) => [name, rows.rows]));
    for (const [name, rows] of this.#rowsByName(value.existing, ['existing'])) existing.set(name, rows);
    const last = { expect, actions: this.#actions(value.actions, []), fails: this.#fails(value.fails, ['fails']) };
    const steps = this.#steps(given, last);
    if (existing.size > 0 && value.steps === undefined) {
      this.#problem(
        at('existing'),
        'existing rows need steps: they stand in the table between the run over `given` and the first step',
        'Add `steps:` with what changes then.',
      );
    }
    const nothing =
      value.models === undefined && steps.every((step) => step.expect.size + step.actions.size + step.fails.size === 0);
    if (nothing) {
      this.#problem(
        at('description'),
        'the test expects nothing',
        'Add expect/<model>.csv, or `expect:` with the rows a model must hold.',
      );
    }
    const mode = value.mode ?? (existing.size > 0 ? 'increment' : 'both');
    return {
      name: this.#folder.slice(UNIT_FOLDER.length, -1),
      file: `${this.#folder}test.yaml`,
      description: value.description,
      modes: mode === 'both' ? UNIT_MODES : ([mode] satisfies UnitMode[]),
      models: (value.models ?? []).map((name, i) => ({ name, at: at('models', i) })),
      runsTests: value.tests ?? true,
      existing,
      steps,
    };
  }

  /** Without steps one run; else a first run over `given`, then the steps. What the test expects as a whole stands after the last. */
  #steps(given: Map<string, GivenChange>, last: Pick<UnitStep, 'expect' | 'actions' | 'fails'>): readonly UnitStep[] {
    const { value, at } = this.#yaml;
    const bronze = toContracts(value.bronze ?? {}, this.#yaml, ['bronze'], this.#diagnostics);
    let asOf = this.#date(value.as_of, at('as_of')) ?? '2026-01-31';
    const none = { files: new Map(), actions: new Map(), expect: new Map(), fails: new Map() };
    const first = { ...none, label: 'given', at: at('given'), asOf, given, bronze };
    if (value.steps === undefined) return [{ ...first, ...last, label: 'run' }];
    const steps = value.steps.map((fields, i): UnitStep => {
      asOf = this.#date(fields.as_of, at('steps', i, 'as_of')) ?? asOf;
      const isLast = i === (value.steps?.length ?? 0) - 1;
      const own = this.#step(fields, i, asOf);
      if (!isLast) return own;
      return {
        ...own,
        expect: new Map([...last.expect, ...own.expect]),
        actions: new Map([...last.actions, ...own.actions]),
        fails: new Map([...last.fails, ...own.fails]),
      };
    });
    // Without a state to begin from the first step is the first run; its tables' columns are declared all the same.
    if (given.size > 0) return [first, ...steps];
    return steps.map((step, i) => (i === 0 ? { ...step, bronze: new Map([...bronze, ...step.bronze]) } : step));
  }

  #step(fields: StepFields, i: number, asOf: string): UnitStep {
    const { at } = this.#yaml;
    const path = ['steps', i] as const;
    const files = new Map<string, string>();
    for (const [target, name] of Object.entries(fields.files ?? {})) {
      const text = this.#texts.get(`${this.#folder}${name}`);
      if (text !== undefined) files.set(target, text);
      else this.#missingFile(at(...path, 'files', target), name);
    }
    return {
      label: `step ${i + 1}`,
      at: at(...path),
      asOf,
      given: new Map(this.#changes(fields.given, [...path, 'given'])),
      bronze: toContracts(fields.bronze ?? {}, this.#yaml, [...path, 'bronze'], this.#diagnostics),
      files,
      expect: new Map(this.#rowsByName(fields.expect, [...path, 'expect'])),
      actions: this.#actions(fields.actions, path),
      fails: this.#fails(fields.fails, [...path, 'fails']),
    };
  }

  /** given/bronze.app.orders.csv and its like. */
  *#filesOf(kind: 'given' | 'expect' | 'existing'): Generator<[string, GivenChange & { readonly kind: 'rows' }]> {
    const prefix = `${this.#folder}${kind}/`;
    const pattern =
      kind === 'given' ? /^(bronze\.[^.]+\.[^.]+|(silver|gold)\.[^.]+)\.csv$/ : /^(silver|gold)\.[^.]+\.csv$/;
    for (const [file, text] of this.#texts) {
      if (!file.startsWith(prefix)) continue;
      const name = file.slice(prefix.length);
      if (!pattern.test(name)) {
        const shape = kind === 'given' ? 'bronze.<source>.<table>.csv, silver.<table>.csv' : 'silver.<table>.csv';
        this.#problem(
          { file, line: 1, column: 1 },
          `the file name ${name} is not that of a table`,
          `Name files in ${kind}/ ${shape} or gold.<table>.csv.`,
        );
        continue;
      }
      const rows = this.#csv(file, text);
      if (rows !== undefined) yield [name.slice(0, -'.csv'.length), { kind: 'rows', rows }];
    }
  }

  *#changes(given: Readonly<Record<string, ChangeField>> | undefined, path: Path): Generator<[string, GivenChange]> {
    for (const [table, field] of Object.entries(given ?? {})) {
      const here = [...path, table];
      if (typeof field === 'string' || Array.isArray(field) || 'rows' in field) {
        const rows = this.#rows(field, here);
        if (rows !== undefined) yield [table, { kind: 'rows', rows }];
        continue;
      }
      const part = (op: 'insert' | 'update' | 'delete') => {
        const rows = field[op] === undefined ? undefined : this.#rows(field[op], [...here, op]);
        return rows === undefined ? {} : { [op]: rows };
      };
      yield [
        table,
        { kind: 'changes', at: this.#yaml.at(...here), ...part('insert'), ...part('update'), ...part('delete') },
      ];
    }
  }

  *#rowsByName(field: Readonly<Record<string, RowsField>> | undefined, path: Path): Generator<[string, WrittenRows]> {
    for (const [name, rows] of Object.entries(field ?? {})) {
      const read = this.#rows(rows, [...path, name]);
      if (read !== undefined) yield [name, read];
    }
  }

  #rows(field: RowsField, path: Path): WrittenRows | undefined {
    const at = this.#yaml.at(...path);
    if (typeof field === 'string') {
      const file = `${this.#folder}${field}`;
      const text = this.#texts.get(file);
      if (text !== undefined) return this.#csv(file, text);
      this.#missingFile(at, field);
      return undefined;
    }
    const list = Array.isArray(field) ? field : field.rows;
    const types = Array.isArray(field) ? {} : field.types;
    const base = Array.isArray(field) ? path : [...path, 'rows'];
    const columns = new Map<string, WrittenRows['columns'][number]>();
    for (const [name, type] of Object.entries(types)) {
      columns.set(name, { name, type, at: this.#yaml.at(...path, 'types', name) });
    }
    const rows = list.map((row, i) => {
      const cells = new Map<string, Cell>();
      for (const [name, value] of Object.entries(row)) {
        if (!columns.has(name)) columns.set(name, { name, at: this.#yaml.at(...base, i, name) });
        cells.set(name, toCell(value));
      }
      return { at: this.#yaml.at(...base, i), cells };
    });
    return { at, columns: [...columns.values()], rows };
  }

  #csv(file: string, text: string): WrittenRows | undefined {
    return readCsvRows(file, text, (at, message, remedy) => this.#problem(at, message, remedy));
  }

  #actions(field: StepFields['actions'], path: Path): UnitStep['actions'] {
    const { at } = this.#yaml;
    return new Map(
      Object.entries(field ?? {}).map(([name, action]) => [name, { action, at: at(...path, 'actions', name) }]),
    );
  }

  #fails(field: FailsField | undefined, path: Path): UnitStep['fails'] {
    const { at } = this.#yaml;
    if (field === undefined) return new Map();
    if (Array.isArray(field)) return new Map(field.map((name, i) => [name, { at: at(...path, i) }]));
    return new Map(
      Object.entries(field).map(([name, rows]) => {
        const read = rows === null ? undefined : this.#rows(rows, [...path, name]);
        return [name, { at: at(...path, name), ...(read === undefined ? {} : { rows: read }) }];
      }),
    );
  }

  #date(text: string | undefined, at: SourceLocation): string | undefined {
    if (text !== undefined && !isIsoDate(text))
      this.#problem(at, `${text} is not a calendar date`, 'Write YYYY-MM-DD.');
    return text;
  }

  #missingFile(at: SourceLocation, name: string): void {
    this.#problem(at, `${name} is not in ${this.#folder}`, 'Add the file, or correct its name.');
  }

  #problem(at: SourceLocation, message: string, remedy: string): void {
    this.#diagnostics.add({ code: 'UNIT_TEST_INVALID', message, at, remedy });
  }
}

function toCell(value: unknown): Cell {
  if (value === null || value === undefined) return null;
  if (typeof value === 'string') return value;
  return typeof value === 'boolean' ? String(value) : { json: JSON.stringify(value) };
}

/** Every column may be NULL here: the engine then takes no short cut that the rows of a test might not bear. */
function toContracts(
  tables: Readonly<Record<string, BronzeTableField>>,
  yaml: Pick<YamlFile<unknown>, 'at'>,
  path: Path,
  diagnostics: Diagnostics,
): Map<string, TableContract> {
  return new Map(
    Object.entries(tables).map(([name, { key = [], columns }]) => {
      for (const [i, column] of key.entries()) {
        if (Object.hasOwn(columns, column)) continue;
        const at = yaml.at(...path, name, 'key', i);
        const message = `the key of ${name} names ${column}, which is not among its columns`;
        diagnostics.add({ code: 'UNIT_TEST_INVALID', message, at, remedy: 'Add the column, or correct the key.' });
      }
      const list = Object.entries(columns).map(([column, type]) => ({
        name: column,
        postgresType: type.toLowerCase(),
        duckdbType: type,
        nullable: true,
        policy: 'error' as const,
      }));
      return [`bronze.${name}`, { key, columns: list }];
    }),
  );
}
