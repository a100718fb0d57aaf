import { quarantineRowsSql } from '../core/bronze-quarantine.ts';
import { logRowsSql } from '../core/bronze-sql.ts';
import { type BronzeTable, type ColumnContract, firstSeqOf, type TableContract } from '../core/bronze-table.ts';
import type { DuckDb } from '../core/duckdb.ts';
import { quoteIdentifier, quoteLiteral, quotePath } from '../core/quote.ts';
import type { CatalogTable } from './catalog.ts';
import { duckdbText, postgresText, shownText } from './checksum.ts';
import { keyFromTextSql } from './column-type.ts';
import { createIncoming, readRows } from './read-rows.ts';
import type { SourceSession } from './source-session.ts';

/**
 * Which rows differ, once a table's checksums do. Both sides give each value as the text that the checksum is made of, so that every type is
 * compared by the same rule and no value need be parsed; long ones as their MD5. Rows go through files on disk: memory stays as it is limited.
 */

/** Rows of one kind of difference: how many, and the keys of some (whole rows where the table has no key). */
export interface DifferenceSample {
  readonly count: number;
  readonly keys: readonly string[];
}

export const NO_DIFFERENCE: DifferenceSample = { count: 0, keys: [] };

export interface RowDifferences {
  readonly missingInBronze: DifferenceSample;
  readonly extraInBronze: DifferenceSample;
  readonly different: DifferenceSample;
  readonly setAside: DifferenceSample;
}

export async function findDifferences(options: {
  readonly session: SourceSession;
  readonly db: DuckDb;
  readonly table: CatalogTable;
  /** Undefined when nothing of the table counts as extracted. */
  readonly known: BronzeTable | undefined;
  /** SELECT of the current rows. */
  readonly bronze: string;
  readonly dir: string;
  /** Keys named per kind. */
  readonly sample: number;
}): Promise<RowDifferences> {
  const { session, db, table, known, bronze, dir } = options;
  const { contract } = table;
  const asText = {
    duckdbType: 'VARCHAR',
    parquet: { kind: 'string' },
    wire: { kind: 'text', checked: false },
  } as const;
  const printed = { ...table, columns: table.columns.map((column) => ({ ...column, ...asText })) };
  await session.rows('set local extra_float_digits = 0');
  const selectSql = sourceRowsSql(table);
  const { files } = await readRows({
    session,
    table: printed,
    selectSql,
    dir,
    prefix: `verify-${table.oid}`,
    meta: null,
  });
  await createIncoming(
    db,
    contract.columns.map((column) => ({ ...column, duckdbType: 'VARCHAR' })),
    files,
  );
  await session.rows('set local extra_float_digits = 3');
  const texts = contract.columns.map(
    (column) =>
      `${shorten(duckdbText(quoteIdentifier(column.name), column), column, contract)} as ${quoteIdentifier(column.name)}`,
  );
  await db.run(`create or replace table bronze_rows as select ${texts.join(', ')} from (${bronze})`);
  const differences =
    contract.key.length === 0
      ? await compareBags(db, contract, known, options.sample)
      : await compareKeys(db, contract, known, options.sample);
  await db.run('drop table bronze_rows');
  await db.run('drop view incoming');
  return differences;
}

/** Every column as the text that the checksum is made of. */
function sourceRowsSql(table: CatalogTable): string {
  const { contract } = table;
  const masked = maskedColumnsSql(table);
  const texts = contract.columns.map((column) => {
    const name = quoteIdentifier(column.name);
    // num_nulls, because IS NULL also holds for a composite of NULLs.
    return `case when num_nulls(${name}) = 0 then ${shorten(postgresText(name, column), column, contract, "convert_to(%, 'UTF8')")} end`;
  });
  return `select ${texts.join(', ')} from (select ${masked.join(', ')} from ${quotePath(table.schema, table.table)}) t`;
}

/** The contract's columns by name, as themselves or as what stands for them where they are masked. */
export function maskedColumnsSql({ contract, columns }: CatalogTable): readonly string[] {
  return contract.columns.map(({ name, mask }, i) => {
    const own = quoteIdentifier(name);
    return mask === undefined ? own : `${columns[i]?.select} as ${own}`;
  });
}

/** Long texts are compared by length and MD5; a key, and a row that has none, is shown and stays whole. */
function shorten(text: string, column: ColumnContract, { key }: TableContract, bytes = '%'): string {
  if (key.length === 0 || key.includes(column.name) || !isLong(column.duckdbType)) return text;
  return `case when length(${text}) <= 64 then ${text} else length(${text}) || ' ' || md5(${bytes.replace('%', text)}) end`;
}

function isLong(duckdbType: string): boolean {
  return duckdbType === 'VARCHAR' || duckdbType === 'BLOB' || duckdbType.endsWith('[]');
}

