import { passesTest } from './conditions.ts';
import { ValueError } from './value-error.ts';
import { areEqual, type CallArguments, isDict, isTruthy, printValue, toData, type Value } from './values.ts';

/** Jinja's filters, as far as templates of SQL use them. Errors: ValueError. */
export function applyFilter(name: string, input: Value, args: CallArguments): Value {
  const filter = FILTERS[name];
  if (filter === undefined) throw new ValueError(`the filter ${name} is not carried`, 'Write the value plainly.');
  return filter(input, args);
}

type Filter = (input: Value, args: CallArguments) => Value;

const text = (value: Value): string => printValue(value);
const argument = (args: CallArguments, index: number, name: string): Value =>
  args.positional[index] ?? args.named.get(name);

function toList(value: Value): Value[] {
  if (Array.isArray(value)) return value;
  if (typeof value === 'string') return Array.from(value);
  if (isDict(value)) return [...value.keys()];
  if (value === undefined || value === null) return [];
  throw new ValueError('the value is no list');
}

const keep =
  (wanted: boolean): Filter =>
  (input, args) => {
    const [test, ...rest] = args.positional;
    return toList(input).filter(
      (item) =>
        (test === undefined ? isTruthy(item) : passesTest(text(test), item, { ...args, positional: rest })) === wanted,
    );
  };

const keepByAttribute =
  (wanted: boolean): Filter =>
  (input, args) => {
    const [attribute, test, ...rest] = args.positional;
    return toList(input).filter((item) => {
      const value = attributeOf(item, attribute);
      return (
        (test === undefined ? isTruthy(value) : passesTest(text(test), value, { ...args, positional: rest })) === wanted
      );
    });
  };

function attributeOf(item: Value, attribute: Value): Value {
  let value = item;
  for (const part of text(attribute).split('.')) {
    value = isDict(value) ? value.get(part) : Array.isArray(value) ? value[Number(part)] : undefined;
  }
  return value;
}

function compareValues(a: Value, b: Value): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  const [x, y] = [text(a), text(b)];
  return x < y ? -1 : x > y ? 1 : 0;
}

const FILTERS: Readonly<Record<string, Filter>> = {
  upper: (input) => text(input).toUpperCase(),
  lower: (input) => text(input).toLowerCase(),
  title: (input) =>
    text(input)
      .toLowerCase()
      .replaceAll(/\b[a-z]/g, (letter) => letter.toUpperCase()),
  capitalize: (input) => text(input).slice(0, 1).toUpperCase() + text(input).slice(1).toLowerCase(),
  trim: (input) => text(input).trim(),
  string: text,
  safe: (input) => input,
  as_text: text,
  as_native: (input) => input,
  as_bool: (input) => (typeof input === 'string' ? input.toLowerCase() === 'true' : isTruthy(input)),
  as_number: Number,
  replace: (input, args) => text(input).replaceAll(text(args.positional[0]), () => text(args.positional[1])),
  indent: (input, args) => text(input).replaceAll('\n', `\n${' '.repeat(Number(argument(args, 0, 'width') ?? 4))}`),
  int: (input) => (Number.isNaN(Number(input)) ? 0 : Math.trunc(Number(input))),
  float: (input) => (Number.isNaN(Number(input)) ? 0 : Number(input)),
  abs: (input) => Math.abs(Number(input)),
  round: (input, args) => {
    const scale = 10 ** Number(args.positional[0] ?? 0);
    return Math.round(Number(input) * scale) / scale;
  },
  length: (input) => toList(input).length,
  count: (input) => toList(input).length,
  list: (input) => [...toList(input)],
  first: (input) => toList(input)[0],
  last: (input) => toList(input).at(-1),
  reverse: (input) => (typeof input === 'string' ? Array.from(input).reverse().join('') : [...toList(input)].reverse()),
  sort: (input, args) => {
    const by = args.named.get('attribute');
    const sorted = [...toList(input)].sort((a, b) =>
      by === undefined ? compareValues(a, b) : compareValues(attributeOf(a, by), attributeOf(b, by)),
    );
    return isTruthy(argument(args, 0, 'reverse')) ? sorted.reverse() : sorted;
  },
  unique: (input) => toList(input).filter((item, i, all) => all.findIndex((other) => areEqual(item, other)) === i),
  sum: (input) => toList(input).reduce<number>((total, item) => total + Number(item), 0),
  min: (input) => [...toList(input)].sort(compareValues)[0],
  max: (input) => [...toList(input)].sort(compareValues).at(-1),
  join: (input, args) => {
    const by = args.named.get('attribute');
    return toList(input)
      .map((item) => text(by === undefined ? item : attributeOf(item, by)))
      .join(text(argument(args, 0, 'd') ?? ''));
  },
  map: (input, args) => {
    const by = args.named.get('attribute');
    const [name, ...rest] = args.positional;
    return toList(input).map((item) =>
      by === undefined ? applyFilter(text(name), item, { ...args, positional: rest }) : attributeOf(item, by),
    );
  },
  select: keep(true),
  reject: keep(false),
  selectattr: keepByAttribute(true),
  rejectattr: keepByAttribute(false),
  default: (input, args) =>
    input === undefined || (isTruthy(argument(args, 1, 'boolean')) && !isTruthy(input))
      ? (argument(args, 0, 'default_value') ?? '')
      : input,
  d: (input, args) => FILTERS['default']?.(input, args),
  items: (input) => (isDict(input) ? [...input].map(([key, value]) => [key, value]) : []),
  dictsort: (input) =>
    isDict(input)
      ? [...input].map(([key, value]): Value[] => [key, value]).sort((a, b) => compareValues(a[0], b[0]))
      : [],
  tojson: (input) => JSON.stringify(toData(input)),
  batch: (input, args) => {
    const size = Number(args.positional[0]);
    const all = toList(input);
    return Array.from({ length: Math.ceil(all.length / size) }, (_, i) => all.slice(i * size, (i + 1) * size));
  },
};
