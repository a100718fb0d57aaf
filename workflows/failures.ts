import { ActivityFailure, ApplicationFailure, ChildWorkflowFailure, isCancellation } from '@temporalio/workflow';

/** Errors as they cross the server: the code is the failure's type, the rest of a SluiceError its first detail. */

export interface FailureDetail {
  /** The sentence without the remedy. */
  readonly message: string;
  readonly remedy?: string;
  readonly retryable: boolean;
  readonly details: Readonly<Record<string, unknown>>;
}

/** A failure of the workflow's own, as final as a wrong input. */
export function createFailure(code: string, message: string, remedy: string): ApplicationFailure {
  const detail: FailureDetail = { message, remedy, retryable: false, details: {} };
  return ApplicationFailure.create({
    type: code,
    message: `${message} ${remedy}`,
    nonRetryable: true,
    details: [detail],
  });
}

/** The same failure with a sentence before its own. */
export function addToFailure(error: unknown, sentence: string): unknown {
  const root = rootOf(error);
  if (isCancellation(error) || !(root instanceof ApplicationFailure)) return error;
  const detail = detailOf(root);
  return ApplicationFailure.create({
    message: `${sentence} ${root.message}`,
    type: root.type ?? 'INTERNAL',
    nonRetryable: true,
    details: [{ ...detail, message: `${sentence} ${detail.message}` }],
    ...(error instanceof Error && { cause: error }),
  });
}

/** Why a run ended, in one line and without the remedy. */
export function shortReasonOf(error: unknown): string {
  if (isCancellation(error)) return 'cancelled';
  const root = rootOf(error);
  const [line = ''] = (root instanceof ApplicationFailure ? detailOf(root).message : messageOf(root)).split('\n');
  return line.length > MAX_REASON ? `${line.slice(0, MAX_REASON)}…` : line;
}

const MAX_REASON = 200;

function detailOf(failure: ApplicationFailure): FailureDetail {
  const detail = failure.details?.[0] as FailureDetail | undefined;
  return typeof detail?.message === 'string' ? detail : { message: failure.message, retryable: false, details: {} };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** What failed in the end, below the wrappings of activities and children. */
export function rootOf(error: unknown): unknown {
  let root = error;
  while ((root instanceof ActivityFailure || root instanceof ChildWorkflowFailure) && root.cause !== undefined)
    root = root.cause;
  return root;
}

export function codeOf(error: unknown): string {
  if (isCancellation(error)) return 'CANCELLED';
  const root = rootOf(error);
  return root instanceof ApplicationFailure ? (root.type ?? 'INTERNAL') : 'INTERNAL';
}

/** The error that a run ends with: what failed stands in the first line that people see, not in the third cause. */
export function toRunFailure(error: unknown): unknown {
  const root = rootOf(error);
  if (isCancellation(error) || !(root instanceof ApplicationFailure) || root === error) return error;
  return ApplicationFailure.create({
    message: root.message,
    type: root.type ?? 'INTERNAL',
    nonRetryable: true,
    ...(root.details && { details: root.details }),
    ...(error instanceof Error && { cause: error }),
  });
}
