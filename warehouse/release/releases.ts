import { createHash } from 'node:crypto';
import type { Clock } from '../core/clock.ts';
import { isSluiceError, SluiceError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { ObjectStore } from '../core/object-store.ts';
import type { Release, ReleaseContent, WarehousePaths } from '../core/release.ts';
import {
  encodeDocument,
  POINTER_PREFIX,
  type Pointer,
  parsePointer,
  parseVersion,
  pointerKey,
  pointerNumberOf,
  RELEASE_FORMAT,
  type VersionDocument,
  versionKey,
} from './manifest.ts';
import { createPrivateReleases, type PrivateReleases } from './private-releases.ts';
import { openTurns, type Turns } from './turns.ts';
import {
  cloneFiles,
  createFileCache,
  describeFiles,
  type OwnObjects,
  type StoredFiles,
  uploadFiles,
} from './warehouse-files.ts';

/**
 * Versions of the warehouse behind one pointer.
 *
 *   checkout → build and audit in the clone → publish: files → version document → pointer
 *                                                       (nobody sees them)        (the one write that decides)
 */

export interface ReleaseDraft {
  /** Number of the pointer the build began from; 0 for the first release. */
  readonly base: number;
  /** Checkpointed, closed files. Publishing consumes them: a folder store moves them. */
  readonly paths: WarehousePaths;
  readonly content: ReleaseContent;
}

export interface Releases {
  /** The release readers see; undefined before the first. */
  current(): Promise<Release | undefined>;
  /** By pointer number or by version. Throws RELEASE_NOT_FOUND. */
  get(id: string | number): Promise<Release>;
  /** Newest first, rollbacks included. */
  list(): AsyncIterable<Release>;
  /** A private, writable clone in `dir`; for undefined the paths of files that do not exist yet. */
  checkout(release: Release | undefined, dir: string): Promise<WarehousePaths>;
  /** Makes the draft current. Throws RELEASE_CONFLICT when another release came first; publishing the same draft twice gives the same release. */
  publish(draft: ReleaseDraft): Promise<Release>;
  /** Makes an earlier release current again under a new number; a no-op when its version is current. */
  rollback(to: number): Promise<Release>;
  /** Shared, read-only, verified local copies. */
  fetch(release: Pick<Release, 'files'>): Promise<WarehousePaths>;
  /** Releases that no reader looks at, by name. */
  readonly privates: PrivateReleases;
  /** One build at a time. */
  readonly turns: Turns;
}

export interface ReleasesOptions {
  readonly store: ObjectStore;
  /** Folder of local copies; a cache, safe to delete when nobody reads. */
  readonly cacheDir: string;
  readonly log: Log;
  readonly clock: Clock;
}

export function openReleases({ store, cacheDir, log, clock }: ReleasesOptions): Releases {
  const cache = createFileCache(store, cacheDir);
  const own: OwnObjects = new Map();
  let lastRead: VersionDocument | undefined;
  let newestSeen = 0;

  async function readPointer(number: number): Promise<Pointer> {
    const key = pointerKey(number);
    try {
      return parsePointer(key, await store.get(key));
    } catch (error) {
      if (isSluiceError(error, 'OBJECT_NOT_FOUND')) throw notFound(store, String(number), error);
      throw error;
    }
  }

  async function readVersion(version: string): Promise<VersionDocument> {
    if (lastRead?.version === version) return lastRead;
    const key = versionKey(version);
    lastRead = parseVersion(key, await store.get(key));
    return lastRead;
  }

  async function readRelease(pointer: Pointer): Promise<Release> {
    return toRelease(await readVersion(pointer.version), pointer);
  }

  /** Pointer numbers, ascending. Looks only past the newest one seen before, since numbers never go away. */
  async function* pointerNumbers(after: number): AsyncIterable<number> {
    const options = after > 0 ? { startAfter: pointerKey(after) } : {};
    for await (const { key } of store.list(POINTER_PREFIX, options)) {
      const number = pointerNumberOf(key);
      if (number !== undefined) yield number;
    }
  }

  async function newestNumber(): Promise<number> {
    for await (const number of pointerNumbers(newestSeen)) newestSeen = Math.max(newestSeen, number);
    return newestSeen;
  }

  async function current(): Promise<Release | undefined> {
    const number = await newestNumber();
    return number === 0 ? undefined : readRelease(await readPointer(number));
  }

  /** Appends the pointer; false when the number is taken. */
  async function appendPointer(pointer: Pointer): Promise<boolean> {
    const appended = await store.putIfAbsent(pointerKey(pointer.number), encodeDocument(pointer));
    if (appended) newestSeen = Math.max(newestSeen, pointer.number);
    return appended;
  }

  /** Another release stands on our base: ours, when the answer of an earlier attempt was lost on its way, else a conflict. */
  async function settleTaken(base: number, draft: Comparable): Promise<Release> {
    const newest = await newestNumber();
    const next = newest > base ? await readRelease(await readPointer(base + 1)) : undefined;
    if (next !== undefined && next.kind === 'publish' && isSame(next, draft)) return next;
    throw conflict(base, newest);
  }

  /** Uploads what a version is made of; nobody sees it before a pointer names it. */
  async function putVersion(
    { base, paths, content }: ReleaseDraft,
    files: StoredFiles,
    now: Date,
  ): Promise<{ readonly document: VersionDocument; readonly bytes: number }> {
    const bytes = await uploadFiles(store, paths, files, own);
    const document = nameVersion({ ...content, base, files }, now);
    const stored = await store.putIfAbsent(versionKey(document.version), encodeDocument(document));
    if (!stored && !isSame(await readVersion(document.version), document)) {
      throw new SluiceError('LAKE_CORRUPT', `${store.url}: ${versionKey(document.version)} holds another content.`, {
        remedy: 'Publish again a second later; the version gets another name then.',
        retryable: true,
      });
    }
    return { document, bytes };
  }

  const privates = createPrivateReleases({
    store,
    clock,
    readVersion,
    putVersion: async (draft) => (await putVersion(draft, await describeFiles(draft.paths), clock.now())).document,
    publishVersion: async (document) => {
      const { base, version } = document;
      const newest = await newestNumber();
      const publishedAt = clock.now().toISOString();
      const pointer: Pointer = { format: RELEASE_FORMAT, number: base + 1, kind: 'publish', version, publishedAt };
      if (newest === base && (await appendPointer(pointer))) {
        log.info({ number: pointer.number, version }, 'private release promoted');
        return toRelease(document, pointer);
      }
      return settleTaken(base, document);
    },
  });

  return {
    current,
    privates,
    turns: openTurns(store, log),

    async get(id) {
      if (typeof id === 'number') return readRelease(await readPointer(id));
      // Only names we could have written ourselves reach the store.
      if (!/^[0-9A-Za-z-]+$/.test(id)) throw notFound(store, id);
      const document = await readVersion(id).catch((error: unknown) => {
        throw isSluiceError(error, 'OBJECT_NOT_FOUND') ? notFound(store, id, error) : error;
      });
      const pointer = await readPointer(document.base + 1);
      if (pointer.version !== id) throw notFound(store, id);
      return toRelease(document, pointer);
    },

    async *list() {
      const numbers: number[] = [];
      for await (const number of pointerNumbers(0)) numbers.push(number);
      for (const number of numbers.toReversed()) yield readRelease(await readPointer(number));
    },

    async checkout(release, dir) {
      return cloneFiles(store, release?.files, dir, own);
    },

    async publish({ base, paths, content }) {
      const files = await describeFiles(paths);
      if ((await newestNumber()) !== base) return settleTaken(base, { ...content, files });
      const now = clock.now();
      const { document, bytes } = await putVersion({ base, paths, content }, files, now);
      const pointer: Pointer = {
        format: RELEASE_FORMAT,
        number: base + 1,
        kind: 'publish',
        version: document.version,
        publishedAt: now.toISOString(),
      };
      if (!(await appendPointer(pointer))) return settleTaken(base, document);
      log.info({ number: pointer.number, version: document.version, bytes }, 'release published');
      return toRelease(document, pointer);
    },

    async rollback(to) {
      const target = await readRelease(await readPointer(to));
      const now = await current();
      if (now !== undefined && now.version === target.version) return now;
      for (const file of Object.values(target.files)) {
        if ((await store.head(file.key)) === undefined) throw filesGone(store, to, file.key);
      }
      const pointer: Pointer = {
        format: RELEASE_FORMAT,
        number: (now?.number ?? 0) + 1,
        kind: 'rollback',
        version: target.version,
        publishedAt: clock.now().toISOString(),
      };
      if (!(await appendPointer(pointer))) throw conflict(pointer.number - 1, await newestNumber());
      log.info({ number: pointer.number, version: target.version, to }, 'release rolled back');
      return readRelease(pointer);
    },

    async fetch(release) {
      return cache.fetch(release.files);
    },
  };
}

/** The version's name: when, and 8 hex digits of the SHA-256 of what. */
function nameVersion(document: Omit<VersionDocument, 'version'>, now: Date): VersionDocument {
  const stamp = now
    .toISOString()
    .replace(/\.\d{3}Z$/, 'Z')
    .replaceAll(/[-:]/g, '');
  const digest = createHash('sha256').update(JSON.stringify(document)).digest('hex').slice(0, 8);
  return { ...document, version: `${stamp}-${digest}` };
}

function toRelease(document: VersionDocument, pointer: Pointer): Release {
  const { base: _base, ...content } = document;
  return { ...content, number: pointer.number, kind: pointer.kind, publishedAt: pointer.publishedAt };
}

type Comparable = ReleaseContent & Pick<Release, 'files'>;

/** Same files, same ledger, same results; the time and the number of publication do not count. */
function isSame(one: Comparable, other: Comparable): boolean {
  const facts = ({ asOf, commits, models, datasets, tests, files }: Comparable) =>
    JSON.stringify({ asOf, commits, models, datasets, tests, files }, sortKeys);
  return facts(one) === facts(other);
}

function sortKeys(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

function conflict(base: number, newest: number): SluiceError {
  return new SluiceError(
    'RELEASE_CONFLICT',
    `The build began from release ${base}, but release ${newest} was published meanwhile.`,
    {
      remedy: 'Run the build again: it starts from the newest release and takes both changes.',
      retryable: true,
      details: { base, newest },
    },
  );
}

function notFound(store: ObjectStore, id: string, cause?: unknown): SluiceError {
  return new SluiceError('RELEASE_NOT_FOUND', `${store.url} has no release ${id}.`, {
    remedy: 'sluice releases lists what there is.',
    cause,
  });
}

function filesGone(store: ObjectStore, number: number, key: string): SluiceError {
  return new SluiceError('LAKE_CORRUPT', `Release ${number} cannot be restored: ${store.url} no longer holds ${key}.`, {
    remedy: 'Choose another release: sluice releases.',
  });
}
