import { join } from 'node:path';
import type { BronzeTableDraft, CursorWatermark, DraftFile, DraftQuarantineFile } from '../core/bronze-commit.ts';
import { writeQuarantine } from '../core/bronze-quarantine.ts';
import { quoteIdentifier, quoteLiteral } from '../core/quote.ts';
import type { CatalogTable } from './catalog.ts';
import { checkKey, createSetAside, differencesSql, isSameBag, tellDifferences, writeChanges } from './changes.ts';
import { latestInstant } from './column-range.ts';
import type { QuarantinedRow } from './copy/misfit.ts';
import { readFirstLoad } from './first-load.ts';
import { nextCursorValue } from './next-cursor.ts';
import { selectSql } from './read-plan.ts';
import { createIncoming, createReadMemory, type ReadRows, readRows } from './read-rows.ts';
import { createRowNumbers, describeRowFile, type RowFile } from './row-files.ts';
import type { SourceSession } from './source-session.ts';
import { fileOptions, reportTo, type TableJob } from './table-job.ts';
import { planParts } from './table-parts.ts';
import { isWatermarkMoved, xminWatermark } from './xmin-sweep.ts';

export interface TableResult {
  readonly draft: BronzeTableDraft;
  readonly rowsRead: number;
  /** Rows set aside. */
  readonly quarantined: number;
  /** What of a killed load was kept; null otherwise. */
  readonly resumed: string | null;
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
  const quarantine = await writeSetAside(job, read.quarantined);
  const sameContract = known !== undefined && JSON.stringify(known.contract) === JSON.stringify(contract);
  const isRewritten = read.files.length > 0 || replaced || !sameContract;
  const isNews = isSetAsideAnew(job, quarantine);
  // Rows near a mark are met again: named once is enough, unless a whole read has to name all.
  const isNamed = quarantine !== undefined && (isNews || isRewritten || plan.how === 'whole');
  const draft: BronzeTableDraft = {
    mode: table.definition.mode,
    contract,
    files: read.files,
    replaced,
    read: { how: plan.how, rows: read.rows, why: read.resumed ?? plan.why },
    watermark: { before: plan.before, after },
    ...(isNamed && { quarantined: [quarantine] }),
    ...(read.resumed !== null && { consistency: 'repaired' }),
  };
  // Rows near a cursor's watermark come in every run, those that are swept do not once the mark has moved.
  const moved = isWatermarkMoved(plan.before, after, plan.how === 'cursor' ? 0 : read.rows);
  const compared = job.repaired && plan.how === 'whole' && plan.slice === undefined;
  const changed = isRewritten || moved || isNews || compared;
  return { draft, rowsRead: read.rows, quarantined: read.quarantined.length, resumed: read.resumed, changed };
}

interface ReadResult {
  readonly rows: number;
  readonly files: readonly DraftFile[];
  readonly newestCursor: string | null;
  readonly replaced: boolean;
  readonly quarantined: readonly QuarantinedRow[];
  readonly resumed: string | null;
}

/** First load, or all of a table whose earlier rows are void: what is read goes to bronze as it is. */
async function readAll(job: TableJob): Promise<ReadResult> {
  const { db, table, session } = job;
  const parts = job.plan.how === 'whole' ? await planParts(session, table, job.partBytes) : [];
  const read = parts.length > 1 ? await readFirstLoad(job, parts) : await readAtOnce(job);
  const { rows, files, quarantined, written, resumed } = read;
  if (files.length === 0) return { rows, files, newestCursor: null, replaced: false, quarantined, resumed };
  const relation = `read_parquet([${files.map((file) => quoteLiteral(file.localPath)).join(', ')}])`;
  if (!table.keyProven) await checkKey(db, nameOf(table), table.contract.key, relation);
  return {
    rows,
    files,
    newestCursor: await newestCursorIn(job, relation, written),
    replaced: false,
    quarantined,
    resumed,
  };
}

async function readAtOnce(job: TableJob): ReturnType<typeof readFirstLoad> {
  const { table, dir, session, commit, offset, open } = job;
  const numbers = createRowNumbers(commit, offset);
  const { rows, files, quarantined } = await readRows({
    session,
    table,
    selectSql: selectSql(table, job.plan),
    dir,
    prefix: table.oid,
    meta: { numbers, extractedAt: open.guard.clock },
    fileBytes: job.fileBytes,
    signal: job.signal,
    onSetAside: job.onSetAside,
    onProgress: reportTo(job),
  });
  const described: DraftFile[] = [];
  for (const file of files) described.push(await describeRowFile(job.db, file, table.contract));
  return { rows, files: described, quarantined, written: files, resumed: null };
}

