import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type DuckDb, openDuckDb } from '../../../warehouse/core/duckdb.ts';
import { createParquetWriter } from '../../../warehouse/core/parquet/index.ts';
import { quoteIdentifier, quoteLiteral } from '../../../warehouse/core/quote.ts';
import { type CarriedColumn, carriedAs, type MisfitPolicy } from '../../../warehouse/extract/copy/carried-as.ts';
import { type ReadCopyOptions, type ReadCopyResult, readCopy } from '../../../warehouse/extract/copy/read-copy.ts';
import { readServerFacts, readSourceColumns } from '../../../warehouse/extract/copy/source-type.ts';
import { openSession, type SourceSession } from '../../../warehouse/extract/source-session.ts';

/** Postgres → COPY → decoder → encoder → DuckDB, and what Postgres itself says of the same rows. */

/** Columns of public.<table> as they are carried, in the order of the table. */
export async function carriedColumns(
  session: SourceSession,
  table: string,
  policies: Readonly<Record<string, MisfitPolicy>> = {},
): Promise<CarriedColumn[]> {
  const [found] = await session.rows<{ oid: string }>('select $1::regclass::oid::text as oid', [`public.${table}`]);
  const facts = await readServerFacts(session);
  const columns = await readSourceColumns(session, found?.oid ?? '');
  return [...columns.values()].map((column) => carriedAs(column, facts, policies[column.name] ?? 'error'));
}

export async function sessionOn(url: string, signal?: AbortSignal): Promise<SourceSession> {
  return await openSession({
    url,
    applicationName: 'test copy',
    statementTimeoutMs: 0,
    lockTimeoutMs: 0,
    ...(signal !== undefined && { signal }),
  });
}

export function selectOf(columns: readonly CarriedColumn[], table: string, order = ''): string {
  return `select ${columns.map((column) => column.select).join(', ')} from public.${quoteIdentifier(table)} ${order}`;
}

export interface RoundTrip {
  readonly result: ReadCopyResult;
  /** Per column of the file, as DuckDB names its type. */
  readonly types: Readonly<Record<string, string>>;
  readonly ours: readonly Readonly<Record<string, unknown>>[];
  readonly theirs: readonly Readonly<Record<string, unknown>>[];
}

/**
 * Carries a table with a column `id` and returns its rows twice, each value in a form that both sides have: from the file, and from Postgres
 * under the session's settings at the start.
 */
export async function roundTrip(
  url: string,
  table: string,
  options: Partial<ReadCopyOptions> & {
    readonly before?: string;
    readonly policies?: Record<string, MisfitPolicy>;
    /** false: what Postgres says is not asked. */
    readonly oracle?: false;
  } = {},
): Promise<RoundTrip> {
  const session = await sessionOn(url);
  const dir = await mkdtemp(join(tmpdir(), 'sluice-copy-'));
  const db = await openDuckDb({ threads: 1 });
  try {
    const columns = await carriedColumns(session, table, options.policies);
    const theirs =
      options.oracle === false ? [] : await session.rows<Record<string, unknown>>(oracleSql(columns, table));
    if (options.before !== undefined) await session.rows(options.before);
    const path = join(dir, 'file.parquet');
    const writer = createParquetWriter({
      path,
      columns: columns.map(({ name, parquet }) => ({ name, type: parquet })),
      generated: [],
    });
    const result = await readCopy({
      session,
      table: `public.${table}`,
      key: ['id'],
      columns,
      selectSql: selectOf(columns, table),
      sink: (group) => writer.writeRowGroup(group),
      ...options,
    });
    await writer.close();
    const from = `read_parquet(${quoteLiteral(path)})`;
    return { result, types: await typesIn(db, from), ours: await rowsIn(db, columns, from), theirs };
  } finally {
    db.close();
    await session.close();
    await rm(dir, { recursive: true, force: true });
  }
}

