import { randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { BronzeState } from '../core/bronze-commit.ts';
import { currentRowsSql } from '../core/bronze-sql.ts';
import type { BronzeTable } from '../core/bronze-table.ts';
import { type DuckDb, openDuckDb } from '../core/duckdb.ts';
import { mapSystemError, SluiceError } from '../core/errors.ts';
import { ignoreProgress } from '../core/progress.ts';
import { quotePath } from '../core/quote.ts';
import type { CatalogTable } from './catalog.ts';
import { duckdbChecksumSql, postgresChecksumSql } from './checksum.ts';
import { compareContracts } from './drift.ts';
import type { ExtractOptions } from './extract-batch.ts';
import { openSession, type SourceSession } from './source-session.ts';
import { checkIdentity, openSnapshot } from './source-snapshot.ts';
import { type DifferenceSample, findDifferences, maskedColumnsSql, NO_DIFFERENCE } from './verify-rows.ts';

export type { DifferenceSample } from './verify-rows.ts';

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
  /** Rows that differ because a column could not hold them: each key is followed by the column and the reason. They do not make the table unequal. */
  readonly setAside: DifferenceSample;
  readonly ms: number;
  readonly note?: string;
}

export interface VerifyReport {
  /** Clock of the source at the snapshot everything was compared at. */
  readonly snapshotAt: string;
  readonly equal: boolean;
  readonly tables: readonly TableVerification[];
}

export interface VerifyOptions extends Omit<ExtractOptions, 'onSnapshot' | 'backfill'> {
  /** Only these tables, as source.table; all when absent. */
  readonly tables?: readonly string[] | undefined;
  /** Keys named per kind of difference; 5 when absent. */
  readonly sample?: number | undefined;
}

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
        for (const table of chooseTables(open.tables, options.tables)) {
          options.signal?.throwIfAborted();
          const item = `${table.source}.${table.table}`;
          onProgress({ stage: 'verify', item, state: 'started' });
          const result = await verifyTable({
            session,
            db,
            table,
            state: options.state,
            dir,
            sample: options.sample ?? 5,
          });
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

/** The tables asked for, in their own order. Throws USAGE for a name that no source has. */
function chooseTables(tables: readonly CatalogTable[], wanted: readonly string[] | undefined): readonly CatalogTable[] {
  if (wanted === undefined) return tables;
  const names = tables.map((table) => `${table.source}.${table.table}`);
  const unknown = wanted.find((name) => !names.includes(name));
  if (unknown === undefined) return tables.filter((_, i) => wanted.includes(names[i] ?? ''));
  throw new SluiceError('USAGE', `verify: there is no table ${unknown}.`, {
    remedy: `Take one of ${names.join(', ')}.`,
  });
}

async function verifyTable({
  session,
  db,
  table,
  state,
  dir,
  sample,
}: {
  readonly session: SourceSession;
  readonly db: DuckDb;
  readonly table: CatalogTable;
  readonly state: BronzeState;
  readonly dir: string;
  readonly sample: number;
}): Promise<TableVerification> {
  const started = performance.now();
  const { contract } = table;
  const known = state.snapshot.tables.find((other) => other.source === table.source && other.table === table.table);
  const drift = known && compareContracts(`${table.schema}.${table.table}`, known.contract, contract);
  // Masked otherwise, what bronze holds is no value of this contract: it counts as not extracted.
  const isVoid = known === undefined || drift?.kind === 'carriage';
  const bronze = currentRowsSql(isVoid ? neverCommitted(table) : { ...known, contract });
  const [theirs, ours] = [
    await sourceChecksum(session, table),
    await db.rows<Totals>(duckdbChecksumSql(contract, `(${bronze})`)).then((rows) => rows[0] ?? NOTHING),
  ];
  const same = theirs.rows === ours.rows && theirs.checksum === ours.checksum;
  const differences = same
    ? undefined
    : await findDifferences({ session, db, table, known: isVoid ? undefined : known, bronze, dir, sample });
  const { missingInBronze, extraInBronze, different, setAside } = differences ?? NOTHING_DIFFERS;
  const unexplained = missingInBronze.count + extraInBronze.count + different.count;
  const equal = same || (unexplained === 0 && setAside.count > 0);
  const aside = setAside.count === 0 ? [] : [`${setAside.count} rows set aside`];
  const notes =
    known === undefined
      ? ['never extracted']
      : drift?.kind === 'carriage'
        ? [`not extracted since: ${drift.why}`]
        : !equal && unexplained === 0
          ? ['the checksums differ although every row compares equal']
          : aside;
  return {
    source: table.source,
    table: table.table,
    equal,
    sourceRows: Number(theirs.rows),
    bronzeRows: Number(ours.rows),
    sourceChecksum: theirs.checksum,
    bronzeChecksum: ours.checksum,
    missingInBronze,
    extraInBronze,
    different,
    setAside,
    ms: performance.now() - started,
    ...(notes.length === 0 ? {} : { note: notes.join(', ') }),
  };
}

const NOTHING_DIFFERS = {
  missingInBronze: NO_DIFFERENCE,
  extraInBronze: NO_DIFFERENCE,
  different: NO_DIFFERENCE,
  setAside: NO_DIFFERENCE,
} as const;

interface Totals {
  readonly rows: string;
  readonly checksum: string;
}
const NOTHING: Totals = { rows: '0', checksum: '0' };

async function sourceChecksum(session: SourceSession, table: CatalogTable): Promise<Totals> {
  const masked = maskedColumnsSql(table);
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
