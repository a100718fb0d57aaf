import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { createLog } from '../../warehouse/core/log.ts';
import { createS3Store, type S3Store, type S3StoreOptions } from '../../warehouse/core/s3-store.ts';
import type { TestBucket } from '../support/servers.ts';

export const silent = createLog({ level: 'silent' });

/** A folder of the test's own, gone when it ends. */
export async function s3TestFolder(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'sluice-s3-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

export interface TestStoreOptions extends Partial<Pick<S3StoreOptions, 'patience' | 'upload'>> {
  readonly prefix?: string;
  readonly endpoint?: string;
  readonly maxBytes?: number;
}

/** A store on the bucket with its cache in `dir`. */
export function openTestStore(bucket: TestBucket, dir: string, options: TestStoreOptions = {}): S3Store {
  const { prefix = '', endpoint = bucket.endpoint, maxBytes = 1_000_000_000, ...rest } = options;
  return createS3Store({
    location: { ...bucket.location, prefix, endpoint },
    cache: { dir: join(dir, 'cache'), maxBytes },
    log: silent,
    ...rest,
  });
}

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
export const text = (content: Uint8Array): string => new TextDecoder().decode(content);