async function typesIn(db: DuckDb, from: string): Promise<Record<string, string>> {
  const rows = await db.rows<{ column_name: string; column_type: string }>(`describe select * from ${from}`);
  return Object.fromEntries(
    rows.map((row) => [row.column_name, row.column_type.replace('TIMESTAMP WITH TIME ZONE', 'TIMESTAMPTZ')]),
  );
}

async function rowsIn(
  db: DuckDb,
  columns: readonly CarriedColumn[],
  from: string,
): Promise<readonly Record<string, unknown>[]> {
  const list = columns.map((column) => {
    const name = quoteIdentifier(column.name);
    const element = column.duckdbType.endsWith('[]') ? column.duckdbType.slice(0, -2) : undefined;
    const value =
      element === undefined
        ? duckdbText(name, column.duckdbType)
        : `list_transform(${name}, lambda x: ${duckdbText('x', element)})`;
    return `${value} as ${name}`;
  });
  return await db.rows(`select ${list.join(', ')} from ${from} as file order by file.id`);
}

function duckdbText(name: string, type: string): string {
  if (type === 'DATE') return `if(isfinite(${name}), (${name} - date '1970-01-01')::varchar, ${name}::varchar)`;
  if (type.startsWith('TIMESTAMP')) return `if(isfinite(${name}), epoch_us(${name})::varchar, ${name}::varchar)`;
  if (type === 'BLOB') return `lower(hex(${name}))`;
  if (type === 'FLOAT' || type === 'DOUBLE') return name;
  // DuckDB leaves the zero out where all digits are behind the point.
  if (type.startsWith('DECIMAL')) return `regexp_replace(${name}::varchar, '^(-?)[.]', '\\10.')`;
  // A struct of NULLs would be no NULL.
  if (type.startsWith('STRUCT(t ')) return `if(${name} is null, null, ${name}.t::varchar || ' ' || ${name}.offset_s)`;
  if (type.startsWith('STRUCT(')) {
    return `if(${name} is null, null, ${name}.months || ' ' || ${name}.days || ' ' || ${name}.micros)`;
  }
  return `${name}::varchar`;
}

function oracleSql(columns: readonly CarriedColumn[], table: string): string {
  const list = columns.map((column) => {
    const name = quoteIdentifier(column.name);
    const element = column.duckdbType.endsWith('[]') ? column.duckdbType.slice(0, -2) : undefined;
    const value =
      element === undefined
        ? postgresText(name, column.duckdbType, column.postgresType)
        : `case when ${name} is not null then array(select ${postgresText('x', element, column.postgresType)} from unnest(${name}) with ordinality as u (x, n) order by n) end`;
    return `${value} as ${name}`;
  });
  return `select ${list.join(', ')} from public.${quoteIdentifier(table)} as source order by source.id`;
}

function postgresText(name: string, type: string, postgresType: string): string {
  if (type === 'DATE')
    return `case when isfinite(${name}) then (${name} - date '1970-01-01')::text else ${name}::text end`;
  if (type.startsWith('TIMESTAMP')) {
    return `case when isfinite(${name}) then round(extract(epoch from ${name}) * 1000000)::text else ${name}::text end`;
  }
  if (type === 'BLOB') return `encode(${name}, 'hex')`;
  if (type === 'FLOAT' || type === 'DOUBLE') return `${name}::float8`;
  if (type.startsWith('STRUCT(t ')) return `${name}::time::text || ' ' || extract(timezone from ${name})::int`;
  if (type.startsWith('STRUCT(')) {
    const part = (from: number, bytes: number): string =>
      `('x' || encode(substr(interval_send(${name}), ${from}, ${bytes}), 'hex'))::bit(${bytes * 8})::${bytes === 4 ? 'int4' : 'int8'}`;
    return `${part(13, 4)} || ' ' || ${part(9, 4)} || ' ' || ${part(1, 8)}`;
  }
  if (postgresType === 'money' && type !== 'VARCHAR') return `${name}::numeric::text`;
  if (type === 'BOOLEAN') return `${name}::text`;
  return `case when num_nulls(${name}) = 0 then format('%s', ${name}) end`;
}
