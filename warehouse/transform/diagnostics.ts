import { type ErrorCode, SluiceError } from '../core/errors.ts';
import { formatLocation, type SourceLocation } from './source-location.ts';

/** One thing wrong with a project, at its place. */
export interface Diagnostic {
  readonly code: ErrorCode;
  /** Subject, what, value. */
  readonly message: string;
  readonly at: SourceLocation;
  readonly remedy: string;
}

/** Gathers problems, so that a compile reports all of them at once instead of the first. */
export interface Diagnostics {
  readonly list: readonly Diagnostic[];
  add(diagnostic: Diagnostic): void;
  /** True when something was reported for the file. */
  has(file: string): boolean;
  /** Throws one error that names every problem with its source line. */
  throwIfAny(): void;
}

/** `textOf` gives a file's text, for the source line under each message. */
export function createDiagnostics(textOf: (file: string) => string | undefined): Diagnostics {
  const list: Diagnostic[] = [];
  const known = new Set<string>();
  return {
    list,
    add: (diagnostic) => {
      const identity = `${formatLocation(diagnostic.at)}\0${diagnostic.message}`;
      if (known.has(identity)) return;
      known.add(identity);
      list.push(diagnostic);
    },
    has: (file) => list.some((diagnostic) => diagnostic.at.file === file),
    throwIfAny: () => {
      if (list.length > 0) throw toError(list, textOf);
    },
  };
}

function toError(list: readonly Diagnostic[], textOf: (file: string) => string | undefined): SluiceError {
  const sorted = [...list].sort(
    (a, b) => compareText(a.at.file, b.at.file) || a.at.line - b.at.line || a.at.column - b.at.column,
  );
  const first = sorted[0];
  if (first === undefined) throw new TypeError('no diagnostics to report');
  const remedies = [...new Set(sorted.map((diagnostic) => diagnostic.remedy))];
  const blocks = sorted.map((diagnostic) => {
    const excerpt = excerptOf(diagnostic.at, textOf(diagnostic.at.file));
    return `${formatLocation(diagnostic.at)}: ${diagnostic.message}${excerpt === undefined ? '' : `\n${excerpt}`}`;
  });
  const message = sorted.length === 1 ? blocks.join('') : `${sorted.length} problems\n${blocks.join('\n')}`;
  return new SluiceError(first.code, message, {
    remedy: remedies.length === 1 ? (remedies[0] ?? '') : remedies.map((remedy) => `- ${remedy}`).join('\n'),
    details: { diagnostics: sorted },
  });
}

/** The source line and a caret under the column. */
export function excerptOf(at: SourceLocation, text: string | undefined): string | undefined {
  const line = text?.split('\n')[at.line - 1]?.replace(/\r$/, '');
  if (line === undefined) return undefined;
  const gutter = String(at.line);
  const indent = line.slice(0, at.column - 1).replaceAll(/[^\t]/g, ' ');
  return `  ${gutter} | ${line}\n  ${' '.repeat(gutter.length)} | ${indent}^`;
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
