import { type CallArguments, type Callable, printValue, type Value, ValueError } from '../jinja/index.ts';

/** A macro with named parameters: arguments by place or by name, those left out are undefined. Errors: ValueError for names it does not have. */
export function withParameters<Name extends string>(
  macro: string,
  parameters: readonly Name[],
  body: (values: Readonly<Record<Name, Value>>) => Value,
): Callable {
  return ({ positional, named }: CallArguments) => {
    const unknown = [...named.keys()].find((name) => !(parameters as readonly string[]).includes(name));
    if (unknown !== undefined || positional.length > parameters.length) {
      throw new ValueError(
        `${macro}: ${unknown === undefined ? 'too many arguments' : `the argument ${unknown} is not carried`}`,
        'Write the SQL plainly.',
      );
    }
    const values = parameters.map((name, i) => [name, positional[i] ?? named.get(name)]);
    return body(Object.fromEntries(values) as Readonly<Record<Name, Value>>);
  };
}

export const sql = (value: Value): string => printValue(value).trim();

export function toList(value: Value): readonly Value[] {
  return Array.isArray(value) ? value : value === undefined || value === null ? [] : [value];
}
