import type { BronzeSourceOverview, BronzeTableOverview } from '../../core/bronze-commit.ts';
import { BRONZE_META_COLUMNS } from '../../core/bronze-table.ts';
import type { Release, TestResult } from '../../core/release.ts';
import type { BronzeTableFacts } from '../bind.ts';
import type { ColumnLineage, ModelLineage } from '../lineage/column-lineage.ts';
import type { CompiledModel, CompiledProject, ModelTest, RefreshRule } from '../model.ts';

/** What the documentation site shows, as plain data: one small entry per table for lists and pictures, and the rest of each for its page. */

export interface SiteInput {
  readonly project: CompiledProject;
  readonly lineage: ReadonlyMap<string, ModelLineage>;
  readonly bronzeTables: readonly BronzeTableFacts[];
  readonly overviews: readonly BronzeSourceOverview[];
  /** Newest first. */
  readonly releases: readonly Release[];
  /** Text of each model's file. */
  readonly textOf: (file: string) => string;
  /** ISO instant. */
  readonly generatedAt: string;
}

/** Column, or the place of one in another table: table, column, copied or computed. */
type Reference = readonly [table: string, column: string, kind: 'copied' | 'computed' | 'rows'];

export interface SiteNode {
  readonly name: string;
  readonly kind: 'model' | 'source';
  readonly layer: string;
  readonly domain: string;
  readonly materialized: string;
  readonly description: string;
  readonly tags: readonly string[];
  readonly columns: number;
  readonly rows: number | null;
  readonly status: 'pass' | 'warn' | 'fail' | 'none';
  /** Places of what it reads in the list of nodes. */
  readonly inputs: readonly number[];
}

export interface SitePage {
  readonly name: string;
  readonly facts: readonly (readonly [label: string, text: string])[];
  readonly description: string;
  readonly columns: readonly {
    readonly name: string;
    readonly type: string;
    readonly description: string;
    readonly isKey: boolean;
    readonly tests: readonly ShownTest[];
    readonly from: readonly Reference[];
    readonly to: readonly Reference[];
    readonly unknown?: string;
  }[];
  readonly rowsFrom: readonly Reference[];
  readonly rowsUnknown?: string;
  readonly tests: readonly ShownTest[];
  readonly header: string;
  readonly sql: string;
}

/** Samples of failing rows stay out: a site is passed around, rows are not. */
interface ShownTest {
  readonly name: string;
  readonly severity: string;
  readonly status: TestResult['status'] | 'not run';
  readonly failures: number;
}

export interface SiteData {
  readonly nodes: readonly SiteNode[];
  readonly pages: readonly SitePage[];
  readonly sources: readonly object[];
  readonly releases: readonly object[];
}

