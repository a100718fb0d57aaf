import { rename } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { DraftFile } from '../core/bronze-commit.ts';
import { firstSeqOf } from '../core/bronze-table.ts';
import { quoteIdentifier, quoteLiteral, quotePath } from '../core/quote.ts';
import { writeChanges } from './changes.ts';
import type { QuarantinedRow } from './copy/misfit.ts';
import { type FinishedPart, type KeptLoad, type LoadFacts, openKeptLoad } from './kept-load.ts';
import { selectSql } from './read-plan.ts';
import { createReadMemory, type ReadRowsOptions, readRows } from './read-rows.ts';
import { createRowNumbers, describeRowFile, type RowFile, type RowNumbers } from './row-files.ts';
import type { SourceSession } from './source-session.ts';
import { fileOptions, reportTo, type TableJob } from './table-job.ts';
import type { TablePart } from './table-parts.ts';
import { readShape } from './table-shape.ts';
import { parseSnapshot, proveSweep, sweptSql, whyNoSweep } from './xmin-sweep.ts';

/**
 * A first load in parts, several at once, each into files of its own. Killed, it keeps the parts that were finished; the next run reads the rest
 * at its own snapshot S' and repairs what was kept from an older one, S:
 *
 *   kept parts at S ── minus keys that are swept, or read in the rest, or no longer there ──┐
 *   sweep: rows of the kept parts' pages written since S ───────────────────────────────────┼── exactly S'
 *   rest of the parts, read at S' ──────────────────────────────────────────────────────────┘
 *
 * A row has at most one version in S'. Any other version of its key among the kept parts was written before, and the one in S' after S:
 * it is in the sweep or in the rest. Keys no longer in Postgres are found by reading all keys at S'.
 */

export interface FirstLoad {
  readonly rows: number;
  readonly files: readonly DraftFile[];
  readonly quarantined: readonly QuarantinedRow[];
  /** All of the files as they were written; null where some were kept from a killed load. */
  readonly written: readonly RowFile[] | null;
  /** What of a killed load was kept; null when nothing was. */
  readonly resumed: string | null;
}

export async function readFirstLoad(job: TableJob, planned: readonly TablePart[]): Promise<FirstLoad> {
  const { table, open, commit } = job;
  const quarantines = table.columns.some((column) => column.policy === 'quarantine');
  // Rows of kept parts can only be told apart by their key; and what was set aside of them is not kept.
  if (table.contract.key.length === 0 || !table.keyProven || quarantines) return readParts(job, planned, undefined);
  const sweep = proveSweep(await readShape(job.session, table), open.guard, open.identity.systemIdentifier);
  if ('why' in sweep) return readParts(job, planned, undefined);
  const facts: LoadFacts = {
    source: table.source,
    table: table.table,
    identity: { ...open.identity, schema: table.schema },
    contract: table.contract,
    commit,
    fileNodes: await readFileNodes(job),
    proof: sweep.proof,
  };
  const begin = (): Promise<KeptLoad> =>
    openKeptLoad(
      job.loadsDir,
      facts,
      planned.map((part) => part.where),
    );
  let load = await begin();
  const isVoid = ({ snapshot }: FinishedPart): boolean =>
    whyNoSweep({ snapshot, proof: sweep.proof }, sweep, open.snapshot.id) !== null;
  if (load.finished.some(isVoid)) {
    await load.remove();
    load = await begin();
  }
  try {
    const kept = load.finished;
    const read = await readParts(job, partsOf(load), load);
    let whole = kept.length === 0 ? read : await repair(job, load, kept, read);
    if (whole === undefined) {
      // Keys that DuckDB holds apart and Postgres does not, or the other way round: what was kept is of no use.
      await load.remove();
      load = await begin();
      whole = await readParts(job, partsOf(load), load);
    }
    // Into the batch's own folder, which goes when its commit is made or given up.
    const files: DraftFile[] = [];
    for (const file of whole.files) {
      const localPath = join(job.dir, `${table.oid}-${basename(file.localPath)}`);
      await rename(file.localPath, localPath);
      files.push({ ...file, localPath });
    }
    await load.remove();
    return { ...whole, files };
  } catch (error) {
    // What ended the load is told, also where its folder cannot be removed any more.
    await load.release().catch(() => undefined);
    throw error;
  }
}

interface PartRead {
  readonly rows: number;
  readonly quarantined: readonly QuarantinedRow[];
  readonly files: readonly DraftFile[];
  readonly written: readonly RowFile[];
}

function partsOf(load: KeptLoad): readonly TablePart[] {
  return load.parts.map((where) => ({ where, pages: 0 }));
}

