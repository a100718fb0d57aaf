import { type AstNode, textOf } from './ast.ts';
import { readReferences } from './references.ts';

/** Which calls put rows together, also where a macro hides it. */
export interface FunctionFacts {
  readonly isAggregate: (name: string) => boolean;
  /** True for macros that hide a window. */
  readonly isWindow: (name: string) => boolean;
  /** True for as_of() and macros that call it. */
  readonly isAsOf: (name: string) => boolean;
}

export function createFunctionFacts(
  aggregates: ReadonlySet<string>,
  macroBodies: ReadonlyMap<string, AstNode>,
): FunctionFacts {
  const isAggregateCall = (call: AstNode): boolean =>
    call['class'] === 'FUNCTION' && aggregates.has(textOf(call['function_name']).toLowerCase());
  const isWindowCall = (call: AstNode): boolean => call['class'] === 'WINDOW';
  const isAsOfCall = (call: AstNode): boolean => textOf(call['function_name']).toLowerCase() === 'as_of';
  /** True when the macro, or one it calls, holds such a call. */
  const hides = (name: string, test: (call: AstNode) => boolean): boolean => {
    const body = macroBodies.get(name);
    if (body === undefined) return false;
    return readReferences(body).functions.some(({ name: inner, node }) => test(node) || hides(inner, test));
  };
  return {
    isAggregate: (name) => aggregates.has(name) || hides(name, isAggregateCall),
    isWindow: (name) => hides(name, isWindowCall),
    isAsOf: (name) => name === 'as_of' || hides(name, isAsOfCall),
  };
}
