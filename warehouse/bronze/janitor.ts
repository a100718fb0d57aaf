import { SluiceError } from '../core/errors.ts';
import type { Garbage, SweepOptions } from '../core/garbage.ts';
import type { ListedObject, ObjectStore } from '../core/object-store.ts';
import { checkpointNumber, checkpointPrefix, fitsLog, listCheckpoints } from './checkpoint.ts';
import { readCommits } from './commit-log.ts';

/**
 * Removes what killed runs left in bronze: files that no commit names. The order makes it safe beside running ones:
 *
 *   read the log → list the objects: old, and named by no commit → before each handful, read what was committed since → remove
 *
 * Commits and what is not of bronze's own layout are never touched. A commit() puts its files up at most an hour before its entry (it looks
 * again where it took longer), so what is older than the limit and unnamed can never be named.
 */
export async function* sweepBronze(options: SweepOptions): AsyncGenerator<Garbage> {
  for await (const source of listSources(options.store)) {
    yield* sweepFiles(options, source);
    yield* sweepCheckpoints(options, source);
  }
  yield* sweepUploads(options);
}

const OWN_FILE = /^bronze\/[^/]+\/(?!_)[^/]+\/[^/]+\/(?:\d{5}\.parquet|quarantine-\d{5}\.ndjson)$/;
/** Objects removed before the log is looked at again. */
const HANDFUL = 100;

/** Names under bronze/, each found by one listing that begins behind the last. */
async function* listSources(store: ObjectStore): AsyncGenerator<string> {
  let startAfter = 'bronze/';
  for (;;) {
    let source: string | undefined;
    for await (const { key } of store.list('bronze/', { startAfter })) {
      const [, name, rest] = key.split('/');
      startAfter = key;
      if (rest === undefined || name === undefined) continue;
      source = name;
      break;
    }
    if (source === undefined) return;
    yield source;
    startAfter = `bronze/${source}0`; // 0 follows the slash: behind every key of the source
  }
}

async function* sweepFiles(options: SweepOptions, source: string): AsyncGenerator<Garbage> {
  const { store, dryRun, signal } = options;
  const named = new Set<string>();
  let head = await addNamed(options, source, 0, named);
  await refuseCutLog(options, source, head);
  let handful: ListedObject[] = [];
  const remove = async function* (): AsyncGenerator<Garbage> {
    head = await addNamed(options, source, head, named);
    for (const object of handful) {
      signal?.throwIfAborted();
      if (named.has(object.key)) continue;
      if (!dryRun) await store.delete(object.key);
      yield describe(options, object, 'bronze', 'no commit names it');
    }
    handful = [];
  };
  for await (const object of store.list(`bronze/${source}/`)) {
    if (!isOld(options, object) || !OWN_FILE.test(object.key) || named.has(object.key)) continue;
    handful.push(object);
    if (handful.length >= HANDFUL) yield* remove();
  }
  yield* remove();
}

/** Adds what commits after a number name, and gives the log's head. A gap in the log is LAKE_CORRUPT: then nothing is removed. */
async function addNamed({ store }: SweepOptions, source: string, after: number, named: Set<string>): Promise<number> {
  let head = after;
  for await (const commit of readCommits(store, source, after)) {
    head = commit.number;
    for (const { files, quarantined } of Object.values(commit.tables))
      for (const { key } of [...files, ...quarantined.files]) named.add(key);
  }
  return head;
}

/** A checkpoint of a commit that the log lacks says that commits were removed: their files can still be restored to. */
async function refuseCutLog({ store }: SweepOptions, source: string, head: number): Promise<void> {
  const last = (await listCheckpoints(store, source)).at(-1);
  const number = last === undefined ? 0 : checkpointNumber(last.key);
  // Commits may have been added since the log was read.
  if (last === undefined || number <= head || (await fitsLog(store, source, last.key))) return;
  throw new SluiceError(
    'LAKE_CORRUPT',
    `The log of source ${source} ends at ${head}, but ${last.key} was made after commit ${number}.`,
    {
      remedy: `Restore the commits from a copy of the lake. If they are to be gone, remove ${checkpointPrefix(source)} first; nothing was removed.`,
    },
  );
}

/** Those of commits that the log does not hold. Ones that fit are left: whoever writes the next removes them. */
async function* sweepCheckpoints(options: SweepOptions, source: string): AsyncGenerator<Garbage> {
  for (const object of await listCheckpoints(options.store, source)) {
    if (!isOld(options, object) || (await fitsLog(options.store, source, object.key))) continue;
    if (!options.dryRun) await options.store.delete(object.key);
    yield describe(options, object, 'checkpoint', 'it fits no commit of the log');
  }
}

/** Parts of uploads that a killed process began. */
async function* sweepUploads(options: SweepOptions): AsyncGenerator<Garbage> {
  const { store, nowMs, olderThanMs, dryRun } = options;
  for (const prefix of ['bronze/', 'warehouse/']) {
    for await (const upload of store.unfinishedUploads?.(prefix) ?? []) {
      const ageMs = nowMs - upload.startedMs;
      if (ageMs < olderThanMs) continue;
      if (!dryRun) await store.abortUpload?.(upload);
      yield { kind: 'upload', place: upload.key, bytes: 0, ageMs, why: 'its upload was never finished' };
    }
  }
}

function isOld({ nowMs, olderThanMs }: SweepOptions, { modifiedMs }: ListedObject): boolean {
  return nowMs - modifiedMs >= olderThanMs;
}

function describe({ nowMs }: SweepOptions, object: ListedObject, kind: Garbage['kind'], why: string): Garbage {
  return { kind, place: object.key, bytes: object.bytes, ageMs: nowMs - object.modifiedMs, why };
}
