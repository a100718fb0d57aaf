import { randomUUID } from 'node:crypto';
import type { ObjectStore } from './object-store.ts';

/** What a janitor finds, and the rules that hold for all of them. */

export interface Garbage {
  readonly kind: 'bronze' | 'checkpoint' | 'upload' | 'release' | 'local';
  /** Object key, or path of a local file or folder. */
  readonly place: string;
  readonly bytes: number;
  readonly ageMs: number;
  readonly why: string;
}

export interface SweepOptions {
  readonly store: ObjectStore;
  /** Nothing younger goes: it may belong to a run that has not committed yet. */
  readonly olderThanMs: number;
  /** The store's present time, as storeNow() gives it. */
  readonly nowMs: number;
  /** Only tells what it would remove. */
  readonly dryRun: boolean;
  readonly signal?: AbortSignal | undefined;
}

const CLOCK_PREFIX = '_clock/';

/** The present time by the store's own clock, or by ours where that is behind: ages are never overestimated by a clock that is ahead. Writes and removes one small object. */
export async function storeNow(store: ObjectStore): Promise<number> {
  const key = `${CLOCK_PREFIX}${randomUUID()}`;
  await store.putIfAbsent(key, new Uint8Array([10]));
  try {
    for await (const { modifiedMs } of store.list(key)) return Math.min(modifiedMs, Date.now());
    return 0; // removed by another janitor: then nothing is old
  } finally {
    await store.delete(key);
  }
}
