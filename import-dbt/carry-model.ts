import { quoteIdentifier } from '../warehouse/core/quote.ts';
import type { BoundModel, KnownColumn } from './bind-models.ts';
import type { CarriedTests } from './carry-tests.ts';
import type { Findings } from './findings.ts';
import { HOOK_REMEDY } from './list-others.ts';
import { type DbtNode, tableOf } from './nodes.ts';
import type { RenderedFile } from './render-models.ts';
import { type HeaderColumn, writeModel } from './write-model.ts';
import { type Fields, toFields, toText, toTexts } from './yaml-file.ts';

/** A rendered, bound model as a file of sql/silver or sql/gold, with a finding for everything that is not as it was. */

export type OwnerChoice =
  | { readonly kind: 'columns'; readonly org: string; readonly user?: string }
  | { readonly kind: 'public'; readonly reason: string };

export interface CarryRequest {
  readonly node: DbtNode;
  readonly rendered: RenderedFile;
  readonly sql: string;
  readonly usesAsOf: boolean;
  readonly bound: BoundModel | undefined;
  readonly tests: CarriedTests;
  readonly owner: OwnerChoice | undefined;
  readonly describe: (text: string | undefined) => string | undefined;
  readonly findings: Findings;
}

export interface CarriedModel {
  readonly path: string;
  readonly text: string;
  /** The line of the file in which the SQL begins. */
  readonly bodyLine: number;
  readonly materialized: string;
}

export function carryModel(request: CarryRequest): CarriedModel {
  const { node, rendered, bound, findings, tests } = request;
  const { config } = rendered;
  const { layer, domain, table } = node.placement;
  const tell = (kind: 'changed' | 'left_out', what: string, remedy = '', line = 1): void =>
    findings.add({ kind, file: node.file.file, line, subject: node.name, what, remedy });
  if (node.placement.moved !== undefined) tell('changed', `lies in gold, because ${node.placement.moved}`);
  if (table !== node.name) tell('changed', `is called ${table}: table names are lower-case letters, digits and _`);
  for (const { line, text } of rendered.increments) {
    tell(
      'changed',
      `the block of is_incremental() is gone: increments are derived from what changed. It was: ${text}`,
      '',
      line,
    );
  }
  const materialized = toMaterialization(request, tell);
  const key =
    materialized === 'incremental' || materialized === 'snapshot' ? toKey(config['unique_key']) : keyOfTests(tests);
  listSettings(config, tell);
  const columns = toColumns(request, bound);
  const sql = layer === 'gold' && bound?.hasStar === true ? expandStar(request.sql, bound, tell) : request.sql;
  const description = request.describe(node.properties?.description) ?? `The dbt model ${node.name}.`;
  if (node.properties?.description === undefined)
    tell('changed', 'has no description: one was made up', 'Say what a row is.');
  const owner = layer === 'gold' ? toOwner(request, tell) : null;
  const file = writeModel({
    description,
    materialized,
    key,
    owner,
    asOf: request.usesAsOf,
    tags: toTexts(config['tags']).map((tag) => tag.replaceAll(/[^\w-]/g, '_')),
    columns,
    tests: tests.model,
    ...(materialized === 'snapshot' ? { snapshot: toSnapshot(config, tell) } : {}),
    sql,
  });
  return { path: `sql/${layer}/${domain}/${table}.sql`, ...file, materialized };
}

type Tell = (kind: 'changed' | 'left_out', what: string, remedy?: string, line?: number) => void;

