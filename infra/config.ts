import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism, homedir } from 'node:os';
import { delimiter, isAbsolute, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseEnv } from 'node:util';
import { z } from 'zod';
import { messageOf, SluiceError } from '../warehouse/core/errors.ts';
import { nearestOf } from '../warehouse/core/nearest.ts';
import { LOG_LEVELS } from './log-levels.ts';

/**
 * The one place that reads the environment. Values come from the process, then from the project's .env file, then from the defaults here.
 * docs/configuration.md lists every option; a test compares the two.
 */

const S3_URL = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/(.*?))?\/?$/;

const whole = (min: number, max: number) =>
  z.string().transform((text, context) => {
    const value = Number(text);
    if (/^\d+$/.test(text.trim()) && value >= min && value <= max) return value;
    context.addIssue(`is not a whole number from ${min} to ${max}`);
    return z.NEVER;
  });

const isSourceUrl = (text: string): boolean =>
  text === 'embedded' || (/^postgres(ql)?:\/\//.test(text) && URL.canParse(text));

/** Every option: its schema, default, unit and meaning. */
export const CONFIG_OPTIONS = {
  SLUICE_SOURCE_URL: {
    schema: z
      .string()
      .refine(isSourceUrl, 'is neither "embedded" nor a URL such as postgres://user:password@host:5432/database'),
    default: 'embedded',
    describe:
      'Postgres to extract from: a postgres:// URL, or `embedded` for the project’s own Postgres in .sluice/postgres, started when needed.',
  },
  SLUICE_LAKE: {
    schema: z
      .string()
      .min(1)
      .refine(
        (url) => !/^[a-z0-9+.-]+:\/\//i.test(url) || url.startsWith('file://') || S3_URL.test(url),
        'is neither a folder nor a file:// URL nor s3://bucket/prefix',
      ),
    default: '.sluice/lake',
    describe:
      'Where bronze and the releases live: a folder, relative to the project, a file:// URL, or s3://bucket/prefix on any S3 server with conditional writes.',
  },
  SLUICE_S3_ENDPOINT: {
    schema: z
      .string()
      .regex(/^https?:\/\/[^/]+\/?$/, 'is not http://host:port or https://host:port')
      .optional(),
    default: undefined,
    describe: 'URL of the S3 server, such as http://127.0.0.1:9000. Unset: AWS.',
  },
  SLUICE_S3_REGION: {
    schema: z.string().min(1).optional(),
    default: undefined,
    describe:
      'Region of the bucket. Unset: us-east-1 with SLUICE_S3_ENDPOINT, else what the AWS SDK finds (AWS_REGION, the profile).',
  },
  SLUICE_S3_ACCESS_KEY_ID: {
    schema: z.string().min(1).optional(),
    default: undefined,
    describe:
      'Access key of the S3 server. Unset, together with the secret: what the AWS SDK finds (environment, profile, role of the machine).',
  },
  SLUICE_S3_SECRET_ACCESS_KEY: {
    schema: z.string().min(1).optional(),
    default: undefined,
    describe: 'Secret of the access key.',
  },
  SLUICE_S3_FORCE_PATH_STYLE: {
    schema: z.enum(['true', 'false'], { error: 'is neither true nor false' }).optional(),
    default: undefined,
    describe:
      'Whether the bucket is named in the path (`true`) or in the host name (`false`) of requests. Unset: `true` with SLUICE_S3_ENDPOINT, else `false`.',
  },
  SLUICE_CACHE: {
    schema: z.string().min(1),
    default: '.sluice/cache',
    describe: 'Folder for working copies and fetched releases; losing it costs time only.',
  },
  SLUICE_CACHE_MB: {
    schema: whole(64, 1_048_576),
    default: '10240',
    describe:
      'Bound of the local copies of a lake in S3, in MB; files in use are kept beyond it. Fetched releases and a running build come on top.',
  },
  SLUICE_LOG_LEVEL: {
    schema: z.enum(LOG_LEVELS, {
      error: 'is none of silent, error, warn, info, debug, trace',
    }),
    default: 'warn',
    describe: 'How much to log, as JSON lines on standard error.',
  },
  SLUICE_THREADS: {
    schema: whole(1, 256),
    default: String(availableParallelism()),
    describe: 'Threads a build may use; default: the machine’s.',
  },
  SLUICE_MEMORY_MB: {
    schema: whole(128, 1_048_576),
    default: '1024',
    describe: 'Memory DuckDB may use for extraction and builds, in MB; it spills to the cache folder beyond.',
  },
  SLUICE_STATEMENT_TIMEOUT_S: {
    schema: whole(1, 86_400),
    default: '1800',
    describe: 'Longest statement sent to the source, in seconds.',
  },
  SLUICE_LOCK_TIMEOUT_S: {
    schema: whole(1, 3_600),
    default: '10',
    describe: 'Longest wait for a lock in the source, in seconds.',
  },
  SLUICE_SOURCE_CONNECTIONS: {
    schema: whole(1, 32),
    default: '2',
    describe: 'Connections to the source that read parts of one large table at the same time.',
  },
  SLUICE_SERVE_HOST: { schema: z.string().min(1), default: '127.0.0.1', describe: 'Address the service listens on.' },
  SLUICE_SERVE_PORT: {
    schema: whole(0, 65_535),
    default: '8787',
    describe: 'Port the service listens on; 0 takes a free one.',
  },
  SLUICE_JWT_SECRET: {
    schema: z.string().min(32, 'has fewer than 32 characters').optional(),
    default: undefined,
    describe:
      'Secret that signs bearer tokens (HS256), at least 32 characters. Unset: a development secret in .sluice/jwt-secret, accepted on loopback addresses only.',
  },
  SLUICE_MASK_SECRET: {
    schema: z.string().min(32, 'has fewer than 32 characters').optional(),
    default: undefined,
    describe:
      'Secret of masked columns’ hashes (HMAC-SHA256), at least 32 characters; needed when a source masks a column with hash. With another secret every hash changes.',
  },
  SLUICE_QUERY_TIMEOUT_MS: {
    schema: whole(50, 600_000),
    default: '10000',
    describe: 'Longest query of the service, in milliseconds.',
  },
  SLUICE_TEMPORAL_UI: {
    schema: z
      .string()
      .refine((text) => /^https?:\/\//.test(text) && URL.canParse(text), 'is not an http:// or https:// URL'),
    default: 'http://127.0.0.1:8233',
    describe:
      'Temporal’s Web UI, for links to runs. The server itself is found by Temporal’s own variables: TEMPORAL_ADDRESS (127.0.0.1:7233), TEMPORAL_NAMESPACE, TEMPORAL_PROFILE, TEMPORAL_API_KEY and so on.',
  },
  SLUICE_OPENLINEAGE_URL: {
    schema: z.string().refine(isEventUrl, 'is not a file:// or http(s):// URL without user and password').optional(),
    default: undefined,
    describe:
      'Where each run sends its OpenLineage events: `file:///path/events.ndjson` or the `http(s)://` URL that takes them. Unset: nowhere.',
  },
  SLUICE_OPENLINEAGE_NAMESPACE: {
    schema: z.string().min(1),
    default: 'sluice',
    describe: 'Namespace of the jobs in OpenLineage events.',
  },
  SLUICE_QUERY_MEMORY_MB: {
    schema: whole(64, 1_048_576),
    default: '512',
    describe: 'Memory of the service’s query engine, in MB.',
  },
} as const;

function isEventUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password, hostname } = new URL(text);
  if (protocol === 'file:') return hostname === '';
  return (protocol === 'http:' || protocol === 'https:') && username === '' && password === '';
}

