import { JinjaError } from './jinja-error.ts';
import { readTokens, type Token } from './tokens.ts';

/** Jinja's expressions as a tree; every node knows its offset in the template. */
export type Expression = { readonly at: number } & (
  | { readonly kind: 'literal'; readonly value: string | number | boolean | null }
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'list'; readonly items: readonly Expression[] }
  | { readonly kind: 'dict'; readonly entries: readonly (readonly [Expression, Expression])[] }
  | { readonly kind: 'member'; readonly object: Expression; readonly name: string }
  | { readonly kind: 'index'; readonly object: Expression; readonly index: Expression }
  | { readonly kind: 'slice'; readonly object: Expression; readonly from?: Expression; readonly to?: Expression }
  | ({ readonly kind: 'call'; readonly callee: Expression } & Arguments)
  | ({ readonly kind: 'filter'; readonly input: Expression; readonly name: string } & Arguments)
  | ({
      readonly kind: 'test';
      readonly input: Expression;
      readonly name: string;
      readonly negated: boolean;
    } & Arguments)
  | { readonly kind: 'unary'; readonly operator: 'not' | '-' | '+'; readonly operand: Expression }
  | { readonly kind: 'binary'; readonly operator: string; readonly left: Expression; readonly right: Expression }
  | { readonly kind: 'choice'; readonly test: Expression; readonly value: Expression; readonly otherwise?: Expression }
);

export interface Arguments {
  readonly positional: readonly Expression[];
  readonly named: readonly (readonly [string, Expression])[];
  /** *list and **dict. */
  readonly spread?: Expression;
  readonly spreadNamed?: Expression;
}

const NONE: Arguments = { positional: [], named: [] };
const COMPARISONS = new Set(['==', '!=', '<', '>', '<=', '>=']);

/** Reads the tokens of one tag or output from left to right. */
export class ExpressionReader {
  readonly #tokens: readonly Token[];
  readonly #end: number;
  #next = 0;

  constructor(code: string, codeStart: number) {
    this.#tokens = readTokens(code, codeStart);
    this.#end = codeStart + code.length;
  }

  get at(): number {
    return this.#tokens[this.#next]?.at ?? this.#end;
  }

  get isDone(): boolean {
    return this.#next >= this.#tokens.length;
  }

  /** Takes the next token if it is this word or sign. */
  take(text: string): boolean {
    const token = this.#tokens[this.#next];
    if (token === undefined || token.kind === 'string' || token.text !== text) return false;
    this.#next++;
    return true;
  }

  peek(text: string): boolean {
    const token = this.#tokens[this.#next];
    return token !== undefined && token.kind !== 'string' && token.text === text;
  }

  expect(text: string): void {
    if (!this.take(text)) throw new JinjaError(`expected ${text}${this.#seen()}`, this.at);
  }

  name(): string {
    const token = this.#tokens[this.#next];
    if (token?.kind !== 'name') throw new JinjaError(`expected a name${this.#seen()}`, this.at);
    this.#next++;
    return token.text;
  }

  end(): void {
    if (!this.isDone) throw new JinjaError(`expected the end of the tag${this.#seen()}`, this.at);
  }

