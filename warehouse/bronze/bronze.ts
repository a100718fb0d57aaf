import { existsSync } from 'node:fs';
import {
  BRONZE_COMMIT_FORMAT,
  type BronzeCommit,
  type BronzeCommitDraft,
  type BronzeFile,
  type BronzeSourceOverview,
  type BronzeSourceState,
  type BronzeState,
  type QuarantineFile,
} from '../core/bronze-commit.ts';
import type { BronzeSnapshot, BronzeTable } from '../core/bronze-table.ts';
import { type Clock, systemClock } from '../core/clock.ts';
import { isSluiceError, messageOf, SluiceError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import { mapLimited } from '../core/map-limited.ts';
import type { ObjectStore } from '../core/object-store.ts';
import { CHECKPOINT_EVERY, readCheckpoint, writeCheckpoint } from './checkpoint.ts';
import { decodeCommit, encodeCommit } from './commit-format.ts';
import { logKey, readCommit, readCommits } from './commit-log.ts';
import { emptyHistory, foldCommits, type SourceHistory } from './source-history.ts';

export interface Bronze {
  /** Number of the source's last commit; 0 when it has none. */
  head(source: string): Promise<number>;
  /** Commits after a number (0 when not given), oldest first. */
  commits(source: string, after?: number): AsyncIterable<BronzeCommit>;
  /** The tables of some sources as local files, as of their last commits. */
  snapshot(sources: readonly string[]): Promise<BronzeSnapshot>;
  /** The tables as they stood after these commits of their sources. */
  snapshotAt(commits: Readonly<Record<string, number>>): Promise<BronzeSnapshot>;
  /** The same with watermarks and identities: what the next extraction starts from. */
  state(sources: readonly string[]): Promise<BronzeState>;
  /** What the log says of some sources and their tables, without bringing any file here. */
  overview(sources: readonly string[]): Promise<readonly BronzeSourceOverview[]>;
  /** Uploads the draft's files, then makes the commit by one exclusive write. Safe to call again with the same draft. Throws COMMIT_CONFLICT when another run took the number. */
  commit(source: string, draft: BronzeCommitDraft): Promise<BronzeCommit>;
}

/** Files that are brought here at once: a lake in S3 answers each in milliseconds, one after another in minutes. */
const PARALLEL_FETCHES = 8;

/** Bronze over any object store. Holds no state but a cache of the log it has read. */
export function openBronze({
  store,
  log,
  clock = systemClock,
}: {
  store: ObjectStore;
  log: Log;
  clock?: Clock;
}): Bronze {
  const cache = new Map<string, SourceHistory>();
  /** Number of the last checkpoint that could be read or was written; absent while the source was not opened. */
  const checkpoints = new Map<string, number>();

  const historyOf = async (source: string): Promise<SourceHistory> => {
    const known = cache.get(source) ?? (await readCheckpoint(store, source, log)) ?? emptyHistory(source);
    if (!checkpoints.has(source)) checkpoints.set(source, known.number);
    const history = await foldCommits(known, readCommits(store, source, known.number));
    cache.set(source, history);
    return history;
  };

  /** Read from the log's beginning: a checkpoint says what is, not what was. */
  const historyAt = async (source: string, number: number): Promise<SourceHistory> => {
    const now = await historyOf(source);
    if (now.number === number) return now;
    return foldCommits(emptyHistory(source), commitsUpTo(readCommits(store, source, 0), number));
  };

  /** After a commit: the next reader of a long log starts here. */
  const keepCheckpoint = async (source: string, history: SourceHistory): Promise<void> => {
    if (history.number - (checkpoints.get(source) ?? 0) < CHECKPOINT_EVERY) return;
    // Noted even where it failed, so that a store that refuses is not asked at every commit.
    checkpoints.set(source, history.number);
    await writeCheckpoint(store, history, log);
  };

  const snapshotOf = async (histories: readonly SourceHistory[]): Promise<BronzeSnapshot> => {
    const files = histories.flatMap((history) => [...history.tables.values()].flatMap((entry) => entry.files));
    const paths = await mapLimited(files, PARALLEL_FETCHES, ({ key, commit }) => localPath(store, key, commit));
    const pathOf = new Map(files.map((file, index) => [file, paths[index] ?? '']));
    const tables: BronzeTable[] = [];
    for (const history of histories) {
      for (const [table, entry] of history.tables) {
        const aside = [];
        for (const { commit, key, bytes } of entry.quarantined.files)
          aside.push({ commit, path: await localPath(store, key, commit), bytes });
        const { contract, lastCommit, replacedAt } = entry;
        const known: BronzeTable = {
          source: history.source,
          table,
          contract,
          files: entry.files.map((file) => ({ commit: file.commit, path: pathOf.get(file) ?? '', rows: file.rows })),
          lastCommit,
          replacedAt,
        };
        tables.push(aside.length === 0 ? known : { ...known, aside });
      }
    }
    const readAt = histories.flatMap(({ source, snapshot }) =>
      snapshot === null ? [] : [[source, snapshot.at] as const],
    );
    return {
      tables,
      commits: Object.fromEntries(histories.map((history) => [history.source, history.number])),
      ...(readAt.length > 0 && { readAt: Object.fromEntries(readAt) }),
    };
  };

  return {
    head: async (source) => (await historyOf(source)).number,
    commits: (source, after = 0) => readCommits(store, source, after),
    snapshot: async (sources) => snapshotOf(await Promise.all(sources.map(historyOf))),
    snapshotAt: async (commits) =>
      snapshotOf(await Promise.all(Object.entries(commits).map(([source, number]) => historyAt(source, number)))),
    state: async (sources) => {
      const histories = await Promise.all(sources.map(historyOf));
      return { snapshot: await snapshotOf(histories), sources: histories.map(toSourceState) };
    },

    overview: async (sources) => (await Promise.all(sources.map(historyOf))).map(toOverview),

    commit: async (source, draft) => {
      const key = logKey(source, draft.number);
      const history = await historyOf(source);
      const previous = history.number;
      if (previous > draft.number - 1) return settleTaken(store, draft, previous);
      if (previous < draft.number - 1) throw missingPredecessor(draft, previous);
      const { entry, uploads } = describeCommit(source, draft, clock.now());
      const { number } = entry;
      const bytes = encodeCommit(entry);
      const written = decodeOwn(bytes, key, entry);
      const begun = clock.now().getTime();
      for (const upload of uploads) await putOnce(store, upload, begun);
      // The janitor takes what is a day old and unnamed: after a long upload or a sleep of the machine, the files are looked for once more.
      if (clock.now().getTime() - begun > FRESH_MS) for (const upload of uploads) await requireStored(store, upload);
      if (!(await store.putIfAbsent(key, bytes))) {
        const winner = await settleTaken(store, draft, number).catch(async (error: unknown) => {
          // Nothing names these files and nothing ever will: their names hold this extraction's own batch.
          for (const orphan of uploads) await store.delete(orphan.key);
          throw error;
        });
        return winner;
      }
      log.info({ source, commit: number, tables: Object.keys(entry.tables).length }, 'bronze commit');
      const now = await foldCommits(history, [written]);
      cache.set(source, now);
      await keepCheckpoint(source, now);
      return written;
    },
  };
}

function toOverview(history: SourceHistory): BronzeSourceOverview {
  const { source, number, snapshot } = history;
  const tables = [...history.tables].map(([table, entry]) => {
    const { mode, watermark, consistency, quarantined, snapshot: readAt, lastCommit, replacedAt, files } = entry;
    const rowsLogged = files.reduce((sum, file) => sum + file.rows, 0);
    const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
    const state = { mode, watermark, consistency, quarantined, snapshot: readAt };
    return { table, ...state, lastCommit, replacedAt, rowsLogged, bytes, files: files.length };
  });
  return { source, number, snapshot, tables };
}

function toSourceState(history: SourceHistory): BronzeSourceState {
  const tables = [...history.tables].map(
    ([table, { mode, watermark, consistency, snapshot, quarantined }]) =>
      [table, { mode, watermark, consistency, snapshot, quarantined }] as const,
  );
  const { source, number, identity, snapshot } = history;
  return { source, number, identity, snapshot, tables: new Map(tables) };
}

interface Upload {
  readonly key: string;
  readonly localPath: string;
  readonly bytes: number;
}

/** The commit a draft becomes, and the files that must stand before it does. */
function describeCommit(
  source: string,
  draft: BronzeCommitDraft,
  now: Date,
): { readonly entry: BronzeCommit; readonly uploads: readonly Upload[] } {
  const uploads: Upload[] = [];
  const place = <File extends { readonly localPath: string; readonly bytes: number }>(
    { localPath: path, ...facts }: File,
    key: string,
  ): Omit<File, 'localPath'> & { readonly key: string } => {
    uploads.push({ key, localPath: path, bytes: facts.bytes });
    return { key, ...facts };
  };
  const tables = Object.entries(draft.tables).map(([table, entry]) => {
    const folder = `bronze/${source}/${keySegment(table)}/${draft.batch}`;
    const files: BronzeFile[] = entry.files.map((file, chunk) => place(file, `${folder}/${chunkName(chunk)}.parquet`));
    const aside: QuarantineFile[] = (entry.quarantined ?? []).map((file, chunk) =>
      place(file, `${folder}/quarantine-${chunkName(chunk)}.ndjson`),
    );
    const quarantined = { rows: aside.reduce((sum, file) => sum + file.rows, 0), files: aside };
    return [table, { ...entry, consistency: entry.consistency ?? 'exact', files, quarantined }] as const;
  });
  const { number, batch, identity, snapshot } = draft;
  const entry: BronzeCommit = {
    format: BRONZE_COMMIT_FORMAT,
    source,
    number,
    batch,
    committedAt: now.toISOString(),
    identity,
    snapshot,
    tables: Object.fromEntries(tables),
  };
  return { entry, uploads };
}

function chunkName(chunk: number): string {
  return String(chunk).padStart(5, '0');
}

/** What was encoded, read as everybody will read it: a commit that nobody can read would end the log. */
function decodeOwn(bytes: Uint8Array, key: string, entry: BronzeCommit): BronzeCommit {
  try {
    const read = decodeCommit(bytes, key, entry);
    const lost = Object.keys(entry.tables).find((table) => !Object.hasOwn(read.tables, table));
    if (lost === undefined) return read;
    throw new Error(`its table ${lost} would be lost`);
  } catch (error) {
    throw new SluiceError('INTERNAL', `The batch cannot be written as a commit: ${messageOf(error)}`, { cause: error });
  }
}

/** An entry already stands under the draft's number: our own from a call whose answer was lost, or another run's. */
async function settleTaken(store: ObjectStore, draft: BronzeCommitDraft, head: number): Promise<BronzeCommit> {
  const taken = await readCommit(store, draft.source, draft.number);
  if (taken?.batch === draft.batch) return taken;
  throw new SluiceError(
    'COMMIT_CONFLICT',
    `Another run committed ${draft.source} number ${draft.number} first (the log is at ${head}).`,
    {
      remedy: 'Run again: it starts from what the other run carried.',
      retryable: true,
      details: { source: draft.source, number: draft.number, head },
    },
  );
}

function missingPredecessor(draft: BronzeCommitDraft, head: number): SluiceError {
  return new SluiceError(
    'LAKE_CORRUPT',
    `The log of source ${draft.source} ends at ${head}, but the batch follows commit ${draft.number - 1}.`,
    {
      remedy: 'Check that nobody removed commits from the lake and that the batch belongs to it; then run again.',
    },
  );
}

/** Files of a commit are put up, or up again, at most so long before its entry; far less than the janitor's limit. */
const FRESH_MS = 3_600_000;

/** Uploads a file; one that an earlier call of the same commit brought a moment ago is left as it is. */
async function putOnce(store: ObjectStore, { key, localPath: path, bytes }: Upload, now: number): Promise<void> {
  const existing = await store.head(key);
  if (existing === undefined) return store.putFile(key, path);
  if (existing.bytes !== bytes)
    throw new SluiceError(
      'LAKE_CORRUPT',
      `The lake holds ${key} with ${existing.bytes} bytes where ${bytes} were written.`,
      {
        remedy: 'Check the disk of the lake, remove the object (no commit names it) and run again.',
      },
    );
  for await (const { key: listed, modifiedMs } of store.list(key)) {
    if (listed !== key || now - modifiedMs < FRESH_MS || !existsSync(path)) continue;
    await store.delete(key);
    return store.putFile(key, path);
  }
}

async function requireStored(store: ObjectStore, { key, bytes }: Upload): Promise<void> {
  if ((await store.head(key))?.bytes === bytes) return;
  throw new SluiceError('LAKE_UNREACHABLE', `The file ${key} went away while its batch waited for its commit.`, {
    remedy: 'Run again: nothing was committed, and the batch is read anew.',
    retryable: true,
  });
}

async function localPath(store: ObjectStore, key: string, commit: number): Promise<string> {
  try {
    return await store.toLocalFile(key);
  } catch (error) {
    if (!isSluiceError(error, 'OBJECT_NOT_FOUND')) throw error;
    throw new SluiceError('LAKE_CORRUPT', `Commit ${commit} names ${key}, which the lake ${store.url} does not hold.`, {
      remedy: 'Restore the object from a copy of the lake; without it bronze is not whole.',
      cause: error,
    });
  }
}

/** A table's name as one plain folder name, free of what paths and globs give a meaning. */
function keySegment(table: string): string {
  // A leading underscore is the engine's own: _log, _checkpoints.
  return encodeURIComponent(table).replace(
    /^_|[.!'()*~]/g,
    (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

async function* commitsUpTo(commits: AsyncIterable<BronzeCommit>, number: number): AsyncGenerator<BronzeCommit> {
  for await (const commit of commits) {
    if (commit.number > number) return;
    yield commit;
  }
}
