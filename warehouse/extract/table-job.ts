import type { BronzeTable } from '../core/bronze-table.ts';
import type { DuckDbQueries } from '../core/duckdb.ts';
import type { OnProgress } from '../core/progress.ts';
import type { CatalogTable } from './catalog.ts';
import type { writeChanges } from './changes.ts';
import type { QuarantinedRow } from './copy/misfit.ts';
import type { ReadPlan } from './read-plan.ts';
import type { SnapshotReaders } from './snapshot-readers.ts';
import type { SourceSession } from './source-session.ts';
import type { OpenSnapshot } from './source-snapshot.ts';

/** All that reading one table needs. */
export interface TableJob {
  /** Holds the snapshot. */
  readonly session: SourceSession;
  readonly readers: SnapshotReaders;
  readonly db: DuckDbQueries;
  readonly table: CatalogTable;
  readonly known: BronzeTable | undefined;
  readonly plan: ReadPlan;
  readonly open: OpenSnapshot;
  /** Commit number the rows will carry, and how many rows of the commit come before. */
  readonly commit: number;
  readonly offset: number;
  readonly dir: string;
  /** Where parts of first loads are kept until they are whole. */
  readonly loadsDir: string;
  /** The lists of rows set aside so far. */
  readonly setAside: readonly { readonly commit: number; readonly sha256: string }[];
  /** Called per row set aside; throws when there are too many. */
  readonly onSetAside: (row: QuarantinedRow) => void;
  /** True when its first load was resumed and no whole read has compared it since. */
  readonly repaired: boolean;
  /** DuckDB's memory limit. */
  readonly memoryMb: number;
  /** Bytes of heap per part of a table that is read whole; bytes per file. */
  readonly partBytes?: number | undefined;
  readonly fileBytes?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress: OnProgress;
}

/** Progress of a table from that of its parts. */
export function reportTo(job: TableJob, parts = 1): (rows: number, bytes: number, part?: number) => void {
  const item = `${job.table.source}.${job.table.table}`;
  const totalRows =
    job.plan.how === 'whole' && job.table.estimatedRows >= 0 ? { totalRows: job.table.estimatedRows } : {};
  const soFar = Array.from({ length: parts }, () => ({ rows: 0, bytes: 0 }));
  return (rows, bytes, part = 0) => {
    soFar[part] = { rows, bytes };
    const sum = soFar.reduce((a, b) => ({ rows: a.rows + b.rows, bytes: a.bytes + b.bytes }));
    job.onProgress({ stage: 'extract', item, state: 'running', ...sum, ...totalRows });
  };
}

/** A row group is held in memory until it is written: one of wide rows gets fewer of them. DuckDB works in steps of 2,048. */
export function fileOptions(
  job: TableJob,
  path: string,
  read: { readonly rows: number; readonly bytes: number },
  offset = job.offset,
): Parameters<typeof writeChanges>[3] {
  const rowBytes = Math.max(1, read.bytes / Math.max(1, read.rows));
  const affordable = (job.memoryMb * 2 ** 20) / 8 / rowBytes;
  const rowGroupRows = Math.min(122_880, Math.max(2_048, Math.floor(affordable / 2_048) * 2_048));
  return { path, commit: job.commit, offset, extractedAt: job.open.guard.clock, rowGroupRows };
}
