import type { SourceLocation } from './source-location.ts';

/** Where things stand in a file's text, and the little of SQL's lexical rules that a header needs. */

/** Line and column (both from 1, columns in UTF-16 units as editors count) of an offset into the text. */
export function locate(file: string, text: string, offset: number): SourceLocation {
  const at = Math.max(0, Math.min(offset, text.length));
  let line = 1;
  let lineStart = 0;
  for (let end = text.indexOf('\n'); end >= 0 && end < at; end = text.indexOf('\n', lineStart)) {
    line += 1;
    lineStart = end + 1;
  }
  return { file, line, column: at - lineStart + 1 };
}

/** UTF-16 offset of a UTF-8 byte offset: DuckDB counts bytes in most places. */
export function offsetOfByte(text: string, byte: number): number {
  let bytes = 0;
  let offset = 0;
  for (const char of text) {
    if (bytes >= byte) return offset;
    bytes += Buffer.byteLength(char);
    offset += char.length;
  }
  return offset;
}

/** UTF-16 offset of a code-point offset: DuckDB's parser errors count characters. */
export function offsetOfCodePoint(text: string, point: number): number {
  let points = 0;
  let offset = 0;
  for (const char of text) {
    if (points >= point) return offset;
    points += 1;
    offset += char.length;
  }
  return offset;
}

export interface SqlToken {
  readonly kind: 'semicolon' | 'comment' | 'stray-comment-end' | 'unterminated-comment';
  readonly start: number;
  readonly end: number;
}

/** Semicolons and comments outside of strings and quoted names, in order; comments nest as DuckDB's do. */
export function* scanSql(text: string, from = 0): Generator<SqlToken> {
  let i = from;
  while (i < text.length) {
    const char = text[i];
    if (char === "'" || char === '"') i = endOfQuoted(text, i, char);
    else if (char === '$') i = endOfDollar(text, i);
    else if (text.startsWith('--', i)) {
      const end = text.indexOf('\n', i);
      const stop = end < 0 ? text.length : end;
      yield { kind: 'comment', start: i, end: stop };
      i = stop;
    } else if (text.startsWith('/*', i)) {
      const end = endOfBlock(text, i);
      yield { kind: end === undefined ? 'unterminated-comment' : 'comment', start: i, end: end ?? text.length };
      i = end ?? text.length;
    } else if (text.startsWith('*/', i)) {
      yield { kind: 'stray-comment-end', start: i, end: i + 2 };
      i += 2;
    } else {
      if (char === ';') yield { kind: 'semicolon', start: i, end: i + 1 };
      i += 1;
    }
  }
}

function endOfQuoted(text: string, start: number, quote: string): number {
  const escapes = quote === "'" && /[eE]/.test(text[start - 1] ?? '') && !/\w/.test(text[start - 2] ?? '');
  for (let i = start + 1; i < text.length; i++) {
    if (escapes && text[i] === '\\') i += 1;
    else if (text[i] === quote) {
      if (text[i + 1] !== quote) return i + 1;
      i += 1;
    }
  }
  return text.length;
}

function endOfDollar(text: string, start: number): number {
  const tag = /^\$(?:[A-Za-z_]\w*)?\$/.exec(text.slice(start, start + 80))?.[0];
  if (tag === undefined) return start + 1;
  const end = text.indexOf(tag, start + tag.length);
  return end < 0 ? text.length : end + tag.length;
}

function endOfBlock(text: string, start: number): number | undefined {
  let depth = 1;
  for (let i = start + 2; i < text.length; i++) {
    if (text.startsWith('/*', i)) {
      depth += 1;
      i += 1;
    } else if (text.startsWith('*/', i)) {
      depth -= 1;
      i += 1;
      if (depth === 0) return i + 1;
    }
  }
  return undefined;
}
