import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { rm, stat } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import type { DraftFile } from '../core/bronze-commit.ts';
import { currentKeysOfSql, currentRowsOfSql, currentRowsSql, rowsNumberedSql } from '../core/bronze-sql.ts';
import type { BronzeTable, TableContract } from '../core/bronze-table.ts';
import { firstSeqOf } from '../core/bronze-table.ts';
import type { DuckDbQueries } from '../core/duckdb.ts';
import { SluiceError } from '../core/errors.ts';
import { quoteIdentifier, quoteLiteral } from '../core/quote.ts';
import { comparableSql, keyFromTextSql } from './column-type.ts';

/** What changed between the rows that arrived (table `incoming`) and the last state, as rows of the log. */

/** Rows with `_op`: insert and update from `incoming`, delete with the last known values. `deletable`: condition on the rows of the last state that `incoming` would hold if they were still there; null when nothing can be said. */
export function differencesSql(
  before: BronzeTable,
  contract: TableContract,
  deletable: string | null,
  options: {
    /** True when `incoming` holds few of the rows: those of the last state that it may concern are looked up by key. */
    readonly some: boolean;
    /** True when the relation `set_aside` (the key's columns) names rows that are still there although `incoming` lacks them. */
    readonly setAside: boolean;
  },
): string {
  const { key } = contract;
  const id = quoteIdentifier;
  const upserts = `select ${listOf('incoming', contract)}, case when before._seq is null then 'insert' else 'update' end as _op
  from incoming left join before on ${sameKey('incoming', 'before', key)}
 where before._seq is null${differencesOf(contract)
   .map((test) => ` or ${test}`)
   .join('')}`;
  const deletes = `select ${listOf('before', contract)}, 'delete' as _op
  from (select * from before where ${deletable}) as before anti join incoming on ${sameKey('incoming', 'before', key)}${options.setAside ? ` anti join set_aside on ${sameKey('set_aside', 'before', key)}` : ''}`;
  const state = { ...before, contract };
  return `with before as (${options.some && deletable === null ? currentRowsOfSql(state, 'incoming') : currentRowsSql(state)})
${upserts}${deletable !== null ? `\nunion all\n${deletes}` : ''}
 order by ${key.map(id).join(', ')}`;
}

/**
 * As differencesSql() of few rows without deletes, by a column that differs in most rows that changed, as a cursor does. Such a row has changed,
 * whatever else is in it: only the others are read whole, which of a few rows anywhere in a large table takes several times the keys' time, as
 * nearly every page of every column is unpacked for them. Makes the relations `known` and `unsure`: in one statement DuckDB takes them for large.
 */
export async function tellDifferences(
  db: DuckDbQueries,
  before: BronzeTable,
  contract: TableContract,
  telling: string,
): Promise<string> {
  const { key } = contract;
  const state = { ...before, contract };
  const column = contract.columns.find(({ name }) => name === telling);
  if (column === undefined) throw new RangeError(`${telling} is no column`);
  const [now, then] = ['incoming', 'known'].map((side) =>
    comparableSql(`${side}.${quoteIdentifier(telling)}`, column.duckdbType),
  );
  const known = sameKey('incoming', 'known', key);
  await db.run(`create or replace table known as ${currentKeysOfSql(state, 'incoming', telling)}`);
  await db.run(
    `create or replace table unsure as select known._seq from incoming join known on ${known} where ${now} is not distinct from ${then}`,
  );
  return `with before as (${rowsNumberedSql(state, 'unsure')})
select ${listOf('incoming', contract)}, case when known._seq is null then 'insert' else 'update' end as _op
  from incoming left join known on ${known}
 where known._seq is null or ${now} is distinct from ${then}
union all
select ${listOf('incoming', contract)}, 'update' as _op
  from incoming join before on ${sameKey('incoming', 'before', key)} where ${differencesOf(contract).join(' or ')}
 order by ${key.map(quoteIdentifier).join(', ')}`;
}

function listOf(side: string, { columns }: TableContract): string {
  return columns.map((column) => `${side}.${quoteIdentifier(column.name)}`).join(', ');
}

function sameKey(one: string, other: string, key: readonly string[]): string {
  return key.map((name) => `${one}.${quoteIdentifier(name)} = ${other}.${quoteIdentifier(name)}`).join(' and ');
}

/** Conditions under which a row of `incoming` is another than the one of `before`, a column each. */
function differencesOf({ key, columns }: TableContract): string[] {
  return columns
    .filter((column) => !key.includes(column.name))
    .map((column) => {
      const [now, then] = ['incoming', 'before'].map((side) =>
        comparableSql(`${side}.${quoteIdentifier(column.name)}`, column.duckdbType),
      );
      return `${now} is distinct from ${then}`;
    });
}

