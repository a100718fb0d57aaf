import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type BronzeSnapshot, type BronzeTable, firstSeqOf, type TableContract } from '../../core/bronze-table.ts';
import type { DuckDb } from '../../core/duckdb.ts';
import { SluiceError } from '../../core/errors.ts';
import { quoteIdentifier, quoteLiteral } from '../../core/quote.ts';
import { formatLocation, type SourceLocation } from '../source-location.ts';
import { type TypedColumn, textSql, typedRowsSql } from './typed-rows.ts';
import type { GivenChange, WrittenRows } from './unit-test.ts';

/** Bronze of a unit test: the given rows as Parquet files and commits, in the layout that extraction writes, so that a build reads them as it always does. */
export interface UnitLake {
  /** Commits what is given for a step. Errors: UNIT_TEST_INVALID for keys that do not fit. */
  commit(
    given: ReadonlyMap<string, { readonly contract: TableContract; readonly change: GivenChange }>,
    asOf: string,
  ): Promise<void>;
  /** A table's columns from now on. */
  redefine(table: string, contract: TableContract): Promise<void>;
  snapshot(): BronzeSnapshot;
}

interface State extends BronzeTable {
  /** DuckDB table of the current rows. */
  readonly current: string;
}

/** `db` holds the current state of each table while the test runs; names are bronze.<source>.<table>. */
export function createUnitLake(db: DuckDb, dir: string): UnitLake {
  const states = new Map<string, State>();
  let number = 0;

  const open = async (name: string, contract: TableContract): Promise<State> => {
    const known = states.get(name);
    if (known !== undefined) return known;
    const [, source = '', table = ''] = name.split('.');
    const current = quoteIdentifier(`state_${states.size}_${dir}`);
    const columns = columnsOf(contract).map((column) => `${quoteIdentifier(column.name)} ${column.type}`);
    await db.run(`create temp table ${current} (${columns.join(', ')})`);
    const state: State = { source, table, contract, files: [], lastCommit: 0, replacedAt: 0, current };
    states.set(name, state);
    return state;
  };

  const commitTable = async (name: string, state: State, change: GivenChange, asOf: string): Promise<void> => {
    const path = join(dir, 'bronze', state.source, state.table, String(number), '0.parquet');
    await mkdir(dirname(path), { recursive: true });
    const rows = await writeChanges(db, name, state, change, { path, number, asOf });
    const isReplaced = state.contract.key.length === 0;
    // A commit without a row changes nothing; only a keyless table is replaced by one that holds none.
    if (rows === 0 && !isReplaced) return;
    const file = { commit: number, path, rows };
    states.set(name, {
      ...state,
      files: isReplaced ? [file] : [...state.files, file],
      lastCommit: number,
      replacedAt: isReplaced ? number : state.replacedAt,
    });
  };

  return {
    async commit(given, asOf) {
      if (given.size === 0) return;
      number += 1;
      for (const [name, { contract, change }] of given) {
        await commitTable(name, await open(name, contract), change, asOf);
      }
    },
    async redefine(table, contract) {
      const state = states.get(table);
      if (state === undefined) return;
      const kept = new Set(state.contract.columns.map((column) => column.name));
      const list = columnsOf(contract).map(({ name, type }) => {
        const column = quoteIdentifier(name);
        return `cast(${kept.has(name) ? column : 'null'} as ${type}) as ${column}`;
      });
      await db.run(`create or replace temp table ${state.current} as select ${list.join(', ')} from ${state.current}`);
      states.set(table, { ...state, contract });
    },
    snapshot: () => {
      const tables = [...states.values()].map(({ current: _current, ...table }) => table);
      const sources = new Set(tables.map(({ source }) => source));
      return { tables, commits: Object.fromEntries([...sources].map((source) => [source, number])) };
    },
  };
}

export function columnsOf(contract: TableContract): readonly TypedColumn[] {
  return contract.columns.map(({ name, duckdbType }) => ({ name, type: duckdbType }));
}

/** Brings the current state to what is given and writes what changed as one file; gives its rows. */
async function writeChanges(
  db: DuckDb,
  name: string,
  state: State,
  change: GivenChange,
  to: { readonly path: string; readonly number: number; readonly asOf: string },
): Promise<number> {
  const { key } = state.contract;
  const columns = columnsOf(state.contract);
  const names = columns.map((column) => quoteIdentifier(column.name)).join(', ');
  if (key.length === 0) {
    if (change.kind === 'changes') {
      throw invalid(
        change.at,
        `${name} has no key, so single rows of it cannot change`,
        'Give all its rows, or a key: columns of bronze tables stand in sql/unit/bronze.yaml.',
      );
    }
    await db.run(`create or replace temp table ${state.current} as ${typedRowsSql(change.rows, columns)}`);
    return writeFile(db, `select ${names}, 'read' as _op from ${state.current}`, columns, key, to);
  }
  const next = quoteIdentifier(`next_${state.current.slice(1, -1)}`);
  await db.run(`create or replace temp table ${next} as ${nextStateSql(state, change, columns)}`);
  await requireKeys(db, name, next, key, change);
  if (change.kind === 'changes') await requireHits(db, name, state, change, columns);
  const on = (a: string, b: string) =>
    key.map((part) => `${a}.${quoteIdentifier(part)} = ${b}.${quoteIdentifier(part)}`).join(' and ');
  const changed = columns
    .map(({ name: column, type }) => ({ column: quoteIdentifier(column), type }))
    // As text, for -0.0 equals 0.0.
    .map(({ column, type }) => `${textSql(`old.${column}`, type)} is distinct from ${textSql(`next.${column}`, type)}`)
    .join(' or ');
  const op = state.files.length === 0 ? 'read' : 'insert';
  const rows = await writeFile(
    db,
    `select next.*, '${op}' as _op from ${next} as next anti join ${state.current} as old on ${on('old', 'next')}
     union all
     select next.*, 'update' from ${next} as next join ${state.current} as old on ${on('old', 'next')} where ${changed}
     union all
     select old.*, 'delete' from ${state.current} as old anti join ${next} as next on ${on('old', 'next')}`,
    columns,
    key,
    to,
  );
  await db.run(`create or replace temp table ${state.current} as select * from ${next}; drop table ${next}`);
  return rows;
}

