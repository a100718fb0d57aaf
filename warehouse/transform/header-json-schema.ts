import { z } from 'zod';
import { type Header, headerSchema } from './header-schema.ts';

/** What each field means, in words that an editor shows beside it. A field without words does not compile. */
const DESCRIPTIONS: Readonly<Record<keyof Header, string>> = {
  description: 'Required: what a row of the table is.',
  materialized: 'How the table is kept. Default: view in silver, table in gold.',
  key: 'The columns that identify a row; needed for incremental, snapshot and dataset.',
  incremental:
    'by: the columns whose touched values are computed again; default: the key. append: rows are only ever added.',
  winner: 'Which of several result rows of one key is kept, as in ORDER BY: updated_at desc, id.',
  snapshot:
    'How a snapshot sees a change: by strategy check (columns) or timestamp (updated_at); hard_deletes; open_end.',
  columns: 'Name → type, description, tests. In gold every column is listed; types are checked against the SELECT.',
  tests: 'Tests over several columns: unique, or an expression that every row fulfils.',
  owner: 'Gold, required: who owns a row, { org: column, user: column } (user optional) or { public: "why" }.',
  dataset: 'Gold: what the service offers.',
  tags: 'Words for --select tag:WORD.',
  as_of: 'recompute, or appends(<date column>); required where the SQL reaches as_of().',
  lint: 'allow: style rules of sluice lint that this file need not follow.',
};

/** The header as a JSON Schema, for editors and other tools; what only the compiler can check is not in it. */
export function headerJsonSchema(): Record<string, unknown> {
  const { $schema, properties, ...rest } = z.toJSONSchema(headerSchema, { target: 'draft-2020-12', io: 'input' });
  const described = Object.entries(properties ?? {}).map(([field, schema]) => [
    field,
    typeof schema === 'boolean' ? schema : { description: DESCRIPTIONS[field as keyof Header], ...schema },
  ]);
  return {
    $schema,
    title: 'Header of a Sluice model',
    description: 'The YAML in the block comment at the head of sql/<layer>/<domain>/<table>.sql.',
    ...rest,
    properties: Object.fromEntries(described) as Record<string, unknown>,
  };
}
