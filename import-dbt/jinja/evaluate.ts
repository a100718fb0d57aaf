import { passesTest } from './conditions.ts';
import type { Arguments, Expression } from './expression.ts';
import { applyFilter } from './filters.ts';
import { JinjaError, KnownProblem } from './jinja-error.ts';
import { findMethod } from './methods.ts';
import { ValueError } from './value-error.ts';
import {
  areEqual,
  type CallArguments,
  type Dict,
  isDict,
  isTruthy,
  Namespace,
  nameOfType,
  printValue,
  Relation,
  type Value,
} from './values.ts';

/** Names in force: a scope, and the one around it. */
export class Scope {
  readonly #values = new Map<string, Value>();
  readonly #outer: Scope | undefined;

  constructor(outer?: Scope) {
    this.#outer = outer;
  }

  /** What a name stands for; `found` false where nobody defined it. Errors: KnownProblem for what a reported problem left without a value. */
  find(name: string): { readonly found: boolean; readonly value: Value } {
    if (this.#values.has(name)) {
      const value = this.#values.get(name);
      if (value === BROKEN) throw new KnownProblem(name);
      return { found: true, value };
    }
    return this.#outer?.find(name) ?? { found: false, value: undefined };
  }

  set(name: string, value: Value): void {
    this.#values.set(name, value);
  }
}

/** Stands for a value that could not be found out: using it is no second problem. */
export const BROKEN: Value = new Namespace('a value that is not known', () => {
  throw new KnownProblem();
});

/** The value of an expression. Errors: JinjaError at the part that cannot be evaluated; KnownProblem. */
export function evaluate(expression: Expression, scope: Scope): Value {
  switch (expression.kind) {
    case 'literal':
      return expression.value;
    case 'name':
      return scope.find(expression.name).value;
    case 'list':
      return expression.items.map((item) => evaluate(item, scope));
    case 'dict':
      return evaluateDict(expression.entries, scope);
    case 'member':
      return memberOf(evaluate(expression.object, scope), expression.name, expression.object);
    case 'index':
      return itemOf(evaluate(expression.object, scope), evaluate(expression.index, scope), expression);
    case 'slice':
      return slice(expression, scope);
    case 'call':
      return call(expression, scope);
    case 'filter':
      return at(expression, () =>
        applyFilter(expression.name, evaluate(expression.input, scope), evaluateArguments(expression, scope)),
      );
    case 'test': {
      const holds = at(expression, () =>
        passesTest(expression.name, evaluate(expression.input, scope), evaluateArguments(expression, scope)),
      );
      return holds !== expression.negated;
    }
    case 'unary':
      return evaluateUnary(expression, scope);
    case 'binary':
      return evaluateBinary(expression, scope);
    case 'choice': {
      if (isTruthy(evaluate(expression.test, scope))) return evaluate(expression.value, scope);
      return expression.otherwise === undefined ? '' : evaluate(expression.otherwise, scope);
    }
    default:
      return expression satisfies never;
  }
}

/** Gives errors of the innermost kind a place: that of the expression. */
function at<T>(expression: Expression, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof JinjaError || error instanceof KnownProblem) throw error;
    if (error instanceof ValueError) throw new JinjaError(error.message, expression.at, error.remedy);
    throw error;
  }
}

function evaluateDict(entries: readonly (readonly [Expression, Expression])[], scope: Scope): Dict {
  const dict: Dict = new Map();
  for (const [key, value] of entries) {
    const name = evaluate(key, scope);
    if (typeof name !== 'string' && typeof name !== 'number' && typeof name !== 'boolean') {
      throw new JinjaError(`${nameOfType(name)} cannot be a key`, key.at);
    }
    dict.set(name, evaluate(value, scope));
  }
  return dict;
}

export function evaluateArguments(expression: Arguments, scope: Scope): CallArguments {
  const positional = expression.positional.map((item) => evaluate(item, scope));
  const named = new Map(expression.named.map(([name, item]) => [name, evaluate(item, scope)]));
  if (expression.spread !== undefined) {
    const more = evaluate(expression.spread, scope);
    if (Array.isArray(more)) positional.push(...more);
  }
  if (expression.spreadNamed !== undefined) {
    const more = evaluate(expression.spreadNamed, scope);
    if (isDict(more)) for (const [key, item] of more) named.set(String(key), item);
  }
  return { positional, named };
}

function memberOf(object: Value, name: string, expression: Expression): Value {
  if (object instanceof Namespace) return at(expression, () => object.get(name));
  if (typeof object === 'function') return object.members?.[name];
  const method = findMethod(object, name);
  if (method !== undefined) return method;
  if (isDict(object)) return object.get(name);
  if (object === undefined) {
    throw new JinjaError(`${nameOf(expression)} is not defined`, expression.at, 'Define it, or take it out.');
  }
  return undefined;
}

