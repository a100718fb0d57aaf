import { type Arguments, type Expression, ExpressionReader } from './expression.ts';
import { JinjaError } from './jinja-error.ts';
import { type CodeSegment, cutTemplate, type Segment } from './segments.ts';

/** A template as a tree of statements. Offsets are those of the file's text. */
export type Statement = { readonly at: number } & (
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'comment'; readonly text: string }
  | { readonly kind: 'output'; readonly expression: Expression }
  | { readonly kind: 'if'; readonly branches: readonly Branch[]; readonly otherwise: Body }
  | {
      readonly kind: 'for';
      readonly names: readonly string[];
      readonly list: Expression;
      readonly test?: Expression;
      readonly body: Body;
      readonly otherwise: Body;
    }
  | { readonly kind: 'set'; readonly names: readonly string[]; readonly member?: string; readonly value: Expression }
  | { readonly kind: 'set-block'; readonly name: string; readonly body: Body }
  | { readonly kind: 'do'; readonly expression: Expression }
  | { readonly kind: 'macro'; readonly name: string; readonly parameters: readonly Parameter[]; readonly body: Body }
  | {
      readonly kind: 'call';
      readonly parameters: readonly Parameter[];
      readonly call: Expression;
      readonly body: Body;
    }
  | { readonly kind: 'filter-block'; readonly name: string; readonly args: Arguments; readonly body: Body }
  /** dbt's own blocks: snapshot, test, materialization, docs. */
  | {
      readonly kind: 'block';
      readonly word: string;
      readonly name: string;
      readonly parameters: readonly Parameter[];
      readonly body: Body;
      readonly end: number;
    }
);

export type Body = readonly Statement[];

export interface Branch {
  readonly test: Expression;
  readonly body: Body;
  readonly at: number;
  /** Where the body's text lies in the file. */
  readonly from: number;
  readonly to: number;
}

export interface Parameter {
  readonly name: string;
  readonly preset?: Expression;
}

const DBT_BLOCKS = new Set(['snapshot', 'test', 'data_test', 'materialization', 'docs']);

/** Errors: JinjaError. */
export function parseTemplate(text: string): Body {
  return new TemplateParser(cutTemplate(text)).parseAll();
}

class TemplateParser {
  readonly #segments: readonly Segment[];
  #next = 0;

  constructor(segments: readonly Segment[]) {
    this.#segments = segments;
  }

  parseAll(): Body {
    const { body, stop } = this.#body([]);
    if (stop !== undefined) throw new JinjaError(`{% ${stop.word} %} closes nothing`, stop.segment.start);
    return body;
  }

  /** Statements up to a tag whose first word is one of `stops`; that tag is taken. */
  #body(stops: readonly string[]): { body: Body; stop?: Stop } {
    const body: Statement[] = [];
    for (;;) {
      const segment = this.#segments[this.#next];
      if (segment === undefined) return { body };
      this.#next++;
      if (segment.kind === 'text') body.push({ kind: 'text', text: segment.text, at: segment.start });
      else if (segment.kind === 'comment') body.push({ kind: 'comment', text: segment.text, at: segment.start });
      else {
        const reader = new ExpressionReader(segment.code, segment.codeStart);
        if (segment.kind === 'output') {
          const expression = reader.expressions();
          reader.end();
          body.push({ kind: 'output', expression, at: segment.start });
          continue;
        }
        const word = reader.name();
        if (stops.includes(word) || CLOSING.test(word)) return { body, stop: { word, segment, reader } };
        body.push(this.#tag(word, segment, reader));
      }
    }
  }

