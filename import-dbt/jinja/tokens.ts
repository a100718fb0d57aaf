import { JinjaError } from './jinja-error.ts';

export interface Token {
  readonly kind: 'name' | 'number' | 'string' | 'sign';
  /** A string's value, anything else as written. */
  readonly text: string;
  /** Offset in the template. */
  readonly at: number;
}

const PATTERN =
  /\s+|(?<name>[A-Za-z_]\w*)|(?<number>\d[\d_]*(?:\.\d+)?(?:[eE][-+]?\d+)?)|(?<string>'(?:[^'\\]|\\[^])*'|"(?:[^"\\]|\\[^])*")|(?<sign>\*\*|\/\/|==|!=|<=|>=|[-+*/%~<>=()[\]{},.:|])/y;

/** Words, numbers, strings and signs of what stands in a tag. Errors: JinjaError. */
export function readTokens(code: string, start: number): readonly Token[] {
  const tokens: Token[] = [];
  let offset = 0;
  while (offset < code.length) {
    PATTERN.lastIndex = offset;
    const match = PATTERN.exec(code);
    if (match === null) throw new JinjaError(`unexpected ${code[offset] ?? ''}`, start + offset);
    const at = start + offset;
    const { name, number, string, sign } = match.groups ?? {};
    if (name !== undefined) tokens.push({ kind: 'name', text: name, at });
    else if (number !== undefined) tokens.push({ kind: 'number', text: number, at });
    else if (string !== undefined) tokens.push({ kind: 'string', text: unescape(string.slice(1, -1)), at });
    else if (sign !== undefined) tokens.push({ kind: 'sign', text: sign, at });
    offset += match[0].length;
  }
  return tokens;
}

const ESCAPES: Readonly<Record<string, string>> = {
  n: '\n',
  t: '\t',
  r: '\r',
  '\\': '\\',
  "'": "'",
  '"': '"',
  '\n': '',
};

/** As Python: an escape that it does not know stays as it is, so '\d+' is a regular expression. */
function unescape(text: string): string {
  return text.replaceAll(
    /\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([^]))/g,
    (all, u: string | undefined, x: string | undefined, char: string | undefined) =>
      char === undefined ? String.fromCharCode(Number.parseInt(u ?? x ?? '0', 16)) : (ESCAPES[char] ?? all),
  );
}
