import { reportProblem } from './bind.ts';
import type { Diagnostics } from './diagnostics.ts';
import { cutFile, type Header, parseHeader } from './header.ts';
import { type TestHeader, testHeaderSchema } from './header-schema.ts';
import type { ProjectFile } from './load.ts';
import type { SqlTest } from './model.ts';
import { readReferences } from './references.ts';
import { locate } from './source-text.ts';
import type { SqlEngine } from './sql-engine.ts';
import { isUnsteady } from './test-reach.ts';
import { parseThreshold } from './test-words.ts';
import { reportUnknownTables } from './unknown-tables.ts';

/** Reads and binds sql/tests/**: a header with a description and one SELECT whose rows are failures. */
export async function compileSqlTests(
  engine: SqlEngine,
  files: readonly ProjectFile[],
  {
    tables,
    macros,
    makeTables,
  }: {
    readonly tables: ReadonlySet<string>;
    readonly macros: ReadonlySet<string>;
    readonly makeTables: (names: Iterable<string>) => Promise<void>;
  },
  diagnostics: Diagnostics,
): Promise<SqlTest[]> {
  const tests: SqlTest[] = [];
  for (const { file, text } of files) {
    const cut = cutFile(file, text, diagnostics);
    const header = cut && parseHeader(file, text, cut, testHeaderSchema, diagnostics);
    if (cut === undefined || header === undefined) continue;
    const { sql } = cut;
    const bodyAt = locate(file, text, cut.sqlStart);
    const parsed = await engine.parse(sql);
    if (parsed.kind === 'problem') {
      reportProblem(parsed, { bodyAt, sql }, engine, diagnostics);
      continue;
    }
    const references = readReferences(parsed.node);
    reportUnknownTables({ model: { bodyAt, sql }, references }, tables, diagnostics);
    const dependencies = [...new Set(references.tables.flatMap((table) => table.name ?? []))].sort();
    // What an unknown or broken table makes of a test is said at the table.
    if (diagnostics.list.length === 0) {
      await makeTables(dependencies);
      const described = await engine.describe(sql);
      if (described.kind === 'problem') reportProblem(described, { bodyAt, sql }, engine, diagnostics);
    }
    tests.push({
      name: `tests.${file.slice(file.lastIndexOf('/') + 1).replace(/\.sql$/, '')}`,
      file,
      description: header.value.description,
      severity: header.value.severity ?? 'error',
      ...thresholdsOf(header, diagnostics),
      isSteady: !isUnsteady(parsed.node, engine, macros),
      layer: dependencies.some((name) => name.startsWith('gold.')) ? 'gold' : 'silver',
      dependencies,
      sql,
      bodyAt,
    });
  }
  return tests;
}

function thresholdsOf(header: Header<TestHeader>, diagnostics: Diagnostics): Pick<SqlTest, 'warnIf' | 'errorIf'> {
  const { warn_if: warn, error_if: error } = header.value;
  const [warnIf, errorIf] = [parseThreshold(warn ?? ''), parseThreshold(error ?? '')];
  for (const [field, threshold] of [
    ['warn_if', warnIf],
    ['error_if', errorIf],
  ] as const) {
    if (threshold?.isShare !== true) continue;
    diagnostics.add({
      code: 'MODEL_HEADER_INVALID',
      message: `header: ${field} is a share, but the rows of a SELECT are all failures`,
      at: header.at(field),
      remedy: 'Write a number of rows, e.g. ">10".',
    });
  }
  return { ...(warnIf === undefined ? {} : { warnIf }), ...(errorIf === undefined ? {} : { errorIf }) };
}
