import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { BronzeTableDraft, CursorWatermark, DraftFile } from '../core/bronze-commit.ts';
import type { BronzeTable } from '../core/bronze-table.ts';
import type { DuckDb } from '../core/duckdb.ts';
import type { OnProgress } from '../core/progress.ts';
import { quoteIdentifier, quoteLiteral } from '../core/quote.ts';
import type { CatalogTable } from './catalog.ts';
import { checkKey, differencesSql, isSameBag, writeChanges } from './changes.ts';
import { GUARD_MARGIN_SECONDS, type GuardReading } from './guard.ts';
import { createIncoming, loadSpool, parseOrName, spoolRowsSql } from './incoming.ts';
import { type ReadPlan, selectSql } from './read-plan.ts';
import type { SourceSession } from './source-session.ts';
import { type SpoolFile, spoolQuery } from './spool.ts';
import { isWatermarkMoved, xminWatermark } from './xmin-sweep.ts';

export interface TableJob {
  readonly session: SourceSession;
  readonly db: DuckDb;
  readonly table: CatalogTable;
  readonly known: BronzeTable | undefined;
  readonly plan: ReadPlan;
  readonly guard: GuardReading;
  /** Commit number the rows will carry, and how many rows of the commit come before. */
  readonly commit: number;
  readonly offset: number;
  readonly dir: string;
  readonly spoolBytes: number;
  /** DuckDB's memory limit. */
  readonly memoryMb: number;
  readonly onProgress: OnProgress;
}

export interface TableResult {
  readonly draft: BronzeTableDraft;
  readonly rowsRead: number;
  /** True when the commit must name the table. */
  readonly changed: boolean;
}

/** Reads one table inside the open snapshot and leaves what changed as Parquet files in `dir`. */
export async function extractTable(job: TableJob): Promise<TableResult> {
  const { table, known, plan } = job;
  const { contract } = table;
  const read = plan.effect === 'compare' ? await readAndCompare(job) : await readAll(job);
  const after = await nextWatermark(job, read.newestCursor);
  const replaced = read.replaced || plan.effect === 'replace';
  const draft: BronzeTableDraft = {
    mode: table.definition.mode,
    contract,
    files: read.files,
    replaced,
    read: { how: plan.how, rows: read.rows, why: plan.why },
    watermark: { before: plan.before, after },
  };
  const sameContract = known !== undefined && JSON.stringify(known.contract) === JSON.stringify(contract);
  // Rows near a cursor's watermark come in every run, those that are swept do not once the mark has moved.
  const moved = isWatermarkMoved(plan.before, after, plan.how === 'cursor' ? 0 : read.rows);
  return { draft, rowsRead: read.rows, changed: read.files.length > 0 || replaced || !sameContract || moved };
}

interface ReadResult {
  readonly rows: number;
  readonly files: readonly DraftFile[];
  readonly newestCursor: string | null;
  readonly replaced: boolean;
}

/** First load: each spool file becomes a Parquet file directly. */
async function readAll(job: TableJob): Promise<ReadResult> {
  const { db, table } = job;
  const files: DraftFile[] = [];
  let offset = job.offset;
  const { rows } = await forEachSpool(job, async (spool) => {
    const path = join(job.dir, `${job.table.oid}-${files.length}.parquet`);
    const query = `select *, 'read' as _op from (${spoolRowsSql(table.contract, spool)})`;
    await parseOrName(db, nameOf(table), table.contract, spool, async () => {
      const file = await writeChanges(db, query, table.contract, fileOptions(job, path, offset, spool));
      if (file === undefined) return;
      files.push(file);
      offset += file.rows;
    });
    await rm(spool.path, { force: true });
  });
  const written = files.reduce((sum, file) => sum + file.rows, 0);
  if (written !== rows) throw new Error(`${nameOf(table)}: ${rows} rows were copied and ${written} written`);
  if (files.length === 0) return { rows, files, newestCursor: null, replaced: false };
  const relation = `read_parquet([${files.map((file) => quoteLiteral(file.localPath)).join(', ')}])`;
  if (!table.keyProven) await checkKey(db, nameOf(table), table.contract.key, relation);
  return { rows, files, newestCursor: await newestCursorIn(job, relation), replaced: false };
}