  #tag(word: string, segment: CodeSegment, reader: ExpressionReader): Statement {
    const at = segment.start;
    if (word === 'if') return this.#if(segment, reader);
    if (word === 'for') return this.#for(segment, reader);
    if (word === 'set') return this.#set(segment, reader);
    if (word === 'do') {
      const expression = reader.expressions();
      reader.end();
      return { kind: 'do', expression, at };
    }
    if (word === 'macro') {
      const name = reader.name();
      const parameters = readParameters(reader);
      return { kind: 'macro', name, parameters, body: this.#closed(word, segment).body, at };
    }
    if (word === 'call') {
      const parameters = reader.peek('(') ? readParameters(reader) : [];
      const call = reader.expression();
      return { kind: 'call', parameters, call, body: this.#closed(word, segment).body, at };
    }
    if (word === 'filter') {
      const name = reader.name();
      const parsed = reader.isDone
        ? undefined
        : new ExpressionReader(`x${segment.code.slice(segment.code.indexOf('('))}`, at);
      const call = parsed?.expression();
      const args = call?.kind === 'call' ? call : { positional: [], named: [] };
      return { kind: 'filter-block', name, args, body: this.#closed(word, segment).body, at };
    }
    if (DBT_BLOCKS.has(word)) {
      const name = reader.name();
      const parameters = reader.peek('(') ? readParameters(reader) : [];
      const { body, stop } = this.#closed(word, segment);
      return { kind: 'block', word, name, parameters, body, at, end: stop.segment.start };
    }
    throw new JinjaError(`{% ${word} %} is not known`, at, 'Write the SQL plainly.');
  }

  #closed(word: string, segment: CodeSegment): { body: Body; stop: Stop } {
    const { body, stop } = this.#body([`end${word}`]);
    if (stop === undefined || stop.word !== `end${word}`) throw unclosed(word, segment, stop);
    return { body, stop };
  }

  #if(segment: CodeSegment, first: ExpressionReader): Statement {
    const branches: Branch[] = [];
    let reader = first;
    let opened = segment;
    for (;;) {
      const test = reader.expression();
      reader.end();
      const { body, stop } = this.#body(['elif', 'else', 'endif']);
      if (stop === undefined || !['elif', 'else', 'endif'].includes(stop.word)) throw unclosed('if', segment, stop);
      branches.push({ test, body, at: opened.start, from: opened.end, to: stop.segment.start });
      if (stop.word === 'endif') return { kind: 'if', branches, otherwise: [], at: segment.start };
      if (stop.word === 'else') break;
      reader = stop.reader;
      opened = stop.segment;
    }
    const { body, stop } = this.#body(['endif']);
    if (stop?.word !== 'endif') throw unclosed('if', segment, stop);
    return { kind: 'if', branches, otherwise: body, at: segment.start };
  }

  #for(segment: CodeSegment, reader: ExpressionReader): Statement {
    const names = readNames(reader);
    reader.expect('in');
    const list = reader.iterable();
    const test = reader.take('if') ? reader.expression() : undefined;
    reader.take('recursive');
    reader.end();
    const { body, stop } = this.#body(['else', 'endfor']);
    if (stop === undefined || !['else', 'endfor'].includes(stop.word)) throw unclosed('for', segment, stop);
    let otherwise: Body = [];
    if (stop.word === 'else') {
      const rest = this.#body(['endfor']);
      if (rest.stop?.word !== 'endfor') throw unclosed('for', segment, rest.stop);
      otherwise = rest.body;
    }
    return { kind: 'for', names, list, ...(test && { test }), body, otherwise, at: segment.start };
  }

  #set(segment: CodeSegment, reader: ExpressionReader): Statement {
    const at = segment.start;
    const names = readNames(reader);
    const member = reader.take('.') ? reader.name() : undefined;
    if (reader.take('=')) {
      const value = reader.expressions();
      reader.end();
      return { kind: 'set', names, ...(member === undefined ? {} : { member }), value, at };
    }
    reader.end();
    return { kind: 'set-block', name: names[0] ?? '', body: this.#closed('set', segment).body, at };
  }
}

interface Stop {
  readonly word: string;
  readonly segment: CodeSegment;
  readonly reader: ExpressionReader;
}

const CLOSING = /^(end\w+|elif|else)$/;

function unclosed(word: string, segment: CodeSegment, stop: Stop | undefined): JinjaError {
  return new JinjaError(
    `{% ${word} %} is not closed${stop === undefined ? '' : `: {% ${stop.word} %} comes first`}`,
    segment.start,
    `Close it with {% end${word} %}.`,
  );
}

function readNames(reader: ExpressionReader): string[] {
  const isWrapped = reader.take('(');
  const names = [reader.name()];
  while (reader.take(',')) names.push(reader.name());
  if (isWrapped) reader.expect(')');
  return names;
}

function readParameters(reader: ExpressionReader): Parameter[] {
  const parameters: Parameter[] = [];
  if (!reader.take('(')) return parameters;
  while (!reader.take(')')) {
    const name = reader.name();
    const preset = reader.take('=') ? reader.expression() : undefined;
    parameters.push({ name, ...(preset && { preset }) });
    if (!reader.take(',') && !reader.peek(')')) reader.expect(')');
  }
  return parameters;
}