async function compareKeys(
  db: DuckDb,
  contract: TableContract,
  known: BronzeTable | undefined,
  limit: number,
): Promise<RowDifferences> {
  const { key, columns } = contract;
  const same = (a: string, b: string): string =>
    key.map((name) => `${a}.${quoteIdentifier(name)} = ${b}.${quoteIdentifier(name)}`).join(' and ');
  const changed = columns.map((column) => {
    const name = quoteIdentifier(column.name);
    return `case when i.${name} is distinct from b.${name} then ${quoteLiteral(column.name)} end`;
  });
  const keyOf = (side: string): string => key.map((name) => `${side}.${quoteIdentifier(name)}`).join(', ');
  await db.run(
    `create or replace table misses as select ${keyOf('i')}, null::varchar[] as _columns from incoming i anti join bronze_rows b on ${same('i', 'b')}`,
  );
  await db.run(
    `create or replace table changes as select ${keyOf('i')}, list_filter([${changed.join(', ')}], c -> c is not null) as _columns
       from incoming i join bronze_rows b on ${same('i', 'b')} where len(_columns) > 0`,
  );
  await createAside(db, contract, known);
  const known_ = `semi join aside a on ${same('d', 'a')}`;
  const unknown = `anti join aside a on ${same('d', 'a')}`;
  const columnsText = `' (' || array_to_string(d._columns, ', ') || ')'`;
  const result = {
    missingInBronze: await sample(db, limit, `select ${keyText(contract, 'd')} as key from misses d ${unknown}`),
    extraInBronze: await sample(
      db,
      limit,
      `select ${keyText(contract, 'b')} as key from bronze_rows b anti join incoming i on ${same('i', 'b')}`,
    ),
    different: await sample(
      db,
      limit,
      `select ${keyText(contract, 'd')} || ${columnsText} as key from changes d ${unknown}`,
    ),
    setAside: await sample(
      db,
      limit,
      `select ${keyText(contract, 'd')} || ' (' || a._why || ')' as key
         from (from misses d ${known_} union all by name from changes d ${known_}) d join aside a on ${same('d', 'a')}`,
    ),
  };
  for (const name of ['misses', 'changes', 'aside']) await db.run(`drop table ${name}`);
  return result;
}

/** Keys set aside that no later commit brought: a table `aside` of key texts, and why. */
async function createAside(db: DuckDb, contract: TableContract, known: BronzeTable | undefined): Promise<void> {
  const { key, columns } = contract;
  const types = key.map((name) => columns.find((column) => column.name === name)?.duckdbType ?? 'VARCHAR');
  const names = key.map(quoteIdentifier).join(', ');
  if (known?.aside === undefined || known.aside.length === 0) {
    const none = key.map((name) => `null::varchar as ${quoteIdentifier(name)}`).join(', ');
    await db.run(`create or replace table aside as select ${none}, null::varchar as _why where false`);
    return;
  }
  const parts = known.aside.map(
    (file) => `select *, ${firstSeqOf(file.commit)}::bigint as _since from (${quarantineRowsSql([file])})`,
  );
  const typed = key.map((name, i) => {
    const value = keyFromTextSql(`key[${quoteLiteral(name)}]`, types[i] ?? 'VARCHAR');
    return `${duckdbText(`(${value})`, { duckdbType: types[i] ?? 'VARCHAR' })} as ${quoteIdentifier(name)}`;
  });
  const written = key.map(
    (name, i) =>
      `${duckdbText(quoteIdentifier(name), { duckdbType: types[i] ?? 'VARCHAR' })} as ${quoteIdentifier(name)}`,
  );
  const on = key.map((name) => `q.${quoteIdentifier(name)} = l.${quoteIdentifier(name)}`).join(' and ');
  await db.run(
    `create or replace table aside as
     with q as (select ${names}, max(_since) as _since, max_by("column" || ': ' || reason, _since) as _why
                  from (select ${typed.join(', ')}, "column", reason, _since from (${parts.join(' union all ')})) group by ${names}),
          l as (select ${written.join(', ')}, _seq from (${logRowsSql(known)}))
     select q.* exclude (_since) from q where not exists (select 1 from l where ${on} and l._seq >= q._since)`,
  );
}

/** Without a key, rows are bags: each is counted. What is missing was set aside where no more is missing than was. */
async function compareBags(
  db: DuckDb,
  contract: TableContract,
  known: BronzeTable | undefined,
  limit: number,
): Promise<RowDifferences> {
  const names = contract.columns.map((column) => quoteIdentifier(column.name)).join(', ');
  const minus = (left: string, right: string): string =>
    `select ${names} from ${left} except all select ${names} from ${right}`;
  const text = contract.columns
    .map(({ name, duckdbType }) => {
      const value = quoteIdentifier(name);
      return `${quoteLiteral(`${name} = `)} || coalesce(${shownText(value, duckdbType)}, 'NULL')`;
    })
    .join(', ');
  const missing = await sample(
    db,
    limit,
    `select concat_ws(', ', ${text}) as key from (${minus('incoming', 'bronze_rows')})`,
  );
  const extra = await sample(
    db,
    limit,
    `select concat_ws(', ', ${text}) as key from (${minus('bronze_rows', 'incoming')})`,
  );
  const aside = known?.aside ?? [];
  const [row] =
    aside.length === 0
      ? [{ n: 0n }]
      : await db.rows<{ n: bigint }>(`select count(distinct key::varchar) as n from (${quarantineRowsSql(aside)})`);
  const isAside = extra.count === 0 && missing.count > 0 && BigInt(missing.count) <= (row?.n ?? 0n);
  return {
    missingInBronze: isAside ? NO_DIFFERENCE : missing,
    extraInBronze: extra,
    different: NO_DIFFERENCE,
    setAside: isAside ? missing : NO_DIFFERENCE,
  };
}

async function sample(db: DuckDb, limit: number, sql: string): Promise<DifferenceSample> {
  const keys = limit === 0 ? 'null' : `min(key, ${limit})`;
  const [row] = await db.rows<{ n: bigint; keys: string[] | null }>(
    `select count(*) as n, ${keys} as keys from (${sql})`,
  );
  return { count: Number(row?.n ?? 0n), keys: row?.keys ?? [] };
}

function keyText(contract: TableContract, side: string): string {
  return contract.key
    .map((name) => {
      const type = contract.columns.find((column) => column.name === name)?.duckdbType ?? 'VARCHAR';
      const shown = shownText(`${side}.${quoteIdentifier(name)}`, type);
      return `${quoteLiteral(`${name} = `)} || coalesce(${shown}, 'NULL')`;
    })
    .join(" || ', ' || ");
}
