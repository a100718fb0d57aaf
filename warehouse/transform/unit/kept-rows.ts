import { readFile } from 'node:fs/promises';
import type { TestResult } from '../../core/release.ts';
import { differRowTexts, type RowDifferences, type RowText } from './compare-rows.ts';
import type { WrittenRows } from './unit-test.ts';

/** Holds the failing rows that a test kept against those a unit test expects, in the columns it names. */
export async function compareKept(result: TestResult, expected: WrittenRows): Promise<RowDifferences | undefined> {
  const kept =
    result.kept === undefined
      ? result.sample
      : (await readFile(result.kept.path, 'utf8'))
          .split('\n')
          .filter((line) => line !== '')
          .map((line) => JSON.parse(line) as RowText);
  const columns = expected.columns.map(({ name }) => name);
  const should = expected.rows.map(({ cells }) =>
    Object.fromEntries(
      columns.map((name) => {
        const cell = cells.get(name) ?? null;
        return [name, cell === null || typeof cell === 'string' ? cell : cell.json];
      }),
    ),
  );
  return differRowTexts(should, kept, columns, []);
}
