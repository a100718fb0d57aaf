import type { BronzeCommit } from '../core/bronze-commit.ts';
import { isSluiceError, SluiceError } from '../core/errors.ts';
import type { ObjectStore } from '../core/object-store.ts';
import { decodeCommit } from './commit-format.ts';

/** Reading the log: bronze/<source>/_log/<20-digit number>.json, numbered from 1 without gaps. */

export function logPrefix(source: string): string {
  return `bronze/${source}/_log/`;
}

export function logKey(source: string, number: number): string {
  return `${logPrefix(source)}${String(number).padStart(20, '0')}.json`;
}

/** Commits fetched ahead of the one that is looked at: a long log on S3 is read in round trips of so many. */
const AHEAD = 16;

/** Commits after a number, in order. A gap in the numbers is LAKE_CORRUPT: something removed history. */
export async function* readCommits(store: ObjectStore, source: string, after: number): AsyncGenerator<BronzeCommit> {
  const arriving: Promise<BronzeCommit>[] = [];
  let number = after;
  for await (const { key } of store.list(logPrefix(source), { startAfter: logKey(source, after) })) {
    number++;
    if (key !== logKey(source, number)) {
      // What comes before the gap is handed out first.
      yield* arriving.splice(0);
      throw new SluiceError(
        'LAKE_CORRUPT',
        `The log of source ${source} has ${key} where commit ${number} should be.`,
        {
          remedy: `Restore ${logKey(source, number)} from a copy of the lake and remove what does not belong there.`,
        },
      );
    }
    const commit = fetchCommit(store, source, number);
    commit.catch(() => undefined); // awaited below, or nobody wants it any more
    arriving.push(commit);
    const next = arriving.length >= AHEAD ? arriving.shift() : undefined;
    if (next !== undefined) yield await next;
  }
  yield* arriving.splice(0);
}

/** One commit by its number; undefined when the log does not hold it. */
export async function readCommit(
  store: ObjectStore,
  source: string,
  number: number,
): Promise<BronzeCommit | undefined> {
  try {
    return await fetchCommit(store, source, number);
  } catch (error) {
    if (isSluiceError(error, 'OBJECT_NOT_FOUND')) return undefined;
    throw error;
  }
}

async function fetchCommit(store: ObjectStore, source: string, number: number): Promise<BronzeCommit> {
  const key = logKey(source, number);
  return decodeCommit(await store.get(key), key, { source, number });
}
