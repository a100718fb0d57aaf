import type { DuckDb } from '../../core/duckdb.ts';
import { quoteIdentifier } from '../../core/quote.ts';
import { differRows } from '../build/row-difference.ts';
import type { StoredColumn } from '../build/warehouse-engine.ts';
import { SIGN_COLUMN } from '../delta/derivation.ts';

/** Two tables compared row by row: by key where it names each row once on both sides, as bags elsewhere. */

export interface ColumnDifference {
  readonly column: string;
  /** Rows on both sides whose value differs. */
  readonly rows: number;
}

/** A row that differs: values as DuckDB prints them. */
export interface SampleRow {
  readonly kind: 'added' | 'removed' | 'changed';
  readonly key: Readonly<Record<string, string | null>>;
  /** changed: what it was and is, the differing columns only; added and removed: the row without its key. */
  readonly before?: Readonly<Record<string, string | null>>;
  readonly after?: Readonly<Record<string, string | null>>;
}

export interface RowsDifference {
  /** bag: without a key a changed row is one removed and one added. */
  readonly by: 'key' | 'bag';
  readonly rowsBefore: number;
  readonly rowsAfter: number;
  readonly added: number;
  readonly removed: number;
  readonly changed: number;
  readonly columns: readonly ColumnDifference[];
  readonly samples: readonly SampleRow[];
}

export interface ComparedTables {
  /** Quoted paths of the two tables in `db`. */
  readonly before: string;
  readonly after: string;
  readonly columnsBefore: readonly StoredColumn[];
  readonly columnsAfter: readonly StoredColumn[];
  readonly key: readonly string[];
  /** Rows shown per kind. */
  readonly sample: number;
}

/**
 * Compares the columns that both have; where a type differs, the values are compared as text. First as bags, which is one pass over both; the
 * rows that differ, few as a rule, are then told apart by key.
 */
export async function compareTables(db: DuckDb, tables: ComparedTables): Promise<RowsDifference> {
  const shared = sharedColumns(tables);
  const [counts] = await db.rows<{ before: bigint; after: bigint }>(
    `select (select count(*) from ${tables.before}) as before, (select count(*) from ${tables.after}) as after`,
  );
  const rows = { rowsBefore: Number(counts?.before), rowsAfter: Number(counts?.after) };
  if (shared.length === 0)
    return {
      by: 'bag',
      ...rows,
      added: rows.rowsAfter,
      removed: rows.rowsBefore,
      changed: 0,
      columns: [],
      samples: [],
    };
  const list = shared
    .map(({ name, sameType }) =>
      sameType ? quoteIdentifier(name) : `${quoteIdentifier(name)}::varchar as ${quoteIdentifier(name)}`,
    )
    .join(', ');
  try {
    await differRows(db, DIFFERENCE, {
      before: `select ${list} from ${tables.before}`,
      after: `select ${list} from ${tables.after}`,
      columns: shared,
    });
    return (await haveKey(db, tables, shared))
      ? { by: 'key', ...rows, ...(await tellByKey(db, tables, shared)) }
      : { by: 'bag', ...rows, ...(await tellAsBags(db, tables.sample)) };
  } finally {
    await db.run(`drop table if exists ${DIFFERENCE}`);
  }
}

const DIFFERENCE = quoteIdentifier('_sluice_difference');
const SIGN = quoteIdentifier(SIGN_COLUMN);

type Told = Omit<RowsDifference, 'by' | 'rowsBefore' | 'rowsAfter'>;

async function haveKey(db: DuckDb, { before, after, key }: ComparedTables, shared: readonly SharedColumn[]) {
  const names = new Set(shared.map(({ name }) => name));
  return (
    key.length > 0 &&
    key.every((name) => names.has(name)) &&
    (await isKey(db, before, key)) &&
    (await isKey(db, after, key))
  );
}

interface SharedColumn {
  readonly name: string;
  readonly type: string;
  readonly sameType: boolean;
}

function sharedColumns({ columnsBefore, columnsAfter }: ComparedTables): readonly SharedColumn[] {
  const before = new Map(columnsBefore.map(({ name, type }) => [name, type]));
  return columnsAfter.flatMap(({ name, type }) => {
    const old = before.get(name);
    return old === undefined ? [] : [{ name, type, sameType: old === type }];
  });
}

async function isKey(db: DuckDb, table: string, key: readonly string[]): Promise<boolean> {
  const columns = key.map(quoteIdentifier).join(', ');
  const [row] = await db.rows(`select 1 as x from ${table} group by ${columns} having count(*) > 1 limit 1`);
  return row === undefined;
}