function nextStateSql(state: State, change: GivenChange, columns: readonly TypedColumn[]): string {
  if (change.kind === 'rows') return typedRowsSql(change.rows, columns);
  const { key } = state.contract;
  const on = (other: string) =>
    key.map((part) => `${other}.${quoteIdentifier(part)} = old.${quoteIdentifier(part)}`).join(' and ');
  const gone =
    change.delete === undefined ? '' : ` anti join (${typedRowsSql(change.delete, columns)}) as gone on ${on('gone')}`;
  const named = new Set((change.update?.columns ?? []).map(({ name }) => name.toLowerCase()));
  const list = columns.map(({ name }) => {
    const column = quoteIdentifier(name);
    if (!named.has(name.toLowerCase())) return `old.${column}`;
    return `case when hit._hit then hit.${column} else old.${column} end as ${column}`;
  });
  const hits =
    change.update === undefined
      ? ''
      : ` left join (select *, true as _hit from (${typedRowsSql(change.update, columns)})) as hit on ${on('hit')}`;
  const kept = `select ${list.join(', ')} from (select old.* from ${state.current} as old${gone}) as old${hits}`;
  return change.insert === undefined ? kept : `${kept} union all ${typedRowsSql(change.insert, columns)}`;
}

async function writeFile(
  db: DuckDb,
  changes: string,
  columns: readonly TypedColumn[],
  key: readonly string[],
  { path, number, asOf }: { readonly path: string; readonly number: number; readonly asOf: string },
): Promise<number> {
  // By the key alone: a sort by every column would lose the sign of -0.0 (DuckDB 1.5.6).
  const order = key.length === 0 ? '' : `order by ${key.map(quoteIdentifier).join(', ')}`;
  // Parquet has no integer of 128 bits and DuckDB would write a DOUBLE; bronze casts text back to the column's type.
  const written = columns.map(({ name, type }) =>
    /^U?HUGEINT$/.test(type) ? `${quoteIdentifier(name)}::varchar as ${quoteIdentifier(name)}` : quoteIdentifier(name),
  );
  await db.run(
    `copy (
       select ${written.join(', ')}, _op, ${firstSeqOf(number)}::bigint + row_number() over (${order}) - 1 as _seq,
         ${quoteLiteral(`${asOf} 00:00:00+00`)}::timestamptz as _extracted_at
       from (${changes})
     ) to ${quoteLiteral(path)} (format parquet)`,
  );
  const [row] = await db.rows<{ n: bigint }>(`select count(*) as n from read_parquet(${quoteLiteral(path)})`);
  return Number(row?.n ?? 0);
}

/** Postgres has neither NULL nor the same value twice in a key: rows that do would be read as no engine reads them. */
async function requireKeys(
  db: DuckDb,
  name: string,
  table: string,
  key: readonly string[],
  change: GivenChange,
): Promise<void> {
  const list = key.map(quoteIdentifier);
  const shown = list.map((column) => `coalesce(${column}::varchar, 'NULL')`).join(` || ', ' || `);
  const [bad] = await db.rows<{ shown: string; n: bigint }>(
    `select ${shown} as shown, count(*) as n from ${table} group by ${list.join(', ')}
     having count(*) > 1 or ${list.map((column) => `${column} is null`).join(' or ')} order by all limit 1`,
  );
  if (bad === undefined) return;
  const at = change.kind === 'rows' ? change.rows.at : change.at;
  const what = bad.n > 1n ? `stands ${bad.n} times` : 'holds NULL';
  throw invalid(at, `${name}: the key ${key.join(', ')} = ${bad.shown} ${what}`, 'Give each key once, without NULL.');
}

async function requireHits(
  db: DuckDb,
  name: string,
  state: State,
  change: GivenChange & { readonly kind: 'changes' },
  columns: readonly TypedColumn[],
): Promise<void> {
  const { key } = state.contract;
  const list = key.map(quoteIdentifier);
  const find = async (rows: WrittenRows): Promise<string | undefined> => {
    const shown = list.map((column) => `coalesce(given.${column}::varchar, 'NULL')`).join(` || ', ' || `);
    const on = list.map((column) => `given.${column} = old.${column}`).join(' and ');
    const [row] = await db.rows<{ shown: string }>(
      `select ${shown} as shown from (${typedRowsSql(rows, columns)}) as given
       anti join ${state.current} as old on ${on} order by all limit 1`,
    );
    return row?.shown;
  };
  for (const op of ['update', 'delete'] as const) {
    const rows = change[op];
    const lost = rows === undefined ? undefined : await find(rows);
    if (rows === undefined || lost === undefined) continue;
    throw invalid(
      rows.at,
      `${name}: there is no row ${key.join(', ')} = ${lost} to ${op}`,
      'Name rows that are there.',
    );
  }
}

function invalid(at: SourceLocation, message: string, remedy: string): SluiceError {
  return new SluiceError('UNIT_TEST_INVALID', `${formatLocation(at)}: ${message}`, { remedy });
}