/** Makes the relation `set_aside` of keys as Postgres prints them. */
export async function createSetAside(
  db: DuckDbQueries,
  contract: TableContract,
  keys: readonly (readonly (string | null)[])[],
): Promise<void> {
  const columns = contract.key.map((name) => {
    const type = contract.columns.find((column) => column.name === name)?.duckdbType ?? 'VARCHAR';
    return { name: quoteIdentifier(name), type };
  });
  await db.run(`create or replace table set_aside (${columns.map(({ name, type }) => `${name} ${type}`).join(', ')})`);
  for (let from = 0; from < keys.length; from += ROWS_PER_INSERT) {
    const rows = keys.slice(from, from + ROWS_PER_INSERT).map((key) => {
      const values = columns.map(({ type }, i) => keyFromTextSql(key[i] == null ? 'null' : quoteLiteral(key[i]), type));
      return `(${values.join(', ')})`;
    });
    await db.run(`insert into set_aside values ${rows.join(', ')}`);
  }
}

const ROWS_PER_INSERT = 1_000;

/** True when `incoming` and the last state are the same bag of rows: what a table without a key can be asked. */
export async function isSameBag(db: DuckDbQueries, before: BronzeTable, contract: TableContract): Promise<boolean> {
  const columns = contract.columns.map((column) => comparableSql(quoteIdentifier(column.name), column.duckdbType));
  const names = columns.map((_, i) => `c${i}`).join(', ');
  const side = (from: string, n: number): string =>
    `select ${columns.map((sql, i) => `${sql} as c${i}`).join(', ')}, ${n} as n from ${from}`;
  const [row] = await db.rows<{ differs: boolean }>(
    `select exists (
       select 1 from (${side('incoming', 1)} union all ${side(`(${currentRowsSql({ ...before, contract })})`, -1)})
        group by ${names} having sum(n) <> 0) as differs`,
  );
  return row?.differs === false;
}

/** Throws SOURCE_KEY_INVALID when a key column is NULL or a key stands twice in `relation`. */
export async function checkKey(
  db: DuckDbQueries,
  table: string,
  key: readonly string[],
  relation: string,
): Promise<void> {
  if (key.length === 0) return;
  const list = key.map(quoteIdentifier).join(', ');
  const missing = key.map((name) => `${quoteIdentifier(name)} is null`).join(' or ');
  const [row] = await db.rows<{ key: (string | null)[]; n: bigint }>(
    `select [${list.split(', ').length > 0 ? key.map((name) => `${quoteIdentifier(name)}::varchar`).join(', ') : ''}] as key, count(*) as n
       from ${relation} group by ${list} having count(*) > 1 or ${missing} order by ${list} limit 1`,
  );
  if (row === undefined) return;
  const values = key.map((name, i) => `${name} = ${row.key[i] ?? 'NULL'}`).join(', ');
  const what = row.key.includes(null)
    ? `a row whose key holds NULL (${values})`
    : `${row.n} rows with the key ${values}`;
  throw new SluiceError('SOURCE_KEY_INVALID', `The table ${table} has ${what}.`, {
    remedy: 'Correct the rows, or declare a key in models/sources that is unique and never NULL.',
    details: { table, key: row.key },
  });
}

/** Writes a query's rows (contract's columns and `_op`) as one bronze file; undefined when it has none. `offset` counts the commit's rows before it. */
export async function writeChanges(
  db: DuckDbQueries,
  querySql: string,
  contract: TableContract,
  options: {
    readonly path: string;
    readonly commit: number;
    readonly offset: number;
    readonly extractedAt: string;
    readonly rowGroupRows: number;
  },
): Promise<DraftFile | undefined> {
  const columns = contract.columns.map((column) => quoteIdentifier(column.name)).join(', ');
  const firstSeq = firstSeqOf(options.commit) + BigInt(options.offset);
  await db.run(
    `copy (select ${columns}, _op, ${firstSeq}::bigint + row_number() over () - 1 as _seq,
                  ${quoteLiteral(options.extractedAt)}::timestamptz as _extracted_at
             from (${querySql}))
       to ${quoteLiteral(options.path)} (format parquet, compression zstd, row_group_size ${options.rowGroupRows})`,
  );
  return describeFile(db, options.path, contract);
}

async function describeFile(db: DuckDbQueries, path: string, contract: TableContract): Promise<DraftFile | undefined> {
  const key = contract.key[0];
  const keySql = key === undefined ? 'null::varchar' : quoteIdentifier(key);
  const ops = await db.rows<{ op: string; n: bigint; low: bigint; high: bigint }>(
    `select _op as op, count(*) as n, min(_seq) as low, max(_seq) as high from read_parquet(${quoteLiteral(path)}) group by _op order by _op`,
  );
  if (ops.length === 0) {
    await rm(path, { force: true });
    return undefined;
  }
  const [range] = await db.rows<{ low: string | null; high: string | null }>(
    `select min(${keySql})::varchar as low, max(${keySql})::varchar as high from read_parquet(${quoteLiteral(path)})`,
  );
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return {
    localPath: path,
    rows: Number(ops.reduce((sum, row) => sum + row.n, 0n)),
    bytes: (await stat(path)).size,
    sha256: hash.digest('hex'),
    ops: Object.fromEntries(ops.map((row) => [row.op, Number(row.n)])),
    firstSeq: String(ops.reduce((low, row) => (row.low < low ? row.low : low), ops[0]?.low ?? 0n)),
    lastSeq: String(ops.reduce((high, row) => (row.high > high ? row.high : high), 0n)),
    keyMin: range?.low ?? null,
    keyMax: range?.high ?? null,
  };
}
