import { nearestOf } from '../warehouse/core/nearest.ts';
import {
  type CallArguments,
  type Callable,
  type Dict,
  isDict,
  MacroReturn,
  Namespace,
  printValue,
  Relation,
  Scope,
  toData,
  toValue,
  type Value,
  ValueError,
} from './jinja/index.ts';
import { bindMacro, type MacroLibrary } from './macros.ts';
import { crossDatabaseMacros } from './packages/cross-database.ts';
import { dbtUtilsMacros } from './packages/dbt-utils.ts';
import type { Fields } from './yaml-file.ts';

/** The names that dbt gives to templates: ref, source, config, var, target and the others, with what they mean here. */

export interface DbtNames {
  /** The table of a model, seed or snapshot in SQL; undefined where there is none. */
  readonly ref: (name: string, version: Value) => string | undefined;
  /** All that can be referred to, for suggestions. */
  readonly nodes: () => Iterable<string>;
  readonly source: (source: string, table: string) => string | undefined;
  readonly sources: () => Iterable<string>;
  readonly vars: Fields;
  readonly target: string;
  readonly projectName: string;
  readonly macros: MacroLibrary;
  /** What is told to people: a remark on the place that is being rendered. */
  readonly remark: (what: string, remedy: string) => void;
}

/** What one file says about itself while it is rendered. */
export interface FileNames {
  readonly self: string;
  readonly config: (fields: Fields) => void;
  /** Read by config.get. */
  readonly settings: Fields;
  readonly refs: (sql: string) => void;
}

const REFUSED = 'asks the database while the project is compiled';
const WRITE_LIST = 'Write what it would find as a list, or as a join in SQL.';

/** The outermost scope of a file. */
export function createDbtScope(names: DbtNames, file: FileNames): Scope {
  const scope = new Scope();
  const define = (list: Readonly<Record<string, Value>>): void => {
    for (const [name, value] of Object.entries(list)) scope.set(name, value);
  };
  const packages = namesOfPackages(names, scope);
  define(tableNames(names, file));
  define(settingNames(names, file));
  define(plainFunctions());
  define({
    adapter: new Namespace('adapter', (name) => {
      if (name === 'dispatch') return (args) => dispatch(printValue(args.positional[0]), packages, names, args);
      if (name === 'quote') return (args) => `"${printValue(args.positional[0]).replaceAll('"', '""')}"`;
      throw new ValueError(`adapter.${name} ${REFUSED}`, WRITE_LIST);
    }),
    ...Object.fromEntries(packages),
  });
  for (const [name, macro] of names.macros.packages.get(names.projectName) ?? [])
    scope.set(name, bindMacro(macro, scope));
  return scope;
}

function tableNames(names: DbtNames, file: FileNames): Readonly<Record<string, Value>> {
  const ref: Callable = ({ positional, named }) => {
    const name = printValue(positional.at(-1));
    const sql = names.ref(name, named.get('v') ?? named.get('version'));
    if (sql === undefined) {
      const near = nearestOf(name, names.nodes());
      throw new ValueError(
        `ref: there is no model, seed or snapshot ${name}${near === undefined ? '' : `; did you mean ${near}?`}`,
        'Correct the name; models of packages are not carried.',
      );
    }
    file.refs(sql);
    return new Relation(sql);
  };
  const source: Callable = ({ positional }) => {
    const [schema, table] = [printValue(positional[0]), printValue(positional[1])];
    const sql = names.source(schema, table);
    if (sql === undefined) {
      const near = nearestOf(`${schema}.${table}`, names.sources());
      throw new ValueError(
        `source: no properties file declares ${schema}.${table}${near === undefined ? '' : `; did you mean ${near}?`}`,
        'Declare the table under sources, or correct the name.',
      );
    }
    file.refs(sql);
    return new Relation(sql);
  };
  return {
    ref,
    source,
    this: new Relation(file.self),
    builtins: new Map([
      ['ref', ref],
      ['source', source],
    ]),
  };
}

