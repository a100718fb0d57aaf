import assert from 'node:assert/strict';
import { test } from 'node:test';
import { modelText, problemsOf } from './project.ts';

/** Projects that must not compile, and what must be said of them. */

/** A project of one silver model; its SELECT begins on line 4 (5 with one more header line, and so on). */
export const silver = (sql: string, header: readonly string[] = []) => ({
  'sql/silver/app/m.sql': modelText(sql, header),
});
export const PAYMENTS = 'bronze.app.payments';

export const GOLD = (lines: readonly string[], sql = `select user_id, amount from ${PAYMENTS}`) => ({
  'sql/gold/app/g.sql': modelText(sql, lines),
});
export const OWNED = ['owner: { user: user_id, org: user_id }', 'columns: { user_id: { type: BIGINT }, amount: }'];

interface RefusedCase {
  readonly says: string;
  readonly files: Readonly<Record<string, string>>;
  readonly code: string;
  readonly problems: readonly string[];
  readonly remedy?: RegExp;
}

/** One test for each: exactly these problems, under this code, with a remedy. */
export function refuses(cases: readonly RefusedCase[]): void {
  for (const { says, files, code, problems, remedy } of cases) {
    test(`refuses ${says}`, async () => {
      const found = await problemsOf(files);
      assert.deepEqual([...found.problems].sort(), [...problems].sort());
      assert.equal(found.error.code, code);
      assert.ok(found.error.remedy !== undefined && found.error.remedy !== '');
      if (remedy !== undefined) assert.match(found.error.remedy, remedy);
    });
  }
}
