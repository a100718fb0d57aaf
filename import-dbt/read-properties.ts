import type { DbtProject } from './read-project.ts';
import { type Fields, toFields, toItems, toText, type YamlFile } from './yaml-file.ts';

/** What the properties files (schema.yml, sources.yml) declare, each with its place. */

export interface Place {
  readonly file: string;
  readonly line: number;
}

export interface TestDeclaration extends Place {
  /** not_null, dbt_utils.accepted_range, a generic test of the project. */
  readonly test: string;
  readonly column?: string;
  readonly args: Fields;
  /** severity, where, warn_if, error_if, limit, enabled … */
  readonly config: Fields;
  /** The name that the project gives it. */
  readonly name?: string;
}

export interface ColumnProperties extends Place {
  readonly name: string;
  readonly description?: string;
  readonly dataType?: string;
  readonly tests: readonly TestDeclaration[];
}

export interface NodeProperties extends Place {
  readonly name: string;
  readonly description?: string;
  readonly config: Fields;
  readonly columns: readonly ColumnProperties[];
  readonly tests: readonly TestDeclaration[];
  /** Everything as written, for what is looked at rarely. */
  readonly fields: Fields;
}

export interface SourceTable extends NodeProperties {
  readonly source: string;
  readonly schema: string;
  readonly identifier: string;
}

export interface Properties {
  readonly models: ReadonlyMap<string, NodeProperties>;
  readonly seeds: ReadonlyMap<string, NodeProperties>;
  readonly snapshots: ReadonlyMap<string, NodeProperties>;
  /** By <source>.<table>. */
  readonly sources: ReadonlyMap<string, SourceTable>;
  /** Singular tests' descriptions and settings. */
  readonly tests: ReadonlyMap<string, NodeProperties>;
  /** Exposures, metrics, unit tests and the like: kinds that have no table here. */
  readonly others: readonly (Place & { readonly kind: string; readonly name: string; readonly fields: Fields })[];
}

const OTHERS = [
  'exposures',
  'metrics',
  'semantic_models',
  'saved_queries',
  'groups',
  'unit_tests',
  'macros',
  'analyses',
];

export function readProperties(project: DbtProject): Properties {
  const read = (kind: string): ReadonlyMap<string, NodeProperties> =>
    new Map(
      project.properties.flatMap((yaml) =>
        toItems(toFields(yaml.value)[kind]).map((item, i): [string, NodeProperties] => {
          const node = toNode(yaml, [kind, i], item);
          return [node.name, node];
        }),
      ),
    );
  return {
    models: read('models'),
    seeds: read('seeds'),
    snapshots: read('snapshots'),
    tests: new Map([...read('data_tests'), ...read('tests')]),
    sources: new Map(
      project.properties.flatMap((yaml) =>
        toItems(toFields(yaml.value)['sources']).flatMap((item, i) => readSource(yaml, ['sources', i], item)),
      ),
    ),
    others: project.properties.flatMap((yaml) =>
      OTHERS.flatMap((kind) =>
        toItems(toFields(yaml.value)[kind]).map((item, i) => {
          const fields = toFields(item);
          return { kind, name: toText(fields['name']) ?? '', fields, file: yaml.file, line: yaml.lineOf(kind, i) };
        }),
      ),
    ),
  };
}

type Path = readonly (string | number)[];

function readSource(yaml: YamlFile, path: Path, item: unknown): [string, SourceTable][] {
  const source = toFields(item);
  const name = toText(source['name']) ?? '';
  return toItems(source['tables']).map((table, i) => {
    const node = toNode(yaml, [...path, 'tables', i], table);
    return [
      `${name}.${node.name}`,
      {
        ...node,
        source: name,
        schema: toText(source['schema']) ?? name,
        identifier: toText(node.fields['identifier']) ?? node.name,
      },
    ];
  });
}

function toNode(yaml: YamlFile, path: Path, item: unknown): NodeProperties {
  const fields = toFields(item);
  const description = toText(fields['description'])?.trim();
  return {
    name: toText(fields['name']) ?? '',
    ...(description ? { description } : {}),
    config: toFields(fields['config']),
    columns: toItems(fields['columns']).map((column, i) => toColumn(yaml, [...path, 'columns', i], column)),
    tests: readTests(yaml, path, fields),
    fields,
    file: yaml.file,
    line: yaml.lineOf(...path),
  };
}

function toColumn(yaml: YamlFile, path: Path, item: unknown): ColumnProperties {
  const fields = toFields(item);
  const name = toText(fields['name']) ?? '';
  const description = toText(fields['description'])?.trim();
  const dataType = toText(fields['data_type']);
  return {
    name,
    ...(description ? { description } : {}),
    ...(dataType === undefined ? {} : { dataType }),
    tests: readTests(yaml, path, fields, name),
    file: yaml.file,
    line: yaml.lineOf(...path),
  };
}

function readTests(yaml: YamlFile, path: Path, fields: Fields, column?: string): TestDeclaration[] {
  return ['tests', 'data_tests'].flatMap((word) =>
    toItems(fields[word]).flatMap((item, i) => {
      const at = { file: yaml.file, line: yaml.lineOf(...path, word, i), ...(column === undefined ? {} : { column }) };
      if (typeof item === 'string') return [{ ...at, test: item, args: {}, config: {} }];
      return toTest(toFields(item), at);
    }),
  );
}

const CONFIG_WORDS = [
  'severity',
  'where',
  'warn_if',
  'error_if',
  'limit',
  'enabled',
  'store_failures',
  'tags',
  'fail_calc',
];
const OWN_WORDS = new Set([...CONFIG_WORDS, 'config', 'arguments', 'name', 'description', 'meta', 'test_name']);

function toTest(item: Fields, at: Place & { readonly column?: string }): TestDeclaration[] {
  const short = Object.entries(item).find(([key]) => !OWN_WORDS.has(key));
  const named = toText(item['test_name']);
  const test = named ?? short?.[0];
  if (test === undefined) return [];
  const body = named === undefined ? { ...toFields(short?.[1]), ...pick(item, OWN_WORDS) } : item;
  const name = toText(body['name']);
  return [
    {
      ...at,
      test,
      args: {
        ...Object.fromEntries(Object.entries(body).filter(([key]) => !OWN_WORDS.has(key))),
        ...toFields(body['arguments']),
      },
      config: { ...pick(body, new Set(CONFIG_WORDS)), ...toFields(body['config']) },
      ...(name === undefined ? {} : { name }),
    },
  ];
}

function pick(fields: Fields, words: ReadonlySet<string>): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([key]) => words.has(key)));
}
