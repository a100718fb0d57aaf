import type { TestResult } from '../../core/release.ts';
import type { RowDifferences } from './compare-rows.ts';
import type { UnitMode } from './unit-test.ts';

/** How a unit test went. */

export interface UnitTestResult {
  readonly name: string;
  readonly file: string;
  readonly mode: UnitMode;
  readonly status: 'pass' | 'fail';
  readonly ms: number;
  readonly failures: readonly UnitFailure[];
}

/** One thing that is not as expected. */
export type UnitFailure = { readonly step: string } & (
  | { readonly kind: 'rows'; readonly subject: string; readonly differences: RowDifferences }
  | {
      readonly kind: 'action';
      readonly subject: string;
      readonly expected: string;
      readonly found: string;
      readonly why: string;
    }
  | { readonly kind: 'test'; readonly subject: string; readonly problem: string; readonly sample: TestResult['sample'] }
  | { readonly kind: 'error'; readonly subject: string; readonly problem: string }
);
