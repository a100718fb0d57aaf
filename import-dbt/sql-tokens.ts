import { scanSql } from '../warehouse/transform/index.ts';

/** The tokens of an SQL text, for edits in place: nothing in strings and comments is ever taken for SQL. */
export interface SqlToken {
  readonly kind: 'word' | 'quoted' | 'string' | 'number' | 'sign' | 'comment';
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

/** What lies between strings, quoted names and comments. */
const PLAIN =
  /\s+|(?<number>\d[\d_]*(?:\.\d*)?(?:[eE][-+]?\d+)?|\.\d+)|(?<word>[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*)|(?<sign>::|\/\/|->>?|\|\||<>|!=|>=|<=|[^])/g;

export function readSqlTokens(sql: string): readonly SqlToken[] {
  const tokens: SqlToken[] = [];
  const add = (kind: SqlToken['kind'], start: number, end: number) =>
    tokens.push({ kind, text: sql.slice(start, end), start, end });
  const addPlain = (from: number, to: number) => {
    for (const { 0: text, index, groups } of sql.slice(from, to).matchAll(PLAIN)) {
      const kind = (['number', 'word', 'sign'] as const).find((name) => groups?.[name] !== undefined);
      if (kind !== undefined) add(kind, from + index, from + index + text.length);
    }
  };
  let from = 0;
  for (const { kind, start, end } of scanSql(sql)) {
    if (kind === 'semicolon' || kind === 'stray-comment-end') continue;
    addPlain(from, start);
    add(kind === 'unterminated-comment' ? 'comment' : kind, start, end);
    from = end;
  }
  addPlain(from, sql.length);
  return tokens;
}

/** Index of the parenthesis that closes the one at `open`; the last token when there is none. */
export function closingOf(tokens: readonly SqlToken[], open: number): number {
  let depth = 0;
  for (let i = open; i < tokens.length; i++) {
    const { kind, text } = tokens[i] ?? { kind: 'sign', text: '' };
    if (kind !== 'sign') continue;
    if (text === '(' || text === '[') depth++;
    else if (text === ')' || text === ']') depth--;
    if (depth === 0) return i;
  }
  return tokens.length - 1;
}

export const isSign = (token: SqlToken | undefined, text: string): boolean =>
  token?.kind === 'sign' && token.text === text;
const isWord = (token: SqlToken | undefined, text: string): boolean =>
  token?.kind === 'word' && token.text.toLowerCase() === text;

/** Index of the last token of the operand that begins at `from`: a literal, a name, a call, parentheses, a case, with its casts. */
export function endOfOperand(tokens: readonly SqlToken[], from: number): number {
  let i = from;
  while (isSign(tokens[i], '-') || isSign(tokens[i], '+')) i++;
  if (isWord(tokens[i], 'case')) {
    let depth = 0;
    for (; i < tokens.length; i++) {
      if (isWord(tokens[i], 'case')) depth++;
      if (isWord(tokens[i], 'end') && --depth === 0) break;
    }
  } else if (isSign(tokens[i], '(')) i = closingOf(tokens, i);
  else {
    while (isSign(tokens[i + 1], '.')) i += 2;
    if (isSign(tokens[i + 1], '(') && tokens[i]?.kind !== 'number') i = closingOf(tokens, i + 1);
  }
  for (;;) {
    const next = tokens[i + 1];
    if (isSign(next, '::')) {
      i += 2;
      if (isSign(tokens[i + 1], '(')) i = closingOf(tokens, i + 1);
    } else if (isSign(next, '[')) i = closingOf(tokens, i + 1);
    else if ((isWord(next, 'over') || isWord(next, 'filter')) && isSign(tokens[i + 2], '('))
      i = closingOf(tokens, i + 2);
    else return i;
  }
}
