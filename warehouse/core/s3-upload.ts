import { createHash, randomUUID } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  type CompleteMultipartUploadCommandInput,
  CreateMultipartUploadCommand,
  HeadObjectCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { SluiceError } from './errors.ts';
import type { S3Connection } from './s3-connection.ts';
import { describeFailure, isAbsentObject, isTakenKey, isTransient } from './s3-errors.ts';

/**
 * Writes that happen once. Every object carries the SHA-256 of its whole content and the id of the call that wrote it, so that after a lost
 * answer the refusal of the second try can be told from another writer's success:
 *
 *   PUT If-None-Match: * → 200            ours
 *                        → 412            another's
 *                        → no answer, again → 412 → is the id in the object ours? yes: ours, no: another's
 */

/** Metadata names; servers keep them in lower case. */
export const SHA256_FIELD = 'sluice-sha256';
const WRITE_FIELD = 'sluice-write';

export interface UploadOptions {
  /** Files larger than this go up in parts of this size, in bytes; S3 asks for 5 MB at least. */
  readonly partBytes: number;
  /** Parts under way at once: memory is parts × partBytes. */
  readonly parallelParts: number;
}

/** Most parts S3 takes. */
const PARTS_MAX = 10_000;

interface Write {
  readonly key: string;
  readonly id: string;
  readonly sha256: string;
}

/** Creates the object from memory; false when the key is taken by another write. */
export async function createObject(connection: S3Connection, key: string, bytes: Uint8Array): Promise<boolean> {
  const digest = createHash('sha256').update(bytes).digest();
  const write: Write = { key, id: randomUUID(), sha256: digest.toString('hex') };
  const command = {
    ...connection.address(key),
    Body: bytes,
    ContentLength: bytes.byteLength,
    ChecksumSHA256: digest.toString('base64'),
    Metadata: metadataOf(write),
    IfNoneMatch: '*',
  };
  return createOnce(connection, write, () =>
    connection.call((s3, options) => s3.send(new PutObjectCommand(command), options), bytes.byteLength),
  );
}

/** What was read of a local file while it went up. */
export interface FileFacts {
  readonly bytes: number;
  readonly sha256: string;
}

/** Creates the object from a local file, in parts when it is large; undefined when the key is taken by another write. */
export async function createObjectFromFile(
  connection: S3Connection,
  key: string,
  localPath: string,
  options: UploadOptions,
): Promise<FileFacts | undefined> {
  const file = await open(localPath, 'r');
  try {
    const { size } = await file.stat();
    if (size <= options.partBytes) {
      const bytes = await readPart(file, 0, size);
      const created = await createObject(connection, key, bytes);
      return created ? { bytes: size, sha256: createHash('sha256').update(bytes).digest('hex') } : undefined;
    }
    const partBytes = Math.max(options.partBytes, Math.ceil(size / PARTS_MAX));
    const plan = await planParts(file, size, partBytes);
    const write: Write = { key, id: randomUUID(), sha256: plan.sha256 };
    const created = await createOnce(connection, write, (doubt) =>
      uploadParts(connection, write, file, plan.parts, options.parallelParts, doubt),
    );
    return created ? { bytes: size, sha256: plan.sha256 } : undefined;
  } finally {
    await file.close();
  }
}

interface Part {
  readonly number: number;
  readonly start: number;
  readonly bytes: number;
  /** SHA-256, base64: the server refuses a part that arrives different. */
  readonly checksum: string;
}

/** One pass over the file: the hash of each part and of the whole. */
async function planParts(
  file: FileHandle,
  size: number,
  partBytes: number,
): Promise<{ parts: Part[]; sha256: string }> {
  const whole = createHash('sha256');
  const parts: Part[] = [];
  for (let start = 0; start < size; start += partBytes) {
    const bytes = await readPart(file, start, Math.min(partBytes, size - start));
    whole.update(bytes);
    const checksum = createHash('sha256').update(bytes).digest('base64');
    parts.push({ number: parts.length + 1, start, bytes: bytes.byteLength, checksum });
  }
  return { parts, sha256: whole.digest('hex') };
}

async function readPart(file: FileHandle, start: number, length: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(length);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await file.read(buffer, done, length - done, start + done);
    if (bytesRead === 0) throw new SluiceError('INTERNAL', 'A file became shorter while it was uploaded.');
    done += bytesRead;
  }
  return buffer;
}

