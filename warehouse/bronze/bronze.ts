import {
  BRONZE_COMMIT_FORMAT,
  type BronzeCommit,
  type BronzeCommitDraft,
  type BronzeFile,
  type BronzeSourceState,
  type BronzeState,
  type BronzeTableCommit,
} from '../core/bronze-commit.ts';
import type { BronzeSnapshot, BronzeTable } from '../core/bronze-table.ts';
import { type Clock, systemClock } from '../core/clock.ts';
import { isSluiceError, SluiceError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import { mapLimited } from '../core/map-limited.ts';
import type { ObjectStore } from '../core/object-store.ts';
import { encodeCommit } from './commit-format.ts';
import { emptyHistory, foldCommit, logKey, readCommits, type SourceHistory } from './commit-log.ts';

export interface Bronze {
  /** Number of the source's last commit; 0 when it has none. */
  head(source: string): Promise<number>;
  /** Commits after a number (0 when not given), oldest first. */
  commits(source: string, after?: number): AsyncIterable<BronzeCommit>;
  /** The tables of some sources as local files, as of their last commits. */
  snapshot(sources: readonly string[]): Promise<BronzeSnapshot>;
  /** The same with watermarks and identities: what the next extraction starts from. */
  state(sources: readonly string[]): Promise<BronzeState>;
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

  const historyOf = async (source: string): Promise<SourceHistory> => {
    let history = cache.get(source) ?? emptyHistory(source);
    for await (const commit of readCommits(store, source, history.number)) history = foldCommit(history, commit);
    cache.set(source, history);
    return history;
  };

  const snapshotOf = async (histories: readonly SourceHistory[]): Promise<BronzeSnapshot> => {
    const files = histories.flatMap((history) => [...history.tables.values()].flatMap((entry) => entry.files));
    const paths = await mapLimited(files, PARALLEL_FETCHES, ({ key, commit }) => localPath(store, key, commit));
    const pathOf = new Map(files.map((file, index) => [file, paths[index] ?? '']));
    const tables: BronzeTable[] = [];
    for (const history of histories) {
      for (const [table, entry] of history.tables) {
        const { contract, lastCommit, replacedAt } = entry;
        tables.push({
          source: history.source,
          table,
          contract,
          files: entry.files.map((file) => ({ commit: file.commit, path: pathOf.get(file) ?? '', rows: file.rows })),
          lastCommit,
          replacedAt,
        });
      }
    }
    return { tables, commits: Object.fromEntries(histories.map((history) => [history.source, history.number])) };
  };

  return {
    head: async (source) => (await historyOf(source)).number,
    commits: (source, after = 0) => readCommits(store, source, after),
    snapshot: async (sources) => snapshotOf(await Promise.all(sources.map(historyOf))),
    state: async (sources) => {
      const histories = await Promise.all(sources.map(historyOf));
      return { snapshot: await snapshotOf(histories), sources: histories.map(toSourceState) };
    },

    commit: async (source, draft) => {
      const key = logKey(source, draft.number);
      const previous = (await historyOf(source)).number;
      if (previous > draft.number - 1) return settleTaken(store, draft, previous);
      if (previous < draft.number - 1) throw missingPredecessor(draft, previous);
      const uploaded: string[] = [];
      const tables: Record<string, BronzeTableCommit> = {};
      for (const [table, entry] of Object.entries(draft.tables)) {
        const files: BronzeFile[] = [];
        for (const [chunk, { localPath: path, ...facts }] of entry.files.entries()) {
          const fileKey = `bronze/${source}/${keySegment(table)}/${draft.batch}/${String(chunk).padStart(5, '0')}.parquet`;
          await putOnce(store, fileKey, path, facts.bytes);
          uploaded.push(fileKey);
          files.push({ key: fileKey, ...facts });
        }
        tables[table] = { ...entry, files };
      }
      const { number, batch, identity, snapshot } = draft;
      const committedAt = clock.now().toISOString();
      const entry: BronzeCommit = {
        format: BRONZE_COMMIT_FORMAT,
        source,
        number,
        batch,
        committedAt,
        identity,
        snapshot,
        tables,
      };
      if (!(await store.putIfAbsent(key, encodeCommit(entry)))) {
        const winner = await settleTaken(store, draft, number).catch(async (error: unknown) => {
          // Nothing names these files and nothing ever will: their names hold this extraction's own batch.
          for (const orphan of uploaded) await store.delete(orphan);
          throw error;
        });
        return winner;
      }
      log.info({ source, commit: number, tables: Object.keys(tables).length }, 'bronze commit');
      return entry;
    },
  };
}

function toSourceState(history: SourceHistory): BronzeSourceState {
  const tables = [...history.tables].map(([table, { mode, watermark }]) => [table, { mode, watermark }] as const);
  const { source, number, identity, snapshot } = history;
  return { source, number, identity, snapshot, tables: Object.fromEntries(tables) };
}

/** An entry already stands under the draft's number: our own from a call whose answer was lost, or another run's. */
async function settleTaken(store: ObjectStore, draft: BronzeCommitDraft, head: number): Promise<BronzeCommit> {
  for await (const commit of readCommits(store, draft.source, draft.number - 1)) {
    if (commit.batch === draft.batch) return commit;
    break;
  }
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

/** Uploads a file; one that an earlier call of the same commit brought already is left as it is. */
async function putOnce(store: ObjectStore, key: string, path: string, bytes: number): Promise<void> {
  const existing = await store.head(key);
  if (existing === undefined) return store.putFile(key, path);
  if (existing.bytes === bytes) return;
  throw new SluiceError(
    'LAKE_CORRUPT',
    `The lake holds ${key} with ${existing.bytes} bytes where ${bytes} were written.`,
    {
      remedy: 'Check the disk of the lake, remove the object (no commit names it) and run again.',
    },
  );
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
  return encodeURIComponent(table).replace(/[.!'()*~]/g, (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`);
}