/** 0.0 and -0.0 are equal to DuckDB, but are not the same value. */
function differs({ name, type, sameType }: SharedColumn): string {
  const column = quoteIdentifier(name);
  if (!sameType) return `b.${column}::varchar is distinct from a.${column}::varchar`;
  const plain = `b.${column} is distinct from a.${column}`;
  return /\b(?:DOUBLE|FLOAT)\b/.test(type)
    ? `(${plain} or b.${column}::varchar is distinct from a.${column}::varchar)`
    : plain;
}

async function tellByKey(db: DuckDb, tables: ComparedTables, shared: readonly SharedColumn[]): Promise<Told> {
  const key = new Set(tables.key);
  const values = shared.filter(({ name }) => !key.has(name));
  const on = tables.key.map((name) => `b.${quoteIdentifier(name)} is not distinct from a.${quoteIdentifier(name)}`);
  const joined = `(from ${DIFFERENCE} where ${SIGN} < 0) as b full join (from ${DIFFERENCE} where ${SIGN} > 0) as a on ${on.join(' and ')}`;
  const both = `b.${SIGN} is not null and a.${SIGN} is not null`;
  const [row = {}] = await db.rows<Record<string, bigint>>(
    `select count(*) filter (where b.${SIGN} is null) as added, count(*) filter (where a.${SIGN} is null) as removed,
       count(*) filter (where ${both}) as changed
       ${values.map((column, i) => `, count(*) filter (where ${both} and ${differs(column)}) as c${i}`).join('')}
     from ${joined}`,
  );
  const countOf = (name: string): number => Number(row[name] ?? 0);
  const kinds = [
    { kind: 'added', where: `b.${SIGN} is null`, count: countOf('added') },
    { kind: 'removed', where: `a.${SIGN} is null`, count: countOf('removed') },
    { kind: 'changed', where: both, count: countOf('changed') },
  ] as const;
  const samples: SampleRow[] = [];
  for (const { kind, where, count } of kinds) {
    if (count === 0 || tables.sample === 0) continue;
    const side = kind === 'removed' ? 'b' : 'a';
    const keys = tables.key.map((name, i) => `${side}.${quoteIdentifier(name)}::varchar as k${i}`);
    const cells = values.flatMap((column, i) => [
      `b.${quoteIdentifier(column.name)}::varchar as b${i}`,
      `a.${quoteIdentifier(column.name)}::varchar as a${i}`,
      `coalesce(${differs(column)}, false) as d${i}`,
    ]);
    const rows = await db.rows<Record<string, string | boolean | null>>(
      `select ${[...keys, ...cells].join(', ')} from ${joined} where ${where}
       order by ${tables.key.map((name) => `${side}.${quoteIdentifier(name)}`).join(', ')} limit ${tables.sample}`,
    );
    samples.push(...rows.map((cell) => toSample(kind, cell, tables.key, values)));
  }
  return {
    added: countOf('added'),
    removed: countOf('removed'),
    changed: countOf('changed'),
    columns: values.flatMap(({ name }, i) =>
      countOf(`c${i}`) === 0 ? [] : [{ column: name, rows: countOf(`c${i}`) }],
    ),
    samples,
  };
}

function toSample(
  kind: SampleRow['kind'],
  cell: Readonly<Record<string, string | boolean | null>>,
  key: readonly string[],
  values: readonly SharedColumn[],
): SampleRow {
  const text = (name: string): string | null => {
    const value = cell[name];
    return typeof value === 'string' ? value : null;
  };
  const shown = values.flatMap(({ name }, i) => (kind !== 'changed' || cell[`d${i}`] === true ? [{ name, i }] : []));
  const side = (letter: string) => Object.fromEntries(shown.map(({ name, i }) => [name, text(`${letter}${i}`)]));
  return {
    kind,
    key: Object.fromEntries(key.map((name, i) => [name, text(`k${i}`)])),
    ...(kind !== 'added' && { before: side('b') }),
    ...(kind !== 'removed' && { after: side('a') }),
  };
}

async function tellAsBags(db: DuckDb, sample: number): Promise<Told> {
  const [row] = await db.rows<{ added: bigint; removed: bigint }>(
    `select coalesce(sum(${SIGN}) filter (where ${SIGN} > 0), 0)::bigint as added,
            coalesce(-sum(${SIGN}) filter (where ${SIGN} < 0), 0)::bigint as removed from ${DIFFERENCE}`,
  );
  const samples: SampleRow[] = [];
  for (const kind of ['added', 'removed'] as const) {
    if (sample === 0) break;
    const rows = await db.rows<Record<string, string | null>>(
      `select columns(* exclude (${SIGN}))::varchar from (
         select * from ${DIFFERENCE} where ${SIGN} ${kind === 'added' ? '>' : '<'} 0 order by all limit ${sample})`,
    );
    samples.push(
      ...rows.map((cells) => ({ kind, key: {}, ...(kind === 'added' ? { after: cells } : { before: cells }) })),
    );
  }
  return { added: Number(row?.added), removed: Number(row?.removed), changed: 0, columns: [], samples };
}