/** A whole multipart upload. The object appears when it is completed; what fails before that is aborted. */
async function uploadParts(
  connection: S3Connection,
  write: Write,
  file: FileHandle,
  parts: readonly Part[],
  parallelParts: number,
  doubt: () => void,
): Promise<void> {
  const address = connection.address(write.key);
  const create = { ...address, ChecksumAlgorithm: 'SHA256' as const, Metadata: metadataOf(write) };
  const { UploadId } = await connection.retry(`starting the upload of ${write.key}`, () =>
    connection.call((s3, options) => s3.send(new CreateMultipartUploadCommand(create), options)),
  );
  const upload = { ...address, UploadId };
  try {
    const tags = new Map<number, string | undefined>();
    const waiting = [...parts];
    const carry = async (): Promise<void> => {
      for (let part = waiting.shift(); part !== undefined; part = waiting.shift()) {
        const { number, start, bytes, checksum } = part;
        const Body = await readPart(file, start, bytes);
        const command = { ...upload, PartNumber: number, Body, ContentLength: bytes, ChecksumSHA256: checksum };
        const done = await connection.retry(`writing part ${number} of ${write.key}`, () =>
          connection.call((s3, options) => s3.send(new UploadPartCommand(command), options), bytes),
        );
        tags.set(number, done.ETag);
      }
    };
    const carriers = await Promise.allSettled(
      Array.from({ length: parallelParts }, () =>
        carry().catch((error: unknown) => {
          // the others need not go on
          waiting.length = 0;
          throw error;
        }),
      ),
    );
    const failed = carriers.find((carrier) => carrier.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
    const Parts = parts.map(({ number, checksum }) => ({
      PartNumber: number,
      ETag: tags.get(number),
      ChecksumSHA256: checksum,
    }));
    await completeUpload(connection, write, { ...upload, MultipartUpload: { Parts } }, parts, doubt);
  } catch (error) {
    await connection
      .call((s3, options) => s3.send(new AbortMultipartUploadCommand(upload), options))
      .catch(() => undefined);
    throw error;
  }
}

async function completeUpload(
  connection: S3Connection,
  write: Write,
  command: CompleteMultipartUploadCommandInput,
  parts: readonly Part[],
  doubt: () => void,
): Promise<void> {
  // Joining the parts takes the server a while, as if the bytes were sent once more.
  const bytes = parts.reduce((sum, part) => sum + part.bytes, 0);
  const complete = (condition: { readonly IfNoneMatch?: string }) =>
    connection.call(
      (s3, options) => s3.send(new CompleteMultipartUploadCommand({ ...command, ...condition }), options),
      bytes,
    );
  await connection.retry(`completing ${write.key}`, async () => {
    try {
      await complete({ IfNoneMatch: '*' });
    } catch (error) {
      const { code } = describeFailure(error);
      // S3 asks for a new upload after this one
      if (code === 'ConditionalRequestConflict') throw new UploadMustRestart(error);
      if (code === 'NotImplemented' && (await ownerOf(connection, write)) === 'nobody') {
        // A server without conditional completion. The name was free a moment ago, and names of files are never given twice.
        await complete({});
        return;
      }
      if (isTransient(error)) doubt();
      throw error;
    }
  });
}

class UploadMustRestart extends Error {
  constructor(cause: unknown) {
    super('the upload must be made again', { cause });
    this.name = 'UploadMustRestart';
  }
}

/** Runs a conditional write until the server has decided it. True: the object is this write's. `doubt` says that an earlier try may have arrived. */
async function createOnce(
  connection: S3Connection,
  write: Write,
  attempt: (doubt: () => void) => Promise<unknown>,
): Promise<boolean> {
  let uncertain = false;
  const doubt = (): void => {
    uncertain = true;
  };
  return connection.retry(`writing ${write.key}`, async () => {
    try {
      await attempt(doubt);
      return true;
    } catch (error) {
      const taken = isTakenKey(error);
      if (taken && !uncertain) return false;
      // NoSuchUpload: an earlier completion of this upload went through, or the server dropped the upload.
      if (taken || describeFailure(error).code === 'NoSuchUpload') {
        const owner = await ownerOf(connection, write);
        if (owner !== 'nobody') return owner === 'us';
        throw Object.assign(new Error(`${write.key} was written and is gone`, { cause: error }), {
          name: 'OperationAborted',
        });
      }
      doubt();
      throw error instanceof UploadMustRestart ? error.cause : error;
    }
  });
}

/** Whose object stands under the key, by the id that it carries; by its content where the server keeps no metadata. */
async function ownerOf(connection: S3Connection, write: Write): Promise<'us' | 'another' | 'nobody'> {
  try {
    const command = { ...connection.address(write.key), ChecksumMode: 'ENABLED' as const };
    const found = await connection.retry(`reading ${write.key}`, () =>
      connection.call((s3, options) => s3.send(new HeadObjectCommand(command), options)),
    );
    const id = found.Metadata?.[WRITE_FIELD];
    if (id !== undefined) return id === write.id ? 'us' : 'another';
    return found.ChecksumSHA256 === Buffer.from(write.sha256, 'hex').toString('base64') ? 'us' : 'another';
  } catch (error) {
    if (isAbsentObject(error)) return 'nobody';
    throw error;
  }
}

function metadataOf(write: Write): Record<string, string> {
  return { [SHA256_FIELD]: write.sha256, [WRITE_FIELD]: write.id };
}
