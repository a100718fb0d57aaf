import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { DuckDb } from '../../core/duckdb.ts';
import type { TestResult } from '../../core/release.ts';

/**
 * Failing rows of tests, written down so that they can be looked at after the clones are gone: one file of JSON lines per test,
 *
 *   <folder of all builds>/<build>/<test>.ndjson
 */

const SAMPLE_ROWS = 5;
const KEPT_ROWS = 100;
/** Builds whose rows are kept; older folders go when a new one is made. */
const KEPT_BUILDS = 20;

export type FailingRow = TestResult['sample'][number];

/** Reads the first failing rows of a query, writes them to `dir` where there is one, and gives a few; `shown` names the columns of these. */
export async function keepFailingRows(
  db: DuckDb,
  failing: string,
  to: { readonly test: string; readonly dir: string | undefined; readonly shown: readonly string[] },
): Promise<Pick<TestResult, 'sample' | 'kept'>> {
  const limit = to.dir === undefined ? SAMPLE_ROWS : KEPT_ROWS;
  const rows = await db.rows<FailingRow>(
    `select columns(*)::varchar from (select * from (${failing}) order by all limit ${limit})`,
  );
  const sample = rows.slice(0, SAMPLE_ROWS).map((row) => pick(row, to.shown));
  if (to.dir === undefined) return { sample };
  return { sample, kept: await writeRows(to.dir, to.test, rows) };
}

async function writeRows(dir: string, test: string, rows: readonly FailingRow[]): Promise<TestResult['kept'] & {}> {
  await makeFolder(dir);
  const path = join(dir, `${test.replaceAll(/[^\w.(),-]/g, '_').slice(0, 200)}.ndjson`);
  await writeFile(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return { path, rows: rows.length };
}

/** Names of builds begin with their time, so that the oldest come first. */
async function makeFolder(dir: string): Promise<void> {
  if ((await mkdir(dir, { recursive: true })) === undefined) return;
  const parent = dirname(dir);
  const builds = (await readdir(parent)).filter((name) => /^\d{8}T\d{6}Z-/.test(name)).sort();
  for (const name of builds.slice(0, -KEPT_BUILDS)) await rm(join(parent, name), { recursive: true, force: true });
}

function pick(row: FailingRow, names: readonly string[]): FailingRow {
  if (names.length === 0) return row;
  return Object.fromEntries(names.flatMap((name) => (name in row ? [[name, row[name] ?? null]] : [])));
}