  #seen(): string {
    const token = this.#tokens[this.#next];
    return token === undefined ? ', and the tag ends' : `, found ${token.text}`;
  }

  /** One expression; several with commas between are a list. */
  expressions(): Expression {
    const at = this.at;
    const first = this.expression();
    if (!this.peek(',')) return first;
    const items = [first];
    while (this.take(',') && !this.isDone && !this.peek(')') && !this.peek('=')) items.push(this.expression());
    return { kind: 'list', items, at };
  }

  expression(): Expression {
    const value = this.#or();
    if (!this.take('if')) return value;
    const test = this.#or();
    const otherwise = this.take('else') ? this.expression() : undefined;
    return { kind: 'choice', test, value, at: value.at, ...(otherwise === undefined ? {} : { otherwise }) };
  }

  /** What may stand after `in` of a for tag, where `if` belongs to the tag. */
  iterable(): Expression {
    const at = this.at;
    const first = this.#or();
    if (!this.peek(',')) return first;
    const items = [first];
    while (this.take(',') && !this.isDone) items.push(this.#or());
    return { kind: 'list', items, at };
  }

  #binary(operators: readonly string[], operand: () => Expression): Expression {
    let left = operand();
    for (;;) {
      const operator = operators.find((sign) => this.take(sign));
      if (operator === undefined) return left;
      left = { kind: 'binary', operator, left, right: operand(), at: left.at };
    }
  }

  #or(): Expression {
    return this.#binary(['or'], () => this.#binary(['and'], () => this.#not()));
  }

  #not(): Expression {
    const at = this.at;
    return this.take('not') ? { kind: 'unary', operator: 'not', operand: this.#not(), at } : this.#comparison();
  }

  #comparison(): Expression {
    let left = this.#sum();
    for (;;) {
      const operator = [...COMPARISONS, 'in'].find((sign) => this.take(sign));
      if (operator !== undefined) {
        left = { kind: 'binary', operator, left, right: this.#sum(), at: left.at };
      } else if (this.peek('not') && this.#tokens[this.#next + 1]?.text === 'in') {
        this.#next += 2;
        const inside: Expression = { kind: 'binary', operator: 'in', left, right: this.#sum(), at: left.at };
        left = { kind: 'unary', operator: 'not', operand: inside, at: left.at };
      } else return left;
    }
  }

  #sum(): Expression {
    const concat = () => this.#binary(['~'], () => this.#binary(['*', '//', '/', '%'], () => this.#unary()));
    return this.#binary(['+', '-'], concat);
  }

  #unary(): Expression {
    const at = this.at;
    for (const operator of ['-', '+'] as const) {
      if (this.take(operator)) return { kind: 'unary', operator, operand: this.#unary(), at };
    }
    const base = this.#filtered(this.#postfix(this.#primary()));
    return this.take('**') ? { kind: 'binary', operator: '**', left: base, right: this.#unary(), at } : base;
  }

  #primary(): Expression {
    const token = this.#tokens[this.#next];
    if (token === undefined) throw new JinjaError('an expression is missing', this.at);
    const { at } = token;
    this.#next++;
    if (token.kind === 'number') return { kind: 'literal', value: Number(token.text.replaceAll('_', '')), at };
    if (token.kind === 'string') {
      let value = token.text;
      for (let more = this.#tokens[this.#next]; more?.kind === 'string'; more = this.#tokens[this.#next]) {
        value += more.text;
        this.#next++;
      }
      return { kind: 'literal', value, at };
    }
    if (token.kind === 'name') return toName(token.text, at);
    if (token.text === '(') {
      if (this.take(')')) return { kind: 'list', items: [], at };
      const inner = this.expressions();
      this.expect(')');
      return inner;
    }
    if (token.text === '[') return { kind: 'list', items: this.#items(']'), at };
    if (token.text === '{') return { kind: 'dict', entries: this.#entries(), at };
    throw new JinjaError(`unexpected ${token.text}`, at);
  }

  #items(close: string): Expression[] {
    const items: Expression[] = [];
    while (!this.take(close)) {
      items.push(this.expression());
      if (!this.take(',') && !this.peek(close)) this.expect(close);
    }
    return items;
  }

  #entries(): [Expression, Expression][] {
    const entries: [Expression, Expression][] = [];
    while (!this.take('}')) {
      const key = this.expression();
      this.expect(':');
      entries.push([key, this.expression()]);
      if (!this.take(',') && !this.peek('}')) this.expect('}');
    }
    return entries;
  }

  #postfix(start: Expression): Expression {
    let object = start;
    for (;;) {
      const { at } = this;
      if (this.take('.')) {
        const token = this.#tokens[this.#next];
        if (token?.kind === 'number') {
          this.#next++;
          object = { kind: 'index', object, index: { kind: 'literal', value: Number(token.text), at }, at: object.at };
        } else object = { kind: 'member', object, name: this.name(), at: object.at };
      } else if (this.take('[')) object = this.#subscript(object);
      else if (this.take('(')) object = { kind: 'call', callee: object, ...this.#arguments(), at: object.at };
      else return object;
    }
  }

  #subscript(object: Expression): Expression {
    const { at } = object;
    const from = this.peek(':') ? undefined : this.expression();
    if (!this.take(':')) {
      this.expect(']');
      if (from === undefined) throw new JinjaError('an index is missing', this.at);
      return { kind: 'index', object, index: from, at };
    }
    const to = this.peek(']') ? undefined : this.expression();
    this.expect(']');
    return { kind: 'slice', object, at, ...(from && { from }), ...(to && { to }) };
  }

  #arguments(): Arguments {
    const positional: Expression[] = [];
    const named: [string, Expression][] = [];
    let spread: Expression | undefined;
    let spreadNamed: Expression | undefined;
    while (!this.take(')')) {
      if (this.take('**')) spreadNamed = this.expression();
      else if (this.take('*')) spread = this.expression();
      else if (this.#tokens[this.#next]?.kind === 'name' && this.#tokens[this.#next + 1]?.text === '=') {
        const name = this.name();
        this.expect('=');
        named.push([name, this.expression()]);
      } else positional.push(this.expression());
      if (!this.take(',') && !this.peek(')')) this.expect(')');
    }
    return { positional, named, ...(spread && { spread }), ...(spreadNamed && { spreadNamed }) };
  }

  #filtered(start: Expression): Expression {
    let input = start;
    for (;;) {
      if (this.take('|')) {
        const name = this.#dottedName();
        input = { kind: 'filter', input, name, ...(this.take('(') ? this.#arguments() : NONE), at: input.at };
        input = this.#postfix(input);
      } else if (this.take('is')) {
        const negated = this.take('not');
        const name = this.#dottedName();
        input = { kind: 'test', input, name, negated, ...this.#testArguments(), at: input.at };
      } else return input;
    }
  }

  #dottedName(): string {
    let name = this.name();
    while (this.take('.')) name += `.${this.name()}`;
    return name;
  }

  /** `x is divisibleby 3`: an argument without parentheses. */
  #testArguments(): Arguments {
    if (this.take('(')) return this.#arguments();
    const token = this.#tokens[this.#next];
    const isOperand =
      token !== undefined &&
      (token.kind === 'string' ||
        token.kind === 'number' ||
        token.text === '[' ||
        (token.kind === 'name' && !['and', 'or', 'else', 'if', 'is', 'not', 'in'].includes(token.text)));
    return isOperand ? { positional: [this.#postfix(this.#primary())], named: [] } : NONE;
  }
}

function toName(name: string, at: number): Expression {
  if (name === 'true' || name === 'True') return { kind: 'literal', value: true, at };
  if (name === 'false' || name === 'False') return { kind: 'literal', value: false, at };
  if (name === 'none' || name === 'None') return { kind: 'literal', value: null, at };
  return { kind: 'name', name, at };
}
