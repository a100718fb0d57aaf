import { isDeepStrictEqual } from 'node:util';
import type { FormatOptionsWithLanguage } from 'sql-formatter';
import { withoutLocations } from '../ast.ts';
import { createDiagnostics } from '../diagnostics.ts';
import { cutFile } from '../header.ts';
import { scanSql } from '../scan-sql.ts';
import type { SqlEngine } from '../sql-engine.ts';

/** Layout of a model or test file. What is not provably the same query with the same comments is left as it is. */

export type Formatted =
  | { readonly kind: 'formatted'; readonly text: string }
  | { readonly kind: 'left'; readonly why: string };

/** `calls` are names of macros, which the formatter would take for names of tables. */
export async function formatModel(
  engine: SqlEngine,
  file: string,
  text: string,
  calls: ReadonlySet<string>,
): Promise<Formatted> {
  const diagnostics = createDiagnostics(() => text);
  const cut = cutFile(file, text, diagnostics);
  if (cut === undefined) return { kind: 'left', why: diagnostics.list[0]?.message ?? 'it has no header' };
  const bodyStart = text.indexOf('*/', cut.headerStart) + 2;
  const body = text.slice(bodyStart);
  // Loaded when it is needed: it is an eighth of a start's work.
  const { format } = await import('sql-formatter');
  const written = formatBody(format, body, calls);
  if (written instanceof Error) return { kind: 'left', why: `the formatter does not know it: ${firstLine(written)}` };
  const again = formatBody(format, written, calls);
  if (again !== written) return { kind: 'left', why: 'its layout does not settle' };
  const why = await differenceOf(engine, body, written);
  if (why !== undefined) return { kind: 'left', why };
  return { kind: 'formatted', text: `/*\n${tidyHeader(cut.header)}\n*/\n${written}\n` };
}

type Format = (sql: string, options: FormatOptionsWithLanguage) => string;

function formatBody(format: Format, body: string, calls: ReadonlySet<string>): string | Error {
  try {
    const laidOut = format(body.trim(), {
      language: 'duckdb',
      keywordCase: 'lower',
      functionCase: 'lower',
      dataTypeCase: 'lower',
      expressionWidth: 100,
    });
    return joinCalls(laidOut, calls).trim();
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

/** `as_of ()` → `as_of()`, outside of strings and comments. */
function joinCalls(sql: string, calls: ReadonlySet<string>): string {
  return sql.replaceAll(
    /--[^\n]*|\/\*[\s\S]*?\*\/|'(?:[^']|'')*'|"(?:[^"]|"")*"|\b([A-Za-z_]\w*) \(/g,
    (whole: string, name: string | undefined) =>
      name !== undefined && calls.has(name.toLowerCase()) ? `${name}(` : whole,
  );
}

async function differenceOf(engine: SqlEngine, before: string, after: string): Promise<string | undefined> {
  const [a, b] = [await engine.parse(before), await engine.parse(after)];
  if (a.kind === 'problem') return `DuckDB does not parse it: ${a.message.split('\n')[0]}`;
  if (b.kind === 'problem' || !isDeepStrictEqual(withoutLocations(a.node), withoutLocations(b.node)))
    return 'laid out it would be another query';
  return isDeepStrictEqual(commentsOf(before), commentsOf(after)) ? undefined : 'laid out it would lose a comment';
}

/** Each comment with its lines trimmed, in order. */
function commentsOf(sql: string): readonly string[] {
  return [...scanSql(sql)]
    .filter(({ kind }) => kind === 'comment')
    .map(({ start, end }) =>
      sql
        .slice(start, end)
        .split('\n')
        .map((line) => line.trim())
        .join('\n'),
    );
}

/** YAML keeps its layout, in which people put meaning (folded texts, one column per line); only blank space at the ends of lines goes. */
function tidyHeader(header: string): string {
  const lines = header.split('\n').map((line) => line.trimEnd());
  while (lines[0] === '') lines.shift();
  while (lines.at(-1) === '') lines.pop();
  return lines.join('\n');
}

function firstLine(error: Error): string {
  return error.message.split('\n')[0] ?? error.message;
}