function toMaterialization({ node, rendered }: CarryRequest, tell: Tell): string {
  if (node.kind === 'snapshot') return 'snapshot';
  const wanted = toText(rendered.config['materialized']) ?? 'view';
  const { layer } = node.placement;
  switch (wanted) {
    case 'view':
    case 'ephemeral': {
      const below = rendered.refs.find((name) => !name.startsWith('gold.'));
      if (layer === 'gold' && below !== undefined) {
        tell('changed', `is a table and no ${wanted}: a view in gold reads gold only, and this one reads ${below}`);
        return 'table';
      }
      if (wanted === 'ephemeral') tell('changed', 'is a view: there is nothing ephemeral here');
      return 'view';
    }
    case 'table':
      return 'table';
    case 'incremental':
      if (toKey(rendered.config['unique_key']).length > 0) return 'incremental';
      tell(
        'changed',
        'is a table: without unique_key dbt only appends to it',
        'With `materialized: incremental` and a key only what changed is computed again.',
      );
      return 'table';
    default:
      tell('changed', `is a table: there is no materialization ${wanted}`);
      return 'table';
  }
}

const HARD_DELETES: Readonly<Record<string, string>> = {
  ignore: 'ignore',
  invalidate: 'close',
  new_record: 'new_record',
};

/** dbt's strategies by their names here; rows that are gone are ignored where nothing is said, as dbt does. */
function toSnapshot(config: Fields, tell: Tell): Fields {
  const invalidates = config['invalidate_hard_deletes'] === true ? 'invalidate' : 'ignore';
  const hardDeletes = HARD_DELETES[toText(config['hard_deletes']) ?? invalidates] ?? 'ignore';
  tell(
    'changed',
    'dbt_valid_from and dbt_valid_to are valid_from and valid_to; its history begins with the first build',
    'Keep dbt’s table as a source where older history counts.',
  );
  const columns = config['check_cols'] === 'all' ? 'all' : toTexts(config['check_cols']);
  const strategy =
    toText(config['strategy']) === 'check'
      ? { strategy: 'check', columns }
      : { strategy: 'timestamp', updated_at: toText(config['updated_at']) ?? 'updated_at' };
  return { ...strategy, hard_deletes: hardDeletes };
}

function toKey(value: unknown): readonly string[] {
  return toTexts(value).flatMap((text) => text.split(',').map((word) => word.trim().replaceAll('"', '')));
}

/** A column that is unique and never NULL by its own tests identifies a row. */
function keyOfTests(tests: CarriedTests): readonly string[] {
  for (const [column, list] of tests.columns) {
    if (list.includes('unique') && list.includes('not_null')) return [column];
  }
  return [];
}

const SETTINGS: Readonly<Record<string, readonly [what: string, remedy: string]>> = {
  'pre-hook': ['a hook before the model', HOOK_REMEDY],
  'post-hook': ['a hook after the model', HOOK_REMEDY],
  pre_hook: ['a hook before the model', HOOK_REMEDY],
  post_hook: ['a hook after the model', HOOK_REMEDY],
  grants: ['grants', 'The service gives each caller the rows of their own; `owner` says whose they are.'],
  alias: ['alias: the table has the name of its file', 'Rename the file if readers know it by the alias.'],
  indexes: ['indexes', 'DuckDB needs none here.'],
  partition_by: ['partition_by', 'Tables of a release are single files; nothing is to be done.'],
  incremental_predicates: ['incremental_predicates', 'Increments are derived from what changed.'],
};

function listSettings(config: Fields, tell: Tell): void {
  for (const [word, [what, remedy]] of Object.entries(SETTINGS)) {
    const value = config[word];
    if (value === undefined || value === null || (Array.isArray(value) && value.length === 0)) continue;
    const isChange = ['alias', 'indexes', 'partition_by', 'incremental_predicates'].includes(word);
    tell(
      isChange ? 'changed' : 'left_out',
      isChange ? `${what} is not carried` : `${what}: ${describeValue(value)}`,
      remedy,
    );
  }
}

