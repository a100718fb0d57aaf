import { join } from 'node:path';
import { createFolderStore } from '../warehouse/core/folder-store.ts';
import type { Log } from '../warehouse/core/log.ts';
import type { ObjectStore } from '../warehouse/core/object-store.ts';
import { createS3Store, type S3Store } from '../warehouse/core/s3-store.ts';
import type { Config } from './config.ts';

/** The store of a lake; one in S3 lends local copies, which a process that lives on gives back. */
export type Lake = ObjectStore & Partial<Pick<S3Store, 'releaseLocalFiles'>>;

/** The store that SLUICE_LAKE names. Nothing is contacted before it is used. */
export function openLake({ lake, cacheDir, cacheBytes }: Config, log: Log): Lake {
  switch (lake.kind) {
    case 'folder':
      return createFolderStore(lake.dir);
    case 's3':
      return createS3Store({ location: lake, cache: { dir: join(cacheDir, 'lake'), maxBytes: cacheBytes }, log });
    default:
      return lake satisfies never;
  }
}
