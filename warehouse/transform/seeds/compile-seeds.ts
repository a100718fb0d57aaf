import { nearestOf } from '../../core/nearest.ts';
import { quoteIdentifier, quoteLiteral } from '../../core/quote.ts';
import type { Diagnostics } from '../diagnostics.ts';
import { digest } from '../digest.ts';
import { type Header, parseHeader } from '../header.ts';
import { headerSchema } from '../header-schema.ts';
import type { CompiledModel, ModelColumn } from '../model.ts';
import { type CsvField, readCsv } from '../read-csv.ts';
import { readTests } from '../read-model.ts';
import { locate } from '../source-text.ts';
import type { BoundColumn, SqlEngine } from '../sql-engine.ts';
import type { SeedFile } from './load-seeds.ts';
import { shapeOf } from './seed-value.ts';

/** Seeds as models: a table silver.<name> whose SELECT is its file's rows, so that plans, tests, fingerprints and changed rows are those of any model. */

const seedSchema = headerSchema.pick({ description: true, key: true, columns: true, tests: true, tags: true });
type SeedHeader = ReturnType<typeof seedSchema.parse>;

/** A seed's rows become part of the compiled project: what is larger belongs in a source. */
const MAX_BYTES = 5_000_000;
const SHOWN_PROBLEMS = 20;

export function seedTexts(seeds: readonly SeedFile[]): readonly (readonly [string, string])[] {
  return seeds.flatMap(({ stem, csv, yaml }) => [
    ...(csv === undefined ? [] : [[`${stem}.csv`, csv] as const]),
    ...(yaml === undefined ? [] : [[`${stem}.yaml`, yaml] as const]),
  ]);
}

/** In the order of their paths. Problems are reported at their place, and leave their seed out. */
export async function compileSeeds(
  engine: SqlEngine,
  seeds: readonly SeedFile[],
  taken: ReadonlySet<string>,
  diagnostics: Diagnostics,
): Promise<readonly CompiledModel[]> {
  const compiled: CompiledModel[] = [];
  const names = new Set(taken);
  for (const seed of seeds) {
    const name = `silver.${seed.table}`;
    const file = `${seed.stem}.${seed.csv === undefined ? 'yaml' : 'csv'}`;
    const report = (message: string, remedy: string) =>
      diagnostics.add({ code: 'SEED_INVALID', message, at: { file, line: 1, column: 1 }, remedy });
    if (!/^[a-z][a-z0-9_]*$/.test(seed.table)) {
      report(`${seed.table} is not a table name`, 'Name the files after the table: lower-case letters, digits and _.');
    } else if (names.has(name)) {
      report(`the table ${name} is defined already`, 'Rename one of the two: a table name stands once per layer.');
    } else if (seed.csv === undefined) {
      report('the rows of the seed are missing', `Add ${seed.stem}.csv, whose first line names the columns.`);
    } else if (seed.yaml === undefined) {
      report('the types of the seed are not declared', `Add ${seed.stem}.yaml with a description and columns.`);
    } else if (Buffer.byteLength(seed.csv) > MAX_BYTES) {
      report(
        `the seed has ${Buffer.byteLength(seed.csv)} bytes, more than ${MAX_BYTES}`,
        'Load what is large through a source.',
      );
    } else {
      names.add(name);
      const model = await compileSeed(engine, { ...seed, csv: seed.csv, yaml: seed.yaml }, diagnostics);
      if (model !== undefined) compiled.push(model);
    }
  }
  return compiled;
}

type WholeSeed = SeedFile & { readonly csv: string; readonly yaml: string };

async function compileSeed(
  engine: SqlEngine,
  seed: WholeSeed,
  diagnostics: Diagnostics,
): Promise<CompiledModel | undefined> {
  const before = diagnostics.list.length;
  const yamlFile = `${seed.stem}.yaml`;
  const cut = { header: seed.yaml, headerStart: 0, sql: '', sqlStart: 0 };
  const header = parseHeader(yamlFile, seed.yaml, cut, seedSchema, diagnostics);
  if (header === undefined) return undefined;
  const columns = await bindColumns(engine, seed, header, diagnostics);
  if (diagnostics.list.length > before) return undefined;
  const rows = readRows(seed, columns, header.value.key ?? [], diagnostics);
  await castValues(engine, seed, columns, rows, diagnostics);
  if (diagnostics.list.length > before) return undefined;
  return toModel(seed, header, columns, rows);
}

