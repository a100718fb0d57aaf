import { SluiceError } from './errors.ts';

/** Longest key that every S3 takes, in bytes of UTF-8. */
const KEY_BYTES_MAX = 1024;

/** The key itself when it is a relative path of plain names; a bug of the caller otherwise (INTERNAL). */
export function checkObjectKey(key: string): string {
  const bad = key
    .split('/')
    .some((segment) => segment === '' || segment === '.' || segment === '..' || segment.includes('\0'));
  if (bad || Buffer.byteLength(key) > KEY_BYTES_MAX || !key.isWellFormed()) {
    throw new SluiceError('INTERNAL', `The object key ${JSON.stringify(key)} is not a relative path of plain names.`);
  }
  return key;
}
