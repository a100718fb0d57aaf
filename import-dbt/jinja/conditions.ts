import { ValueError } from './value-error.ts';
import { areEqual, type CallArguments, isDict, printValue, type Value } from './values.ts';

/** Jinja's tests: what may stand after `is`. Errors: ValueError. */
export function passesTest(name: string, value: Value, args: CallArguments): boolean {
  const test = TESTS[name];
  if (test === undefined) throw new ValueError(`the test ${name} is not carried`, 'Write the condition plainly.');
  return test(value, args.positional[0]);
}

const TESTS: Readonly<Record<string, (value: Value, argument: Value) => boolean>> = {
  defined: (value) => value !== undefined,
  undefined: (value) => value === undefined,
  none: (value) => value === null,
  string: (value) => typeof value === 'string',
  number: (value) => typeof value === 'number',
  integer: (value) => Number.isInteger(value),
  float: (value) => typeof value === 'number' && !Number.isInteger(value),
  boolean: (value) => typeof value === 'boolean',
  true: (value) => value === true,
  false: (value) => value === false,
  mapping: (value) => isDict(value),
  sequence: (value) => Array.isArray(value) || typeof value === 'string' || isDict(value),
  iterable: (value) => Array.isArray(value) || typeof value === 'string' || isDict(value),
  callable: (value) => typeof value === 'function',
  odd: (value) => Number(value) % 2 !== 0,
  even: (value) => Number(value) % 2 === 0,
  divisibleby: (value, by) => Number(value) % Number(by) === 0,
  lower: (value) => printValue(value) === printValue(value).toLowerCase(),
  upper: (value) => printValue(value) === printValue(value).toUpperCase(),
  equalto: areEqual,
  eq: areEqual,
  ne: (value, other) => !areEqual(value, other),
  in: (value, list) =>
    Array.isArray(list)
      ? list.some((item) => areEqual(item, value))
      : typeof list === 'string' && list.includes(printValue(value)),
};