/** Reads the parts that are not finished yet. */
async function readParts(job: TableJob, parts: readonly TablePart[], load: KeptLoad | undefined): Promise<FirstLoad> {
  const { table, plan, open, db } = job;
  const done = new Set(load?.finished.map((part) => part.part));
  const numbers = createRowNumbers(job.commit, firstFree(job, load));
  const report = reportTo(job, parts.length);
  for (const part of load?.finished ?? []) report(part.rows, 0, part.part);
  const wanted = parts.flatMap((part, at) => (done.has(at) ? [] : [{ ...part, at }]));
  const memory = createReadMemory(table);
  const broken = new AbortController();
  const isAlone = job.readers.connections === 1;
  let ending: Promise<unknown> | undefined;
  const all: Promise<PartRead>[] = [];
  // One part after another is described and noted, so that the list of finished parts is never written twice at once.
  let noting: Promise<void> = Promise.resolve();
  const readPart = async (
    { where, at }: (typeof wanted)[number],
    session: SourceSession,
    options: Pick<ReadRowsOptions, 'signal' | 'onArrived'>,
  ): Promise<PartRead> => {
    const read = await readRows({
      ...options,
      memory,
      session,
      table,
      selectSql: selectSql(table, plan, where),
      dir: load?.dir ?? job.dir,
      prefix: `part-${String(at).padStart(5, '0')}-${table.oid}`,
      meta: { numbers, extractedAt: open.guard.clock },
      fileBytes: job.fileBytes,
      onSetAside: job.onSetAside,
      onProgress: (rows, bytes) => report(rows, bytes, at),
    });
    const files: DraftFile[] = [];
    noting = noting.then(async () => {
      for (const file of read.files) files.push(await describeRowFile(db, file, table.contract));
      await load?.finish({ part: at, snapshot: open.snapshot.id, rows: read.rows, files });
    });
    await noting;
    return { rows: read.rows, quarantined: read.quarantined, files, written: read.files };
  };
  let results: readonly PartRead[];
  try {
    await job.readers.readAll(
      wanted.map((part) => async (session: SourceSession, failed: AbortSignal) => {
        const signals = [failed, broken.signal, ...(job.signal === undefined ? [] : [job.signal])];
        const arrived = Promise.withResolvers<void>();
        const read = readPart(part, session, { signal: AbortSignal.any(signals), onArrived: arrived.resolve });
        // One connection alone goes on to the next part while this one's last pages, footer and note are written. Several fill each other's pauses.
        await (isAlone ? Promise.race([arrived.promise, read]) : read);
        read.catch((error: unknown) => broken.abort(error));
        all.push(read);
        // At most one part is behind.
        await ending;
        ending = read;
      }),
    );
    results = await Promise.all(all);
  } finally {
    await Promise.allSettled(all);
    memory.close();
  }
  return {
    rows: results.reduce((sum, part) => sum + part.rows, 0),
    files: results.flatMap((part) => part.files),
    quarantined: results.flatMap((part) => part.quarantined),
    written: done.size > 0 ? null : results.flatMap((part) => part.written),
    resumed: null,
  };
}

/** Numbers of kept rows stay theirs. */
function firstFree(job: TableJob, load: KeptLoad | undefined): number {
  const last = (load?.finished ?? []).flatMap((part) => part.files.map((file) => BigInt(file.lastSeq)));
  const highest = last.reduce((a, b) => (a > b ? a : b), -1n);
  return highest < 0n ? job.offset : Math.max(job.offset, Number(highest - firstSeqOf(job.commit)) + 1);
}

