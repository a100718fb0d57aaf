import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { zstdCompress, zstdDecompress } from 'node:zlib';
import { z } from 'zod';
import { isSluiceError, messageOf } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { ListedObject, ObjectStore } from '../core/object-store.ts';
import { consistency, contract, identity, mode, quarantineFile, snapshot, watermark } from './commit-format.ts';
import { logKey } from './commit-log.ts';
import type { SourceHistory, TableHistory } from './source-history.ts';

/**
 * The folded log up to a commit, so that opening a long log does not read all of it:
 *
 *   bronze/<source>/_checkpoints/<20-digit number>-<16 hex of the commit's SHA-256>.json.zst
 *
 * A header line with the SHA-256 of what follows, then the history. It is a cache: whoever commits writes one every CHECKPOINT_EVERY
 * commits, and a reader takes it only when it is whole and the log still holds the very commit that it was made after. All else is
 * passed over for an older one or the log.
 */

/** Raised whenever the document or the rules of source-history.ts change: other formats are passed over. */
export const CHECKPOINT_FORMAT = 1;
export const CHECKPOINT_EVERY = 100;
/** Checkpoints left in place when a new one is written: a reader may have listed them a moment ago. */
const KEPT = 2;
/** Largest document written, in bytes before compression; a string of JavaScript ends at 512 MB. */
const MAX_BYTES = 256 * 1024 * 1024;

const header = z.strictObject({
  format: z.literal(CHECKPOINT_FORMAT),
  source: z.string(),
  number: z.int().positive(),
  commitSha256: z.string(),
  historySha256: z.string(),
});

const files = z.strictObject({
  commits: z.array(z.int().positive()),
  keys: z.array(z.string()),
  rows: z.array(z.int().positive()),
  bytes: z.array(z.int().positive()),
});

const history = z.strictObject({
  identity,
  snapshot,
  tables: z.array(
    z.strictObject({
      name: z.string(),
      contract,
      mode,
      consistency,
      snapshot: snapshot.nullable(),
      quarantined: z.strictObject({
        rows: z.int().nonnegative(),
        files: z.array(quarantineFile.extend({ commit: z.int().positive() })),
      }),
      files,
      lastCommit: z.int().nonnegative(),
      replacedAt: z.int().nonnegative(),
      watermark,
    }),
  ),
});

export function checkpointPrefix(source: string): string {
  return `bronze/${source}/_checkpoints/`;
}

function checkpointKey(source: string, number: number, commitSha256: string): string {
  return `${checkpointPrefix(source)}${String(number).padStart(20, '0')}-${commitSha256.slice(0, 16)}.json.zst`;
}

const NAME = /\/(?<digits>\d{20})-(?<commit>[0-9a-f]{16})\.json\.zst$/;

/** The newest checkpoint that fits the log; undefined when there is none. */
export async function readCheckpoint(store: ObjectStore, source: string, log: Log): Promise<SourceHistory | undefined> {
  for (const { key } of (await listCheckpoints(store, source)).toReversed()) {
    try {
      const found = await openCheckpoint(store, source, key);
      if (found !== undefined) return found;
      log.debug({ key }, 'a checkpoint of another log is passed over');
    } catch (error) {
      // A lake that cannot be reached is told at once: the log lies there too.
      if (isSluiceError(error) && error.code !== 'OBJECT_NOT_FOUND' && error.code !== 'LAKE_CORRUPT') throw error;
      log.warn({ key, reason: messageOf(error) }, 'a checkpoint of the log cannot be used and is passed over');
    }
  }
  return undefined;
}

/** Writes the history's checkpoint and removes old ones. Never throws: the commit stands without it. */
export async function writeCheckpoint(store: ObjectStore, made: SourceHistory, log: Log): Promise<boolean> {
  const { source, number } = made;
  try {
    const commitSha256 = sha256(await store.get(logKey(source, number)));
    const document = await encodeCheckpoint(made, commitSha256);
    if (document === undefined) {
      log.warn({ source, commit: number }, 'the log is too long for a checkpoint');
      return false;
    }
    const written = await store.putIfAbsent(checkpointKey(source, number, commitSha256), document);
    const older = (await listCheckpoints(store, source)).filter(({ key }) => checkpointNumber(key) < number);
    for (const { key } of older.slice(0, -(KEPT - 1))) await store.delete(key);
    return written;
  } catch (error) {
    log.warn({ source, commit: number, reason: messageOf(error) }, 'no checkpoint of the log was written');
    return false;
  }
}