export type OptionName = keyof typeof CONFIG_OPTIONS;

/** The checked value of an option. */
type ReadOption = <Name extends OptionName>(name: Name) => z.output<(typeof CONFIG_OPTIONS)[Name]['schema']>;

export type LakeConfig =
  | { readonly kind: 'folder'; readonly dir: string; readonly url: string }
  | {
      readonly kind: 's3';
      /** s3://bucket/prefix */
      readonly url: string;
      readonly bucket: string;
      readonly prefix: string;
      readonly endpoint: string | undefined;
      readonly region: string | undefined;
      readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string } | undefined;
      readonly forcePathStyle: boolean | undefined;
    };

export interface Config {
  /** The project folder, absolute: holds models/, sql/ and .sluice/. */
  readonly projectDir: string;
  /** Local state of the project, absolute. */
  readonly stateDir: string;
  readonly sourceUrl: string;
  readonly lake: LakeConfig;
  readonly cacheDir: string;
  /** Where compiles keep what they found out; absent: each compile begins from nothing. */
  readonly compileCacheDir: string | undefined;
  /** Bound of the local copies of a lake in S3. */
  readonly cacheBytes: number;
  readonly logLevel: (typeof LOG_LEVELS)[number];
  readonly threads: number;
  readonly memoryMb: number;
  readonly statementTimeoutMs: number;
  readonly lockTimeoutMs: number;
  readonly sourceConnections: number;
  readonly serve: {
    readonly host: string;
    readonly port: number;
    readonly queryTimeoutMs: number;
    readonly queryMemoryMb: number;
  };
  readonly jwtSecret: string | undefined;
  readonly maskSecret: string | undefined;
  readonly temporalUi: string;
  /** Where events go; nowhere without a URL. */
  readonly openLineage: { readonly url: string | undefined; readonly namespace: string };
  /** Temporal’s own variables, as @temporalio/envconfig reads them. */
  readonly temporalEnvironment: Readonly<Record<string, string>>;
}

