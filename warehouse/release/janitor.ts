import { isSluiceError } from '../core/errors.ts';
import type { Garbage, SweepOptions } from '../core/garbage.ts';
import { WAREHOUSE_FILES } from '../core/release.ts';
import {
  POINTER_PREFIX,
  PRIVATE_PREFIX,
  parsePointer,
  parsePrivatePointer,
  parseVersion,
  pointerNumberOf,
  privateOf,
  versionKey,
} from './manifest.ts';

/** Private releases stay until they are discarded, the newest of each name. Removes versions that no pointer ever named and files that none of the other versions names: what builds left that were killed while they published. Every release in the log stays, so that each can be rolled back to. */
export async function* sweepReleases(options: SweepOptions): AsyncGenerator<Garbage> {
  const { store, nowMs, olderThanMs, dryRun, signal } = options;
  const named = new Set<string>();
  let head = await addNamed(options, '', named);
  for (const prefix of ['warehouse/files/', 'warehouse/versions/']) {
    for await (const { key, bytes, modifiedMs } of store.list(prefix)) {
      const ageMs = nowMs - modifiedMs;
      if (ageMs < olderThanMs || named.has(key)) continue;
      signal?.throwIfAborted();
      // A build may have published the same content since.
      head = await addNamed(options, head, named);
      if (named.has(key)) continue;
      if (!dryRun) await store.delete(key);
      yield { kind: 'release', place: key, bytes, ageMs, why: 'no release names it' };
    }
  }
}

/** Adds the keys that pointers after one name; gives the last pointer's key. A pointer or version that cannot be read is an error: then nothing is removed. */
async function addNamed({ store }: SweepOptions, after: string, named: Set<string>): Promise<string> {
  let last = after;
  const add = async (version: string): Promise<void> => {
    const document = versionKey(version);
    if (named.has(document)) return;
    const { files } = parseVersion(document, await store.get(document));
    for (const file of WAREHOUSE_FILES) named.add(files[file].key);
    named.add(document);
  };
  const newest = new Map<string, string>();
  for await (const { key } of store.list(PRIVATE_PREFIX)) {
    const found = privateOf(key);
    if (found !== undefined) newest.set(found.name, key);
  }
  for (const key of newest.values()) {
    // Discarded between the listing and now: then nothing is kept for it.
    const bytes = await store.get(key).catch((error: unknown) => {
      if (isSluiceError(error, 'OBJECT_NOT_FOUND')) return undefined;
      throw error;
    });
    if (bytes !== undefined) await add(parsePrivatePointer(key, bytes).version);
  }
  for await (const { key } of store.list(POINTER_PREFIX, after === '' ? {} : { startAfter: after })) {
    if (pointerNumberOf(key) === undefined) continue;
    last = key;
    await add(parsePointer(key, await store.get(key)).version);
  }
  return last;
}