/** Declared columns with DuckDB's name of their type. */
async function bindColumns(
  engine: SqlEngine,
  { stem }: SeedFile,
  header: Header<SeedHeader>,
  diagnostics: Diagnostics,
): Promise<readonly BoundColumn[]> {
  const bound: BoundColumn[] = [];
  const declared = Object.entries(header.value.columns ?? {});
  const report = (path: readonly (string | number)[], message: string, remedy: string) =>
    diagnostics.add({ code: 'SEED_INVALID', message, at: header.at(...path), remedy });
  if (declared.length === 0)
    report(['columns'], 'the seed declares no columns', 'Add `columns: { name: { type: … } }`.');
  for (const [name, facts] of declared) {
    if (facts?.type === undefined) {
      report(
        ['columns', name],
        `the column ${name} has no type`,
        `Write \`${name}: { type: VARCHAR }\` or another type.`,
      );
      continue;
    }
    const described = await engine.describe(`select null::${facts.type} as declared`);
    const type =
      described.kind === 'columns' && described.columns.length === 1 ? described.columns[0]?.type : undefined;
    if (type === undefined || shapeOf(type) === undefined)
      report(
        ['columns', name, 'type'],
        `the column ${name} is declared ${facts.type}, which is no type of a seed`,
        'Use VARCHAR, BOOLEAN, an integer type, DECIMAL(p,s), DOUBLE, FLOAT, DATE, TIME, TIMESTAMP, TIMESTAMPTZ or UUID.',
      );
    else bound.push({ name, type });
  }
  (header.value.key ?? []).forEach((column, i) => {
    if (declared.some(([name]) => name === column)) return;
    const near = nearestOf(
      column,
      declared.map(([name]) => name),
    );
    const message = `the key names ${column}, which ${stem}.csv does not have${near === undefined ? '' : `; did you mean ${near}?`}`;
    report(['key', i], message, 'Name declared columns.');
  });
  return bound;
}

/** A row's fields in the order of the declared columns. */
type SeedRow = readonly CsvField[];

function readRows(
  { stem, csv }: WholeSeed,
  columns: readonly BoundColumn[],
  key: readonly string[],
  diagnostics: Diagnostics,
): readonly SeedRow[] {
  const file = `${stem}.csv`;
  const report = (offset: number, message: string, remedy: string) =>
    diagnostics.add({ code: 'SEED_INVALID', message, at: locate(file, csv, offset), remedy });
  const strange = /[\0\uFFFD]/.exec(csv);
  if (strange !== null) report(strange.index, 'a character is not UTF-8 text', 'Save the file as UTF-8.');
  const { records, problem } = readCsv(csv);
  if (problem !== undefined) report(problem.offset, problem.message, problem.remedy);
  const [head = [], ...body] = records;
  const at = new Map<string, number>();
  head.forEach(({ text, offset }, i) => {
    const near = nearestOf(
      text,
      columns.map(({ name }) => name),
    );
    if (at.has(text)) report(offset, `the column ${text} stands twice`, 'Name each column once.');
    else if (!columns.some(({ name }) => name === text))
      report(
        offset,
        `the column ${JSON.stringify(text)} is not declared${near === undefined ? '' : `; did you mean ${near}?`}`,
        `Declare it in ${stem}.yaml, or take it out.`,
      );
    at.set(text, i);
  });
  for (const { name } of columns)
    if (!at.has(name))
      report(0, `the declared column ${name} is missing`, `Add it to the first line, or take it out of ${stem}.yaml.`);
  const seen = new Map<string, number>();
  const keyAt = key.map((name) => at.get(name) ?? -1);
  return body.flatMap((record): SeedRow[] => {
    const [first] = record;
    if (first === undefined) return [];
    if (record.length !== head.length) {
      const extra = record[head.length];
      report(
        (extra ?? first).offset,
        `the row has ${record.length} fields, the first line ${head.length}`,
        'Give every row all fields; put a field that holds a comma in quotes.',
      );
      return [];
    }
    const id = JSON.stringify(keyAt.map((i) => [record[i]?.isQuoted, record[i]?.text]));
    const twin = seen.get(id);
    if (key.length > 0 && twin !== undefined)
      report(
        first.offset,
        `the key ${key.map((name, i) => `${name} ${record[keyAt[i] ?? -1]?.text ?? ''}`).join(', ')} stands in line ${twin} already`,
        'Take one of the rows out, or widen `key`.',
      );
    seen.set(id, locate(file, csv, first.offset).line);
    return [columns.flatMap(({ name }) => record[at.get(name) ?? -1] ?? [])];
  });
}

