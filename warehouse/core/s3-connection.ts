import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import type { Log } from './log.ts';
import { withRetries } from './retry.ts';
import { describeFailure, isTransient, type S3Place } from './s3-errors.ts';

/** Where an S3 lake is and how to get in. Nothing is read from the environment but by the SDK's own chain, where a value is left out. */
export interface S3Location {
  readonly bucket: string;
  /** Key prefix of the lake, without slashes at its ends; '' for the whole bucket. */
  readonly prefix: string;
  /** URL of the server; undefined for AWS. */
  readonly endpoint?: string | undefined;
  readonly region?: string | undefined;
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string } | undefined;
  /** http://host/bucket/key instead of http://bucket.host/key; default: with an endpoint of one's own. */
  readonly forcePathStyle?: boolean | undefined;
}

export interface S3Patience {
  /** How long to try again while the server was never reached: a wrong address should not take a minute to be told. Milliseconds. */
  readonly firstContactMs: number;
  /** How long to try again once the server had answered, in milliseconds. */
  readonly outageMs: number;
  /** Longest silence of a request or a body, in milliseconds; uploads get more by their size. */
  readonly silenceMs: number;
}

export const DEFAULT_PATIENCE: S3Patience = { firstContactMs: 6_000, outageMs: 60_000, silenceMs: 30_000 };

/** Slowest upload that is still waited for. */
const BYTES_PER_MS_MIN = 100;

export type S3Request<Answer> = (client: S3Client, options: { readonly abortSignal: AbortSignal }) => Promise<Answer>;

export interface S3Connection {
  readonly place: S3Place;
  readonly patience: S3Patience;
  /** Bucket and full key of an object of the lake. */
  address(key: string): { readonly Bucket: string; readonly Key: string };
  /** One request, without a second try. `bytes`: what it carries, for its time-out. */
  call<Answer>(request: S3Request<Answer>, bytes?: number): Promise<Answer>;
  /** Work with second tries after transient failures. */
  retry<T>(doing: string, work: (attempt: number) => Promise<T>): Promise<T>;
  close(): void;
}

export function connectS3(location: S3Location, log: Log, patience: S3Patience): S3Connection {
  const { bucket, prefix, endpoint } = location;
  const client = new S3Client(clientConfig(location, patience));
  const root = prefix === '' ? '' : `${prefix}/`;
  let reached = false;

  return {
    place: { url: `s3://${bucket}${prefix === '' ? '' : `/${prefix}`}`, bucket, endpoint },
    patience,
    address: (key) => ({ Bucket: bucket, Key: `${root}${key}` }),

    async call(request, bytes = 0) {
      const silence = new AbortController();
      const ms = Math.ceil(patience.silenceMs + bytes / BYTES_PER_MS_MIN);
      let timer: NodeJS.Timeout | undefined;
      const timeout = new Promise<never>((_, reject) => {
        timer = setTimeout(() => {
          silence.abort();
          reject(Object.assign(new Error(`no answer within ${ms} ms`), { name: 'TimeoutError' }));
        }, ms);
      });
      try {
        // Raced and not only aborted: an aborted request may still wait for its own body to be taken.
        const answer = await Promise.race([request(client, { abortSignal: silence.signal }), timeout]);
        reached = true;
        return answer;
      } catch (error) {
        if (describeFailure(error).status !== undefined) reached = true;
        throw error;
      } finally {
        clearTimeout(timer);
      }
    },

    retry: (doing, work) =>
      withRetries(
        {
          isTransient,
          patienceMs: () => (reached ? patience.outageMs : patience.firstContactMs),
          onRetry: (error, attempt, pauseMs) =>
            log.warn(
              { lake: bucket, doing, attempt, pauseMs: Math.round(pauseMs), ...describeFailure(error) },
              'the lake did not answer well, trying again',
            ),
        },
        work,
      ),

    close: () => client.destroy(),
  };
}

function clientConfig(location: S3Location, patience: S3Patience): S3ClientConfig {
  const { endpoint, credentials } = location;
  // Servers of one's own take any region, but requests are signed with one.
  const region = location.region ?? (endpoint === undefined ? undefined : 'us-east-1');
  return {
    ...(endpoint !== undefined && { endpoint }),
    ...(region !== undefined && { region }),
    ...(credentials !== undefined && { credentials }),
    forcePathStyle: location.forcePathStyle ?? endpoint !== undefined,
    // Tries are counted here and not in the SDK: whether an earlier try may have reached the server decides what a refusal means.
    maxAttempts: 1,
    // We send and check SHA-256 ourselves, over whole objects and in every case.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      connectionTimeout: 5_000,
      socketTimeout: patience.silenceMs,
      httpAgent: { keepAlive: true, maxSockets: 32 },
      httpsAgent: { keepAlive: true, maxSockets: 32 },
    },
  };
}
