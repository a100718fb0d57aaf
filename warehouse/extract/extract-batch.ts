import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type {
  BronzeCommitDraft,
  BronzeState,
  BronzeTableDraft,
  ReadHow,
  SourceSnapshot,
  TableMode,
} from '../core/bronze-commit.ts';
import { firstSeqOf } from '../core/bronze-table.ts';
import { type DuckDbOnDemand, type DuckDbQueries, openDuckDbOnDemand } from '../core/duckdb.ts';
import { mapSystemError, SluiceError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import { ignoreProgress, type OnProgress } from '../core/progress.ts';
import { type BackfillOptions, planSlice } from './backfill.ts';
import type { CatalogTable } from './catalog.ts';
import { bindToShape, proveCursor } from './cursor-proof.ts';
import { extractTable } from './extract-table.ts';
import { type PlanFacts, planBackfill, planRead, type ReadPlan, settleAppend } from './read-plan.ts';
import { createSetAsideLimit, SET_ASIDE_MOST } from './read-rows.ts';
import { FILE_BYTES } from './row-files.ts';
import { openReaders, type SnapshotReaders } from './snapshot-readers.ts';
import type { SourceDefinition } from './source-definition.ts';
import { openSession, type SessionOptions, type SourceSession } from './source-session.ts';
import { checkIdentity, type OpenSnapshot, openSnapshot } from './source-snapshot.ts';
import { PART_BYTES } from './table-parts.ts';
import { readShape } from './table-shape.ts';
import { countAppended, proveSweep } from './xmin-sweep.ts';

export interface ExtractLimits {
  readonly statementTimeoutMs?: number;
  readonly lockTimeoutMs?: number;
  readonly memoryMb?: number;
  readonly threads?: number;
  /** Connections to the source that read parts of one large table at the same time, the one that holds the snapshot counted. */
  readonly connections?: number;
  /** Bytes of heap per part of a table that is read whole. */
  readonly partBytes?: number;
  /** Bytes after which a Parquet file ends with the row group it is in. */
  readonly fileBytes?: number;
  /** Rows of one table that may be set aside before the run stops. */
  readonly setAsideRows?: number;
}

export interface ExtractOptions {
  /** Postgres URL; every source is a schema of this database. */
  readonly url: string;
  readonly sources: readonly SourceDefinition[];
  /** bronze.state() of these sources. */
  readonly state: BronzeState;
  /** A folder for this and other batches; the batch makes its own inside and removes it on failure. */
  readonly workDir: string;
  /** Where finished parts of a first load outlive a killed process; the same in the next run, or they are of no use. Default: in workDir. */
  readonly loadsDir?: string | undefined;
  /** Sluice's version, for application_name. */
  readonly version: string;
  /** Key of masked columns' hashes; needed where a source has `mask: { column: 'hash' }` (CONFIG_INVALID). */
  readonly maskSecret?: string | undefined;
  readonly log: Log;
  readonly onProgress?: OnProgress;
  readonly signal?: AbortSignal | undefined;
  readonly limits?: ExtractLimits;
  /** Reads some rows of this one table again instead; watermarks stay. */
  readonly backfill?: BackfillOptions;
  /** Called with the exported snapshot while it is open: others may import it. */
  readonly onSnapshot?: (exported: string) => Promise<void>;
}

export interface TableOutcome {
  readonly source: string;
  readonly table: string;
  readonly mode: TableMode;
  readonly how: ReadHow;
  /** Rows that Postgres sent. */
  readonly rowsRead: number;
  readonly inserted: number;
  readonly updated: number;
  readonly deleted: number;
  /** Rows set aside because a value does not fit its column. */
  readonly quarantined: number;
  /** Bytes of Parquet written. */
  readonly bytes: number;
  readonly ms: number;
  readonly note?: string;
  /** Of a backfill: where its next slice begins behind; absent when this was the last. */
  readonly next?: string;
}

export interface ExtractedBatch {
  readonly snapshot: SourceSnapshot;
  /** One per source in which anything changed; commit each with bronze.commit(). */
  readonly drafts: readonly BronzeCommitDraft[];
  readonly tables: readonly TableOutcome[];
  /** The batch's own folder; remove it once the drafts are committed or given up. */
  readonly dir: string;
  readonly ms: number;
}

const DEFAULTS = {
  statementTimeoutMs: 1_800_000,
  lockTimeoutMs: 10_000,
  memoryMb: 512,
  threads: 2,
  connections: 1,
  partBytes: PART_BYTES,
  fileBytes: FILE_BYTES,
  setAsideRows: SET_ASIDE_MOST,
} as const satisfies Required<ExtractLimits>;

/** Reads every table of every source at one moment. Writes nothing to the lake: what changed lies in the batch's folder, described by drafts. */
export async function extractBatch(options: ExtractOptions): Promise<ExtractedBatch> {
  const started = performance.now();
  const limits = { ...DEFAULTS, ...options.limits };
  const batch = `${compactInstant(new Date())}-${randomBytes(6).toString('hex')}`;
  const dir = join(options.workDir, `extract-${batch}`);
  try {
    await sweep(options.workDir);
    await mkdir(dir, { recursive: true });
    return await withSession(options, limits, dir, async (session, db) => {
      const open = await openSnapshot(session, options.sources, options.maskSecret);
      for (const source of options.sources) {
        const known = stateOf(options.state, source.name).identity;
        checkIdentity(source.name, known, { ...open.identity, schema: source.schema });
      }
      await options.onSnapshot?.(open.exported);
      const readers = openReaders(session, open.exported, sessionOptions(options, limits), limits.connections);
      options.signal?.addEventListener('abort', db.interrupt, { once: true });
      let read: Pick<ExtractedBatch, 'drafts' | 'tables'>;
      try {
        read = await extractSources({ options, limits, session, readers, db, open, batch, dir });
      } finally {
        await readers.close();
        options.signal?.removeEventListener('abort', db.interrupt);
      }
      await session.rows('commit');
      return { snapshot: open.snapshot, ...read, dir, ms: performance.now() - started };
    });
  } catch (error) {
    await rm(dir, { recursive: true, force: true }).catch(() => undefined);
    if (options.signal?.aborted === true && !(error instanceof SluiceError)) {
      throw new SluiceError('CANCELLED', 'The extraction was cancelled; nothing was committed.', { cause: error });
    }
    throw mapSystemError(error, 'the extraction');
  }
}

interface Context {
  readonly options: ExtractOptions;
  readonly limits: Required<ExtractLimits>;
  readonly session: SourceSession;
  readonly readers: SnapshotReaders;
  readonly db: DuckDbQueries;
  readonly open: OpenSnapshot;
  readonly batch: string;
  readonly dir: string;
}

async function extractSources(context: Context): Promise<Pick<ExtractedBatch, 'drafts' | 'tables'>> {
  const drafts: BronzeCommitDraft[] = [];
  const outcomes: TableOutcome[] = [];
  for (const source of context.options.sources) {
    const commit = stateOf(context.options.state, source.name).number + 1;
    const changed: Record<string, BronzeTableDraft> = {};
    let offset = 0;
    const wanted = context.options.backfill?.table;
    const isWanted = (table: CatalogTable): boolean =>
      table.source === source.name && (wanted === undefined || table.table === wanted);
    for (const table of context.open.tables.filter(isWanted)) {
      const result = await extractOne(context, table, commit, offset);
      outcomes.push(result.outcome);
      if (result.draft === undefined) continue;
      changed[table.table] = result.draft;
      const last = result.draft.files.map((file) => Number(BigInt(file.lastSeq) - firstSeqOf(commit)));
      offset = Math.max(offset, ...last.map((at) => at + 1));
    }
    if (offset >= 2 ** 32)
      throw new SluiceError('INTERNAL', `One commit of ${source.name} would hold ${offset} rows, more than 2^32.`);
    if (Object.keys(changed).length === 0) continue;
    const identity = { ...context.open.identity, schema: source.schema };
    const { snapshot } = context.open;
    drafts.push({ source: source.name, number: commit, batch: context.batch, identity, snapshot, tables: changed });
  }
  return { drafts, tables: outcomes };
}

async function extractOne(
  context: Context,
  table: CatalogTable,
  commit: number,
  offset: number,
): Promise<{ outcome: TableOutcome; draft: BronzeTableDraft | undefined }> {
  const { options, open, session, readers, db, dir, limits } = context;
  const onProgress = options.onProgress ?? ignoreProgress;
  const started = performance.now();
  const { source } = table;
  const item = `${source}.${table.table}`;
  options.signal?.throwIfAborted();
  onProgress({ stage: 'extract', item, state: 'started' });
  try {
    const state = stateOf(options.state, source);
    const known = options.state.snapshot.tables.find((other) => other.source === source && other.table === table.table);
    const before = state.tables.get(table.table)?.watermark ?? null;
    const plan = await decideRead(context, table, { known, before, lastClock: state.snapshot?.at ?? null });
    const { memoryMb, partBytes, fileBytes } = limits;
    const result = await extractTable({
      session,
      readers,
      db,
      table,
      known,
      plan,
      open,
      commit,
      offset,
      dir,
      setAside: state.tables.get(table.table)?.quarantined.files ?? [],
      onSetAside: createSetAsideLimit(`${table.schema}.${table.table}`, limits.setAsideRows),
      repaired: state.tables.get(table.table)?.consistency === 'repaired',
      loadsDir: options.loadsDir ?? join(options.workDir, 'loads'),
      memoryMb,
      partBytes,
      fileBytes,
      signal: options.signal,
      onProgress,
    });
    const ops = (op: string): number => result.draft.files.reduce((sum, file) => sum + (file.ops[op] ?? 0), 0);
    const outcome: TableOutcome = {
      source,
      table: table.table,
      mode: table.definition.mode,
      how: plan.how,
      rowsRead: result.rowsRead,
      inserted: ops('read') + ops('insert'),
      updated: ops('update'),
      deleted: ops('delete'),
      quarantined: result.quarantined,
      bytes: result.draft.files.reduce((sum, file) => sum + file.bytes, 0),
      ms: performance.now() - started,
      ...(plan.slice?.next != null && { next: plan.slice.next }),
    };
    const note = result.resumed ?? describeRead(plan, outcome);
    const described: TableOutcome = note === null ? outcome : { ...outcome, note };
    const { rowsRead: rows, bytes, ms } = outcome;
    onProgress({ stage: 'extract', item, state: 'finished', rows, bytes, ms, note: noteOf(described, result.changed) });
    options.log.debug({ ...described }, 'table extracted');
    return { outcome: described, draft: result.changed ? result.draft : undefined };
  } catch (error) {
    onProgress({ stage: 'extract', item, state: 'failed' });
    throw error;
  }
}

async function decideRead(
  { options, open, session }: Context,
  table: CatalogTable,
  last: Pick<PlanFacts, 'known' | 'before' | 'lastClock'>,
): Promise<ReadPlan> {
  const { guard, identity } = open;
  const { mode, key } = table.definition;
  const snapshot = open.snapshot.id;
  const shape = mode === 'full' ? null : await readShape(session, table);
  const sweep = shape === null ? null : proveSweep(shape, guard, identity.systemIdentifier);
  const appends = mode === 'append' && key.length === 0;
  if (options.backfill !== undefined) {
    const slice = await planSlice(session, table, options.backfill);
    const nextSweep = appends && sweep !== null && 'proof' in sweep ? { snapshot, proof: sweep.proof } : null;
    const plan = planBackfill({ table, ...last, slice, nextSweep });
    return appends ? settleAppend(plan, await countAppended(session, table, null, snapshot), 0) : plan;
  }
  const proof = shape === null ? null : bindToShape(await proveCursor(session, table, guard.timeline), shape);
  const plan = planRead({ table, ...last, guard, snapshot, proof, sweep });
  if (!appends || plan.idle) return plan;
  const knownRows = last.known?.files.reduce((sum, file) => sum + file.rows, 0) ?? 0;
  return settleAppend(plan, await countAppended(session, table, plan.swept, snapshot), knownRows);
}

/** What a read did that its mode does not say by itself; null when there is nothing to say. */
function describeRead(plan: ReadPlan, { mode, updated, deleted }: TableOutcome): string | null {
  if (plan.slice !== undefined) return plan.slice.note;
  const usual = plan.how === 'whole' && mode !== 'full' && plan.why !== null ? `whole table: ${plan.why}` : plan.why;
  const swept = plan.why === null ? null : `swept by transaction: ${plan.why}; deletes are not seen`;
  const changed = updated + deleted > 0 ? 'rows of this append table were updated or deleted' : null;
  const parts = [plan.how === 'sweep' ? swept : usual, mode === 'append' ? changed : null];
  return parts.filter((part) => part !== null).join('; ') || null;
}

function noteOf(outcome: TableOutcome, changed: boolean): string {
  if (!changed) return 'unchanged';
  const { inserted, updated, deleted, quarantined, note } = outcome;
  const setAside = quarantined === 0 ? [] : [`${quarantined} set aside`];
  return [`+${inserted} ~${updated} -${deleted}`, ...setAside, ...(note === undefined ? [] : [note])].join(', ');
}

function sessionOptions(options: ExtractOptions, limits: Required<ExtractLimits>): SessionOptions {
  return {
    url: options.url,
    applicationName: `sluice/${options.version} extract ${options.sources.map((source) => source.name).join(',')}`,
    statementTimeoutMs: limits.statementTimeoutMs,
    lockTimeoutMs: limits.lockTimeoutMs,
    maskSecret: options.maskSecret,
    signal: options.signal,
  };
}

/** The session, and DuckDB in `dir` for what the encoder does not know. */
async function withSession<T>(
  options: ExtractOptions,
  limits: Required<ExtractLimits>,
  dir: string,
  work: (session: SourceSession, db: DuckDbOnDemand) => Promise<T>,
): Promise<T> {
  const path = join(dir, 'extract.duckdb');
  const tempDirectory = join(dir, 'spill');
  const db = openDuckDbOnDemand({ path, tempDirectory, memoryLimitMb: limits.memoryMb, threads: limits.threads });
  const closeDuckDb = async (): Promise<void> => {
    if (!(await db.close())) return;
    for (const leftover of [path, `${path}.wal`, tempDirectory]) await rm(leftover, { recursive: true, force: true });
  };
  let session: SourceSession | undefined;
  try {
    session = await openSession(sessionOptions(options, limits));
    return await work(session, db);
  } finally {
    await Promise.all([session?.close(), closeDuckDb()]);
  }
}

function stateOf(state: BronzeState, source: string): BronzeState['sources'][number] {
  const found = state.sources.find((candidate) => candidate.source === source);
  if (found === undefined)
    throw new SluiceError('INTERNAL', `The state of the source ${source} was not read before its extraction.`);
  return found;
}

/** Folders of batches that were killed more than a day ago. */
async function sweep(workDir: string): Promise<void> {
  const names = await readdir(workDir).catch(() => []);
  for (const name of names.filter((candidate) => candidate.startsWith('extract-'))) {
    const path = join(workDir, name);
    const found = await stat(path).catch(() => undefined);
    if (found !== undefined && Date.now() - found.mtimeMs > 24 * 3600 * 1000)
      await rm(path, { recursive: true, force: true });
  }
}

/** 20261121T081500Z */
function compactInstant(instant: Date): string {
  return `${instant.toISOString().slice(0, 19).replaceAll(/[-:]/g, '')}Z`;
}
