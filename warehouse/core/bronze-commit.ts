import type { BronzeSnapshot, TableContract } from './bronze-table.ts';

/** One entry of a source's commit log, and what leads to it: plain data between extract, bronze and whoever composes them. */

export const BRONZE_COMMIT_FORMAT = 2;

/** cursor: what changed by a column; full: the whole table, compared; append: rows that never change once written. */
export const TABLE_MODES = ['cursor', 'full', 'append'] as const;
export type TableMode = (typeof TABLE_MODES)[number];

/** exact: all rows are of one snapshot. repaired: a first load resumed in later snapshots and caught up by a sweep; a whole comparison by key makes it exact. */
export const CONSISTENCIES = ['exact', 'repaired'] as const;
export type Consistency = (typeof CONSISTENCIES)[number];

/** Which Postgres a lake was filled from. */
export interface SourceIdentity {
  /** initdb's own number, the same on every replica; null where the role may not read it. */
  readonly systemIdentifier: string | null;
  readonly databaseOid: string;
  readonly database: string;
  readonly schema: string;
}

/** The moment a batch shows: one Postgres snapshot, the same for all its tables. */
export interface SourceSnapshot {
  /** pg_current_snapshot(): xmin:xmax:xip_list. */
  readonly id: string;
  /** clock_timestamp() of the source, read before the snapshot; ISO, UTC. */
  readonly at: string;
  /** WAL position before the snapshot; null where the role may not read it. */
  readonly lsn: string | null;
}

/** From where the next read of changes may begin: every row committed later has a larger cursor, or was written by a transaction that the snapshot did not see. */
export interface CursorWatermark {
  /** xmin where no column tells: then `value` is the snapshot, and `proof` the sweep's. */
  readonly column: string;
  /** timestamptz as ISO text, UTC. */
  readonly value: string;
  /** What makes it valid: table, trigger and function as they were in the catalog, and the server's timeline. Another proof voids it. */
  readonly proof: string;
  /** Absent where rows cannot be found by the transactions that wrote them. */
  readonly sweep?: SweepMark | undefined;
}

/** Where a sweep may begin. */
export interface SweepMark {
  /** pg_current_snapshot() whose rows are all carried. */
  readonly snapshot: string;
  /** Cluster, timeline, crash, columns and partitions as they were: another proof voids it. */
  readonly proof: string;
  /** Tables without a key: transactions at or above the snapshot's xmin (lower 32 bits) whose rows are carried already. */
  readonly seen?: readonly string[] | undefined;
}

export interface BronzeFile {
  readonly key: string;
  readonly rows: number;
  readonly bytes: number;
  readonly sha256: string;
  readonly ops: Readonly<Record<string, number>>;
  /** `_seq` of its first and last row. */
  readonly firstSeq: string;
  readonly lastSeq: string;
  /** Smallest and largest value of the first key column, as text. */
  readonly keyMin: string | null;
  readonly keyMax: string | null;
}

/** Rows set aside: one JSON object per line, as warehouse/core/bronze-quarantine.ts writes them. */
export interface QuarantineFile {
  readonly key: string;
  readonly rows: number;
  readonly bytes: number;
  readonly sha256: string;
}

/** range: a backfill read some rows again; sweep: rows whose xmin the last snapshot did not see. */
export const READ_HOWS = ['whole', 'cursor', 'sweep', 'range'] as const;
export type ReadHow = (typeof READ_HOWS)[number];

/** Rows of a read that a column could not hold. A whole read names all that are set aside then (it voids what earlier commits named), any other read those it met. */
export interface Quarantined {
  readonly rows: number;
  readonly files: readonly QuarantineFile[];
}

/** What a commit says of one table. Tables it does not name did not change. */
export interface BronzeTableCommit {
  readonly mode: TableMode;
  readonly consistency: Consistency;
  readonly contract: TableContract;
  readonly files: readonly BronzeFile[];
  /** True when earlier rows are void: the table was replaced whole. */
  readonly replaced: boolean;
  readonly quarantined: Quarantined;
  readonly read: { readonly how: ReadHow; readonly rows: number; readonly why: string | null };
  readonly watermark: { readonly before: CursorWatermark | null; readonly after: CursorWatermark | null };
}

export interface BronzeCommit {
  readonly format: typeof BRONZE_COMMIT_FORMAT;
  readonly source: string;
  readonly number: number;
  /** Unique per extraction; names the folder of its files. */
  readonly batch: string;
  readonly committedAt: string;
  readonly identity: SourceIdentity;
  readonly snapshot: SourceSnapshot;
  readonly tables: Readonly<Record<string, BronzeTableCommit>>;
}

/** A file that waits on local disk for its commit. */
export interface DraftFile extends Omit<BronzeFile, 'key'> {
  readonly localPath: string;
}

export interface DraftQuarantineFile extends Omit<QuarantineFile, 'key'> {
  readonly localPath: string;
}

export interface BronzeTableDraft extends Omit<BronzeTableCommit, 'files' | 'quarantined' | 'consistency'> {
  readonly files: readonly DraftFile[];
  /** Files of rows set aside; none when absent. */
  readonly quarantined?: readonly DraftQuarantineFile[];
  /** exact when absent. */
  readonly consistency?: Consistency;
}

/** A commit not yet made. Its number is fixed (the rows carry it in `_seq`), so it fits one place in the log only. */
export interface BronzeCommitDraft {
  readonly source: string;
  readonly number: number;
  readonly batch: string;
  readonly identity: SourceIdentity;
  readonly snapshot: SourceSnapshot;
  readonly tables: Readonly<Record<string, BronzeTableDraft>>;
}

/** What the log says of a table so far, beyond its files. */
export interface BronzeTableState {
  readonly mode: TableMode;
  readonly watermark: CursorWatermark | null;
  readonly consistency: Consistency;
  /** Snapshot whose rows are all carried: of the last commit that names the table and is no range. A sweep may begin at its xmin. Null when none was. */
  readonly snapshot: SourceSnapshot | null;
  /** Rows set aside, and where: those since the last whole read. A row that two reads met counts twice. */
  readonly quarantined: {
    readonly rows: number;
    readonly files: readonly (QuarantineFile & { readonly commit: number })[];
  };
}

/** What the log says of a source so far. */
export interface BronzeSourceState {
  readonly source: string;
  /** Number of the last commit; 0 when there is none. */
  readonly number: number;
  readonly identity: SourceIdentity | null;
  /** Moment of the last commit. */
  readonly snapshot: SourceSnapshot | null;
  readonly tables: ReadonlyMap<string, BronzeTableState>;
}

/** What the log says of a table, for people: no file is opened for it. */
export interface BronzeTableOverview extends BronzeTableState {
  readonly table: string;
  /** Number of the last commit that changed it; 0 when none has. */
  readonly lastCommit: number;
  readonly replacedAt: number;
  /** Rows, bytes and number of its files since the last whole replacement: every version of every row. */
  readonly rowsLogged: number;
  readonly bytes: number;
  readonly files: number;
}

export interface BronzeSourceOverview {
  readonly source: string;
  readonly number: number;
  readonly snapshot: SourceSnapshot | null;
  readonly tables: readonly BronzeTableOverview[];
}

/** What an extraction compares with: the rows and the state of the log, as of the same commits. */
export interface BronzeState {
  readonly snapshot: BronzeSnapshot;
  readonly sources: readonly BronzeSourceState[];
}
