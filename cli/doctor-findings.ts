import { isSluiceError, messageOf } from '../warehouse/core/errors.ts';
import type { Output } from './output.ts';

export interface Finding {
  readonly check: string;
  readonly status: 'ok' | 'warn' | 'fail';
  readonly detail: string;
  readonly remedy?: string;
}

/** A finding whose check has its name already. */
export type Outcome = Omit<Finding, 'check'>;

/** What a check found, an error included. */
export async function observe(check: string, look: () => Promise<Outcome>): Promise<Finding> {
  return { check, ...(await look().catch(toFailure)) };
}

function toFailure(error: unknown): Outcome {
  if (!isSluiceError(error)) return { status: 'fail', detail: messageOf(error) };
  return {
    status: 'fail',
    detail: `${error.code}: ${error.message}`,
    ...(error.remedy !== undefined && { remedy: error.remedy }),
  };
}

const SIGNS = { ok: '✓', warn: '!', fail: '✗' } as const;
const INDENT = ' '.repeat(17);

export function printFinding(output: Output, { check, status, detail, remedy }: Finding): void {
  output.line(`${SIGNS[status]} ${check.padEnd(14)} ${detail.replaceAll('\n', `\n${INDENT}`)}`);
  if (remedy !== undefined) output.line(`${INDENT}→ ${remedy}`);
}
