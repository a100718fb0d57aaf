import { mapSystemError, messageOf, SluiceError } from './errors.ts';

/** What an S3 server or the way to it said, sorted by what to do about it. */

export interface S3Failure {
  /** The server's word, or the system's: NoSuchKey, ECONNREFUSED. */
  readonly code: string;
  /** HTTP status; undefined when no answer came. */
  readonly status: number | undefined;
  readonly message: string;
}

export function describeFailure(error: unknown): S3Failure {
  const facts = typeof error === 'object' && error !== null ? (error as Readonly<Record<string, unknown>>) : {};
  const metadata = facts['$metadata'] as { httpStatusCode?: number } | undefined;
  const status = metadata?.httpStatusCode;
  // A host with several addresses fails with one error for each.
  const first = error instanceof AggregateError ? (error.errors[0] as unknown) : undefined;
  const system = facts['code'] ?? (first instanceof Error && 'code' in first ? first.code : undefined);
  const name = error instanceof Error ? error.name : undefined;
  const code = typeof system === 'string' && name !== undefined && !isServerWord(name, status) ? system : name;
  const message = messageOf(first ?? error);
  // HEAD is answered without a body, so without a word.
  if (status !== undefined && (code === undefined || code.startsWith('Unknown') || /^\d+$/.test(code))) {
    return { code: `HTTP ${status}`, status, message: '' };
  }
  return { code: code ?? 'Unknown', status, message };
}

/** An answer's error carries the server's code as its name. */
function isServerWord(name: string, status: number | undefined): boolean {
  return status !== undefined && name !== 'Error';
}

/** A second try of the same request may succeed: the server, the network or a rival was in the way. */
export function isTransient(error: unknown): boolean {
  if (error instanceof SluiceError) return false;
  const { code, status, message } = describeFailure(error);
  if (PERMANENT.has(code)) return false;
  if (TRANSIENT.has(code)) return true;
  if (status === undefined) return /socket hang up|aborted|network|premature close|terminated/i.test(message);
  return status === 429 || status === 408 || (status >= 500 && status !== 501 && status !== 507);
}

const TRANSIENT = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ERR_STREAM_PREMATURE_CLOSE',
  'TimeoutError',
  'AbortError',
  'RequestTimeout',
  'RequestTimeoutException',
  'SlowDown',
  'SlowDownRead',
  'SlowDownWrite',
  'ServiceUnavailable',
  'InternalError',
  'OperationAborted',
  // two writers of one key at the same moment: the loser is to ask again and learns who won
  'ConditionalRequestConflict',
  'HTTP 409',
  // the bytes arrived damaged or cut
  'BadDigest',
  'IncompleteBody',
  'XAmzContentSHA256Mismatch',
  'XAmzContentChecksumMismatch',
]);

const PERMANENT = new Set(['XMinioStorageFull', 'XMinioAdminBucketQuotaExceeded', 'QuotaExceeded', 'EntityTooLarge']);

export function isAbsentObject(error: unknown): boolean {
  const { code, status } = describeFailure(error);
  return code === 'NoSuchKey' || (status === 404 && code !== 'NoSuchBucket' && code !== 'NoSuchUpload');
}

/** The key exists already: the answer to If-None-Match: *. */
export function isTakenKey(error: unknown): boolean {
  const { code, status } = describeFailure(error);
  return code === 'PreconditionFailed' || status === 412;
}

/** Where a request went, for messages. */
export interface S3Place {
  readonly url: string;
  readonly bucket: string;
  /** Undefined for AWS itself. */
  readonly endpoint: string | undefined;
}

/** Every failure as a SluiceError: LAKE_UNREACHABLE for what configuration or the server can mend, DISK_FULL where the server says so. */
export function mapS3Error(error: unknown, doing: string, place: S3Place): unknown {
  const local = mapSystemError(error, doing);
  if (local instanceof SluiceError) return local;
  const failure = describeFailure(error);
  const where = place.endpoint === undefined ? place.url : `${place.url} at ${place.endpoint}`;
  const said = `${failure.code}${failure.message === '' || failure.message === failure.code ? '' : `: ${failure.message}`}`;
  if (failure.status === 507 || PERMANENT.has(failure.code)) {
    return new SluiceError('DISK_FULL', `The lake ${where} has no room left (${failure.code}) while ${doing}.`, {
      remedy:
        'Free some space on the server or raise its quota, then run the same command again; nothing was committed.',
      retryable: true,
      cause: error,
    });
  }
  const known = REMEDIES.find(({ codes }) => codes.includes(failure.code));
  const transient = isTransient(error);
  if (known === undefined && failure.status === undefined && !transient && !isNetworkError(error)) return error;
  const remedy =
    known?.remedy ??
    (failure.status === 401 || failure.status === 403
      ? DENIED
      : transient
        ? NO_ANSWER
        : 'Check that SLUICE_S3_ENDPOINT is the S3 port of a server that speaks S3.');
  return new SluiceError('LAKE_UNREACHABLE', `The lake ${where} failed while ${doing}: ${said}.`, {
    remedy: remedy.replaceAll('BUCKET', place.bucket),
    retryable: transient,
    cause: error,
    details: { code: failure.code, status: failure.status ?? null },
  });
}

function isNetworkError(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error && /connect|getaddrinfo/.test(String(error.syscall));
}

const DENIED =
  'Give the key of SLUICE_S3_ACCESS_KEY_ID the rights s3:ListBucket, s3:GetObject, s3:PutObject, s3:DeleteObject and s3:AbortMultipartUpload on the bucket BUCKET.';
const NO_ANSWER =
  'Check that the server runs and that SLUICE_S3_ENDPOINT names it (npm run infra:up starts one on this machine); then run the same command again.';

const REMEDIES: readonly { readonly codes: readonly string[]; readonly remedy: string }[] = [
  {
    codes: ['NoSuchBucket'],
    remedy: 'Create the bucket BUCKET, or name another one in SLUICE_LAKE=s3://bucket/prefix.',
  },
  {
    codes: [
      'InvalidAccessKeyId',
      'SignatureDoesNotMatch',
      'InvalidToken',
      'ExpiredToken',
      'AuthorizationHeaderMalformed',
    ],
    remedy: 'Check SLUICE_S3_ACCESS_KEY_ID, SLUICE_S3_SECRET_ACCESS_KEY and SLUICE_S3_REGION.',
  },
  {
    codes: ['CredentialsProviderError'],
    remedy:
      'Set SLUICE_S3_ACCESS_KEY_ID and SLUICE_S3_SECRET_ACCESS_KEY, or give the AWS SDK credentials in one of its own ways (AWS_PROFILE, an instance role).',
  },
  { codes: ['AccessDenied', 'AllAccessDisabled', 'Forbidden'], remedy: DENIED },
  {
    codes: ['PermanentRedirect', 'IllegalLocationConstraintException', 'TemporaryRedirect', 'InvalidRegion'],
    remedy: 'Set SLUICE_S3_REGION to the region of the bucket BUCKET.',
  },
  {
    codes: ['RequestTimeTooSkewed', 'RequestExpired'],
    remedy: 'Set the clock of this machine right: S3 refuses requests that are more than minutes off.',
  },
];