function describeValue(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** Gold lists every column; silver those of which something is said. */
function toColumns(request: CarryRequest, bound: BoundModel | undefined): readonly HeaderColumn[] {
  const { node, tests, describe } = request;
  const declared = new Map((node.properties?.columns ?? []).map((column) => [column.name.toLowerCase(), column]));
  const isGold = node.placement.layer === 'gold';
  const known: readonly KnownColumn[] = bound?.columns ?? [];
  const names = isGold ? known.map(({ name }) => name) : [];
  const rest = [...declared.values()].map(({ name }) => name);
  const all = [...names, ...rest.filter((name) => !names.some((other) => other.toLowerCase() === name.toLowerCase()))];
  return all.flatMap((name): HeaderColumn[] => {
    const column = declared.get(name.toLowerCase());
    const found = known.find((other) => other.name.toLowerCase() === name.toLowerCase());
    if (found === undefined && bound !== undefined && bound.columns.length > 0 && bound.isWhole) {
      request.findings.add({
        kind: 'left_out',
        file: column?.file ?? node.file.file,
        line: column?.line ?? 1,
        subject: `${node.name}.${name}`,
        what: 'a column that the SQL does not give',
        remedy: 'Take it out of the properties, or add it to the SELECT.',
      });
      return [];
    }
    const description = describe(column?.description);
    const list = column === undefined ? [] : (tests.columns.get(column.name) ?? []);
    const type = isGold ? found?.type : undefined;
    if (!isGold && description === undefined && list.length === 0) return [];
    return [{ name: found?.name ?? name, ...(type && { type }), ...(description && { description }), tests: list }];
  });
}

/** Readers of gold rely on its columns: `*` becomes their names. */
function expandStar(sql: string, bound: BoundModel, tell: Tell): string {
  if (!bound.isWhole || bound.columns.length === 0) {
    tell(
      'left_out',
      'selects * of tables whose columns are not known here',
      'Run `sluice init --from postgres://…` in the project first, or list columns under sources; then import again. Or name the columns.',
    );
    return sql;
  }
  const names = bound.columns.map(({ name }) => toIdentifier(name));
  const last = /\bselect\s+\*(\s+from\s+\w+\s*)$/i.exec(sql.trimEnd());
  const list = names.map((name) => `  ${name}`).join(',\n');
  if (last !== null) return `${sql.trimEnd().slice(0, last.index)}select\n${list}\n${last[1]?.trim()}`;
  return `select\n${list}\nfrom (\n${sql.trimEnd()}\n) as whole`;
}

/** Reserved in DuckDB and likely as a column's name. */
const RESERVED =
  /^(all|and|any|as|asc|case|cast|check|column|create|default|desc|distinct|do|else|end|except|false|for|foreign|from|grant|group|having|in|into|limit|not|null|offset|on|only|or|order|primary|references|select|show|some|table|then|to|true|union|unique|using|when|where|window|with)$/;

function toIdentifier(name: string): string {
  return /^[a-z_][a-z0-9_]*$/.test(name) && !RESERVED.test(name) ? name : quoteIdentifier(name);
}

function toOwner({ node, rendered, owner, bound }: CarryRequest, tell: Tell): Fields | undefined {
  const meta = toFields(
    { ...toFields(node.properties?.fields['meta']), ...toFields(rendered.config['meta']) }['sluice'],
  );
  if (Object.keys(toFields(meta['owner'])).length > 0) return toFields(meta['owner']);
  if (owner?.kind === 'public') return { public: owner.reason };
  const has = (column: string): boolean =>
    bound?.columns.some(({ name }) => name.toLowerCase() === column.toLowerCase()) ?? false;
  if (owner?.kind === 'columns' && has(owner.org)) {
    return { org: owner.org, ...(owner.user !== undefined && has(owner.user) ? { user: owner.user } : {}) };
  }
  const isKnown = (bound?.columns.length ?? 0) > 0;
  const lack = owner === undefined ? '' : isKnown ? `: it has no column ${owner.org}` : ': its columns are not known';
  tell(
    'left_out',
    `nobody has said who owns a row of ${tableOf(node)}${lack}`,
    'Write `owner: { org: <column>, user: <column> }` or `owner: { public: "why" }` into its header, or import with --owner or --public.',
  );
  return undefined;
}