function settingNames(names: DbtNames, file: FileNames): Readonly<Record<string, Value>> {
  const config = Object.assign(
    ({ positional, named }: CallArguments): Value => {
      const [first] = positional;
      const fields = [...(isDict(first) ? first : []), ...named].map(([key, value]) => [String(key), toData(value)]);
      file.config(Object.fromEntries(fields) as Fields);
      return '';
    },
    {
      members: {
        get: ({ positional, named }: CallArguments) =>
          toValue(file.settings[printValue(positional[0])]) ?? positional[1] ?? named.get('default') ?? null,
        require: ({ positional }: CallArguments) => toValue(file.settings[printValue(positional[0])]) ?? '',
        set: () => '',
      },
    },
  );
  const hasVar = (name: string): boolean => Object.hasOwn(names.vars, name);
  const variable = Object.assign(
    ({ positional, named }: CallArguments): Value => {
      const name = printValue(positional[0]);
      if (hasVar(name)) return toValue(names.vars[name]);
      if (positional.length > 1) return positional[1];
      if (named.has('default')) return named.get('default');
      throw new ValueError(
        `var: ${name} has no value`,
        `Give it one under vars in dbt_project.yml, or with --var ${name}=VALUE.`,
      );
    },
    { members: { has_var: ({ positional }: CallArguments) => hasVar(printValue(positional[0])) } },
  );
  const env: Callable = ({ positional }) => {
    const name = printValue(positional[0]);
    if (positional.length < 2) {
      throw new ValueError(
        `env_var: ${name} has no default`,
        'Write the value: models here do not read the environment.',
      );
    }
    names.remark(
      `env_var('${name}') is its default, ${printValue(positional[1])}`,
      'Models do not read the environment.',
    );
    return positional[1];
  };
  const settings: Fields = {
    name: names.target,
    target_name: names.target,
    schema: 'gold',
    database: 'gold',
    dbname: 'gold',
    type: 'duckdb',
    profile_name: names.projectName,
    threads: 1,
  };
  return {
    config,
    var: variable,
    env_var: env,
    target: new Namespace('target', (name) => {
      if (name !== 'type')
        names.remark(`target.${name} is ${printValue(toValue(settings[name]))}`, 'Choose another with --target NAME.');
      return toValue(settings[name]);
    }),
    is_incremental: () => false,
    should_full_refresh: () => false,
    execute: true,
    project_name: names.projectName,
    dbt_version: '1.10.0',
    flags: new Namespace('flags', () => false),
    model: new Namespace('model', (name) =>
      ['name', 'alias'].includes(name) ? (file.self.split('.').at(-1) ?? '') : undefined,
    ),
  };
}

function plainFunctions(): Readonly<Record<string, Value>> {
  const refused =
    (what: string, remedy = WRITE_LIST): Callable =>
    () => {
      throw new ValueError(`${what} ${REFUSED}`, remedy);
    };
  const nothing: Callable = () => '';
  const notHere = (what: string): Namespace =>
    new Namespace(what, (name) => {
      throw new ValueError(
        `${what}.${name} is another value at another time`,
        'Use as_of(), the logical date of the run.',
      );
    });
  return {
    return: ({ positional }) => {
      throw new MacroReturn(positional[0]);
    },
    log: nothing,
    print: nothing,
    exceptions: new Namespace('exceptions', (name) =>
      name === 'warn'
        ? nothing
        : ({ positional }) => {
            throw new ValueError(printValue(positional[0]));
          },
    ),
    run_query: refused('run_query'),
    statement: refused('statement'),
    load_result: refused('load_result'),
    modules: notHere('modules'),
    run_started_at: notHere('run_started_at'),
    range: ({ positional }) => {
      const [a = 0, b, step = 1] = positional.map(Number);
      const [from, to] = b === undefined ? [0, a] : [a, b];
      return Array.from({ length: Math.max(0, Math.ceil((to - from) / step)) }, (_, i) => from + i * step);
    },
    namespace: ({ positional, named }): Dict => new Map([...(isDict(positional[0]) ? positional[0] : []), ...named]),
    dict: ({ named }): Dict => new Map(named),
    set: ({ positional }) => (Array.isArray(positional[0]) ? [...new Set(positional[0])] : null),
    zip: ({ positional }) => {
      const lists = positional.map((list) => (Array.isArray(list) ? list : []));
      const length = Math.min(...lists.map((list) => list.length));
      return Array.from({ length }, (_, i) => lists.map((list) => list[i]));
    },
    fromjson: ({ positional }) => toValue(JSON.parse(printValue(positional[0]))),
    tojson: ({ positional }) => JSON.stringify(toData(positional[0])),
  };
}

/** dbt, dbt_utils and every installed package as names with macros behind a dot. What is carried here goes before what is installed. */
function namesOfPackages(names: DbtNames, scope: Scope): ReadonlyMap<string, Namespace> {
  const own: Readonly<Record<string, Readonly<Record<string, Callable>>>> = {
    dbt: crossDatabaseMacros,
    dbt_utils: dbtUtilsMacros,
  };
  const all = [...new Set([...Object.keys(own), ...names.macros.packages.keys()])];
  return new Map(
    all.map((name) => {
      const installed = names.macros.packages.get(name);
      const inside = new Scope(scope);
      const find = (macro: string): Value => {
        const carried = own[name]?.[macro];
        if (carried !== undefined) return carried;
        const found = installed?.get(macro);
        return found === undefined ? undefined : bindMacro(found, inside);
      };
      if (name !== names.projectName) for (const macro of installed?.keys() ?? []) inside.set(macro, find(macro));
      return [name, new Namespace(name, find)];
    }),
  );
}

function dispatch(
  name: string,
  packages: ReadonlyMap<string, Namespace>,
  names: DbtNames,
  { positional, named }: CallArguments,
): Value {
  const wanted = printValue(named.get('macro_namespace') ?? positional[1] ?? names.projectName);
  for (const place of [names.projectName, wanted, 'dbt']) {
    for (const prefix of ['duckdb__', 'default__', 'postgres__', '']) {
      const macro = packages.get(place)?.get(`${prefix}${name}`);
      if (macro !== undefined && (prefix !== '' || place !== wanted)) return macro;
    }
  }
  throw new ValueError(
    `adapter.dispatch: there is no macro ${name}`,
    'Run `dbt deps` first, or write the SQL plainly.',
  );
}
