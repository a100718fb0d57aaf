import type { Clock } from '../core/clock.ts';
import { isSluiceError, SluiceError } from '../core/errors.ts';
import { nearestOf } from '../core/nearest.ts';
import type { ObjectStore } from '../core/object-store.ts';
import type { Release, ReleaseContent, WarehousePaths } from '../core/release.ts';
import {
  encodeDocument,
  PRIVATE_PREFIX,
  type PrivatePointer,
  parsePrivatePointer,
  privateKey,
  privateOf,
  RELEASE_FORMAT,
  type VersionDocument,
} from './manifest.ts';

/**
 * Releases under a name, where no reader looks: whole and tested like any other, but no pointer of the log names them.
 *
 *   keep: files → version document → warehouse/private/<name>/<n>.json      promote: the same version, named by the log at base + 1 or not at all
 */

export interface PrivateRelease extends ReleaseContent {
  readonly name: string;
  readonly version: string;
  /** The release it was built on; it can be promoted while that is current. */
  readonly base: number;
  /** ISO instant. */
  readonly madeAt: string;
  readonly files: Release['files'];
}

interface PrivateDraft {
  readonly base: number;
  readonly paths: WarehousePaths;
  readonly content: ReleaseContent;
}

export interface PrivateReleases {
  /** Stores the draft under the name; what stood there before is let go. Throws USAGE for a name that is none. */
  keep(name: string, draft: PrivateDraft): Promise<PrivateRelease>;
  /** Throws PRIVATE_RELEASE_NOT_FOUND. */
  get(name: string): Promise<PrivateRelease>;
  /** By name. */
  list(): AsyncIterable<PrivateRelease>;
  /** Makes exactly this version current and lets the name go. Throws RELEASE_CONFLICT when its base is no longer current; promoting twice gives the same release. */
  promote(name: string): Promise<Release>;
  /** Lets the name go; its files go with the next gc. Throws PRIVATE_RELEASE_NOT_FOUND. */
  discard(name: string): Promise<void>;
}

export interface PrivateStores {
  readonly store: ObjectStore;
  readonly clock: Clock;
  readonly readVersion: (version: string) => Promise<VersionDocument>;
  readonly putVersion: (draft: PrivateDraft) => Promise<VersionDocument>;
  /** Appends the pointer base + 1. Throws RELEASE_CONFLICT. */
  readonly publishVersion: (document: VersionDocument) => Promise<Release>;
}

export function createPrivateReleases(stores: PrivateStores): PrivateReleases {
  const { store, clock, readVersion } = stores;

  async function pointersOf(prefix: string): Promise<ReadonlyMap<string, readonly number[]>> {
    const found = new Map<string, number[]>();
    for await (const { key } of store.list(prefix)) {
      const pointer = privateOf(key);
      if (pointer !== undefined) found.set(pointer.name, [...(found.get(pointer.name) ?? []), pointer.number]);
    }
    return found;
  }

  async function numbersOf(name: string): Promise<readonly number[]> {
    return (await pointersOf(`${PRIVATE_PREFIX}${name}/`)).get(name) ?? [];
  }

  async function read(name: string, number: number): Promise<PrivateRelease> {
    const key = privateKey(name, number);
    const pointer = parsePrivatePointer(key, await store.get(key));
    return toPrivate(await readVersion(pointer.version), pointer);
  }

  async function get(name: string): Promise<PrivateRelease> {
    assertName(name);
    const last = (await numbersOf(name)).at(-1);
    if (last !== undefined) return read(name, last);
    const near = nearestOf(name, (await pointersOf(PRIVATE_PREFIX)).keys());
    throw new SluiceError(
      'PRIVATE_RELEASE_NOT_FOUND',
      `There is no private release ${name}${near === undefined ? '.' : `; did you mean ${near}?`}`,
      { remedy: `sluice build --private ${name} makes it; sluice releases lists what there is.` },
    );
  }

  /** The highest goes last: whoever is stopped in between still finds what the name stands for. */
  async function forget(name: string, numbers: readonly number[]): Promise<void> {
    for (const number of numbers) await store.delete(privateKey(name, number));
  }

  return {
    async keep(name, draft) {
      assertName(name);
      const document = await stores.putVersion(draft);
      const pointer = {
        format: RELEASE_FORMAT,
        name,
        version: document.version,
        madeAt: clock.now().toISOString(),
      } as const;
      for (;;) {
        const before = await numbersOf(name);
        const number = (before.at(-1) ?? 0) + 1;
        const bytes = encodeDocument({ ...pointer, number });
        if (!(await store.putIfAbsent(privateKey(name, number), bytes))) continue;
        await forget(name, before);
        return toPrivate(document, { ...pointer, number });
      }
    },

    get,

    async *list() {
      for (const [name, numbers] of await pointersOf(PRIVATE_PREFIX)) {
        const last = numbers.at(-1);
        if (last === undefined) continue;
        const found = await read(name, last).catch((error: unknown) => {
          if (isSluiceError(error, 'OBJECT_NOT_FOUND')) return undefined;
          throw error;
        });
        if (found !== undefined) yield found;
      }
    },

    async promote(name) {
      const { version } = await get(name);
      const release = await stores.publishVersion(await readVersion(version));
      await forget(name, await numbersOf(name));
      return release;
    },

    async discard(name) {
      await get(name);
      await forget(name, await numbersOf(name));
    },
  };
}

function toPrivate(document: VersionDocument, { name, madeAt }: PrivatePointer): PrivateRelease {
  return { ...document, name, madeAt };
}

function assertName(name: string): void {
  if (/^[a-z0-9][a-z0-9_-]{0,62}$/.test(name)) return;
  throw new SluiceError('USAGE', `${JSON.stringify(name)} cannot name a private release.`, {
    remedy: 'Take up to 63 lower-case letters, digits, - and _, e.g. sluice build --private new-totals',
  });
}
