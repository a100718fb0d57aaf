import { JinjaError } from './jinja-error.ts';

/**
 * A template cut into text, comments, outputs and tags, each with its place; `-` at a delimiter takes the white space beside it. Tags that
 * stand alone on their lines take these lines with them, as Jinja's trim_blocks and lstrip_blocks would.
 */
export type Segment =
  | { readonly kind: 'text'; readonly start: number; readonly text: string }
  | { readonly kind: 'comment'; readonly start: number; readonly text: string }
  | CodeSegment;

export interface CodeSegment {
  readonly kind: 'output' | 'tag';
  readonly start: number;
  readonly end: number;
  /** What stands between the delimiters, and where it begins. */
  readonly code: string;
  readonly codeStart: number;
}

const OPEN = /\{[{%#]/g;
const CLOSE = { '{{': '}}', '{%': '%}', '{#': '#}' } as const;

/** Errors: JinjaError for a delimiter that is not closed. */
export function cutTemplate(text: string): readonly Segment[] {
  const segments: Segment[] = [];
  let from = 0;
  const pushText = (end: number, trim: 'all' | 'indent' | 'nothing'): void => {
    const raw = text.slice(from, end);
    const cut = trim === 'all' ? raw.trimEnd() : trim === 'indent' ? raw.replace(/[ \t]+$/, '') : raw;
    if (cut !== '') segments.push({ kind: 'text', start: from, text: cut });
  };
  for (;;) {
    OPEN.lastIndex = from;
    const match = OPEN.exec(text);
    if (match === null) break;
    const open = match[0] as keyof typeof CLOSE;
    const start = match.index;
    const closeAt = open === '{#' ? text.indexOf('#}', start + 2) : findClose(text, start + 2, CLOSE[open]);
    if (closeAt < 0) {
      throw new JinjaError(`${open} is not closed`, start, `Close it with ${CLOSE[open]}.`);
    }
    const end = closeAt + 2;
    const codeStart = start + (/[-+]/.test(text[start + 2] ?? '') ? 3 : 2);
    const trimsAfter = text[closeAt - 1] === '-' && closeAt - 1 >= codeStart;
    const code = text.slice(codeStart, closeAt - (trimsAfter ? 1 : 0));
    const lineEnd = printsNothing(open, code) ? restOfOwnLine(text, start, end) : undefined;
    pushText(start, text[start + 2] === '-' ? 'all' : lineEnd === undefined ? 'nothing' : 'indent');
    from = trimsAfter ? end + leadingSpace(text, end) : (lineEnd ?? end);
    if (open === '{#') segments.push({ kind: 'comment', start, text: code });
    else if (open === '{%' && /^\s*raw\s*$/.test(code)) {
      const close = /\{%[-+]?\s*endraw\s*[-+]?%\}/g;
      close.lastIndex = end;
      const stop = close.exec(text);
      if (stop === null) throw new JinjaError('raw is not closed', start, 'Close it with {% endraw %}.');
      if (stop.index > end) segments.push({ kind: 'text', start: end, text: text.slice(end, stop.index) });
      from = stop.index + stop[0].length;
    } else segments.push({ kind: open === '{{' ? 'output' : 'tag', start, end, code, codeStart });
  }
  pushText(text.length, 'nothing');
  return segments;
}

/** The closing delimiter outside of strings and brackets; -1 when there is none. */
function findClose(text: string, from: number, close: string): number {
  let depth = 0;
  for (let i = from; i < text.length; i++) {
    const char = text[i];
    if (char === "'" || char === '"') {
      i++;
      while (i < text.length && text[i] !== char) i += text[i] === '\\' ? 2 : 1;
    } else if (depth === 0 && text.startsWith(close, i)) return i;
    else if (char === '(' || char === '[' || char === '{') depth++;
    else if (char === ')' || char === ']' || char === '}') depth = Math.max(0, depth - 1);
  }
  return -1;
}

function printsNothing(open: keyof typeof CLOSE, code: string): boolean {
  return open === '{%' || (open === '{{' && /^\s*config\s*\(/.test(code));
}

/** Where the next line begins, when nothing else stands on the lines of a tag: such lines would be empty in the result. */
function restOfOwnLine(text: string, start: number, end: number): number | undefined {
  const before = text.slice(text.lastIndexOf('\n', start - 1) + 1, start);
  const after = /^[ \t]*(?:\r?\n|$)/.exec(text.slice(end));
  return /^[ \t]*$/.test(before) && after !== null ? end + after[0].length : undefined;
}

function leadingSpace(text: string, from: number): number {
  const rest = text.slice(from);
  return rest.length - rest.trimStart().length;
}
