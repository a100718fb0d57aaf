/** Where the lake lives. A folder and any S3 are the same to the engine; test/core/object-store-contract.ts is what both must pass. */

export interface ObjectInfo {
  readonly key: string;
  readonly bytes: number;
}

/** An object as a listing shows it. */
export interface ListedObject extends ObjectInfo {
  /** When it came to stand under its key, by the store's own clock; milliseconds. */
  readonly modifiedMs: number;
}

/** An upload in parts that was begun and neither completed nor aborted. */
export interface UnfinishedUpload {
  readonly key: string;
  readonly id: string;
  readonly startedMs: number;
}

/** Keys are relative, `/`-separated, never start with `/` and never contain `..`. */
export interface ObjectStore {
  /** For messages only: file:///… or s3://bucket/prefix. */
  readonly url: string;
  /** Whole object. Throws OBJECT_NOT_FOUND. */
  get(key: string): Promise<Uint8Array>;
  /** Creates the object whole, durably, only if the key is free; false when it is taken. The one write that decides a commit. */
  putIfAbsent(key: string, bytes: Uint8Array): Promise<boolean>;
  /** Uploads a finished local file, whole and durable before it resolves; an existing object of that key is an error (LAKE_CORRUPT). The local file may be moved, not copied. */
  putFile(key: string, localPath: string): Promise<void>;
  /** Path of a local, read-only copy of the object: the object itself in a folder store, a cached download elsewhere. Throws OBJECT_NOT_FOUND. */
  toLocalFile(key: string): Promise<string>;
  /** Objects under a prefix in ascending key order, those after `startAfter` only. */
  list(prefix: string, options?: { readonly startAfter?: string }): AsyncIterable<ListedObject>;
  /** Size, or undefined when absent. */
  head(key: string): Promise<ObjectInfo | undefined>;
  /** Removes the object; absent is fine. */
  delete(key: string): Promise<void>;
  /** Uploads under a prefix that nobody finished; absent where the store has none. A server that cannot list them gives none. */
  unfinishedUploads?(prefix: string): AsyncIterable<UnfinishedUpload>;
  abortUpload?(upload: UnfinishedUpload): Promise<void>;
}