/** Gathers everything the site says. */
export function gatherSite(input: SiteInput): SiteData {
  const { project, lineage, bronzeTables, overviews, releases } = input;
  const release = releases[0];
  const used = new Set(project.models.flatMap((model) => model.dependencies));
  const tables = bronzeTables
    .flatMap((facts) => {
      const name = `${facts.source}.${facts.table}`.toLowerCase();
      const log = used.has(`bronze_log.${name}`) ? [{ name: `bronze_log.${name}`, facts }] : [];
      return [{ name: `bronze.${name}`, facts }, ...log];
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const places = new Map([...tables, ...project.models].map(({ name }, i) => [name, i]));
  const consumers = readConsumers(lineage);
  const results = new Map((release?.tests ?? []).map((result) => [result.name, result]));
  const states = new Map((release?.models ?? []).map((state) => [state.name, state]));
  const sourcePages = tables.map(({ name, facts }) => {
    const overview = overviews
      .find(({ source }) => source === facts.source)
      ?.tables.find(({ table }) => table === facts.table);
    return { node: sourceNode(name, facts, overview), page: sourcePage(name, facts, overview, consumers) };
  });
  const modelPages = project.models.map((model) => {
    const tests = model.tests.map((test) => ({ test, shown: showTest(test, results.get(test.name)) }));
    const traced = lineage.get(model.name);
    const state = states.get(model.name);
    return {
      node: modelNode(model, tests, rowsOf(state) ?? null, places),
      page: {
        ...modelPage(model, tests, traced, consumers, input.textOf(model.file)),
        facts: modelFacts(model, release, state),
      },
    };
  });
  const all = [...sourcePages, ...modelPages];
  return {
    nodes: all.map(({ node }) => node),
    pages: all.map(({ page }) => page),
    sources: overviews.map((overview) => showSource(overview)),
    releases: releases.map(showRelease),
  };
}

type Consumers = ReadonlyMap<string, readonly Reference[]>;

/** Who uses a column, by <table>\0<column>. */
function readConsumers(lineage: ReadonlyMap<string, ModelLineage>): Consumers {
  const consumers = new Map<string, Reference[]>();
  const add = (table: string, column: string, reference: Reference) => {
    const key = `${table}\0${column.toLowerCase()}`;
    const list = consumers.get(key);
    if (list === undefined) consumers.set(key, [reference]);
    else list.push(reference);
  };
  for (const { model, columns, rows } of lineage.values()) {
    for (const { column, inputs } of columns) {
      for (const input of inputs) add(input.table, input.column, [model, column, input.kind]);
    }
    for (const input of rows.inputs) add(input.table, input.column, [model, '', 'rows']);
  }
  return consumers;
}

function consumersOf(consumers: Consumers, table: string, column: string): readonly Reference[] {
  return consumers.get(`${table}\0${column.toLowerCase()}`) ?? [];
}

function sourceNode(name: string, { source, contract }: BronzeTableFacts, overview?: BronzeTableOverview): SiteNode {
  return {
    name,
    kind: 'source',
    layer: name.startsWith('bronze_log.') ? 'bronze_log' : 'bronze',
    domain: source,
    materialized: overview?.mode ?? 'source',
    description: '',
    tags: [],
    columns: contract.columns.length,
    rows: null,
    status: 'none',
    inputs: [],
  };
}

function sourcePage(
  name: string,
  { contract }: BronzeTableFacts,
  overview: BronzeTableOverview | undefined,
  consumers: Consumers,
): SitePage {
  const meta = BRONZE_META_COLUMNS.filter((column) => name.startsWith('bronze_log.') || column.name !== '_op');
  return {
    name,
    facts: overview === undefined ? [['In bronze', 'nothing extracted yet']] : tableFacts(overview),
    description: name.startsWith('bronze_log.')
      ? 'Every version of every row, with _op and _seq.'
      : 'The current state per key, deletes applied.',
    columns: [
      ...contract.columns.map((column) => ({
        name: column.name,
        type: column.duckdbType,
        description: [
          `Postgres ${column.postgresType}${column.nullable ? '' : ', never NULL'}`,
          ...(column.mask === undefined
            ? []
            : [column.mask === 'drop' ? 'dropped: always NULL' : 'masked: a keyed hash']),
          ...(column.policy === 'error' ? [] : [`what does not fit: ${column.policy}`]),
        ].join('; '),
      })),
      ...meta.map((column) => ({ name: column.name, type: column.duckdbType, description: 'Added by Sluice.' })),
    ].map((column) => ({
      ...column,
      isKey: contract.key.includes(column.name),
      tests: [],
      from: [],
      to: consumersOf(consumers, name, column.name),
    })),
    rowsFrom: [],
    tests: [],
    header: '',
    sql: '',
  };
}

function tableFacts(table: BronzeTableOverview): SitePage['facts'] {
  return [
    ['Extracted by', table.mode],
    ['Deletes', table.mode === 'full' ? 'carried' : 'not carried'],
    ['Consistency', table.consistency],
    ['Changed in', `commit ${table.lastCommit}`],
    ['Rows logged', String(table.rowsLogged)],
    ['Files', `${table.files}, ${table.bytes} bytes`],
    ['Watermark', table.watermark === null ? 'none' : `${table.watermark.column} ${table.watermark.value}`],
    ['Rows set aside', String(table.quarantined.rows)],
  ];
}

type ModelTests = readonly { readonly test: ModelTest; readonly shown: ShownTest }[];

function modelNode(
  model: CompiledModel,
  tests: ModelTests,
  rows: number | null,
  places: ReadonlyMap<string, number>,
): SiteNode {
  const has = (...states: readonly string[]) => tests.some(({ shown }) => states.includes(shown.status));
  return {
    name: model.name,
    kind: 'model',
    layer: model.layer,
    domain: model.domain,
    materialized: model.materialized,
    description: model.description.slice(0, 200),
    tags: model.tags,
    columns: model.boundColumns.length,
    rows,
    status: has('fail', 'error') ? 'fail' : has('warn') ? 'warn' : has('pass') ? 'pass' : 'none',
    inputs: model.dependencies.flatMap((name) => places.get(name) ?? []),
  };
}

function modelPage(
  model: CompiledModel,
  tests: ModelTests,
  traced: ModelLineage | undefined,
  consumers: Consumers,
  text: string,
): Omit<SitePage, 'facts'> {
  const described = new Map(model.columns.map((column) => [column.name.toLowerCase(), column]));
  const isOf = (test: ModelTest, column: string) =>
    ('column' in test && test.column.toLowerCase() === column) ||
    (test.kind === 'unique' && test.columns.length === 1 && test.columns[0]?.toLowerCase() === column);
  const names = model.boundColumns.map(({ name }) => name.toLowerCase());
  const keys = new Set(model.key.map((name) => name.toLowerCase()));
  const headerEnd = text.indexOf('*/');
  return {
    name: model.name,
    description: model.description,
    columns: model.boundColumns.map(({ name, type }, i) => {
      const own: ColumnLineage | undefined = traced?.columns[i];
      return {
        name,
        type,
        description: described.get(name.toLowerCase())?.description ?? '',
        isKey: keys.has(name.toLowerCase()),
        tests: tests.filter(({ test }) => isOf(test, name.toLowerCase())).map(({ shown }) => shown),
        from: (own?.inputs ?? []).map(({ table, column, kind }) => [table, column, kind] as const),
        to: consumersOf(consumers, model.name, name),
        ...(own?.unknown === undefined ? {} : { unknown: own.unknown }),
      };
    }),
    rowsFrom: (traced?.rows.inputs ?? []).map(({ table, column }) => [table, column, 'rows'] as const),
    ...(traced?.rows.unknown === undefined ? {} : { rowsUnknown: traced.rows.unknown }),
    tests: tests.filter(({ test }) => !names.some((name) => isOf(test, name))).map(({ shown }) => shown),
    header: text.slice(text.indexOf('/*') + 2, Math.max(headerEnd, 0)).replace(/^\n+|\s+$/g, ''),
    sql: model.sql,
  };
}

function showTest({ name, severity }: ModelTest, result: TestResult | undefined): ShownTest {
  return { name, severity, status: result?.status ?? 'not run', failures: result?.failures ?? 0 };
}

function modelFacts(
  model: CompiledModel,
  release: Release | undefined,
  state: Release['models'][number] | undefined,
): SitePage['facts'] {
  const { owner, dataset } = model;
  const owned =
    owner === undefined
      ? []
      : [
          [
            'Owner',
            owner.kind === 'public'
              ? `public: ${owner.reason}`
              : `org: ${owner.org}${owner.user === undefined ? '' : `, user: ${owner.user}`}`,
          ] as const,
        ];
  const asOf =
    model.asOf === undefined
      ? []
      : [['as_of', model.asOf.kind === 'appends' ? `appends(${model.asOf.column})` : 'recompute'] as const];
  const rows = rowsOf(state);
  return [
    ['File', model.file],
    ['Materialised', model.materialized],
    ['Key', model.key.join(', ') || 'none'],
    ...owned,
    ...(dataset === undefined ? [] : [['Dataset', `${dataset.friendlyName} (${dataset.group})`] as const]),
    ...asOf,
    ['Refresh', describeRefresh(model.refresh)],
    ...(model.tags.length === 0 ? [] : [['Tags', model.tags.join(', ')] as const]),
    ...(rows === undefined ? [] : [['Rows', String(rows)] as const]),
    [
      'In release',
      release === undefined || state === undefined ? 'not built yet' : `${release.number}, as of ${release.asOf}`,
    ],
  ];
}

/** A silver view that no test counted has 0 in its release, which says nothing. */
function rowsOf(state: Release['models'][number] | undefined): number | undefined {
  return state?.materialized === 'view' && state.name.startsWith('silver.') && state.rows === 0
    ? undefined
    : state?.rows;
}

function describeRefresh(rule: RefreshRule): string {
  if (rule.kind === 'rebuild') return `rebuilt: ${rule.why}`;
  const others = Object.entries(rule.others).map(([table, why]) => `${table} forces a rebuild: ${why}`);
  const inputs = Object.keys(rule.reads).join(', ');
  const usual =
    rule.kind === 'append'
      ? `new rows of ${inputs} are added`
      : `by ${rule.by.join(', ')}, from what changed in ${inputs}`;
  return [usual, ...others].join('; ');
}

function showSource({ source, number, snapshot, tables }: BronzeSourceOverview): object {
  return {
    name: source,
    commit: number,
    at: snapshot?.at ?? null,
    tables: tables.map((table) => ({
      name: `bronze.${source}.${table.table}`.toLowerCase(),
      mode: table.mode,
      commit: table.lastCommit,
      rows: table.rowsLogged,
      bytes: table.bytes,
      watermark: table.watermark?.value ?? null,
      aside: table.quarantined.rows,
      consistency: table.consistency,
    })),
  };
}

function showRelease(release: Release): object {
  return {
    number: release.number,
    version: release.version,
    kind: release.kind,
    at: release.publishedAt,
    asOf: release.asOf,
    models: release.models.length,
    tests: release.tests.length,
    warnings: release.tests.filter((test) => test.status === 'warn').length,
    bytes: release.files.silver.bytes + release.files.gold.bytes,
    commits: Object.entries(release.commits)
      .map(([source, number]) => `${source} ${number}`)
      .join(', '),
  };
}