/** Every later read: only what differs from the last state is written. */
async function readAndCompare(job: TableJob): Promise<ReadResult> {
  const { db, table, known, plan } = job;
  const { contract } = table;
  if (known === undefined) throw new Error(`${nameOf(table)} has no state to compare with`);
  const read = await readIncoming(job);
  const { rows } = read;
  await createIncoming(
    db,
    contract.columns,
    read.parts.flatMap((part) => part.files),
  );
  const quarantined = read.parts.flatMap((part) => part.quarantined);
  const newestCursor = await newestCursorIn(
    job,
    'incoming',
    read.parts.flatMap((part) => part.files),
  );
  const path = join(job.dir, `${table.oid}.parquet`);
  const common = { rows, newestCursor, quarantined, resumed: null };
  if (contract.key.length === 0) {
    const options = fileOptions(job, path, read);
    if (plan.how === 'sweep') {
      const added = await writeChanges(db, "select *, 'insert' as _op from incoming", contract, options);
      return { ...common, files: added === undefined ? [] : [added], replaced: false };
    }
    if (await isSameBag(db, known, contract)) return { ...common, files: [], replaced: false };
    const file = await writeChanges(db, "select *, 'read' as _op from incoming", contract, options);
    return { ...common, files: file === undefined ? [] : [file], replaced: true };
  }
  if (!table.keyProven) await checkKey(db, nameOf(table), contract.key, 'incoming');
  // A row that is set aside is still there: its last good version stays.
  const deletable = plan.how === 'whole' ? 'true' : (plan.slice?.stateWhere ?? null);
  const setAside = quarantined.map((row) => row.key);
  if (setAside.length > 0) await createSetAside(db, contract, setAside);
  const cursor = table.definition.cursor?.column;
  const isTold = plan.how !== 'whole' && deletable === null && cursor !== undefined && !contract.key.includes(cursor);
  const query = isTold
    ? await tellDifferences(db, known, contract, cursor)
    : differencesSql(known, contract, deletable, { some: plan.how !== 'whole', setAside: setAside.length > 0 });
  const file = await writeChanges(db, query, contract, fileOptions(job, path, read));
  return { ...common, files: file === undefined ? [] : [file], replaced: false };
}

interface IncomingRead {
  readonly rows: number;
  readonly bytes: number;
  readonly parts: readonly ReadRows[];
}

async function readIncoming(job: TableJob): Promise<IncomingRead> {
  const { table, plan, dir } = job;
  const parts = plan.how === 'whole' ? await planParts(job.session, table, job.partBytes) : [{ where: null, pages: 0 }];
  const report = reportTo(job, parts.length);
  const memory = createReadMemory(table);
  const reading = job.readers.readAll(
    parts.map(
      ({ where }, at) =>
        (session: SourceSession, failed: AbortSignal) =>
          readRows({
            session,
            table,
            selectSql: selectSql(table, plan, where),
            dir,
            prefix: `${table.oid}-incoming-${at}`,
            meta: null,
            fileBytes: job.fileBytes,
            memory,
            signal: job.signal === undefined ? failed : AbortSignal.any([failed, job.signal]),
            onSetAside: job.onSetAside,
            onProgress: (rows, bytes) => report(rows, bytes, at),
          }),
    ),
  );
  const read = await reading.finally(() => memory.close());
  return {
    rows: read.reduce((sum, part) => sum + part.rows, 0),
    bytes: read.reduce((sum, part) => sum + part.bytes, 0),
    parts: read,
  };
}

async function writeSetAside(
  { dir, table }: TableJob,
  rows: readonly QuarantinedRow[],
): Promise<DraftQuarantineFile | undefined> {
  const named = rows.map(({ key, ...row }) => ({
    ...row,
    key: Object.fromEntries(table.contract.key.map((name, i) => [name, key[i] ?? null])),
  }));
  // In an order of their own, so that the same rows make the same file.
  const places = new Map(named.map((row) => [row, JSON.stringify([row.key, row.column, row.value])]));
  named.sort((a, b) => ((places.get(a) ?? '') < (places.get(b) ?? '') ? -1 : 1));
  return writeQuarantine(join(dir, `${table.oid}-quarantine.ndjson`), named);
}

/** A whole read names all rows set aside, any other the ones it met: the commit is needed when that is news. */
function isSetAsideAnew({ plan, setAside, known }: TableJob, now: DraftQuarantineFile | undefined): boolean {
  if (now === undefined) return plan.how === 'whole' && setAside.length > 0;
  // A list older than the table's last rows may name one that was mended in between.
  const isKnown = setAside.some((file) => file.sha256 === now.sha256 && file.commit >= (known?.lastCommit ?? 0));
  return !isKnown || (plan.how === 'whole' && setAside.length > 1);
}

/** The newest cursor up to the guard's clock, of rows that are all in `files` as they were written; null: their ranges are not known. */
async function newestCursorIn(
  job: TableJob,
  relation: string,
  files: readonly RowFile[] | null,
): Promise<string | null> {
  if (job.plan.proof === null) return null;
  const column = job.table.definition.cursor?.column ?? '';
  const latest = files === null ? undefined : latestInstant(files.map((file) => file.ranges.get(column)));
  // Both have microseconds and Z: as texts they compare as instants.
  if (latest === null || (latest !== undefined && latest <= job.open.guard.clock)) return latest;
  const cursor = quoteIdentifier(column);
  const [row] = await job.db.rows<{ newest: string | null }>(
    `select max(${cursor})::varchar as newest from ${relation} where ${cursor} <= ${quoteLiteral(job.open.guard.clock)}::timestamptz`,
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

async function nextCursor({ plan, open, table, db }: TableJob, newest: string | null): Promise<CursorWatermark | null> {
  const column = table.definition.cursor?.column;
  if (plan.proof === null || column === undefined) return null;
  const kept = plan.how === 'cursor' ? (plan.before?.value ?? null) : null;
  if (newest === null && kept !== null) return plan.before;
  const value = await nextCursorValue(db, { newest, bound: open.guard.bound, kept });
  return { column, value, proof: plan.proof };
}

function nameOf(table: CatalogTable): string {
  return `${table.schema}.${table.table}`;
}
