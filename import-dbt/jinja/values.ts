/** What a Jinja expression can be. Numbers are JavaScript's; undefined is Jinja's undefined. */
export type Value = string | number | boolean | null | undefined | Value[] | Dict | Callable | Relation | Namespace;

export type Dict = Map<string | number | boolean, Value>;

export interface CallArguments {
  readonly positional: readonly Value[];
  readonly named: ReadonlyMap<string, Value>;
  /** The body of a call block. */
  readonly caller?: Callable;
}

export type Callable = ((args: CallArguments) => Value) & {
  /** What stands behind a dot: `config.get`, `var.has_var`. */
  readonly members?: Readonly<Record<string, Value>>;
};

/** Names that are looked up when asked for: a package's macros, `target`, `adapter`, `namespace(…)`. */
export class Namespace {
  readonly name: string;
  readonly #find: (name: string) => Value;

  constructor(name: string, find: (name: string) => Value) {
    this.name = name;
    this.#find = find;
  }

  get(name: string): Value {
    return this.#find(name);
  }
}

/** A table as dbt's templates see it: prints as its name in SQL. */
export class Relation {
  readonly sql: string;
  readonly schema: string;
  readonly identifier: string;

  constructor(sql: string) {
    this.sql = sql;
    const parts = sql.split('.');
    this.identifier = parts.at(-1) ?? sql;
    this.schema = parts.at(-2) ?? '';
  }
}

export function isDict(value: Value): value is Dict {
  return value instanceof Map;
}

export function isTruthy(value: Value): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (isDict(value)) return value.size > 0;
  return Boolean(value);
}

/** As Python's str() prints it, which is what an output writes. */
export function printValue(value: Value): string {
  if (typeof value === 'string') return value;
  if (value instanceof Relation) return value.sql;
  if (value === undefined) return '';
  return represent(value);
}

function represent(value: Value): string {
  if (value === null || value === undefined) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'string') {
    const quote = value.includes("'") && !value.includes('"') ? '"' : "'";
    return `${quote}${value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll(quote, `\\${quote}`)}${quote}`;
  }
  if (Array.isArray(value)) return `[${value.map(represent).join(', ')}]`;
  if (isDict(value)) return `{${[...value].map(([key, item]) => `${represent(key)}: ${represent(item)}`).join(', ')}}`;
  if (value instanceof Relation) return value.sql;
  if (value instanceof Namespace) return value.name;
  return String(value);
}

/** A word for messages. */
export function nameOfType(value: Value): string {
  if (value === undefined) return 'undefined';
  if (value === null) return 'none';
  if (Array.isArray(value)) return 'a list';
  if (isDict(value)) return 'a dictionary';
  if (value instanceof Relation) return 'a relation';
  if (value instanceof Namespace) return value.name;
  return typeof value === 'function' ? 'a function' : `a ${typeof value}`;
}

/** Plain data (YAML, JSON) as a value. */
export function toValue(data: unknown): Value {
  if (data === null || typeof data === 'string' || typeof data === 'number' || typeof data === 'boolean') return data;
  if (Array.isArray(data)) return data.map(toValue);
  if (data instanceof Date) return data.toISOString().slice(0, 10);
  if (typeof data === 'object') return new Map(Object.entries(data).map(([key, item]) => [key, toValue(item)]));
  return undefined;
}

/** A value as plain data; functions and relations become their text. */
export function toData(value: Value): unknown {
  if (Array.isArray(value)) return value.map(toData);
  if (isDict(value)) return Object.fromEntries([...value].map(([key, item]) => [String(key), toData(item)]));
  if (value instanceof Relation || value instanceof Namespace || typeof value === 'function') return printValue(value);
  return value;
}

export function areEqual(a: Value, b: Value): boolean {
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item, i) => areEqual(item, b[i]));
  if (isDict(a) && isDict(b)) return a.size === b.size && [...a].every(([key, item]) => areEqual(item, b.get(key)));
  if (a instanceof Relation && b instanceof Relation) return a.sql === b.sql;
  return a === b;
}
