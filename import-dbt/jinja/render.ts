import { BROKEN, evaluate, evaluateArguments, Scope } from './evaluate.ts';
import type { Expression } from './expression.ts';
import { applyFilter } from './filters.ts';
import { JinjaError, KnownProblem } from './jinja-error.ts';
import type { Body, Branch, Parameter, Statement } from './template.ts';
import { ValueError } from './value-error.ts';
import {
  type CallArguments,
  type Callable,
  isDict,
  isTruthy,
  Namespace,
  nameOfType,
  printValue,
  type Value,
} from './values.ts';

/** A template with its names filled in, and where each part of the text comes from. */
export interface Rendered {
  readonly text: string;
  /** In the order of `from`: from there on the text comes from offset `at` of the template; `exact` when character by character. */
  readonly origins: readonly Origin[];
}

export interface Origin {
  readonly from: number;
  readonly at: number;
  readonly exact: boolean;
}

export interface RenderHooks {
  /** A problem that leaves a hole in the text. Absent (in macros): the problem is thrown. */
  readonly report?: (problem: JinjaError) => void;
  /** An `if` and which of its branches was rendered. */
  readonly branch?: (branches: readonly Branch[], taken: Branch | undefined) => void;
  readonly block?: (block: Extract<Statement, { kind: 'block' }>) => void;
  /** SQL in place of a call that is the whole output; undefined renders it. */
  readonly output?: (expression: Expression, scope: Scope) => string | undefined;
}

/** What `return(…)` of dbt throws, through whatever it stands in. */
export class MacroReturn extends Error {
  readonly value: Value;

  constructor(value: Value) {
    super('return');
    this.value = value;
  }
}

class Writer {
  text = '';
  readonly origins: Origin[] = [];

  add(text: string, at: number, exact: boolean): void {
    if (text === '') return;
    this.origins.push({ from: this.text.length, at, exact });
    this.text += text;
  }
}

/** Errors: JinjaError where the hooks take no reports. */
export function renderTemplate(body: Body, scope: Scope, hooks: RenderHooks = {}): Rendered {
  const writer = new Writer();
  renderBody(body, scope, writer, hooks);
  return { text: writer.text, origins: writer.origins };
}

function renderBody(body: Body, scope: Scope, writer: Writer, hooks: RenderHooks): void {
  for (const statement of body) {
    try {
      renderStatement(statement, scope, writer, hooks);
    } catch (error) {
      if (hooks.report === undefined) throw error;
      if (error instanceof JinjaError) hooks.report(error);
      else if (!(error instanceof KnownProblem)) throw error;
      if (statement.kind === 'set') for (const name of statement.names) scope.set(name, BROKEN);
      if (statement.kind === 'set-block') scope.set(statement.name, BROKEN);
    }
  }
}

function renderStatement(statement: Statement, scope: Scope, writer: Writer, hooks: RenderHooks): void {
  switch (statement.kind) {
    case 'text':
      return writer.add(statement.text, statement.at, true);
    case 'comment': {
      const text = statement.text.trim();
      // Only where a line begins: elsewhere it may stand in a string.
      if (/(^|\n)[ \t]*$/.test(writer.text) && text !== '' && !/\/\*|\*\//.test(text)) {
        writer.add(`/* ${text} */`, statement.at, false);
      }
      return;
    }
    case 'output': {
      const { expression } = statement;
      const own = hooks.output?.(expression, scope);
      const value = own ?? evaluate(expression, scope);
      if (value === undefined && expression.kind === 'name') {
        throw new JinjaError(`${expression.name} is not defined`, expression.at, 'Define it, or write the value.');
      }
      if (typeof value === 'function' || value instanceof Namespace) {
        throw new JinjaError(`${nameOfType(value)} cannot be printed`, expression.at);
      }
      return writer.add(value === null && expression.kind === 'call' ? '' : printValue(value), statement.at, false);
    }
    case 'if': {
      const taken = statement.branches.find((branch) => isTruthy(evaluate(branch.test, scope)));
      hooks.branch?.(statement.branches, taken);
      return renderBody(taken?.body ?? statement.otherwise, scope, writer, hooks);
    }
    case 'for':
      return renderLoop(statement, scope, writer, hooks);
    case 'set':
      return assign(statement, scope);
    case 'set-block':
      return scope.set(statement.name, renderInner(statement.body, scope));
    case 'do':
      evaluate(statement.expression, scope);
      return;
    case 'macro':
      return scope.set(statement.name, createMacro(statement, scope));
    case 'call': {
      const caller = createMacro({ ...statement, name: 'caller' }, scope);
      return writer.add(printValue(callWith(statement.call, scope, caller)), statement.at, false);
    }
    case 'filter-block': {
      const args = evaluateArguments(statement.args, scope);
      const text = applyFilter(statement.name, renderInner(statement.body, scope), args);
      return writer.add(printValue(text), statement.at, false);
    }
    case 'block':
      return hooks.block?.(statement);
    default:
      return statement satisfies never;
  }
}

