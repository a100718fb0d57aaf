import type { TableMode } from '../core/bronze-commit.ts';
import { findPersonalData, type PersonalData } from './personal-data.ts';
import type { ColumnPlace, SourceSurvey, SurveyedColumn, SurveyedTable } from './survey-source.ts';

/** From what a database says of itself to how each table should be carried, with the reason: pure, so that it can be printed, tested and argued with. */

export interface ColumnProposal {
  readonly name: string;
  readonly type: string;
  readonly treatment: 'carry' | 'hash' | 'leave out';
  /** Why it is not carried as it is; null when it is. */
  readonly why: string | null;
}

export interface TableProposal {
  readonly table: string;
  readonly mode: TableMode;
  /** Why this mode, and with full why not cursor. */
  readonly why: string;
  readonly key: readonly string[];
  readonly cursor: string | null;
  readonly columns: readonly ColumnProposal[];
  /** Estimated; null when the table was never analysed. */
  readonly rows: number | null;
  /** What to think of besides, a sentence each. */
  readonly hints: readonly string[];
  readonly comment: string | null;
}

export interface SourceProposal {
  /** bronze.<name>.<table> */
  readonly name: string;
  readonly schema: string;
  readonly tables: readonly TableProposal[];
  readonly leftOut: readonly { readonly table: string; readonly why: string }[];
}

/** One source per schema that has a table to carry or to speak of. `views`: carry views and materialized views, too. */
export function proposeSources(
  survey: SourceSurvey,
  options: { readonly views?: boolean | undefined } = {},
): readonly SourceProposal[] {
  const names = new Set<string>();
  const places = new Map(survey.tables.map((table) => [placeOf(table), table]));
  return survey.schemas.flatMap((schema): SourceProposal[] => {
    const surveyed = survey.tables.filter((table) => table.schema === schema);
    const tables: TableProposal[] = [];
    const leftOut: { table: string; why: string }[] = [];
    const seen = new Map<string, string>();
    for (const table of surveyed) {
      const columns = proposeColumns(table, places);
      const twin = seen.get(table.table.toLowerCase());
      const why = twin === undefined ? whyNotCarried(table, columns, options.views === true) : differsInCase(twin);
      if (why !== null) {
        leftOut.push({ table: table.table, why });
        continue;
      }
      seen.set(table.table.toLowerCase(), table.table);
      tables.push(proposeTable(table, columns));
    }
    if (tables.length === 0) return [];
    const name = nameSource(schema === 'public' ? survey.database : schema, names);
    names.add(name);
    return [{ name, schema, tables, leftOut }];
  });
}

function whyNotCarried(table: SurveyedTable, columns: readonly ColumnProposal[], views: boolean): string | null {
  if (table.kind === 'foreign table') return 'a foreign table, which no snapshot of this database covers';
  if (table.parent !== null)
    return `${table.partition ? 'a partition of' : 'inherits from'} ${table.parent}, which brings its rows`;
  if (!views && (table.kind === 'view' || table.kind === 'materialized view'))
    return `a ${table.kind}; --views carries it, whole each time`;
  if (RESERVED_NAMES.has(table.table)) return 'its name cannot be a name in TypeScript';
  if (table.columns.length === 0) return 'it has no columns';
  if (table.columns.every((column) => !column.readable)) return 'the role may not read it: grant select on it';
  if (table.hidesRows)
    return 'row-level security would hide rows from this role: alter role … bypassrls, or extract as the owner';
  if (columns.every((column) => column.treatment === 'leave out')) return 'no column of it can be carried';
  return null;
}

