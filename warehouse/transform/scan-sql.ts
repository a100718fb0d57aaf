/** What DuckDB's lexer takes as a whole, so that nothing within is ever taken for SQL. */

export interface SqlPiece {
  readonly kind: 'string' | 'quoted' | 'semicolon' | 'comment' | 'stray-comment-end' | 'unterminated-comment';
  readonly start: number;
  readonly end: number;
}

/** Words, which may hold a `$`, and characters that begin nothing. */
const PLAIN = /(?:[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*|[^'"$\-/*;A-Za-z_\u0080-\uffff])+/y;

/** Strings, quoted names, comments, which nest as DuckDB's do, and semicolons, in order. What is not closed ends with the text. */
export function* scanSql(text: string, from = 0): Generator<SqlPiece> {
  let i = from;
  while (i < text.length) {
    const char = text[i];
    if (char === "'" || char === '"') {
      const end = endOfQuoted(text, i, char);
      yield { kind: char === '"' ? 'quoted' : 'string', start: i, end };
      i = end;
    } else if (char === '$') {
      const end = endOfDollar(text, i);
      if (end > i + 1) yield { kind: 'string', start: i, end };
      i = end;
    } else if (text.startsWith('--', i)) {
      const end = text.indexOf('\n', i);
      const stop = end < 0 ? text.length : end;
      yield { kind: 'comment', start: i, end: stop };
      i = stop;
    } else if (text.startsWith('/*', i)) {
      const end = endOfBlock(text, i);
      yield { kind: end === undefined ? 'unterminated-comment' : 'comment', start: i, end: end ?? text.length };
      i = end ?? text.length;
    } else if (text.startsWith('*/', i) && text[i + 2] !== '*') {
      yield { kind: 'stray-comment-end', start: i, end: i + 2 };
      i += 2;
    } else {
      if (char === ';') yield { kind: 'semicolon', start: i, end: i + 1 };
      PLAIN.lastIndex = i;
      i = PLAIN.test(text) ? PLAIN.lastIndex : i + 1;
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