function itemOf(object: Value, index: Value, expression: Expression): Value {
  if (Array.isArray(object) || typeof object === 'string') {
    const number = Number(index);
    return object[number < 0 ? object.length + number : number];
  }
  if (isDict(object)) return typeof index === 'object' ? undefined : object.get(index as string);
  if (object instanceof Namespace) return at(expression, () => object.get(printValue(index)));
  throw new JinjaError(`${nameOfType(object)} has no items`, expression.at);
}

function slice(expression: Extract<Expression, { kind: 'slice' }>, scope: Scope): Value {
  const object = evaluate(expression.object, scope);
  if (!Array.isArray(object) && typeof object !== 'string') {
    throw new JinjaError(`${nameOfType(object)} cannot be cut`, expression.at);
  }
  const bound = (side: Expression | undefined) => (side === undefined ? undefined : Number(evaluate(side, scope)));
  return object.slice(bound(expression.from), bound(expression.to));
}

function call(expression: Extract<Expression, { kind: 'call' }>, scope: Scope): Value {
  const callee = evaluate(expression.callee, scope);
  if (typeof callee !== 'function') {
    const name = nameOf(expression.callee);
    throw new JinjaError(
      callee === undefined ? `${name} is not known` : `${name} is ${nameOfType(callee)} and cannot be called`,
      expression.at,
      callee === undefined ? unknownRemedy(name) : undefined,
    );
  }
  return at(expression, () => callee(evaluateArguments(expression, scope)));
}

function unknownRemedy(name: string): string {
  return name.includes('.')
    ? `Run \`dbt deps\` first, so that the macros of ${name.split('.')[0]} are there, or write the SQL plainly.`
    : 'Define the macro in the macro-paths, or write the SQL plainly.';
}

/** The words of a name, for messages. */
export function nameOf(expression: Expression): string {
  if (expression.kind === 'name') return expression.name;
  if (expression.kind === 'member') return `${nameOf(expression.object)}.${expression.name}`;
  return expression.kind === 'call' ? `${nameOf(expression.callee)}(…)` : 'the expression';
}

function evaluateUnary(expression: Extract<Expression, { kind: 'unary' }>, scope: Scope): Value {
  const value = evaluate(expression.operand, scope);
  if (expression.operator === 'not') return !isTruthy(value);
  if (typeof value !== 'number') throw new JinjaError(`${nameOfType(value)} is no number`, expression.at);
  return expression.operator === '-' ? -value : value;
}

function evaluateBinary(expression: Extract<Expression, { kind: 'binary' }>, scope: Scope): Value {
  const left = evaluate(expression.left, scope);
  if (expression.operator === 'and') return isTruthy(left) ? evaluate(expression.right, scope) : left;
  if (expression.operator === 'or') return isTruthy(left) ? left : evaluate(expression.right, scope);
  const right = evaluate(expression.right, scope);
  switch (expression.operator) {
    case '==':
      return areEqual(left, right);
    case '!=':
      return !areEqual(left, right);
    case '~':
      return printValue(left) + printValue(right);
    case 'in':
      return contains(left, right, expression);
    case '+':
      if (typeof left === 'string' && typeof right === 'string') return left + right;
      if (Array.isArray(left) && Array.isArray(right)) return [...left, ...right];
      break;
    case '*':
      if (typeof left === 'string' && typeof right === 'number') return left.repeat(Math.max(0, right));
      break;
    case '%':
      if (typeof left === 'string') return left.replace('%s', printValue(right));
      break;
    case '<':
    case '>':
    case '<=':
    case '>=':
      if (typeof left === 'string' && typeof right === 'string') return compare(expression.operator, left, right);
      break;
    default:
      break;
  }
  return calculate(expression, left, right);
}

function calculate(expression: Extract<Expression, { kind: 'binary' }>, left: Value, right: Value): Value {
  if (typeof left !== 'number' || typeof right !== 'number') {
    throw new JinjaError(
      `${nameOfType(left)} ${expression.operator} ${nameOfType(right)} has no value`,
      expression.at,
      'Write the value plainly.',
    );
  }
  switch (expression.operator) {
    case '+':
      return left + right;
    case '-':
      return left - right;
    case '*':
      return left * right;
    case '/':
      return left / right;
    case '//':
      return Math.floor(left / right);
    case '%':
      return ((left % right) + right) % right;
    case '**':
      return left ** right;
    default:
      return compare(expression.operator, left, right);
  }
}

function compare<T extends string | number>(operator: string, left: T, right: T): boolean {
  if (operator === '<') return left < right;
  if (operator === '>') return left > right;
  return operator === '<=' ? left <= right : left >= right;
}

function contains(item: Value, container: Value, expression: Expression): boolean {
  if (typeof container === 'string') return container.includes(printValue(item));
  if (Array.isArray(container)) return container.some((other) => areEqual(item, other));
  if (isDict(container)) return typeof item === 'string' && container.has(item);
  if (container instanceof Relation) return false;
  throw new JinjaError(`in: ${nameOfType(container)} holds nothing`, expression.at);
}