function renderInner(body: Body, scope: Scope): string {
  return renderTemplate(body, new Scope(scope)).text;
}

function callWith(call: Expression, scope: Scope, caller: Callable): Value {
  if (call.kind !== 'call') throw new JinjaError('call: a macro is missing', call.at);
  const callee = evaluate(call.callee, scope);
  if (typeof callee !== 'function') throw new JinjaError('call: there is no such macro', call.at);
  try {
    return callee({ ...evaluateArguments(call, scope), caller });
  } catch (error) {
    throw error instanceof ValueError ? new JinjaError(error.message, call.at, error.remedy) : error;
  }
}

function assign(statement: Extract<Statement, { kind: 'set' }>, scope: Scope): void {
  const value = evaluate(statement.value, scope);
  const [first = ''] = statement.names;
  if (statement.member !== undefined) {
    const target = scope.find(first).value;
    if (!isDict(target)) throw new JinjaError(`${first} is no namespace`, statement.at);
    target.set(statement.member, value);
  } else if (statement.names.length === 1) scope.set(first, value);
  else unpack(statement.names, value, scope, statement.at);
}

function unpack(names: readonly string[], value: Value, scope: Scope, at: number): void {
  if (!Array.isArray(value) || value.length !== names.length) {
    throw new JinjaError(`${nameOfType(value)} does not fill ${names.join(', ')}`, at);
  }
  names.forEach((name, i) => scope.set(name, value[i]));
}

function renderLoop(
  statement: Extract<Statement, { kind: 'for' }>,
  scope: Scope,
  writer: Writer,
  hooks: RenderHooks,
): void {
  const list = evaluate(statement.list, scope);
  const items = isDict(list) ? [...list.keys()] : typeof list === 'string' ? Array.from(list) : list;
  if (!Array.isArray(items)) {
    throw new JinjaError(`for: ${nameOfType(list)} is no list`, statement.list.at, 'Write the list plainly.');
  }
  const scopes = items.map((item) => {
    const inner = new Scope(scope);
    if (statement.names.length === 1) inner.set(statement.names[0] ?? '', item);
    else unpack(statement.names, item, inner, statement.at);
    return inner;
  });
  const kept = scopes.filter((inner) => statement.test === undefined || isTruthy(evaluate(statement.test, inner)));
  kept.forEach((inner, i) => {
    inner.set('loop', toLoop(i, kept.length));
    renderBody(statement.body, inner, writer, hooks);
  });
  if (kept.length === 0) renderBody(statement.otherwise, new Scope(scope), writer, hooks);
}

function toLoop(index: number, length: number): Value {
  const cycle: Callable = (args) => args.positional[index % Math.max(1, args.positional.length)];
  return new Map<string, Value>([
    ['index', index + 1],
    ['index0', index],
    ['revindex', length - index],
    ['revindex0', length - index - 1],
    ['first', index === 0],
    ['last', index === length - 1],
    ['length', length],
    ['cycle', cycle],
  ]);
}

/** A macro as a function of its arguments, which gives the text it renders or what it returns. */
export function createMacro(
  macro: { readonly name: string; readonly parameters: readonly Parameter[]; readonly body: Body },
  outer: Scope,
): Callable {
  return (args) => {
    if (depth >= MAX_DEPTH) {
      throw new ValueError(`the macro ${macro.name} calls itself without end`, 'Write the SQL plainly.');
    }
    const scope = new Scope(outer);
    bind(macro, args, scope);
    depth++;
    try {
      return renderTemplate(macro.body, scope).text.trim();
    } catch (error) {
      if (error instanceof MacroReturn) return error.value;
      throw error;
    } finally {
      depth--;
    }
  };
}

/** Macros within macros; rendering never waits, so one count serves all. */
let depth = 0;
const MAX_DEPTH = 60;

function bind(
  macro: { readonly name: string; readonly parameters: readonly Parameter[] },
  args: CallArguments,
  scope: Scope,
): void {
  const rest = new Map(args.named);
  macro.parameters.forEach(({ name, preset }, i) => {
    const given = i < args.positional.length || rest.has(name);
    const value = i < args.positional.length ? args.positional[i] : rest.get(name);
    rest.delete(name);
    scope.set(name, given || preset === undefined ? value : evaluate(preset, scope));
  });
  scope.set('varargs', args.positional.slice(macro.parameters.length));
  scope.set('kwargs', new Map(rest));
  if (args.caller !== undefined) scope.set('caller', args.caller);
}