/** Undefined when the result does not have as many rows as there are keys. */
async function repair(
  job: TableJob,
  load: KeptLoad,
  kept: readonly FinishedPart[],
  rest: FirstLoad,
): Promise<FirstLoad | undefined> {
  const { db, table, session } = job;
  const key = table.contract.key;
  const oldest = kept
    .map((part) => part.snapshot)
    .reduce((a, b) => (parseSnapshot(a).xmin <= parseSnapshot(b).xmin ? a : b));
  const pages = kept.map((part) => load.parts[part.part] ?? 'true').map((where) => `(${where})`);
  const common = { session, dir: load.dir, meta: null, fileBytes: job.fileBytes, signal: job.signal };
  const swept = await readRows({
    ...common,
    table,
    selectSql: `${selectSql(table, { how: 'whole', before: null })} where (${pages.join(' or ')}) and ${sweptSql({ snapshot: oldest, proof: '' })}`,
    prefix: 'swept',
  });
  const columns = key
    .map((name) => table.columns.find((column) => column.name === name))
    .filter((c) => c !== undefined);
  const keys = await readRows({
    ...common,
    table: { ...table, columns },
    selectSql: `select ${columns.map((column) => column.select).join(', ')} from ${quotePath(table.schema, table.table)}`,
    prefix: 'keys',
  });
  const list = key.map(quoteIdentifier).join(', ');
  const from = (paths: readonly string[]): string =>
    paths.length === 0
      ? `(select ${columns.map(({ name, duckdbType }) => `null::${duckdbType} as ${quoteIdentifier(name)}`).join(', ')} where false)`
      : `read_parquet([${paths.map(quoteLiteral).join(', ')}], hive_partitioning = false)`;
  const newer = [...swept.files.map((file) => file.path), ...rest.files.map((file) => file.localPath)];
  await db.run(`create or replace table superseded as select ${list} from ${from(newer)}`);
  await db.run(`create or replace view present as select ${list} from ${from(keys.files.map((file) => file.path))}`);
  const on = (side: string): string =>
    key.map((name) => `${side}.${quoteIdentifier(name)} = kept.${quoteIdentifier(name)}`).join(' and ');
  const files: DraftFile[] = [...rest.files];
  let numbers = createRowNumbers(job.commit, nextNumber(job, [...rest.files, ...kept.flatMap((part) => part.files)]));
  for (const file of kept.flatMap((part) => part.files)) {
    const good = `select kept.* from read_parquet(${quoteLiteral(file.localPath)}) kept
      anti join superseded on ${on('superseded')} semi join present on ${on('present')}`;
    const [count] = await db.rows<{ n: bigint }>(`select count(*) as n from (${good})`);
    // Tables before this one in the commit may have more rows than they had then, and so the numbers of these.
    const isFree = BigInt(file.firstSeq) >= firstSeqOf(job.commit) + BigInt(job.offset);
    if (isFree && Number(count?.n ?? 0n) === file.rows) {
      files.push(file);
      continue;
    }
    const clean = await writeClean(good, `clean-${basename(file.localPath)}`, await sizeOf(file), numbers);
    if (clean !== undefined) files.push(clean);
  }
  numbers = createRowNumbers(job.commit, nextNumber(job, [...files, ...kept.flatMap((part) => part.files)]));
  if (swept.rows > 0) {
    const all = `select * from ${from(swept.files.map((file) => file.path))}`;
    const file = await writeClean(all, 'changed.parquet', swept, numbers);
    if (file !== undefined) files.push(file);
  }
  await db.run('drop view present; drop table superseded');
  const rows = files.reduce((sum, file) => sum + file.rows, 0);
  if (rows !== keys.rows) return undefined;
  const resumed = `resumed: ${kept.length} of ${load.parts.length} parts were kept from a killed load and repaired by key (${swept.rows} rows read again)`;
  return { rows: rest.rows + swept.rows, files, quarantined: rest.quarantined, written: null, resumed };

  async function sizeOf(file: DraftFile): Promise<{ readonly rows: number; readonly bytes: number }> {
    const [size] = await db.rows<{ bytes: bigint }>(
      `select sum(total_uncompressed_size)::bigint as bytes from parquet_metadata(${quoteLiteral(file.localPath)})`,
    );
    return { rows: file.rows, bytes: Number(size?.bytes ?? file.bytes) };
  }

  async function writeClean(
    query: string,
    name: string,
    size: { readonly rows: number; readonly bytes: number },
    free: RowNumbers,
  ): Promise<DraftFile | undefined> {
    const offset = Number(free.take(0) - firstSeqOf(job.commit));
    const names = table.contract.columns.map((column) => quoteIdentifier(column.name)).join(', ');
    const file = await writeChanges(
      db,
      `select ${names}, 'read' as _op from (${query})`,
      table.contract,
      fileOptions(job, join(load.dir, name), size, offset),
    );
    if (file !== undefined) free.take(file.rows);
    return file;
  }
}

function nextNumber(job: TableJob, files: readonly DraftFile[]): number {
  const highest = files.map((file) => BigInt(file.lastSeq)).reduce((a, b) => (a > b ? a : b), 0n);
  return Math.max(job.offset, Number(highest - firstSeqOf(job.commit)) + 1);
}

/** As of now, not of the snapshot: that none was rewritten since is checked when the snapshot is opened. */
async function readFileNodes({ session, table }: TableJob): Promise<readonly string[]> {
  const rows = await session.rows<{ node: string }>(
    `with recursive leaf as (
       select $1::oid as oid
       union
       select h.inhrelid from leaf join pg_inherits h on h.inhparent = leaf.oid
     )
     select leaf.oid || ':' || coalesce(pg_relation_filenode(leaf.oid), 0) as node from leaf order by leaf.oid`,
    [table.oid],
  );
  return rows.map((row) => row.node);
}
