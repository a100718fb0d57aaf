import { isSluiceError } from '../../core/errors.ts';
import { type CompileOptions, compileProject } from '../compile.ts';
import { createDiagnostics, type Diagnostic, excerptOf } from '../diagnostics.ts';
import type { CompiledModel } from '../model.ts';
import { readModel } from '../read-model.ts';
import { openSqlEngine } from '../sql-engine.ts';
import { checkStyle } from './check-style.ts';

/** One thing that lint says, at its place. */
export interface LintFinding {
  /** error: the project does not compile; warn: it does, and could be better. */
  readonly severity: 'error' | 'warn';
  /** A style rule, or the error code of the compiler. */
  readonly rule: string;
  readonly message: string;
  readonly at: Diagnostic['at'];
  readonly remedy: string;
  /** The source line with a caret under the column. */
  readonly excerpt: string;
}

/** Everything the compiler refuses and everything the style rules find, in the order of files and lines. */
export async function lintProject(options: CompileOptions): Promise<readonly LintFinding[]> {
  const texts = new Map(
    [...options.files.models, ...options.files.macros, ...options.files.tests].map(({ file, text }) => [file, text]),
  );
  const { models, problems } = await compileOrList(options);
  const findings: Omit<LintFinding, 'excerpt'>[] = problems.map(({ code, message, at, remedy }) => ({
    severity: 'error',
    rule: code,
    message,
    at,
    remedy,
  }));
  const engine = await openSqlEngine();
  try {
    for (const file of options.files.models) {
      // What does not even read is among the compiler's problems already.
      const read = readModel(
        file,
        createDiagnostics(() => file.text),
      );
      const parsed = read === undefined ? undefined : await engine.parse(read.model.sql);
      if (read === undefined || parsed?.kind !== 'query') continue;
      for (const finding of checkStyle(read, parsed.node, models.get(read.model.name)))
        findings.push({ severity: 'warn', ...finding });
    }
  } finally {
    engine.close();
  }
  const placed = findings.map((finding) => ({
    ...finding,
    excerpt: excerptOf(finding.at, texts.get(finding.at.file)) ?? '',
  }));
  return placed.sort(
    ({ at: a }, { at: b }) =>
      (a.file < b.file ? -1 : a.file > b.file ? 1 : 0) || a.line - b.line || a.column - b.column,
  );
}

async function compileOrList(
  options: CompileOptions,
): Promise<{ readonly models: ReadonlyMap<string, CompiledModel>; readonly problems: readonly Diagnostic[] }> {
  try {
    const { models } = await compileProject(options);
    return { models: new Map(models.map((model) => [model.name, model])), problems: [] };
  } catch (error) {
    if (!isSluiceError(error) || !Array.isArray(error.details['diagnostics'])) throw error;
    return { models: new Map(), problems: error.details['diagnostics'] as readonly Diagnostic[] };
  }
}
