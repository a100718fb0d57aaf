import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { DeleteObjectCommand, HeadBucketCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { SluiceError } from './errors.ts';
import { type Content, createFileCache } from './file-cache.ts';
import type { Log } from './log.ts';
import { checkObjectKey } from './object-key.ts';
import type { ListedObject, ObjectStore } from './object-store.ts';
import { connectS3, DEFAULT_PATIENCE, type S3Location, type S3Patience } from './s3-connection.ts';
import { describeObject, downloadObject, readObject, type StoredObject } from './s3-download.ts';
import { isAbsentObject, mapS3Error } from './s3-errors.ts';
import { abortUnfinishedUpload, listUnfinishedUploads } from './s3-unfinished.ts';
import { createObject, createObjectFromFile, type UploadOptions } from './s3-upload.ts';

export type { S3Location, S3Patience } from './s3-connection.ts';

/**
 * The lake in S3: AWS, MinIO, versitygw or any other server with conditional writes. A write that decides is a PUT with If-None-Match: *;
 * every object carries its SHA-256, and every read compares it. DuckDB reads local files, so objects come through a bounded cache.
 */
export interface S3StoreOptions {
  readonly location: S3Location;
  readonly cache: {
    readonly dir: string;
    /** Bound of the local copies, in bytes. Files handed out and not released are kept beyond it. */
    readonly maxBytes: number;
  };
  readonly log: Log;
  readonly patience?: Partial<S3Patience>;
  readonly upload?: Partial<UploadOptions>;
}

export interface S3Store extends ObjectStore {
  /** Lets the cache drop what was handed out so far, and closes idle connections. The store can be used again afterwards. */
  releaseLocalFiles(): Promise<void>;
}

const DEFAULT_UPLOAD: UploadOptions = { partBytes: 16 * 1024 * 1024, parallelParts: 3 };

export function createS3Store({ location, cache: cacheOptions, log, patience, upload }: S3StoreOptions): S3Store {
  const connection = connectS3(location, log, { ...DEFAULT_PATIENCE, ...patience });
  const cache = createFileCache({ ...cacheOptions, log });
  const uploadOptions = { ...DEFAULT_UPLOAD, ...upload };
  const { place } = connection;
  const arriving = new Map<string, Promise<string>>();
  let bucketSeen = false;

  const guard = async <T>(doing: string, work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      throw mapS3Error(error, doing, place);
    }
  };

  /** Undefined when absent. HEAD answers a missing bucket and a missing object alike, so the bucket is asked for once. */
  const find = async (key: string): Promise<StoredObject | undefined> => {
    try {
      const found = await connection.retry(`reading ${key}`, () => describeObject(connection, key));
      bucketSeen = true;
      return found;
    } catch (error) {
      if (!isAbsentObject(error)) throw error;
      if (!bucketSeen) await checkBucket();
      return undefined;
    }
  };

  const checkBucket = async (): Promise<void> => {
    try {
      await connection.retry('looking for the bucket', () =>
        connection.call((s3, options) => s3.send(new HeadBucketCommand({ Bucket: location.bucket }), options)),
      );
      bucketSeen = true;
    } catch (error) {
      if (!isAbsentObject(error)) throw error;
      throw mapS3Error(
        Object.assign(new Error('it does not exist', { cause: error }), {
          name: 'NoSuchBucket',
          $metadata: { httpStatusCode: 404 },
        }),
        'looking for the bucket',
        place,
      );
    }
  };

  const notFound = (key: string, cause?: unknown): SluiceError =>
    new SluiceError('OBJECT_NOT_FOUND', `The lake ${place.url} holds no object named ${key}.`, { cause });

  const bring = async (key: string): Promise<string> => {
    const object = await find(key);
    if (object === undefined) {
      await cache.release(key);
      throw notFound(key);
    }
    return cache.obtain(contentOf(place.url, key, object), key, (path) =>
      downloadObject(connection, key, object, path),
    );
  };

  return {
    url: place.url,

    get: (key) =>
      guard(`reading ${key}`, async () => {
        checkObjectKey(key);
        try {
          return await readObject(connection, key);
        } catch (error) {
          if (!isAbsentObject(error)) throw error;
          throw notFound(key, error);
        }
      }),

    putIfAbsent: (key, bytes) =>
      // A copy, since the caller may change his bytes while they are sent for the second time.
      guard(`writing ${key}`, () => createObject(connection, checkObjectKey(key), Buffer.from(bytes))),

    putFile: (key, localPath) =>
      guard(`writing ${key}`, async () => {
        checkObjectKey(key);
        // Asked first, so that a taken name does not cost the upload.
        const uploaded =
          (await find(key)) === undefined
            ? await createObjectFromFile(connection, key, localPath, uploadOptions)
            : undefined;
        if (uploaded === undefined) {
          throw new SluiceError(
            'LAKE_CORRUPT',
            `The lake ${place.url} already holds an object named ${key}, which is written once only.`,
            { remedy: 'Remove the object if no commit names it, or give the lake a prefix of its own.' },
          );
        }
        // What was just written is what is read next.
        await cache.adopt(contentOf(place.url, key, { ...uploaded, etag: undefined }), localPath);
        await rm(localPath, { force: true });
      }),

    toLocalFile: (key) =>
      guard(`reading ${key}`, async () => {
        checkObjectKey(key);
        // Objects never change: one that was handed out is not asked for again.
        const lent = cache.lentAs(key);
        if (lent !== undefined) return lent;
        const running = arriving.get(key) ?? bring(key).finally(() => arriving.delete(key));
        arriving.set(key, running);
        return running;
      }),

    async *list(prefix, options = {}) {
      const root = connection.address('').Key;
      let after = options.startAfter;
      let last: string | undefined;
      for (;;) {
        const page = await guard(`listing ${prefix}`, () =>
          connection.retry(`listing ${prefix}`, () =>
            connection.call((s3, callOptions) =>
              s3.send(
                new ListObjectsV2Command({
                  Bucket: location.bucket,
                  Prefix: `${root}${prefix}`,
                  ...(after !== undefined && { StartAfter: `${root}${after}` }),
                }),
                callOptions,
              ),
            ),
          ),
        );
        bucketSeen = true;
        for (const entry of page.Contents ?? []) {
          const key = (entry.Key ?? '').slice(root.length);
          if (last !== undefined && compareBytes(key, last) <= 0) throw outOfOrder(place.url, last, key);
          last = key;
          // A folder that a tool made ends in a slash; it is no object of ours.
          if (!key.endsWith('/'))
            yield {
              key,
              bytes: entry.Size ?? 0,
              modifiedMs: entry.LastModified?.getTime() ?? Number.POSITIVE_INFINITY,
            } satisfies ListedObject;
        }
        // Pages follow each other by key and not by token: a token does not outlive a restart of every server.
        if (page.IsTruncated !== true || last === undefined) return;
        after = last;
      }
    },

    head: (key) =>
      guard(`reading ${key}`, async () => {
        const found = await find(checkObjectKey(key));
        return found === undefined ? undefined : { key, bytes: found.bytes };
      }),

    delete: (key) =>
      guard(`deleting ${key}`, async () => {
        const address = connection.address(checkObjectKey(key));
        await cache.release(key);
        await connection
          .retry(`deleting ${key}`, () =>
            connection.call((s3, options) => s3.send(new DeleteObjectCommand(address), options)),
          )
          .catch((error: unknown) => {
            if (!isAbsentObject(error)) throw error;
          });
      }),

    unfinishedUploads: (prefix) => listUnfinishedUploads(connection, prefix),

    abortUpload: (upload) =>
      guard(`aborting an upload of ${upload.key}`, () => abortUnfinishedUpload(connection, upload)),

    async releaseLocalFiles() {
      await cache.release();
    },
  };
}

/** By its hash where one is known, so that equal contents are kept once; else by where it lies and what it was when seen. */
function contentOf(lake: string, key: string, object: StoredObject): Content {
  const { bytes, etag, sha256 } = object;
  const place = (): string =>
    createHash('sha256')
      .update([lake, key, etag ?? '', bytes].join('\n'))
      .digest('hex');
  const name = sha256 ?? `e-${place()}`;
  return { name, bytes, sha256 };
}

function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/** The logs rely on it: a server that lists in another order would hide commits. */
function outOfOrder(url: string, last: string, key: string): SluiceError {
  return new SluiceError('LAKE_CORRUPT', `The server of ${url} lists ${key} after ${last}, which is not ascending.`, {
    remedy: 'Use a server that lists keys in the order of their bytes, as S3 does (not a directory bucket).',
  });
}