/** By number, ascending. What is named otherwise is none. */
export async function listCheckpoints(store: ObjectStore, source: string): Promise<readonly ListedObject[]> {
  const all = await Array.fromAsync(store.list(checkpointPrefix(source)));
  return all.filter(({ key }) => NAME.test(key));
}

/** Number of the commit that a checkpoint was made after, by its key. */
export function checkpointNumber(key: string): number {
  return Number(NAME.exec(key)?.groups?.['digits']);
}

/** True when the log holds the very commit that the checkpoint was made after. */
export async function fitsLog(store: ObjectStore, source: string, key: string): Promise<boolean> {
  return (await commitOf(store, source, key)) !== undefined;
}

/** SHA-256 of the commit that a checkpoint was made after; undefined when the log holds another, or none. */
async function commitOf(store: ObjectStore, source: string, key: string): Promise<string | undefined> {
  const number = checkpointNumber(key);
  const commit = await store.get(logKey(source, number)).catch((error: unknown) => {
    if (isSluiceError(error, 'OBJECT_NOT_FOUND')) return undefined;
    throw error;
  });
  if (commit === undefined) return undefined;
  const commitSha256 = sha256(commit);
  return key === checkpointKey(source, number, commitSha256) ? commitSha256 : undefined;
}

/** Undefined when it was made after another commit than the log holds. Throws when it is damaged. */
async function openCheckpoint(store: ObjectStore, source: string, key: string): Promise<SourceHistory | undefined> {
  const commitSha256 = await commitOf(store, source, key);
  if (commitSha256 === undefined) return undefined;
  return decodeCheckpoint(await store.get(key), { source, number: checkpointNumber(key), commitSha256 });
}

async function encodeCheckpoint(made: SourceHistory, commitSha256: string): Promise<Uint8Array | undefined> {
  const { source, number, identity: from, snapshot: at } = made;
  const tables = [...made.tables].map(([name, { files: list, ...table }]) => ({
    name,
    ...table,
    files: {
      commits: list.map((file) => file.commit),
      keys: list.map((file) => file.key),
      rows: list.map((file) => file.rows),
      bytes: list.map((file) => file.bytes),
    },
  }));
  const estimate = tables.reduce(
    (sum, table) => sum + table.files.keys.join('').length + 40 * table.files.keys.length,
    0,
  );
  if (estimate > MAX_BYTES) return undefined;
  const body = Buffer.from(JSON.stringify({ identity: from, snapshot: at, tables }));
  if (body.length > MAX_BYTES) return undefined;
  const head = { format: CHECKPOINT_FORMAT, source, number, commitSha256, historySha256: sha256(body) };
  return promisify(zstdCompress)(Buffer.concat([Buffer.from(`${JSON.stringify(head)}\n`), body]));
}

async function decodeCheckpoint(
  packed: Uint8Array,
  expected: { readonly source: string; readonly number: number; readonly commitSha256: string },
): Promise<SourceHistory> {
  const bytes = await promisify(zstdDecompress)(packed, { maxOutputLength: MAX_BYTES + 65_536 });
  const end = bytes.indexOf(10);
  const head = header.parse(JSON.parse(bytes.toString('utf8', 0, end)));
  const body = bytes.subarray(end + 1);
  const { source, number } = expected;
  if (head.source !== source || head.number !== number || head.commitSha256 !== expected.commitSha256)
    throw new Error(`it calls itself ${head.source} number ${head.number}`);
  if (head.historySha256 !== sha256(body)) throw new Error('its content has another SHA-256 than its header says');
  const { tables, ...facts } = history.parse(JSON.parse(body.toString('utf8')));
  return { source, number, ...facts, tables: new Map(tables.map(({ name, ...table }) => [name, toTable(table)])) };
}

function toTable({ files: list, ...table }: Omit<z.infer<typeof history>['tables'][number], 'name'>): TableHistory {
  const { commits, keys, rows, bytes } = list;
  if (commits.length !== keys.length || rows.length !== keys.length || bytes.length !== keys.length)
    throw new Error('its lists of files differ in length');
  const joined = keys.map((key, i) => ({ commit: commits[i] ?? 0, key, rows: rows[i] ?? 0, bytes: bytes[i] ?? 0 }));
  return { ...table, files: joined };
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
