import { isMap, isPair, isSeq, isNode as isYamlNode, LineCounter, type Node, parseDocument } from 'yaml';
import type { z } from 'zod';
import { nearestOf } from '../core/nearest.ts';
import type { Diagnostics } from './diagnostics.ts';
import { offsetOfPlainPath, readPlainYaml, toPlainValue } from './plain-yaml.ts';
import { scanSql } from './scan-sql.ts';
import type { SourceLocation } from './source-location.ts';
import { locate } from './source-text.ts';
import { TEST_WORDS } from './test-words.ts';

/** Cuts a SQL file into its YAML header and its SELECT, and checks the header with every error at its own line and column. */

export interface Header<T> {
  readonly value: T;
  /** Where a header field stands; the nearest field above it when it is absent. */
  at(...path: readonly (string | number)[]): SourceLocation;
}

export interface CutFile {
  readonly header: string;
  readonly headerStart: number;
  /** The SELECT without a trailing semicolon. */
  readonly sql: string;
  readonly sqlStart: number;
}

/** Finds the first block comment and the one statement after it; reports MODEL_HEADER_INVALID or MODEL_SQL_INVALID and gives undefined. */
export function cutFile(file: string, text: string, diagnostics: Diagnostics): CutFile | undefined {
  const report = (
    code: 'MODEL_HEADER_INVALID' | 'MODEL_SQL_INVALID',
    offset: number,
    message: string,
    remedy: string,
  ) => {
    diagnostics.add({ code, message, at: locate(file, text, offset), remedy });
    return undefined;
  };
  const nul = text.indexOf('\0');
  if (nul >= 0) return report('MODEL_SQL_INVALID', nul, 'the file holds a NUL character', 'Remove the NUL character.');
  const start = text.search(/\S/);
  if (start < 0 || !text.startsWith('/*', start)) {
    return report(
      'MODEL_HEADER_INVALID',
      Math.max(start, 0),
      'the file does not begin with a header',
      'Begin the file with a block comment that holds the YAML header (at least a description).',
    );
  }
  const headerStart = start + 2;
  const end = text.indexOf('*/', headerStart);
  const nested = text.indexOf('/*', headerStart);
  if (nested >= 0 && (end < 0 || nested < end)) {
    return report('MODEL_HEADER_INVALID', nested, 'the header holds `/*`', NESTING_REMEDY);
  }
  if (end < 0) {
    return report('MODEL_HEADER_INVALID', start, 'the header is not closed', 'Close the header with `*/`.');
  }
  const tokens = [...scanSql(text, end + 2)];
  if (tokens.some((token) => token.kind === 'stray-comment-end')) {
    return report('MODEL_HEADER_INVALID', end, 'the header holds `*/`, which closes it early', NESTING_REMEDY);
  }
  const open = tokens.find((token) => token.kind === 'unterminated-comment');
  if (open !== undefined) {
    return report('MODEL_SQL_INVALID', open.start, 'a comment is not closed', 'Close the comment with `*/`.');
  }
  return cutStatement(text, end + 2, tokens, { header: text.slice(headerStart, end), headerStart }, report);
}

const NESTING_REMEDY = 'Write the header without `/*` and `*/`: DuckDB nests comments, so they would cut the header.';

function cutStatement(
  text: string,
  from: number,
  tokens: readonly { kind: string; start: number; end: number }[],
  header: { readonly header: string; readonly headerStart: number },
  report: (code: 'MODEL_SQL_INVALID', offset: number, message: string, remedy: string) => undefined,
): CutFile | undefined {
  const comments = tokens.filter((token) => token.kind === 'comment');
  const isBlank = (a: number, b: number) => {
    let rest = text.slice(a, b);
    for (const comment of comments.filter((token) => token.start >= a && token.end <= b).reverse()) {
      rest = rest.slice(0, comment.start - a) + rest.slice(comment.end - a);
    }
    return rest.trim() === '';
  };
  const semicolon = tokens.find((token) => token.kind === 'semicolon')?.start ?? text.length;
  const offset = text.slice(from).search(/\S/);
  const sqlStart = offset < 0 ? text.length : from + offset;
  if (isBlank(from, semicolon)) {
    return report('MODEL_SQL_INVALID', sqlStart, 'the file holds no SELECT', 'Write one SELECT below the header.');
  }
  if (semicolon < text.length && !isBlank(semicolon + 1, text.length)) {
    const next = semicolon + 1 + text.slice(semicolon + 1).search(/\S/);
    return report('MODEL_SQL_INVALID', next, 'a second statement follows', 'Keep one SELECT per file.');
  }
  return { ...header, sql: text.slice(sqlStart, semicolon).trimEnd(), sqlStart };
}

