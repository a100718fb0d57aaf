import { ERROR_CODES, type ErrorCode, isSluiceError, SluiceError } from '../warehouse/core/errors.ts';

/** Errors as RFC 9457 problem details: one shape for every status, never an SQL text, a path, a stack or another tenant's value. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  readonly remedy?: string;
  /** Each wrong parameter, all at once. */
  readonly errors?: unknown;
}

export const PROBLEM_TYPE = 'application/problem+json';

/** Errors of HTTP itself, which have no code of Sluice's own. */
export const HTTP_PROBLEMS = {
  BAD_REQUEST: { status: 400, title: 'The request is malformed' },
  NOT_FOUND: { status: 404, title: 'There is nothing at this path' },
  METHOD_NOT_ALLOWED: { status: 405, title: 'The method is not allowed here' },
  NOT_ACCEPTABLE: { status: 406, title: 'None of the accepted formats can be given' },
  REQUEST_TIMEOUT: { status: 408, title: 'The request did not arrive in time' },
  HEADERS_TOO_LARGE: { status: 431, title: 'The request line or headers are too large' },
} as const;
export type HttpProblemCode = keyof typeof HTTP_PROBLEMS;

/** An error of HTTP itself, thrown by a route and answered by the one error handler. */
export class HttpProblem extends Error {
  readonly code: HttpProblemCode;
  readonly headers: Readonly<Record<string, string>>;

  constructor(code: HttpProblemCode, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.name = 'HttpProblem';
    this.code = code;
    this.headers = headers;
  }
}

/** Codes whose message was written for the caller; of all others only the title is told. */
const TITLES: Partial<Record<ErrorCode, string>> = {
  QUERY_INVALID: 'The query is not valid',
  QUERY_TIMEOUT: 'The query took too long',
  QUERY_TOO_LARGE: 'The answer is too large',
  QUERY_FAILED: 'The query failed',
  ENGINE_BUSY: 'The service is busy',
  TOO_MANY_REQUESTS: 'Too many requests',
  DATASET_NOT_FOUND: 'The dataset does not exist',
  FORBIDDEN: 'Not allowed',
  UNAUTHENTICATED: 'A valid token is needed',
  NO_RELEASE: 'There is no data yet',
  CANCELLED: 'The request was cancelled',
};

export interface ProblemReply {
  readonly problem: Problem;
  readonly headers: Readonly<Record<string, string>>;
}

/** The reply to any thrown value; what was not meant for a caller becomes INTERNAL without a word of it. */
export function problemOf(error: unknown): ProblemReply {
  if (error instanceof HttpProblem) {
    const { status, title } = HTTP_PROBLEMS[error.code];
    return {
      problem: { type: typeOf(error.code), title, status, code: error.code, detail: error.message },
      headers: error.headers,
    };
  }
  const told = isSluiceError(error) && TITLES[error.code] !== undefined ? error : hidden();
  const { code, message, remedy, details } = told;
  const headers: Record<string, string> = {};
  if (typeof details['retryAfterSeconds'] === 'number') headers['Retry-After'] = String(details['retryAfterSeconds']);
  if (typeof details['challenge'] === 'string') headers['WWW-Authenticate'] = details['challenge'];
  return {
    problem: {
      type: typeOf(code),
      title: TITLES[code] ?? 'The service failed',
      status: ERROR_CODES[code].status,
      code,
      detail: message,
      ...(remedy === undefined ? {} : { remedy }),
      ...(details['problems'] === undefined ? {} : { errors: details['problems'] }),
    },
    headers,
  };
}

function hidden(): SluiceError {
  return new SluiceError('INTERNAL', 'The service failed; the request was not answered.', {
    remedy: 'Give the X-Request-Id of this answer to whoever runs the service.',
  });
}

function typeOf(code: string): string {
  return `urn:sluice:problem:${code.toLowerCase().replaceAll('_', '-')}`;
}
