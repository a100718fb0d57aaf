import { randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { BronzeState } from '../core/bronze-commit.ts';
import { currentRowsSql } from '../core/bronze-sql.ts';
import type { BronzeTable, TableContract } from '../core/bronze-table.ts';
import { type DuckDb, openDuckDb } from '../core/duckdb.ts';
import { mapSystemError } from '../core/errors.ts';
import { ignoreProgress } from '../core/progress.ts';
import { quoteIdentifier, quoteLiteral, quotePath } from '../core/quote.ts';
import type { CatalogTable } from './catalog.ts';
import { duckdbChecksumSql, postgresChecksumSql } from './checksum.ts';
import { comparableSql } from './column-type.ts';
import { compareContracts } from './drift.ts';
import type { ExtractOptions } from './extract-batch.ts';
import { selectSql } from './read-plan.ts';
import { createIncoming, readRows } from './read-rows.ts';
import { openSession, type SourceSession } from './source-session.ts';
import { checkIdentity, openSnapshot } from './source-snapshot.ts';

/** Rows of one kind of difference: how many, and the keys of at most five (whole rows where the table has no key). */
export interface DifferenceSample {
  readonly count: number;
  readonly keys: readonly string[];
}

export interface TableVerification {
  readonly source: string;
  readonly table: string;
  readonly equal: boolean;
  readonly sourceRows: number;
  readonly bronzeRows: number;
  readonly sourceChecksum: string;
  readonly bronzeChecksum: string;
  readonly missingInBronze: DifferenceSample;
  readonly extraInBronze: DifferenceSample;
  /** Same key, other values; each key is followed by the columns that differ. */
  readonly different: DifferenceSample;
  readonly ms: number;
  readonly note?: string;
}

export interface VerifyReport {
  /** Clock of the source at the snapshot everything was compared at. */
  readonly snapshotAt: string;
  readonly equal: boolean;
  readonly tables: readonly TableVerification[];
}

export type VerifyOptions = Omit<ExtractOptions, 'onSnapshot'>;

/** Compares bronze with the source at one snapshot: counts and checksums first, and row by row where they differ. Reads only. */
export async function verifySource(options: VerifyOptions): Promise<VerifyReport> {
  const { limits = {}, onProgress = ignoreProgress } = options;
  const dir = join(options.workDir, `verify-${randomUUID()}`);
  await mkdir(dir, { recursive: true });
  try {
    const session = await openSession({
      url: options.url,
      applicationName: `sluice/${options.version} verify ${options.sources.map((source) => source.name).join(',')}`,
      statementTimeoutMs: limits.statementTimeoutMs ?? 1_800_000,
      lockTimeoutMs: limits.lockTimeoutMs ?? 10_000,
      maskSecret: options.maskSecret,
      signal: options.signal,
    });
    try {
      const db = await openDuckDb({
        path: join(dir, 'verify.duckdb'),
        memoryLimitMb: limits.memoryMb ?? 512,
        threads: limits.threads ?? 2,
        tempDirectory: join(dir, 'spill'),
      });
      try {
        const open = await openSnapshot(session, options.sources, options.maskSecret);
        for (const source of options.sources) {
          const known = options.state.sources.find((state) => state.source === source.name)?.identity ?? null;
          checkIdentity(source.name, known, { ...open.identity, schema: source.schema });
        }
        const tables: TableVerification[] = [];
        for (const table of open.tables) {
          const item = `${table.source}.${table.table}`;
          onProgress({ stage: 'verify', item, state: 'started' });
          const result = await verifyTable(session, db, table, options.state, dir);
          const { sourceRows: rows, ms } = result;
          onProgress({
            stage: 'verify',
            item,
            state: 'finished',
            rows,
            ms,
            note: result.equal ? 'equal' : 'different',
          });
          tables.push(result);
        }
        return { snapshotAt: open.snapshot.at, equal: tables.every((table) => table.equal), tables };
      } finally {
        db.close();
      }
    } finally {
      await session.close();
    }
  } catch (error) {
    throw mapSystemError(error, 'the verification');
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

const NONE: DifferenceSample = { count: 0, keys: [] };

async function verifyTable(
  session: SourceSession,
  db: DuckDb,
  table: CatalogTable,
  state: BronzeState,
  dir: string,
): Promise<TableVerification> {
  const started = performance.now();
  const { contract } = table;
  const known = state.snapshot.tables.find((other) => other.source === table.source && other.table === table.table);
  const drift = known && compareContracts(`${table.schema}.${table.table}`, known.contract, contract);
  // Masked otherwise, what bronze holds is no value of this contract: it counts as not extracted.
  const isVoid = known === undefined || drift?.kind === 'mask';
  const bronze = currentRowsSql(isVoid ? neverCommitted(table) : { ...known, contract });
  const [theirs, ours] = [
    await sourceChecksum(session, table),
    await db.rows<Totals>(duckdbChecksumSql(contract, `(${bronze})`)).then((rows) => rows[0] ?? NOTHING),
  ];
  const equal = theirs.rows === ours.rows && theirs.checksum === ours.checksum;
  const differences = equal ? undefined : await findDifferences(session, db, table, bronze, dir);
  const found =
    differences === undefined ? 0 : Object.values(differences).reduce((sum, sample) => sum + sample.count, 0);
  const note =
    known === undefined
      ? 'never extracted'
      : drift?.kind === 'mask'
        ? `not extracted since: ${drift.why}`
        : !equal && found === 0
          ? 'the checksums differ although every row compares equal as copied'
          : undefined;
  return {
    source: table.source,
    table: table.table,
    equal,
    sourceRows: Number(theirs.rows),
    bronzeRows: Number(ours.rows),
    sourceChecksum: theirs.checksum,
    bronzeChecksum: ours.checksum,
    missingInBronze: NONE,
    extraInBronze: NONE,
    different: NONE,
    ...differences,
    ms: performance.now() - started,
    ...(note === undefined ? {} : { note }),
  };
}

interface Totals {
  readonly rows: string;
  readonly checksum: string;
}
const NOTHING: Totals = { rows: '0', checksum: '0' };

async function sourceChecksum(session: SourceSession, table: CatalogTable): Promise<Totals> {
  const masked = table.contract.columns.map(({ name, mask }, i) => {
    const own = quoteIdentifier(name);
    return mask === undefined ? own : `${table.columns[i]?.select} as ${own}`;
  });
  await session.rows('set local extra_float_digits = 0');
  const [row] = await session.rows<Totals>(
    postgresChecksumSql(table.contract, `(select ${masked.join(', ')} from ${quotePath(table.schema, table.table)}) t`),
  );
  await session.rows('set local extra_float_digits = 3');
  return row ?? NOTHING;
}

function neverCommitted(table: CatalogTable): BronzeTable {
  const { source, contract } = table;
  return { source, table: table.table, contract, files: [], lastCommit: 0, replacedAt: 0 };
}

type Differences = Pick<TableVerification, 'missingInBronze' | 'extraInBronze' | 'different'>;

async function findDifferences(
  session: SourceSession,
  db: DuckDb,
  table: CatalogTable,
  bronzeSql: string,
  dir: string,
): Promise<Differences> {
  const { contract } = table;
  const whole = selectSql(table, { how: 'whole', before: null });
  const { files } = await readRows({ session, table, selectSql: whole, dir, prefix: table.oid, meta: null });
  await createIncoming(db, contract.columns, files);
  await db.run(`create or replace table bronze_rows as ${bronzeSql}`);
  if (contract.key.length === 0) {
    return {
      missingInBronze: await sample(
        db,
        `select ${rowText(contract)} as key from (${bagMinus(contract, 'incoming', 'bronze_rows')})`,
      ),
      extraInBronze: await sample(
        db,
        `select ${rowText(contract)} as key from (${bagMinus(contract, 'bronze_rows', 'incoming')})`,
      ),
      different: NONE,
    };
  }
  const on = contract.key.map((name) => `i.${quoteIdentifier(name)} = b.${quoteIdentifier(name)}`).join(' and ');
  const changed = contract.columns.map((column) => {
    const [now, then] = ['i', 'b'].map((side) =>
      comparableSql(`${side}.${quoteIdentifier(column.name)}`, column.duckdbType),
    );
    return `case when ${now} is distinct from ${then} then ${quoteLiteral(column.name)} end`;
  });
  const columnsSql = `list_filter([${changed.join(', ')}], c -> c is not null)`;
  return {
    missingInBronze: await sample(
      db,
      `select ${keyText(contract, 'i')} as key from incoming i anti join bronze_rows b on ${on}`,
    ),
    extraInBronze: await sample(
      db,
      `select ${keyText(contract, 'b')} as key from bronze_rows b anti join incoming i on ${on}`,
    ),
    different: await sample(
      db,
      `select ${keyText(contract, 'i')} || ' (' || array_to_string(${columnsSql}, ', ') || ')' as key
         from incoming i join bronze_rows b on ${on} where len(${columnsSql}) > 0`,
    ),
  };
}

async function sample(db: DuckDb, sql: string): Promise<DifferenceSample> {
  const [row] = await db.rows<{ n: bigint; keys: string[] | null }>(
    `select count(*) as n, min(key, 5) as keys from (${sql})`,
  );
  return { count: Number(row?.n ?? 0n), keys: row?.keys ?? [] };
}

function keyText(contract: TableContract, side: string): string {
  return contract.key
    .map((name) => `${quoteLiteral(`${name} = `)} || coalesce(${side}.${quoteIdentifier(name)}::varchar, 'NULL')`)
    .join(" || ', ' || ");
}

function rowText(contract: TableContract): string {
  return contract.columns
    .map(
      (column) => `${quoteLiteral(`${column.name} = `)} || coalesce(${quoteIdentifier(column.name)}::varchar, 'NULL')`,
    )
    .join(" || ', ' || ");
}

function bagMinus(contract: TableContract, left: string, right: string): string {
  const names = contract.columns.map((column) => quoteIdentifier(column.name)).join(', ');
  return `select ${names} from ${left} except all select ${names} from ${right}`;
}
