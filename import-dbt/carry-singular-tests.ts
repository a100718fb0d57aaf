import { adaptSql, originOf } from './adapt-sql.ts';
import { freeName } from './carry-tests.ts';
import { type Carried, lineAt } from './findings.ts';
import type { ImportContext } from './import-context.ts';
import type { ImportedFile } from './imported-file.ts';
import { renderFile } from './render-models.ts';
import { writeTest } from './write-model.ts';
import { toText } from './yaml-file.ts';

/** Files of tests/: a SELECT whose rows are failures, here as there. */
export function carrySingularTests(
  context: ImportContext,
  taken: Set<string>,
): { files: ImportedFile[]; carried: Carried[] } {
  const { project, names, findings, macroCall, properties } = context;
  const files: ImportedFile[] = [];
  const carried: Carried[] = [];
  for (const file of project.tests.filter(({ folders }) => folders[0] !== 'generic')) {
    const declared = properties.tests.get(file.name);
    const request = { project, names, findings, macroCall, file, properties: declared, self: file.name };
    const rendered = renderFile({ ...request, kind: 'data_tests' });
    if (!rendered.complete || rendered.config['enabled'] === false) continue;
    const { sql } = adaptSql(rendered.sql);
    const name = freeName(file.name, taken);
    const description = context.describe(declared?.description) ?? `The test ${file.file} of the dbt project.`;
    const severity = toText(rendered.config['severity'])?.toLowerCase() === 'warn' ? 'warn' : 'error';
    const text = writeTest(description, severity === 'warn' ? { severity } : {}, sql.text.trim().replace(/;\s*$/, ''));
    const bodyLine = text.split('*/\n')[0]?.split('\n').length ?? 1;
    files.push({
      path: `sql/tests/${name}.sql`,
      text,
      from: file.file,
      lineOf: (line) => lineAt(file.text, originOf(sql, offsetOfLine(sql.text.trimStart(), line - bodyLine))),
    });
    carried.push({ kind: 'test', name: file.name, from: file.file, to: `sql/tests/${name}.sql` });
  }
  return { files, carried };
}

/** Where a line (from 1) begins. */
export function offsetOfLine(text: string, line: number): number {
  let offset = 0;
  for (let i = 1; i < line; i++) {
    const next = text.indexOf('\n', offset);
    if (next < 0) return offset;
    offset = next + 1;
  }
  return offset;
}
