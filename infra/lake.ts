import { join } from 'node:path';
import { createFolderStore } from '../warehouse/core/folder-store.ts';
import type { Log } from '../warehouse/core/log.ts';
import type { ObjectStore } from '../warehouse/core/object-store.ts';
import type { S3Store } from '../warehouse/core/s3-store.ts';
import type { Config, LakeConfig } from './config.ts';

/** The store of a lake; one in S3 lends local copies, which a process that lives on gives back. */
export type Lake = ObjectStore & Partial<Pick<S3Store, 'releaseLocalFiles'>>;

/** The store that SLUICE_LAKE names. Nothing is contacted before it is used. */
export function openLake({ lake, cacheDir, cacheBytes }: Config, log: Log): Lake {
  switch (lake.kind) {
    case 'folder':
      return createFolderStore(lake.dir);
    case 's3':
      return openWhenUsed(lake, async () => {
        const { createS3Store } = await import('../warehouse/core/s3-store.ts');
        return createS3Store({ location: lake, cache: { dir: join(cacheDir, 'lake'), maxBytes: cacheBytes }, log });
      });
    default:
      return lake satisfies never;
  }
}

/** The AWS SDK takes a third of a command's start: a lake in a folder does without, and one in S3 loads it at the first call. */
function openWhenUsed({ url }: LakeConfig, open: () => Promise<S3Store>): Lake {
  let opened: Promise<S3Store> | undefined;
  const store = (): Promise<S3Store> => (opened ??= open());
  return {
    url,
    get: async (key) => (await store()).get(key),
    putIfAbsent: async (key, bytes) => (await store()).putIfAbsent(key, bytes),
    putFile: async (key, localPath) => (await store()).putFile(key, localPath),
    toLocalFile: async (key) => (await store()).toLocalFile(key),
    list: async function* (prefix, options) {
      yield* (await store()).list(prefix, options);
    },
    head: async (key) => (await store()).head(key),
    delete: async (key) => (await store()).delete(key),
    unfinishedUploads: async function* (prefix) {
      yield* (await store()).unfinishedUploads?.(prefix) ?? [];
    },
    abortUpload: async (upload) => (await store()).abortUpload?.(upload),
    // Nothing was lent where nothing was opened.
    releaseLocalFiles: async () => (await opened)?.releaseLocalFiles(),
  };
}
