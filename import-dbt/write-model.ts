import type { Fields } from './yaml-file.ts';

/** A model's file: the header as people write it, and the SQL. */

export interface HeaderColumn {
  readonly name: string;
  readonly type?: string;
  readonly description?: string;
  readonly tests: readonly unknown[];
}

export interface ModelText {
  readonly description: string;
  readonly materialized: string;
  readonly key: readonly string[];
  readonly snapshot?: Fields;
  /** undefined: nobody has said who owns a row, and the header asks. `null`: no owner is needed. */
  readonly owner: Fields | null | undefined;
  readonly asOf: boolean;
  readonly tags: readonly string[];
  readonly columns: readonly HeaderColumn[];
  readonly tests: readonly Fields[];
  readonly sql: string;
}

const OWNER_QUESTION =
  '# owner: { org: <column>, user: <column> } or { public: "why" }. Who may read a row? Nothing compiles until this is decided.';

export function writeModel(model: ModelText): { readonly text: string; readonly bodyLine: number } {
  const lines = [
    `description: ${inline(oneLine(model.description))}`,
    `materialized: ${model.materialized}`,
    ...(model.key.length === 0 ? [] : [`key: ${inline(model.key)}`]),
    ...(model.snapshot === undefined ? [] : [`snapshot: ${inline(model.snapshot)}`]),
    ...(model.owner === undefined ? [OWNER_QUESTION] : model.owner === null ? [] : [`owner: ${inline(model.owner)}`]),
    ...(model.asOf ? ['as_of: recompute'] : []),
    ...(model.tags.length === 0 ? [] : [`tags: ${inline(model.tags)}`]),
    ...(model.columns.length === 0 ? [] : ['columns:', ...model.columns.map(writeColumn)]),
    ...(model.tests.length === 0 ? [] : ['tests:', ...model.tests.map((test) => `  - ${inline(test)}`)]),
  ];
  const header = `/*\n${lines.join('\n').replaceAll('/*', '/ *').replaceAll('*/', '* /')}\n*/\n`;
  return { text: `${header}${model.sql.trim()}\n`, bodyLine: header.split('\n').length };
}

/** The YAML beside a seed's rows. */
export function writeSeedHeader(seed: Pick<ModelText, 'description' | 'columns' | 'tests'>): string {
  const lines = [
    `description: ${inline(oneLine(seed.description))}`,
    'columns:',
    ...seed.columns.map(writeColumn),
    ...(seed.tests.length === 0 ? [] : ['tests:', ...seed.tests.map((test) => `  - ${inline(test)}`)]),
  ];
  return `${lines.join('\n')}\n`;
}

function writeColumn({ name, type, description, tests }: HeaderColumn): string {
  const facts = {
    ...(type === undefined ? {} : { type }),
    ...(description === undefined ? {} : { description: oneLine(description) }),
    ...(tests.length === 0 ? {} : { tests }),
  };
  return Object.keys(facts).length === 0 ? `  ${inline(name)}:` : `  ${inline(name)}: ${inline(facts)}`;
}

/** A file of sql/tests. */
export function writeTest(description: string, facts: Fields, sql: string): string {
  const lines = [
    `description: ${inline(oneLine(description))}`,
    ...Object.entries(facts).map(([name, value]) => `${name}: ${inline(value)}`),
  ];
  return `/*\n${lines.join('\n').replaceAll('/*', '/ *').replaceAll('*/', '* /')}\n*/\n${sql.trim()}\n`;
}

const oneLine = (text: string): string => text.trim().replaceAll(/\s*\n\s*/g, ' ');

/** Words of YAML that mean something else than their text. */
const RESERVED = /^(true|false|yes|no|on|off|null|y|n|~)$/i;

/** A value as YAML on one line; a text without quotes where it stays a text. */
function inline(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(inline).join(', ')}]`;
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).map(([key, item]) => `${inline(key)}: ${inline(item)}`);
    return entries.length === 0 ? '{}' : `{ ${entries.join(', ')} }`;
  }
  if (typeof value === 'string') {
    return /^[A-Za-z_][\w.-]*( [\w.-]+)*\.?$/.test(value) && !RESERVED.test(value) ? value : JSON.stringify(value);
  }
  return String(value);
}
