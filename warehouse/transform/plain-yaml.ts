/**
 * Reads the YAML that most headers are written in, some 50 times faster than the whole language: block maps and lists, flow maps and lists on
 * one line, plain and quoted words. For anything else it gives undefined, and the YAML library decides what the text means or what is wrong
 * with it: this reader accepts less than YAML, and never means something else.
 */

export type PlainNode =
  | { readonly kind: 'scalar'; readonly start: number; readonly value: string | number | boolean | null }
  | {
      readonly kind: 'map';
      readonly start: number;
      readonly entries: ReadonlyMap<string, { readonly at: number; readonly node: PlainNode }>;
    }
  | { readonly kind: 'list'; readonly start: number; readonly items: readonly PlainNode[] };

export function readPlainYaml(text: string): PlainNode | undefined {
  if (UNUSUAL.test(text)) return undefined;
  try {
    return readDocument(text);
  } catch (error) {
    if (error === NOT_PLAIN) return undefined;
    throw error;
  }
}

/** The plain value: maps as objects. */
export function toPlainValue(node: PlainNode): unknown {
  switch (node.kind) {
    case 'scalar':
      return node.value;
    case 'list':
      return node.items.map(toPlainValue);
    case 'map': {
      const object: Record<string, unknown> = {};
      for (const [key, { node: inner }] of node.entries) object[key] = toPlainValue(inner);
      return object;
    }
    default:
      return node satisfies never;
  }
}

/** Offset of the key (in a map) or the item (in a list) that a path names, or of its nearest ancestor. */
export function offsetOfPlainPath(root: PlainNode, path: readonly (string | number)[]): number | undefined {
  let node: PlainNode | undefined = root;
  let offset: number | undefined;
  for (const step of path) {
    if (node?.kind === 'map') {
      const entry = node.entries.get(String(step));
      if (entry === undefined) return offset;
      offset = entry.at;
      node = entry.node;
    } else if (node?.kind === 'list') {
      node = node.items[Number(step)];
      offset = node?.start ?? offset;
    } else return offset;
  }
  return offset;
}

/** Tabs, carriage returns, control characters, and the line ends that only some readers of YAML know. */
const UNUSUAL = /[^\n\x20-\x7e\u00a1-\u2027\u202a-\ufefe]/;
const KEY = /([A-Za-z_][\w-]{0,200}):(?=[ \n]|$)/y;
const RESERVED = /^(?:null|true|false|__proto__)$/i;
const NOT_PLAIN = new Error('not plain YAML');

interface Reader {
  readonly text: string;
  /** Begins of the lines that hold something, with their indents. */
  readonly lines: readonly { readonly start: number; readonly indent: number; readonly end: number }[];
  line: number;
}

function refuse(): never {
  throw NOT_PLAIN;
}

function readDocument(text: string): PlainNode {
  const lines: { start: number; indent: number; end: number }[] = [];
  for (let start = 0; start <= text.length; ) {
    const found = text.indexOf('\n', start);
    const end = found < 0 ? text.length : found;
    let content = start;
    while (content < end && text[content] === ' ') content += 1;
    if (content < end && text[content] !== '#') lines.push({ start: content, indent: content - start, end });
    start = end + 1;
  }
  const [first] = lines;
  // The first line may stand behind the comment's opening; then its indent is not known.
  if (first === undefined || first.indent !== 0 || text[0] !== '\n') refuse();
  const reader: Reader = { text, lines, line: 0 };
  const node = readBlock(reader, first.start, 0);
  if (reader.line < lines.length) refuse();
  return node;
}

/** A block map or list that begins at an offset of the current line, `indent` columns from its left. */
function readBlock(reader: Reader, start: number, indent: number): PlainNode {
  return reader.text.startsWith('- ', start) ? readList(reader, start, indent) : readMap(reader, start, indent);
}

function readMap(reader: Reader, start: number, indent: number): PlainNode {
  const { text, lines } = reader;
  const entries = new Map<string, { at: number; node: PlainNode }>();
  let at = start;
  for (;;) {
    const line = lines[reader.line] ?? refuse();
    KEY.lastIndex = at;
    const key = KEY.exec(text)?.[1];
    if (key === undefined || RESERVED.test(key) || entries.has(key)) refuse();
    const from = skipSpaces(text, at + key.length + 1, line.end);
    reader.line += 1;
    entries.set(key, { at, node: readValue(reader, from, line.end, indent) });
    const next = lines[reader.line];
    if (next === undefined || next.indent < indent) return { kind: 'map', start, entries };
    if (next.indent > indent) refuse();
    at = next.start;
  }
}

function readList(reader: Reader, start: number, indent: number): PlainNode {
  const { text, lines } = reader;
  const items: PlainNode[] = [];
  let at = start;
  for (;;) {
    const line = lines[reader.line] ?? refuse();
    if (!text.startsWith('- ', at)) refuse();
    const from = skipSpaces(text, at + 2, line.end);
    if (from >= line.end || text[from] === '#' || text.startsWith('- ', from)) refuse();
    KEY.lastIndex = from;
    if (KEY.test(text)) items.push(readMap(reader, from, indent + from - at));
    else {
      reader.line += 1;
      items.push(readValue(reader, from, line.end, indent));
    }
    const next = lines[reader.line];
    if (next === undefined || next.indent < indent) return { kind: 'list', start, items };
    if (next.indent > indent) refuse();
    at = next.start;
  }
}