function proposeTable(table: SurveyedTable, columns: readonly ColumnProposal[]): TableProposal {
  const carried = new Set(columns.filter((column) => column.treatment !== 'leave out').map((column) => column.name));
  const key = keysOf(table).find((candidate) => candidate.every((column) => carried.has(column))) ?? [];
  const plain = new Set(columns.filter((column) => column.treatment === 'carry').map((column) => column.name));
  const proven = Object.keys(table.cursors).filter(
    (column) => 'proof' in (table.cursors[column] ?? {}) && plain.has(column),
  );
  const cursor = proven.find((column) => CHANGE.test(wordsOf(column))) ?? proven[0] ?? null;
  const common = { table: table.table, columns, rows: table.rows, comment: table.comment };
  if (key.length === 0 && isAppended(table)) {
    const why = 'it has no key, and no row was ever updated or deleted: only new rows are read';
    const hints = ['Should a row be updated or deleted after all, the table is replaced whole, and the run says so.'];
    return { ...common, mode: 'append', key, cursor: null, why, hints };
  }
  if (key.length === 0) {
    const why = table.hasHeirs ? 'tables inherit from it, so that no key holds for all rows' : 'it has no key';
    return {
      ...common,
      mode: 'full',
      key,
      cursor: null,
      why: `${isView(table) ? `a ${table.kind} has no key` : why}: replaced whole when it changed`,
      hints: isView(table) ? [] : keylessHints(table),
    };
  }
  if (cursor === null)
    return { ...common, mode: 'full', key, cursor, why: whyNoCursor(table), hints: fullHints(table) };
  if (table.deleted > 0) {
    const why = `rows are deleted here (${count(table.deleted)} so far), which a cursor on ${cursor} would not show`;
    return { ...common, mode: 'full', key, cursor: null, why, hints: [] };
  }
  const scan = table.indexed.includes(cursor) ? '' : `; without an index on ${cursor} each run scans the table`;
  return {
    ...common,
    mode: 'cursor',
    key,
    cursor,
    why: `a trigger sets ${cursor} from now() on every insert and update${scan}`,
    hints: ['Deletes are not carried: choose full if rows will be deleted.'],
  };
}

/** By the server's counters, which a crash resets: a proposal, and append notices when it is wrong. */
function isAppended(table: SurveyedTable): boolean {
  return table.kind === 'table' && !table.hasHeirs && table.inserted > 0 && table.updated === 0 && table.deleted === 0;
}

function keylessHints(table: SurveyedTable): string[] {
  return table.kind === 'table' && !table.hasHeirs
    ? ['Append-only? With mode append only new rows would be read, as long as none is updated or deleted.']
    : [];
}

function fullHints(table: SurveyedTable): string[] {
  const column = Object.keys(table.cursors).find((name) => CHANGE.test(wordsOf(name)));
  return column === undefined || (table.kind !== 'table' && table.kind !== 'partitioned')
    ? []
    : [`With the trigger of docs/sources.md on ${column} only changed rows would be read (mode cursor).`];
}

/** Why not cursor, of a table that has a key. */
function whyNoCursor(table: SurveyedTable): string {
  if (isView(table)) return `a ${table.kind} has no trigger`;
  const column = Object.keys(table.cursors).find((name) => CHANGE.test(wordsOf(name)));
  const proof = column === undefined ? undefined : table.cursors[column];
  if (proof !== undefined && 'why' in proof) return proof.why;
  const other = table.columns.find(
    (candidate) => CHANGE.test(wordsOf(candidate.name)) && /^(date|time)/.test(candidate.baseType),
  );
  if (other !== undefined) return `${other.name} is ${other.type}, not timestamptz`;
  return 'no column tells when a row changed';
}

function isView(table: SurveyedTable): boolean {
  return table.kind === 'view' || table.kind === 'materialized view';
}

function keysOf(table: SurveyedTable): readonly (readonly string[])[] {
  if (table.hasHeirs || isView(table)) return [];
  return [...(table.primaryKey === null ? [] : [table.primaryKey]), ...table.uniqueKeys];
}

/** Names that bronze uses itself, and the one that no JavaScript object can hold as its own. */
const RESERVED_NAMES: ReadonlySet<string> = new Set(['_op', '_seq', '_extracted_at', '__proto__']);