/** Parses and checks a header; every problem becomes a MODEL_HEADER_INVALID at its place. */
export function parseHeader<T>(
  file: string,
  text: string,
  cut: CutFile,
  schema: z.ZodType<T>,
  diagnostics: Diagnostics,
): Header<T> | undefined {
  const locateIn = (offset: number) => locate(file, text, cut.headerStart + offset);
  const placesOf =
    ({ offsetOf }: Pick<YamlDocument, 'offsetOf'>) =>
    (...path: readonly (string | number)[]) =>
      locateIn(offsetOf(path) ?? firstText(cut.header));
  const report = (at: SourceLocation, message: string, remedy: string) =>
    diagnostics.add({ code: 'MODEL_HEADER_INVALID', message: `header: ${message}`, at, remedy });
  const plain = readPlainDocument(cut.header);
  if (plain !== undefined) {
    const parsed = schema.safeParse(plain.value());
    if (parsed.success) return { value: parsed.data, at: placesOf(plain) };
  }
  // What is wrong is told as the YAML reader sees it.
  const document = readDocument(cut.header);
  for (const { offset, message } of document.problems) {
    report(locateIn(offset), lowerFirst(message), 'Correct the YAML of the header.');
  }
  if (document.value === undefined) return undefined;
  const at = placesOf(document);
  const parsed = schema.safeParse(document.value());
  if (parsed.success) return { value: parsed.data, at };
  for (const issue of parsed.error.issues) reportIssue(issue, [], at, report);
  return undefined;
}

interface YamlDocument {
  readonly problems: readonly { readonly offset: number; readonly message: string }[];
  /** Absent when the text is no YAML. */
  readonly value?: () => unknown;
  readonly offsetOf: (path: readonly (string | number)[]) => number | undefined;
}

function readPlainDocument(text: string): Required<Omit<YamlDocument, 'problems'>> | undefined {
  const root = readPlainYaml(text);
  if (root === undefined) return undefined;
  return { value: () => toPlainValue(root), offsetOf: (path) => offsetOfPlainPath(root, path) };
}

function readDocument(text: string): YamlDocument {
  const document = parseDocument(text, { lineCounter: new LineCounter(), uniqueKeys: true, prettyErrors: false });
  const problems = [...document.errors, ...document.warnings].map(({ pos, message }) => ({ offset: pos[0], message }));
  const offsetOf = (path: readonly (string | number)[]) => offsetOfPath(document.contents, path);
  if (document.errors.length > 0) return { problems, offsetOf };
  return { problems, value: () => document.toJS({ maxAliasCount: 20 }), offsetOf };
}

type Issue = z.core.$ZodIssue;

/** Reports one problem of zod at the place in the text that it is about. */
export function reportIssue(
  issue: Issue,
  parent: readonly (string | number)[],
  at: (...path: readonly (string | number)[]) => SourceLocation,
  report: (at: SourceLocation, message: string, remedy: string) => void,
): void {
  const path = [...parent, ...issue.path.map((step) => (typeof step === 'symbol' ? String(step) : step))];
  const subject = path.length === 0 ? 'the header' : path.join('.');
  if (issue.code === 'unrecognized_keys') {
    for (const key of issue.keys) {
      const near = path.includes('tests') ? nearestOf(key, TEST_WORDS) : undefined;
      report(
        at(...path, key),
        `${[...path, key].join('.')} is not a known field${near === undefined ? '' : `; did you mean ${near}?`}`,
        'See docs/models.md for the fields of a header.',
      );
    }
    return;
  }
  if (issue.code === 'invalid_union') {
    if (issue.message !== 'Invalid input') {
      report(at(...path), `${subject}: ${issue.message}`, 'See docs/testing.md for the tests there are.');
      return;
    }
    // The branch that got furthest says best what is wrong; a tie means that none fits.
    const branches = issue.errors.map((issues) => ({ issues, depth: Math.max(0, ...issues.map(depthOf)) }));
    const deepest = Math.max(0, ...branches.map((branch) => branch.depth));
    const best = branches.filter((branch) => branch.depth === deepest);
    if (deepest > 0 && best.length === 1 && best[0] !== undefined) {
      for (const inner of best[0].issues) reportIssue(inner, path, at, report);
      return;
    }
    report(
      at(...path),
      `${subject} has none of the forms allowed here`,
      'See docs/models.md for the forms of this field.',
    );
    return;
  }
  if (issue.code === 'invalid_key') {
    for (const inner of issue.issues) {
      report(at(...path), `${subject} ${lowerFirst(inner.message)}`, 'Correct the name of the field.');
    }
    return;
  }
  report(
    at(...path),
    `${subject}: ${lowerFirst(issue.message)}`,
    'Correct the header; docs/models.md lists its fields.',
  );
}

function depthOf(issue: Issue): number {
  return issue.path.length;
}

/** Offset of the key (in a map) or the item (in a list) that a path names, or of its nearest ancestor. */
export function offsetOfPath(root: Node | null, path: readonly (string | number)[]): number | undefined {
  let node: unknown = root;
  let offset: number | undefined;
  for (const step of path) {
    if (isMap(node)) {
      const pair = node.items.find((item) => isPair(item) && String(item.key) === String(step));
      if (pair === undefined) return offset;
      if (isYamlNode(pair.key)) offset = pair.key.range?.[0] ?? offset;
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[Number(step)];
      if (isYamlNode(node)) offset = node.range?.[0] ?? offset;
    } else return offset;
  }
  return offset;
}

function firstText(header: string): number {
  return Math.max(0, header.search(/\S/));
}

export function lowerFirst(text: string): string {
  return text.slice(0, 1).toLowerCase() + text.slice(1);
}
