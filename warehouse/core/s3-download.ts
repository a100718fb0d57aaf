import { createHash } from 'node:crypto';
import { type FileHandle, open, truncate } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { GetObjectCommand, HeadObjectCommand } from '@aws-sdk/client-s3';
import { SluiceError } from './errors.ts';
import type { S3Connection } from './s3-connection.ts';
import { SHA256_FIELD } from './s3-upload.ts';

/** Reads that are whole or fail: length and SHA-256 are compared with what the object says of itself. */

export interface StoredObject {
  readonly bytes: number;
  readonly etag: string | undefined;
  /** Hex; undefined where neither we nor the server recorded it. */
  readonly sha256: string | undefined;
}

/** Size and hash of an object. Throws the server's 404 as it is. */
export async function describeObject(connection: S3Connection, key: string): Promise<StoredObject> {
  const command = { ...connection.address(key), ChecksumMode: 'ENABLED' as const };
  return toStoredObject(await connection.call((s3, options) => s3.send(new HeadObjectCommand(command), options)));
}

/** A whole object in memory. */
export async function readObject(connection: S3Connection, key: string): Promise<Uint8Array> {
  let damage: string | undefined;
  for (let attempt = 1; attempt <= READS_MAX; attempt++) {
    const { bytes, object } = await connection.retry(`reading ${key}`, async () => {
      const answer = await getObject(connection, key, {});
      const chunks: Buffer[] = [];
      for await (const chunk of bodyOf(answer.Body, connection)) chunks.push(chunk);
      return { bytes: Buffer.concat(chunks), object: toStoredObject(answer) };
    });
    damage = compare(object, bytes.byteLength, createHash('sha256').update(bytes).digest('hex'));
    if (damage === undefined) return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
  throw damaged(connection, key, damage ?? '');
}

/** A whole object into a new local file, flushed. A broken transfer goes on where it broke. */
export async function downloadObject(
  connection: S3Connection,
  key: string,
  object: StoredObject,
  path: string,
): Promise<void> {
  const file = await open(path, 'w');
  try {
    let damage: string | undefined;
    for (let attempt = 1; attempt <= READS_MAX; attempt++) {
      await truncate(path, 0);
      const { bytes, sha256 } = await transfer(connection, key, object, file);
      damage = compare(object, bytes, sha256);
      if (damage === undefined) return await file.sync();
    }
    throw damaged(connection, key, damage ?? '');
  } finally {
    await file.close();
  }
}

/** Once for the way, once more to be sure that it is the object. */
const READS_MAX = 2;

async function transfer(
  connection: S3Connection,
  key: string,
  object: StoredObject,
  file: FileHandle,
): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash('sha256');
  let bytes = 0;
  while (bytes < object.bytes) {
    // Each stretch that brings something has the whole patience anew.
    bytes += await connection.retry(`reading ${key}`, async () => {
      const start = bytes;
      let got = 0;
      try {
        const range = start > 0 ? { Range: `bytes=${start}-` } : {};
        const unchanged = object.etag === undefined ? {} : { IfMatch: object.etag };
        const { Body } = await getObject(connection, key, { ...range, ...unchanged });
        for await (const chunk of bodyOf(Body, connection)) {
          await writeAll(file, chunk, start + got);
          hash.update(chunk);
          got += chunk.byteLength;
        }
        if (got === 0) throw Object.assign(new Error('the body is empty'), { name: 'IncompleteBody' });
        return got;
      } catch (error) {
        if (got > 0) return got;
        throw error;
      }
    });
  }
  return { bytes, sha256: hash.digest('hex') };
}

function getObject(
  connection: S3Connection,
  key: string,
  condition: { readonly Range?: string; readonly IfMatch?: string },
) {
  const command = { ...connection.address(key), ChecksumMode: 'ENABLED' as const, ...condition };
  return connection.call((s3, options) => s3.send(new GetObjectCommand(command), options));
}

/** The body's chunks; a silence longer than the connection's patience is a failure. */
async function* bodyOf(body: unknown, connection: S3Connection): AsyncGenerator<Buffer> {
  const stream = body as Readable;
  let timer: NodeJS.Timeout | undefined;
  const watch = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      stream.destroy(Object.assign(new Error('the body stopped coming'), { name: 'TimeoutError' }));
    }, connection.patience.silenceMs);
  };
  watch();
  try {
    for await (const chunk of stream) {
      clearTimeout(timer);
      yield chunk as Buffer;
      watch();
    }
  } finally {
    clearTimeout(timer);
    stream.destroy();
  }
}

async function writeAll(file: FileHandle, chunk: Buffer, position: number): Promise<void> {
  let done = 0;
  while (done < chunk.byteLength) {
    done += (await file.write(chunk, done, chunk.byteLength - done, position + done)).bytesWritten;
  }
}

function toStoredObject(answer: {
  readonly ContentLength?: number | undefined;
  readonly ETag?: string | undefined;
  readonly ChecksumSHA256?: string | undefined;
  readonly Metadata?: Readonly<Record<string, string>> | undefined;
}): StoredObject {
  const recorded = answer.Metadata?.[SHA256_FIELD];
  const whole = answer.ChecksumSHA256;
  // A hash of hashes (parts) ends in -<count> and says nothing about the whole.
  const computed =
    whole !== undefined && !whole.includes('-') ? Buffer.from(whole, 'base64').toString('hex') : undefined;
  return { bytes: answer.ContentLength ?? 0, etag: answer.ETag, sha256: recorded ?? computed };
}

function compare(object: StoredObject, bytes: number, sha256: string): string | undefined {
  if (bytes !== object.bytes) return `${bytes} bytes arrived instead of ${object.bytes}`;
  if (object.sha256 !== undefined && sha256 !== object.sha256) {
    return `its SHA-256 is ${sha256}, and ${object.sha256} was written`;
  }
  return undefined;
}

function damaged(connection: S3Connection, key: string, damage: string): SluiceError {
  return new SluiceError('LAKE_CORRUPT', `The object ${key} of ${connection.place.url} is damaged: ${damage}.`, {
    remedy: 'Restore the object from a copy of the lake.',
    details: { key },
  });
}