function proposeColumns(table: SurveyedTable, places: ReadonlyMap<string, SurveyedTable>): readonly ColumnProposal[] {
  const twins = twinsOf(table);
  const usable = (name: string): boolean =>
    !RESERVED_NAMES.has(name) &&
    !twins.has(name) &&
    table.columns.some((column) => column.name === name && column.readable);
  const key = keysOf(table).find((candidate) => candidate.every(usable)) ?? [];
  return table.columns.map((column): ColumnProposal => {
    const { name, type } = column;
    const leftOut = (why: string): ColumnProposal => ({ name, type, treatment: 'leave out', why });
    const twin = twins.get(name);
    if (twin !== undefined) return leftOut(differsInCase(twin));
    if (RESERVED_NAMES.has(name)) return leftOut('bronze or TypeScript uses this name itself');
    if (!column.readable) return leftOut('the role may not read it');
    const found = judgeColumn(table, column, places, new Set());
    if (found === undefined) return { name, type, treatment: 'carry', why: null };
    if (found.kind === 'personal') return { name, type, treatment: 'hash', why: found.what };
    // Without its key a table could only be replaced whole; a keyed hash of it gives nothing away.
    return key.includes(name)
      ? { name, type, treatment: 'hash', why: `${found.what}, part of the key` }
      : leftOut(found.what);
  });
}

/** A foreign key's column holds what the column it refers to holds, whatever its own name: both sides are treated alike, so that they join. */
function judgeColumn(
  table: SurveyedTable,
  column: SurveyedColumn,
  places: ReadonlyMap<string, SurveyedTable>,
  visited: Set<string>,
): PersonalData | undefined {
  const target = column.references;
  const place = target === null ? undefined : places.get(placeOf(target));
  const referred = place?.columns.find((candidate) => candidate.name === target?.column);
  const id = JSON.stringify([placeOf(table), column.name]);
  if (place === undefined || referred === undefined || visited.has(id))
    return findPersonalData({ table: table.table, column: column.name, type: column.baseType });
  return judgeColumn(place, referred, places, visited.add(id));
}

/** Columns to leave out because DuckDB does not tell them from another, by name; those of a key stay. */
function twinsOf(table: SurveyedTable): ReadonlyMap<string, string> {
  const keyed = new Set(keysOf(table).flat());
  const ordered = [...table.columns].sort((a, b) => Number(keyed.has(b.name)) - Number(keyed.has(a.name)));
  const first = new Map<string, string>();
  const twins = new Map<string, string>();
  for (const { name } of ordered) {
    const other = first.get(name.toLowerCase());
    if (other === undefined) first.set(name.toLowerCase(), name);
    else twins.set(name, other);
  }
  return twins;
}

const differsInCase = (other: string): string =>
  `differs only in case from ${other}, and SQL over the lake does not tell them apart`;
const placeOf = (place: Pick<ColumnPlace, 'schema' | 'table'>): string => JSON.stringify([place.schema, place.table]);
const count = (n: number): string => n.toLocaleString('en-US');

/** Names of columns that say when a row changed. */
const CHANGE = / (updated?|modified|modification|changed?|touched|mtime|revised|edited|synced) /;

function wordsOf(name: string): string {
  return ` ${name
    .replaceAll(/([\p{Ll}\d])(\p{Lu})/gu, '$1 $2')
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}]+/gu, ' ')
    .trim()} `;
}

/** A name that is plain in SQL and no other source of the database has. */
function nameSource(from: string, taken: ReadonlySet<string>): string {
  const plain = from
    .normalize('NFKD')
    .toLowerCase()
    .replaceAll(/[^a-z0-9_]+/g, '_')
    .replaceAll(/^_+|_+$/g, '');
  const base = plain === '' ? 'source' : /^\d/.test(plain) ? `_${plain}` : plain;
  const name = ENGINE_NAMES.has(base) ? `${base}_source` : base;
  for (let n = 1; ; n++) {
    const candidate = n === 1 ? name : `${name}_${n}`;
    if (!taken.has(candidate)) return candidate;
  }
}

/** Schemas that every DuckDB catalog has. */
const ENGINE_NAMES: ReadonlySet<string> = new Set(['main', 'temp', 'system', 'information_schema', 'pg_catalog']);