/** Reads and checks the whole configuration; every problem is reported at once (CONFIG_INVALID). `isNew`: the folder need not be a project yet. */
export function loadConfig(
  projectDir: string,
  environment: Readonly<Record<string, string | undefined>> = process.env,
  { isNew = false, compileCache = true }: { readonly isNew?: boolean; readonly compileCache?: boolean } = {},
): Config {
  const project = resolve(projectDir);
  if (!isNew && !existsSync(join(project, 'models')) && !existsSync(join(project, 'sql'))) {
    throw new SluiceError('PROJECT_NOT_FOUND', `${project} is not a Sluice project: it has neither models/ nor sql/.`, {
      remedy: 'Change into the project folder, name it with --project DIR, or make one with sluice init.',
    });
  }
  const values = { ...readDotEnv(join(project, '.env')), ...definedOnly(environment) };
  const problems: string[] = [];
  const unknown = Object.keys(values).filter(
    (name) => name.startsWith('SLUICE_') && !(name in CONFIG_OPTIONS) && !name.startsWith('SLUICE_TEST_'),
  );
  for (const name of unknown) {
    const near = nearestOf(name, Object.keys(CONFIG_OPTIONS));
    problems.push(`${name}: no such option${near === undefined ? '' : `; did you mean ${near}?`}`);
  }
  const read: ReadOption = (name) => {
    const option = CONFIG_OPTIONS[name];
    const raw = values[name] === undefined || values[name] === '' ? option.default : values[name];
    const parsed = option.schema.safeParse(raw);
    if (parsed.success) return parsed.data as never;
    const shown = SECRETS.has(name) ? 'the value given' : JSON.stringify(raw);
    problems.push(`${name}: ${shown} ${parsed.error.issues.map((issue) => issue.message).join('; ')}`);
    return undefined as never;
  };
  const cacheDir = toFolder(project, read('SLUICE_CACHE'));
  const config: Config = {
    projectDir: project,
    stateDir: join(project, '.sluice'),
    sourceUrl: read('SLUICE_SOURCE_URL'),
    lake: readLake(project, read, problems),
    cacheDir,
    compileCacheDir: compileCache ? join(cacheDir, 'compile') : undefined,
    cacheBytes: read('SLUICE_CACHE_MB') * 1024 * 1024,
    logLevel: read('SLUICE_LOG_LEVEL'),
    threads: read('SLUICE_THREADS'),
    memoryMb: read('SLUICE_MEMORY_MB'),
    statementTimeoutMs: read('SLUICE_STATEMENT_TIMEOUT_S') * 1000,
    lockTimeoutMs: read('SLUICE_LOCK_TIMEOUT_S') * 1000,
    sourceConnections: read('SLUICE_SOURCE_CONNECTIONS'),
    serve: {
      host: read('SLUICE_SERVE_HOST'),
      port: read('SLUICE_SERVE_PORT'),
      queryTimeoutMs: read('SLUICE_QUERY_TIMEOUT_MS'),
      queryMemoryMb: read('SLUICE_QUERY_MEMORY_MB'),
    },
    jwtSecret: read('SLUICE_JWT_SECRET'),
    maskSecret: read('SLUICE_MASK_SECRET'),
    temporalUi: read('SLUICE_TEMPORAL_UI'),
    openLineage: { url: read('SLUICE_OPENLINEAGE_URL'), namespace: read('SLUICE_OPENLINEAGE_NAMESPACE') },
    temporalEnvironment: definedOnly(
      Object.fromEntries(
        Object.entries(values).filter(([name]) => name.startsWith('TEMPORAL_') || TEMPORAL_FILE_HINTS.has(name)),
      ),
    ),
  };
  if (problems.length > 0) {
    throw new SluiceError(
      'CONFIG_INVALID',
      `The configuration has ${problems.length === 1 ? 'a problem' : `${problems.length} problems`}:\n  ${problems.join('\n  ')}`,
      {
        remedy: 'Set the options in the environment or in the project’s .env file; docs/configuration.md lists them.',
        details: { problems },
      },
    );
  }
  return Object.freeze(config);
}

