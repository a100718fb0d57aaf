import { reportProblem } from './bind.ts';
import type { Diagnostics } from './diagnostics.ts';
import { cutFile, parseHeader } from './header.ts';
import { testHeaderSchema } from './header-schema.ts';
import type { ProjectFile } from './load.ts';
import type { SqlTest } from './model.ts';
import { readReferences } from './references.ts';
import { locate } from './source-text.ts';
import type { SqlEngine } from './sql-engine.ts';
import { reportUnknownTables } from './unknown-tables.ts';

/** Reads and binds sql/tests/**: a header with a description and one SELECT whose rows are failures. */
export async function compileSqlTests(
  engine: SqlEngine,
  files: readonly ProjectFile[],
  tables: ReadonlySet<string>,
  makeTables: (names: Iterable<string>) => Promise<void>,
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
      layer: dependencies.some((name) => name.startsWith('gold.')) ? 'gold' : 'silver',
      dependencies,
      sql,
      bodyAt,
    });
  }
  return tests;
}
