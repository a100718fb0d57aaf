/** What went wrong, as one class: a code from the closed set below, a sentence with the remedy, and whether trying again can help. */

/** Every error code of Sluice. docs/errors.md explains each one; test/docs/errors.test.ts counts them against it. */
export const ERROR_CODES = {
  // configuration and command line
  CONFIG_INVALID: { exit: 2, status: 500 },
  USAGE: { exit: 2, status: 400 },
  PROJECT_NOT_FOUND: { exit: 2, status: 500 },
  DBT_PROJECT_INVALID: { exit: 2, status: 500 },
  PORT_IN_USE: { exit: 3, status: 500 },
  POSTGRES_START_FAILED: { exit: 3, status: 500 },
  SERVER_START_FAILED: { exit: 3, status: 500 },
  TOOL_UNAVAILABLE: { exit: 3, status: 500 },
  DISK_FULL: { exit: 3, status: 507 },
  STEP_TIMEOUT: { exit: 3, status: 504 },
  STEP_RESULT_TOO_LARGE: { exit: 1, status: 413 },
  BUILD_HOST_LOST: { exit: 3, status: 503 },
  TEMPORAL_UNREACHABLE: { exit: 3, status: 503 },
  TEMPORAL_REFUSED: { exit: 3, status: 502 },
  RUN_CONFLICT: { exit: 5, status: 409 },
  CANCELLED: { exit: 130, status: 499 },
  INTERNAL: { exit: 70, status: 500 },
  // source
  SOURCE_UNREACHABLE: { exit: 3, status: 503 },
  SOURCE_AUTH_FAILED: { exit: 3, status: 503 },
  SOURCE_DEFINITION_INVALID: { exit: 2, status: 500 },
  SOURCE_TABLE_MISSING: { exit: 4, status: 500 },
  SOURCE_COLUMN_MISSING: { exit: 4, status: 500 },
  SOURCE_TYPE_CHANGED: { exit: 4, status: 500 },
  SOURCE_VALUE_UNREPRESENTABLE: { exit: 4, status: 500 },
  SOURCE_KEY_INVALID: { exit: 4, status: 500 },
  SOURCE_QUERY_FAILED: { exit: 3, status: 503 },
  // lake
  LAKE_UNREACHABLE: { exit: 3, status: 503 },
  LAKE_OF_ANOTHER_SOURCE: { exit: 4, status: 500 },
  LAKE_FORMAT_UNKNOWN: { exit: 4, status: 500 },
  LAKE_CORRUPT: { exit: 4, status: 500 },
  OBJECT_NOT_FOUND: { exit: 4, status: 404 },
  COMMIT_CONFLICT: { exit: 5, status: 409 },
  // models
  MODEL_HEADER_INVALID: { exit: 2, status: 500 },
  MODEL_SQL_INVALID: { exit: 2, status: 500 },
  MODEL_REFERENCE_UNKNOWN: { exit: 2, status: 500 },
  MODEL_COLUMN_UNKNOWN: { exit: 2, status: 500 },
  MODEL_CYCLE: { exit: 2, status: 500 },
  MODEL_LINT: { exit: 2, status: 500 },
  MODEL_SELECT_UNKNOWN: { exit: 2, status: 400 },
  MODEL_SELECT_INCOMPLETE: { exit: 2, status: 400 },
  PLAN_NOT_FOUND: { exit: 4, status: 404 },
  PLAN_STALE: { exit: 5, status: 409 },
  SEED_INVALID: { exit: 2, status: 500 },
  SNAPSHOT_HISTORY: { exit: 2, status: 500 },
  SNAPSHOT_TIME_INVALID: { exit: 4, status: 500 },
  KEY_NOT_UNIQUE: { exit: 4, status: 500 },
  BUILD_FAILED: { exit: 1, status: 500 },
  TESTS_FAILED: { exit: 1, status: 500 },
  UNIT_TEST_INVALID: { exit: 2, status: 500 },
  UNIT_TESTS_FAILED: { exit: 1, status: 500 },
  // releases
  RELEASE_NOT_FOUND: { exit: 4, status: 404 },
  PRIVATE_RELEASE_NOT_FOUND: { exit: 4, status: 404 },
  RELEASE_CONFLICT: { exit: 5, status: 409 },
  NO_RELEASE: { exit: 4, status: 503 },
  RELEASE_UNSERVABLE: { exit: 4, status: 503 },
  // verification
  VERIFY_DIFFERENT: { exit: 1, status: 500 },
  // serving
  QUERY_INVALID: { exit: 2, status: 400 },
  QUERY_TIMEOUT: { exit: 1, status: 504 },
  QUERY_TOO_LARGE: { exit: 1, status: 413 },
  QUERY_FAILED: { exit: 1, status: 500 },
  ENGINE_BUSY: { exit: 1, status: 503 },
  TOO_MANY_REQUESTS: { exit: 1, status: 429 },
  DATASET_NOT_FOUND: { exit: 4, status: 404 },
  FORBIDDEN: { exit: 1, status: 403 },
  UNAUTHENTICATED: { exit: 1, status: 401 },
} as const satisfies Record<string, { exit: number; status: number }>;

export type ErrorCode = keyof typeof ERROR_CODES;

export interface SluiceErrorOptions {
  /** What to do about it, a full sentence. */
  readonly remedy?: string;
  /** True when the same call may succeed later without a change. */
  readonly retryable?: boolean;
  readonly cause?: unknown;
  /** Named facts for machines (file, line, table, value ...). Never secrets or other tenants' values. */
  readonly details?: Readonly<Record<string, unknown>>;
}

/** An expected failure. Message = subject, what, value; remedy = what to do. Source of all exit codes and HTTP statuses. */
export class SluiceError extends Error {
  readonly code: ErrorCode;
  readonly remedy: string | undefined;
  readonly retryable: boolean;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, options: SluiceErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'SluiceError';
    this.code = code;
    this.remedy = options.remedy;
    this.retryable = options.retryable ?? false;
    this.details = options.details ?? {};
  }
}

export function isSluiceError(error: unknown, code?: ErrorCode): error is SluiceError {
  return error instanceof SluiceError && (code === undefined || error.code === code);
}

/** Process exit code for any thrown value: the code's own, 70 for a bug. */
export function exitCodeOf(error: unknown): number {
  return isSluiceError(error) ? ERROR_CODES[error.code].exit : ERROR_CODES.INTERNAL.exit;
}

/** The message of any thrown value. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Wraps an operating-system failure: ENOSPC and EDQUOT become DISK_FULL, everything else stays as it is. */
export function mapSystemError(error: unknown, doing: string): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  const full = code === 'ENOSPC' || code === 'EDQUOT' || /no space left on device/i.test(messageOf(error));
  if (!full || isSluiceError(error)) return error;
  return new SluiceError('DISK_FULL', `The disk is full: ${doing} could not write.`, {
    remedy:
      'Free some space or point SLUICE_LAKE and SLUICE_CACHE at a larger disk, then run the same command again; nothing was committed.',
    retryable: true,
    cause: error,
  });
}
