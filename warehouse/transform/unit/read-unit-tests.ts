import type { TableContract } from '../../core/bronze-table.ts';
import { isIsoDate } from '../../core/clock.ts';
import type { Diagnostics } from '../diagnostics.ts';
import type { ProjectFile } from '../load.ts';
import type { SourceLocation } from '../source-location.ts';
import { createRowsReader, type Path, type RowsSource } from './rows-reader.ts';
import {
  type BronzeTableField,
  bronzeFileSchema,
  type FailsField,
  type StepFields,
  type UnitTestFile,
  unitTestSchema,
} from './unit-schema.ts';
import { type GivenChange, UNIT_MODES, type UnitMode, type UnitStep, type UnitTest } from './unit-test.ts';
import { readYamlFile, type YamlFile } from './yaml-file.ts';

/** sql/unit/ as unit tests: test.yaml of each folder with the CSV files beside it. Problems are reported with file and line. */

const UNIT_FOLDER = 'sql/unit/';
const BRONZE_FILE = `${UNIT_FOLDER}bronze.yaml`;

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
    return [readUnitTest({ folder, yaml: read, texts, diagnostics })];
  });
}

/** One test's folder. */
function readUnitTest(source: RowsSource & { readonly yaml: YamlFile<UnitTestFile> }): UnitTest {
  const { folder, yaml, texts, diagnostics } = source;
  const reader = createRowsReader(source);

  const { value, at } = yaml;
  const given = new Map([...reader.filesOf('given'), ...reader.changes(value.given, ['given'])]);
  const expect = new Map([...reader.filesOf('expect')].map(([name, rows]) => [name, rows.rows]));
  for (const [name, rows] of reader.rowsByName(value.expect, ['expect'])) expect.set(name, rows);
  const existing = new Map([...reader.filesOf('existing')].map(([name, rows]) => [name, rows.rows]));
  for (const [name, rows] of reader.rowsByName(value.existing, ['existing'])) existing.set(name, rows);
  const last = { expect, actions: readActions(value.actions, []), fails: readFails(value.fails, ['fails']) };
  const steps = readSteps(given, last);
  if (existing.size > 0 && value.steps === undefined) {
    reader.problem(
      at('existing'),
      'existing rows need steps: they stand in the table between the run over `given` and the first step',
      'Add `steps:` with what changes then.',
    );
  }
  const nothing =
    value.models === undefined && steps.every((step) => step.expect.size + step.actions.size + step.fails.size === 0);
  if (nothing) {
    reader.problem(
      at('description'),
      'the test expects nothing',
      'Add expect/<model>.csv, or `expect:` with the rows a model must hold.',
    );
  }
  const mode = value.mode ?? (existing.size > 0 ? 'increment' : 'both');
  return {
    name: folder.slice(UNIT_FOLDER.length, -1),
    file: `${folder}test.yaml`,
    description: value.description,
    modes: mode === 'both' ? UNIT_MODES : ([mode] satisfies UnitMode[]),
    models: (value.models ?? []).map((name, i) => ({ name, at: at('models', i) })),
    runsTests: value.tests ?? true,
    existing,
    steps,
  };

  /** Without steps one run; else a first run over `given`, then the steps. What the test expects as a whole stands after the last. */
  function readSteps(
    given: Map<string, GivenChange>,
    last: Pick<UnitStep, 'expect' | 'actions' | 'fails'>,
  ): readonly UnitStep[] {
    const { value, at } = yaml;
    const bronze = toContracts(value.bronze ?? {}, yaml, ['bronze'], diagnostics);
    let asOf = checkDate(value.as_of, at('as_of')) ?? '2026-01-31';
    const none = { files: new Map(), actions: new Map(), expect: new Map(), fails: new Map() };
    const first = { ...none, label: 'given', at: at('given'), asOf, given, bronze };
    if (value.steps === undefined) return [{ ...first, ...last, label: 'run' }];
    const steps = value.steps.map((fields, i): UnitStep => {
      asOf = checkDate(fields.as_of, at('steps', i, 'as_of')) ?? asOf;
      const isLast = i === (value.steps?.length ?? 0) - 1;
      const own = readStep(fields, i, asOf);
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

  function readStep(fields: StepFields, i: number, asOf: string): UnitStep {
    const { at } = yaml;
    const path = ['steps', i] as const;
    const files = new Map<string, string>();
    for (const [target, name] of Object.entries(fields.files ?? {})) {
      const text = texts.get(`${folder}${name}`);
      if (text !== undefined) files.set(target, text);
      else reader.missingFile(at(...path, 'files', target), name);
    }
    return {
      label: `step ${i + 1}`,
      at: at(...path),
      asOf,
      given: new Map(reader.changes(fields.given, [...path, 'given'])),
      bronze: toContracts(fields.bronze ?? {}, yaml, [...path, 'bronze'], diagnostics),
      files,
      expect: new Map(reader.rowsByName(fields.expect, [...path, 'expect'])),
      actions: readActions(fields.actions, path),
      fails: readFails(fields.fails, [...path, 'fails']),
    };
  }

  function readActions(field: StepFields['actions'], path: Path): UnitStep['actions'] {
    const { at } = yaml;
    return new Map(
      Object.entries(field ?? {}).map(([name, action]) => [name, { action, at: at(...path, 'actions', name) }]),
    );
  }

  function readFails(field: FailsField | undefined, path: Path): UnitStep['fails'] {
    const { at } = yaml;
    if (field === undefined) return new Map();
    if (Array.isArray(field)) return new Map(field.map((name, i) => [name, { at: at(...path, i) }]));
    return new Map(
      Object.entries(field).map(([name, rows]) => {
        const read = rows === null ? undefined : reader.rows(rows, [...path, name]);
        return [name, { at: at(...path, name), ...(read === undefined ? {} : { rows: read }) }];
      }),
    );
  }

  function checkDate(text: string | undefined, at: SourceLocation): string | undefined {
    if (text !== undefined && !isIsoDate(text))
      reader.problem(at, `${text} is not a calendar date`, 'Write YYYY-MM-DD.');
    return text;
  }
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
