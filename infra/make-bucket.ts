import { BucketAlreadyExists, BucketAlreadyOwnedByYou, CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { exitCodeOf, messageOf, SluiceError } from '../warehouse/core/errors.ts';
import { loadConfig } from './config.ts';

/** Makes the bucket that SLUICE_LAKE names, unless it exists: for servers of one's own, before the first run. */

try {
  const { lake } = loadConfig('.');
  if (lake.kind !== 's3') {
    throw new SluiceError('USAGE', `The lake ${lake.url} is a folder and needs no bucket.`);
  }
  const client = new S3Client({
    region: lake.region ?? 'us-east-1',
    forcePathStyle: lake.forcePathStyle ?? lake.endpoint !== undefined,
    ...(lake.endpoint !== undefined && { endpoint: lake.endpoint }),
    ...(lake.credentials !== undefined && { credentials: lake.credentials }),
  });
  await client.send(new CreateBucketCommand({ Bucket: lake.bucket })).catch((error: unknown) => {
    if (!(error instanceof BucketAlreadyOwnedByYou) && !(error instanceof BucketAlreadyExists)) throw error;
  });
  process.stdout.write(`bucket ${lake.bucket} is there\n`);
} catch (error) {
  process.stderr.write(`${messageOf(error)}\n`);
  process.exitCode = exitCodeOf(error);
}
