import { AbortMultipartUploadCommand, ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import type { UnfinishedUpload } from './object-store.ts';
import type { S3Connection } from './s3-connection.ts';
import { describeFailure, isAbsentObject } from './s3-errors.ts';

/** Uploads in parts that a killed process left: their parts take room and belong to no object. */

/** Ascending by key. Servers that cannot list them, or list them for whole keys only (MinIO), show none: a lifecycle rule of the bucket is the remedy there. */
export async function* listUnfinishedUploads(
  connection: S3Connection,
  prefix: string,
): AsyncGenerator<UnfinishedUpload> {
  const { Bucket, Key: root } = connection.address('');
  let after: { readonly KeyMarker?: string | undefined; readonly UploadIdMarker?: string | undefined } = {};
  for (;;) {
    const command = { Bucket, Prefix: `${root}${prefix}`, ...after };
    const page = await connection
      .retry('listing unfinished uploads', () =>
        connection.call((s3, options) => s3.send(new ListMultipartUploadsCommand(command), options)),
      )
      .catch((error: unknown) => {
        const { code, status } = describeFailure(error);
        if (code === 'NotImplemented' || status === 501 || status === 403 || status === 405) return undefined;
        throw error;
      });
    if (page === undefined) return;
    for (const { Key, UploadId, Initiated } of page.Uploads ?? []) {
      if (Key === undefined || UploadId === undefined || Initiated === undefined) continue;
      yield { key: Key.slice(root.length), id: UploadId, startedMs: Initiated.getTime() };
    }
    if (page.IsTruncated !== true || page.NextKeyMarker === undefined) return;
    after = { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker };
  }
}

/** Throws away an upload's parts; one that is gone already is fine. */
export async function abortUnfinishedUpload(connection: S3Connection, { key, id }: UnfinishedUpload): Promise<void> {
  const command = { ...connection.address(key), UploadId: id };
  try {
    await connection.retry(`aborting an upload of ${key}`, () =>
      connection.call((s3, options) => s3.send(new AbortMultipartUploadCommand(command), options)),
    );
  } catch (error) {
    if (!isAbsentObject(error) && describeFailure(error).code !== 'NoSuchUpload') throw error;
  }
}