/** What stands behind a key or a dash: on the same line, or as a block below. */
function readValue(reader: Reader, from: number, end: number, indent: number): PlainNode {
  const { text, lines } = reader;
  const next = lines[reader.line];
  if (from >= end || text[from] === '#') {
    if (next !== undefined && next.indent > indent) return readBlock(reader, next.start, next.indent);
    // A list may stand as far left as its key.
    if (next !== undefined && next.indent === indent && text.startsWith('- ', next.start)) refuse();
    return { kind: 'scalar', start: from, value: null };
  }
  // A deeper line would continue the word.
  if (next !== undefined && next.indent > indent) refuse();
  const cursor: Cursor = { text, at: from, end };
  const char = text[from];
  const node =
    char === '{' || char === '[' || char === '"' || char === "'" ? readFlow(cursor) : readWord(cursor, BLOCK_WORD);
  const rest = skipSpaces(text, cursor.at, end);
  if (rest < end && (text[rest] !== '#' || rest === cursor.at)) refuse();
  return node;
}

interface Cursor {
  readonly text: string;
  at: number;
  readonly end: number;
}

function readFlow(cursor: Cursor): PlainNode {
  const { text, at: start } = cursor;
  const char = text[start];
  if (char === '"') return readQuoted(cursor, /"([^"\\\n]*)"/y);
  if (char === "'") return readQuoted(cursor, /'([^'\n]*)'(?!')/y);
  if (char === '[') return readFlowList(cursor);
  if (char === '{') return readFlowMap(cursor);
  return readWord(cursor, FLOW_WORD);
}

function readFlowList(cursor: Cursor): PlainNode {
  const start = cursor.at;
  const items: PlainNode[] = [];
  skip(cursor, 1);
  while (cursor.text[cursor.at] !== ']') {
    items.push(readFlow(cursor));
    nextItem(cursor, ']');
  }
  cursor.at += 1;
  return { kind: 'list', start, items };
}

function readFlowMap(cursor: Cursor): PlainNode {
  const { text, at: start } = cursor;
  const entries = new Map<string, { at: number; node: PlainNode }>();
  skip(cursor, 1);
  while (text[cursor.at] !== '}') {
    const { at } = cursor;
    KEY.lastIndex = at;
    const key = KEY.exec(text)?.[1];
    if (key === undefined || RESERVED.test(key) || entries.has(key)) refuse();
    skip(cursor, key.length + 1);
    entries.set(key, { at, node: readFlow(cursor) });
    nextItem(cursor, '}');
  }
  cursor.at += 1;
  return { kind: 'map', start, entries };
}

/** Past a comma to the next item, or to the closing bracket. */
function nextItem(cursor: Cursor, close: string): void {
  skip(cursor, 0);
  const char = cursor.text[cursor.at];
  if (char === close) return;
  if (char !== ',') refuse();
  skip(cursor, 1);
  if (cursor.text[cursor.at] === close) refuse();
}

function skip(cursor: Cursor, count: number): void {
  cursor.at = skipSpaces(cursor.text, cursor.at + count, cursor.end);
  if (cursor.at >= cursor.end) refuse();
}

function skipSpaces(text: string, from: number, end: number): number {
  let at = from;
  while (at < end && text[at] === ' ') at += 1;
  return at;
}

function readQuoted(cursor: Cursor, pattern: RegExp): PlainNode {
  const { text, at: start } = cursor;
  pattern.lastIndex = start;
  const match = pattern.exec(text);
  if (match === null) refuse();
  cursor.at = pattern.lastIndex;
  // Behind a quoted word a colon would make it a key.
  if (text[cursor.at] === ':') refuse();
  return { kind: 'scalar', start, value: match[1] ?? '' };
}

/** Words that begin like a name, a number or a bracket-free sentence, up to the end of the line or a comment. */
const BLOCK_WORD = /[^\s\-?:,[\]{}#&*!|>'"%@`=<~][^\n]*|-\d[^\n]*/y;
const FLOW_WORD = /[^\s\-?:,[\]{}#&*!|>'"%@`=<~][^\n,[\]{}]*|-\d[^\n,[\]{}]*/y;

function readWord(cursor: Cursor, pattern: RegExp): PlainNode {
  const { text, at: start } = cursor;
  pattern.lastIndex = start;
  const found = pattern.exec(text)?.[0];
  if (found === undefined) refuse();
  const comment = found.indexOf(' #');
  const raw = comment < 0 ? found : found.slice(0, comment);
  let length = raw.length;
  while (length > 0 && raw[length - 1] === ' ') length -= 1;
  const word = raw.slice(0, length);
  // A colon is part of a word only when no space follows; a flow word with one is left to the library.
  if (pattern === FLOW_WORD ? word.includes(':') || comment >= 0 : /:(?: |$)/.test(word)) refuse();
  cursor.at = start + length;
  return { kind: 'scalar', start, value: toScalar(word) };
}

function toScalar(word: string): string | number | boolean | null {
  if (/^[\d.+-]/.test(word)) {
    if (/^-?(?:0|[1-9]\d{0,14})(?:\.\d{1,15})?$/.test(word)) return Number(word);
    if (/^\d{4}-\d\d-\d\d$/.test(word)) return word;
    refuse();
  }
  if (/^(?:null|true|false)$/i.test(word)) {
    if (word === 'true' || word === 'false') return word === 'true';
    refuse();
  }
  return word;
}