/** Holds each value against its type: its form first, then DuckDB's own cast. */
async function castValues(
  engine: SqlEngine,
  { stem, csv }: WholeSeed,
  columns: readonly BoundColumn[],
  rows: readonly SeedRow[],
  diagnostics: Diagnostics,
): Promise<void> {
  let problems = 0;
  const report = ({ text, offset }: CsvField, { name, type }: BoundColumn, form: string) => {
    problems += 1;
    if (problems > SHOWN_PROBLEMS) return;
    const shown = JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
    diagnostics.add({
      code: 'SEED_INVALID',
      message: `${name} is ${shown}, which is no ${type}`,
      at: locate(`${stem}.csv`, csv, offset),
      remedy: `Write ${form}; leave the field empty for NULL.`,
    });
  };
  for (const [i, column] of columns.entries()) {
    const { pattern, form } = shapeOf(column.type) ?? { pattern: /^/, form: column.type };
    const fields = rows.flatMap((row) => row[i] ?? []).filter((field) => !isNull(field));
    const shaped = fields.filter((field) => {
      if (pattern.test(field.text)) return true;
      report(field, column, form);
      return false;
    });
    if (column.type === 'VARCHAR' || shaped.length === 0) continue;
    const fits = async (list: readonly CsvField[]): Promise<boolean> => {
      const values = list.map(({ text }) => quoteLiteral(text)).join(', ');
      const cast = `select cast(unnest([${values}]) as ${column.type}) as v`;
      // DuckDB casts 1e999 to infinity without a word.
      const isReal = column.type === 'DOUBLE' || column.type === 'FLOAT';
      const sql = isReal ? `select if(isfinite(v), 0, error('not finite')) from (${cast})` : cast;
      return (await engine.attempt(sql, 0)) === undefined;
    };
    if (await fits(shaped)) continue;
    for (const field of shaped) if (!(await fits([field]))) report(field, column, form);
  }
}

function isNull({ text, isQuoted }: CsvField): boolean {
  return text === '' && !isQuoted;
}

function toModel(
  { stem, table }: WholeSeed,
  header: Header<SeedHeader>,
  boundColumns: readonly BoundColumn[],
  rows: readonly SeedRow[],
): CompiledModel {
  const { value } = header;
  const name = `silver.${table}`;
  const key = value.key ?? [];
  const values = rows.map((row) => row.map((field) => (isNull(field) ? null : field.text)));
  const file = `${stem}.csv`;
  const fingerprint = fingerprintSeed(boundColumns, key, values);
  return {
    name,
    layer: 'silver',
    table,
    domain: 'seeds',
    file,
    description: value.description,
    materialized: 'seed',
    key,
    incrementalBy: [],
    appends: false,
    columns: boundColumns.map((column): ModelColumn => {
      const description = value.columns?.[column.name]?.description;
      return {
        ...column,
        ...(description === undefined ? {} : { description }),
        at: header.at('columns', column.name),
      };
    }),
    tests: readTests(name, header, key),
    tags: value.tags ?? [],
    sql: rowsSql(boundColumns, values),
    bodyAt: { file, line: 1, column: 1 },
    dependencies: [],
    boundColumns,
    fingerprint,
    shape: {
      own: fingerprint,
      rows: fingerprint,
      columns: Object.fromEntries(boundColumns.map((column) => [column.name, fingerprint])),
      reads: { rows: [], columns: {} },
    },
    inputs: [],
    usesAsOf: false,
    reachesAsOf: false,
    refresh: { kind: 'rebuild', why: 'a seed is read whole' },
  };
}

type Values = readonly (readonly (string | null)[])[];

function rowsSql(columns: readonly BoundColumn[], rows: Values): string {
  const names = columns.map(({ name }) => quoteIdentifier(name));
  const casts = columns.map(({ type }, i) => `${rows.length === 0 ? 'null' : names[i]}::${type} as ${names[i]}`);
  if (rows.length === 0) return `select ${casts.join(', ')} where false`;
  const tuples = rows.map((row) => `(${row.map((text) => (text === null ? 'null' : quoteLiteral(text))).join(', ')})`);
  return `select ${casts.join(', ')} from (values\n${tuples.join(',\n')}\n) as seed_rows(${names.join(', ')})`;
}

/** Of the rows, not of the file: their order, quotes and line ends say nothing of the table. */
function fingerprintSeed(columns: readonly BoundColumn[], key: readonly string[], rows: Values): string {
  const facts = { format: 1, columns, key, rows: rows.map((row) => JSON.stringify(row)).toSorted() };
  return digest(JSON.stringify(facts));
}
