import { ValueError } from './value-error.ts';
import { areEqual, type Callable, type Dict, isDict, printValue, Relation, toValue, type Value } from './values.ts';

/** What Python's strings, lists and dictionaries, and dbt's relations, can be asked. Undefined where there is no such method. */
export function findMethod(object: Value, name: string): Value {
  if (typeof object === 'string') return STRING_METHODS[name]?.(object);
  if (Array.isArray(object)) return LIST_METHODS[name]?.(object);
  if (object instanceof Relation) return relationMember(object, name);
  return isDict(object) ? DICT_METHODS[name]?.(object) : undefined;
}

const text = (value: Value): string => printValue(value);

const STRING_METHODS: Readonly<Record<string, (self: string) => Callable>> = {
  upper: (self) => () => self.toUpperCase(),
  lower: (self) => () => self.toLowerCase(),
  capitalize: (self) => () => self.slice(0, 1).toUpperCase() + self.slice(1).toLowerCase(),
  title: (self) => () => self.toLowerCase().replaceAll(/\b[a-z]/g, (letter) => letter.toUpperCase()),
  strip: (self) => (args) => strip(self, args.positional[0], 'both'),
  lstrip: (self) => (args) => strip(self, args.positional[0], 'start'),
  rstrip: (self) => (args) => strip(self, args.positional[0], 'end'),
  startswith: (self) => (args) => self.startsWith(text(args.positional[0])),
  endswith: (self) => (args) => self.endsWith(text(args.positional[0])),
  replace: (self) => (args) => self.replaceAll(text(args.positional[0]), () => text(args.positional[1])),
  join: (self) => (args) => (Array.isArray(args.positional[0]) ? args.positional[0].map(text).join(self) : self),
  format: (self) => (args) => {
    let next = 0;
    return self.replaceAll(/\{(\w*)\}/g, (_, key: string) =>
      text(key === '' ? args.positional[next++] : (args.named.get(key) ?? args.positional[Number(key)])),
    );
  },
  split: (self) => (args) => {
    const by = args.positional[0];
    return by === undefined || by === null
      ? self.trim() === ''
        ? []
        : self.trim().split(/\s+/)
      : self.split(text(by));
  },
};

function strip(self: string, characters: Value, side: 'both' | 'start' | 'end'): string {
  const drop = typeof characters === 'string' ? characters : ' \t\n\r\f\v';
  let from = 0;
  let to = self.length;
  if (side !== 'end') while (from < to && drop.includes(self[from] ?? '')) from++;
  if (side !== 'start') while (to > from && drop.includes(self[to - 1] ?? '')) to--;
  return self.slice(from, to);
}

const LIST_METHODS: Readonly<Record<string, (self: Value[]) => Callable>> = {
  append: (self) => (args) => {
    self.push(args.positional[0]);
    return null;
  },
  extend: (self) => (args) => {
    if (Array.isArray(args.positional[0])) self.push(...args.positional[0]);
    return null;
  },
  insert: (self) => (args) => {
    self.splice(Number(args.positional[0]), 0, args.positional[1]);
    return null;
  },
  pop: (self) => (args) => self.splice(Number(args.positional[0] ?? self.length - 1), 1)[0],
  index: (self) => (args) => self.findIndex((item) => areEqual(item, args.positional[0])),
  remove: (self) => (args) => {
    const index = self.findIndex((item) => areEqual(item, args.positional[0]));
    if (index < 0) throw new ValueError('remove: the list does not hold the item');
    self.splice(index, 1);
    return null;
  },
};

const DICT_METHODS: Readonly<Record<string, (self: Dict) => Callable>> = {
  items: (self) => () => [...self].map(([key, value]) => [key, value]),
  keys: (self) => () => [...self.keys()],
  values: (self) => () => [...self.values()],
  get: (self) => (args) => self.get(args.positional[0] as string) ?? args.positional[1] ?? null,
  update: (self) => (args) => {
    const [more] = args.positional;
    if (isDict(more)) for (const [key, value] of more) self.set(key, value);
    for (const [key, value] of args.named) self.set(key, value);
    return null;
  },
  pop: (self) => (args) => {
    const key = args.positional[0] as string;
    const value = self.get(key) ?? args.positional[1];
    self.delete(key);
    return value;
  },
};

function relationMember(relation: Relation, name: string): Value {
  if (['identifier', 'name', 'table', 'alias'].includes(name)) return relation.identifier;
  if (name === 'schema') return relation.schema;
  if (name === 'database') return relation.sql.split('.')[0] ?? '';
  if (['is_view', 'is_cte'].includes(name)) return false;
  if (name === 'is_table') return true;
  if (['include', 'quote', 'render'].includes(name)) return () => toValue(relation.sql);
  return undefined;
}