/** Every later read: rows are gathered in DuckDB and only what differs from the last state is written. */
async function readAndCompare(job: TableJob): Promise<ReadResult> {
  const { db, table, known, plan } = job;
  const { contract } = table;
  if (known === undefined) throw new Error(`${nameOf(table)} has no state to compare with`);
  await createIncoming(db, contract);
  const read = await forEachSpool(job, (spool) => loadSpool(db, nameOf(table), contract, spool));
  const { rows } = read;
  const [loaded] = await db.rows<{ n: bigint }>('select count(*) as n from incoming');
  if (loaded?.n !== BigInt(rows)) throw new Error(`${nameOf(table)}: ${rows} rows were copied and ${loaded?.n} loaded`);
  const newestCursor = await newestCursorIn(job, 'incoming');
  const path = join(job.dir, `${table.oid}.parquet`);
  if (contract.key.length === 0) {
    const options = fileOptions(job, path, job.offset, read);
    if (plan.how === 'sweep') {
      const added = await writeChanges(db, "select *, 'insert' as _op from incoming", contract, options);
      return { rows, files: added === undefined ? [] : [added], newestCursor, replaced: false };
    }
    if (await isSameBag(db, known, contract)) return { rows, files: [], newestCursor, replaced: false };
    const file = await writeChanges(db, "select *, 'read' as _op from incoming", contract, options);
    return { rows, files: file === undefined ? [] : [file], newestCursor, replaced: true };
  }
  if (!table.keyProven) await checkKey(db, nameOf(table), contract.key, 'incoming');
  const deletable = plan.how === 'whole' ? 'true' : (plan.slice?.stateWhere ?? null);
  const query = differencesSql(known, contract, deletable);
  const file = await writeChanges(db, query, contract, fileOptions(job, path, job.offset, read));
  return { rows, files: file === undefined ? [] : [file], newestCursor, replaced: false };
}

/** Copies the table out; each finished spool file is worked on while the next one fills. Returns how much it was. */
async function forEachSpool(
  job: TableJob,
  work: (spool: SpoolFile) => Promise<void>,
): Promise<{ readonly rows: number; readonly bytes: number }> {
  const item = `${job.table.source}.${job.table.table}`;
  const totalRows =
    job.plan.how === 'whole' && job.table.estimatedRows >= 0 ? { totalRows: job.table.estimatedRows } : {};
  const spools = spoolQuery(job.session, selectSql(job.table, job.plan), {
    dir: job.dir,
    maxFileBytes: job.spoolBytes,
    onRows: (rows, bytes) => job.onProgress({ stage: 'extract', item, state: 'running', rows, bytes, ...totalRows }),
  });
  let rows = 0;
  let bytes = 0;
  let pending = Promise.resolve();
  try {
    for await (const spool of spools) {
      await pending;
      rows += spool.rows;
      bytes += spool.bytes;
      pending = work(spool);
      pending.catch(() => undefined); // awaited below or in the next turn
    }
  } finally {
    // Also when the copy failed: DuckDB must be idle before the database is closed. The copy's own error wins.
    await pending.catch(() => undefined);
  }
  await pending;
  return { rows, bytes };
}

async function newestCursorIn(job: TableJob, relation: string): Promise<string | null> {
  if (job.plan.proof === null) return null;
  const cursor = quoteIdentifier(job.table.definition.cursor?.column ?? '');
  const [row] = await job.db.rows<{ newest: string | null }>(
    `select max(${cursor})::varchar as newest from ${relation} where ${cursor} <= ${quoteLiteral(job.guard.clock)}::timestamptz`,
  );
  return row?.newest ?? null;
}

/** From where the next run may read; never behind the last watermark, which stays valid. */
async function nextWatermark(job: TableJob, newest: string | null): Promise<CursorWatermark | null> {
  const { plan } = job;
  if (plan.slice !== undefined && plan.keepBefore) return plan.before;
  const cursor = plan.keepBefore ? plan.before : await nextCursor(job, newest);
  const sweep = plan.nextSweep;
  if (cursor === null) return sweep === null ? null : xminWatermark(sweep);
  const { column, value, proof } = cursor;
  return { column, value, proof, ...(sweep !== null && { sweep }) };
}

async function nextCursor(
  { plan, guard, table, db }: TableJob,
  newest: string | null,
): Promise<CursorWatermark | null> {
  const column = table.definition.cursor?.column;
  if (plan.proof === null || column === undefined) return null;
  const kept = plan.how === 'cursor' ? (plan.before?.value ?? null) : null;
  if (newest === null && kept !== null) return plan.before;
  const [row] = await db.rows<{ value: string }>(
    `select greatest(least($1::timestamptz, $2::timestamptz) - interval ${GUARD_MARGIN_SECONDS} seconds, $3::timestamptz)::varchar as value`,
    [newest ?? guard.bound, guard.bound, kept],
  );
  return row === undefined ? null : { column, value: row.value, proof: plan.proof };
}

/** A row group is held in memory until it is written: one of wide rows gets fewer of them. DuckDB works in steps of 2,048. */
function fileOptions(
  job: TableJob,
  path: string,
  offset: number,
  read: { readonly rows: number; readonly bytes: number },
): Parameters<typeof writeChanges>[3] {
  const rowBytes = Math.max(1, read.bytes / Math.max(1, read.rows));
  const affordable = (job.memoryMb * 2 ** 20) / 8 / rowBytes;
  const rowGroupRows = Math.min(122_880, Math.max(2_048, Math.floor(affordable / 2_048) * 2_048));
  return { path, commit: job.commit, offset, extractedAt: job.guard.clock, rowGroupRows };
}

function nameOf(table: CatalogTable): string {
  return `${table.schema}.${table.table}`;
}
