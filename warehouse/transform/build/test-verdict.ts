import type { TestResult } from '../../core/release.ts';
import type { Severity, Threshold } from '../model.ts';

/** From the number of failures to a verdict. */

const ANY: Threshold = { operator: '!=', value: 0, isShare: false };

/** `rows`: how many rows the test was about, for thresholds that are a share of them. */
export function judge(
  test: { readonly severity: Severity; readonly warnIf?: Threshold; readonly errorIf?: Threshold },
  failures: number,
  rows: number,
): TestResult['status'] {
  if (test.severity === 'error' && exceeds(test.errorIf ?? ANY, failures, rows)) return 'fail';
  return exceeds(test.warnIf ?? ANY, failures, rows) ? 'warn' : 'pass';
}

function exceeds({ operator, value, isShare }: Threshold, failures: number, rows: number): boolean {
  // Multiplied out, so that a share of no rows is 0 and no quotient is rounded.
  const left = isShare ? failures * 100 : failures;
  const right = isShare ? value * rows : value;
  switch (operator) {
    case '>':
      return left > right;
    case '>=':
      return left >= right && failures > 0;
    case '=':
      return left === right;
    case '!=':
      return left !== right;
    case '<':
      return left < right;
    case '<=':
      return left <= right;
    default:
      return operator satisfies never;
  }
}