/** Where temporal.toml is looked for, per system. */
const TEMPORAL_FILE_HINTS: ReadonlySet<string> = new Set(['HOME', 'XDG_CONFIG_HOME', 'APPDATA']);

/** Options whose values never appear in a message. */
const SECRETS: ReadonlySet<string> = new Set([
  'SLUICE_JWT_SECRET',
  'SLUICE_MASK_SECRET',
  'SLUICE_OPENLINEAGE_URL',
  'SLUICE_SOURCE_URL',
  'SLUICE_S3_ACCESS_KEY_ID',
  'SLUICE_S3_SECRET_ACCESS_KEY',
]);

function readLake(project: string, read: ReadOption, problems: string[]): LakeConfig {
  // undefined after a problem that was told already
  const url: string = read('SLUICE_LAKE') ?? '';
  const endpoint = read('SLUICE_S3_ENDPOINT');
  const region = read('SLUICE_S3_REGION');
  const accessKeyId = read('SLUICE_S3_ACCESS_KEY_ID');
  const secretAccessKey = read('SLUICE_S3_SECRET_ACCESS_KEY');
  const pathStyle = read('SLUICE_S3_FORCE_PATH_STYLE');
  if ((accessKeyId === undefined) !== (secretAccessKey === undefined)) {
    const [present, absent] =
      accessKeyId === undefined ? ['SECRET_ACCESS_KEY', 'ACCESS_KEY_ID'] : ['ACCESS_KEY_ID', 'SECRET_ACCESS_KEY'];
    problems.push(`SLUICE_S3_${absent}: must be set together with SLUICE_S3_${present}`);
  }
  const match = S3_URL.exec(url);
  if (match === null) {
    const dir = toFolder(project, url);
    return { kind: 'folder', dir, url: dir };
  }
  const [, bucket = '', prefix = ''] = match;
  if (prefix.split('/').some((segment) => segment === '.' || segment === '..' || (segment === '' && prefix !== ''))) {
    problems.push(`SLUICE_LAKE: ${JSON.stringify(url)} has more than plain names in its prefix`);
  }
  return {
    kind: 's3',
    url: `s3://${bucket}${prefix === '' ? '' : `/${prefix}`}`,
    bucket,
    prefix,
    endpoint,
    region,
    credentials:
      accessKeyId === undefined || secretAccessKey === undefined ? undefined : { accessKeyId, secretAccessKey },
    forcePathStyle: pathStyle === undefined ? undefined : pathStyle === 'true',
  };
}

/** What the machine's environment says to programs that find or start other programs. */
export interface Host {
  /** Folders of programs. */
  readonly path: readonly string[];
  /** This user's cache folder of all of Sluice: outlives projects. */
  readonly cacheDir: string;
  /** The environment for a child process, with some values set. */
  environment(extra: Readonly<Record<string, string>>): Record<string, string>;
}

export function readHost(environment: Readonly<Record<string, string | undefined>> = process.env): Host {
  const cacheHome = environment['XDG_CACHE_HOME'];
  return {
    path: (environment['PATH'] ?? '').split(delimiter).filter((dir) => dir !== ''),
    cacheDir: join(cacheHome !== undefined && isAbsolute(cacheHome) ? cacheHome : join(homedir(), '.cache'), 'sluice'),
    environment: (extra) => ({ ...definedOnly(environment), ...extra }),
  };
}

function toFolder(project: string, value: string | undefined): string {
  if (value === undefined) return project;
  const path = value.startsWith('file://') ? fileURLToPath(value) : value;
  return isAbsolute(path) ? path : join(project, path);
}

function readDotEnv(path: string): Record<string, string | undefined> {
  if (!existsSync(path)) return {};
  try {
    return parseEnv(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new SluiceError('CONFIG_INVALID', `${path} cannot be read: ${messageOf(error)}.`, {
      remedy: 'Make it a text file of lines NAME=value that this user may read, or remove it.',
      cause: error,
    });
  }
}

function definedOnly(environment: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(environment).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}
