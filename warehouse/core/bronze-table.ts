import type { IsoDate } from './clock.ts';

/** What stages tell each other about bronze tables: plain data, so that extract, bronze and transform need not import one another. */

/** What happens to a value that the column's type cannot hold: the run stops, the row is set aside with its key and a reason, or the whole column arrives as text. */
export const COLUMN_POLICIES = ['error', 'quarantine', 'text'] as const;
export type ColumnPolicy = (typeof COLUMN_POLICIES)[number];

/** How one Postgres column arrives in Parquet. */
export interface ColumnContract {
  readonly name: string;
  /** As Postgres prints it: format_type(), e.g. numeric(14,2). */
  readonly postgresType: string;
  /** Type of the Parquet column as DuckDB names it, e.g. DECIMAL(14,2). */
  readonly duckdbType: string;
  readonly nullable: boolean;
  readonly policy: ColumnPolicy;
  /** Absent: the value itself. drop: always NULL. hash:<id>: a keyed hash; the id tells secrets apart. */
  readonly mask?: string | undefined;
}

export interface TableContract {
  /** Key columns in order; empty for a table without a key, which is replaced whole. */
  readonly key: readonly string[];
  readonly columns: readonly ColumnContract[];
}

/**
 * Columns every bronze file carries after those of its contract. `_op`: read, insert, update, delete or truncate; a delete row carries the key
 * and every last known value, so that whoever follows the log knows what went away. `_seq` = commit number × 2^32 + row within the commit.
 */
export const BRONZE_META_COLUMNS = [
  { name: '_op', duckdbType: 'VARCHAR' },
  { name: '_seq', duckdbType: 'BIGINT' },
  { name: '_extracted_at', duckdbType: 'TIMESTAMPTZ' },
] as const;

/** `_seq` of the first row of a commit; sequence numbers begin at 1. */
export function firstSeqOf(commit: number): bigint {
  return BigInt(commit) << 32n;
}

/** A table's committed history as local Parquet files, oldest first; enough to read its current state or its changes. */
export interface BronzeTable {
  readonly source: string;
  readonly table: string;
  readonly contract: TableContract;
  /** Files since the last whole replacement, by commit. Empty when nothing was ever committed for the table. */
  readonly files: readonly { readonly commit: number; readonly path: string; readonly rows: number }[];
  /** Files of rows set aside since the last whole read; absent when there are none. */
  readonly aside?: readonly { readonly commit: number; readonly path: string; readonly bytes: number }[];
  /** Number of the last commit that changed this table; 0 when none has. */
  readonly lastCommit: number;
  /** Commit that replaced the table whole (keyless tables), after which earlier rows are void; 0 when none has. */
  readonly replacedAt: number;
}

/** All of bronze as of some commits: what a build reads. */
export interface BronzeSnapshot {
  readonly tables: readonly BronzeTable[];
  /** Number of the last commit per source. */
  readonly commits: Readonly<Record<string, number>>;
  /** When each source was read for its last commit, by the source's own clock; ISO, UTC. */
  readonly readAt?: Readonly<Record<string, string>>;
}

/** The logical date of a run; rows dated later are invisible to models that ask. */
export type AsOf = IsoDate;
