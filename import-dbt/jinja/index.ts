export { BROKEN, evaluate, nameOf, Scope } from './evaluate.ts';
export { type Expression, ExpressionReader } from './expression.ts';
export { JinjaError } from './jinja-error.ts';
export { createMacro, MacroReturn, type Origin, type Rendered, renderTemplate } from './render.ts';
export { type Body, type Branch, parseTemplate, type Statement } from './template.ts';
export { ValueError } from './value-error.ts';
export {
  type CallArguments,
  type Callable,
  type Dict,
  isDict,
  isTruthy,
  Namespace,
  printValue,
  Relation,
  toData,
  toValue,
  type Value,
} from './values.ts';
