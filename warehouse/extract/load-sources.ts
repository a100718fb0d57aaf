import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { z } from 'zod';
import { TABLE_MODES } from '../core/bronze-commit.ts';
import { COLUMN_POLICIES } from '../core/bronze-table.ts';
import { messageOf, SluiceError } from '../core/errors.ts';
import type { SourceDefinition } from './source-definition.ts';

const name = z.string().regex(/^[a-z_][a-z0-9_]*$/, 'must be lower-case letters, digits and underscores');

const tableSchema = z
  .strictObject({
    mode: z.enum(TABLE_MODES),
    key: z.array(z.string().min(1)).readonly(),
    columns: z.array(z.string().min(1)).min(1, 'must name at least one column').readonly(),
    cursor: z
      .strictObject({ column: z.string().min(1), setBy: z.enum(['database', 'application']).optional() })
      .optional(),
    mask: z.record(z.string().min(1), z.enum(['hash', 'drop'])).optional(),
    unrepresentable: z.record(z.string().min(1), z.enum(COLUMN_POLICIES)).optional(),
    description: z.string().optional(),
  })
  .check((context) => {
    const table = context.value;
    const problem = (message: string, path: string): void => {
      context.issues.push({ code: 'custom', message, path: [path], input: table });
    };
    if (table.mode === 'cursor' && table.key.length === 0)
      problem('mode cursor needs a key; a table without one is carried with mode full or append', 'key');
    if (table.mode === 'cursor' && table.cursor === undefined)
      problem('mode cursor needs cursor: { column }', 'cursor');
    if (table.mode === 'append' && table.key.length === 0 && table.cursor !== undefined)
      problem('a cursor needs a key, to tell rows read twice apart; without one leave the cursor out', 'cursor');
    if (table.mode === 'full' && table.cursor !== undefined)
      problem('mode full reads the whole table and takes no cursor', 'cursor');
    for (const column of table.key)
      if (!table.columns.includes(column)) problem(`key column ${column} is not among the columns`, 'key');
    if (table.cursor !== undefined && !table.columns.includes(table.cursor.column))
      problem(`cursor column ${table.cursor.column} is not among the columns`, 'cursor');
    for (const [column, policy] of Object.entries(table.unrepresentable ?? {})) {
      if (!table.columns.includes(column))
        problem(`unrepresentable column ${column} is not among the columns`, 'unrepresentable');
      else if (table.mask !== undefined && Object.hasOwn(table.mask, column))
        problem(`masked column ${column} holds no value that could not be carried`, 'unrepresentable');
      else if (policy === 'quarantine' && table.key.length === 0)
        problem(`column ${column} cannot set rows aside: without a key nobody could tell which`, 'unrepresentable');
    }
    for (const [column, kind] of Object.entries(table.mask ?? {})) {
      if (!table.columns.includes(column)) problem(`masked column ${column} is not among the columns`, 'mask');
      else if (column === table.cursor?.column)
        problem(`cursor column ${column} cannot be masked: it says which rows changed`, 'mask');
      else if (kind === 'drop' && table.key.includes(column))
        problem(
          `key column ${column} cannot be dropped: without it no row can be told from another; mask it with hash`,
          'mask',
        );
    }
    const twice = table.columns.find((column, index) => table.columns.indexOf(column) !== index);
    if (twice !== undefined) problem(`column ${twice} is named twice`, 'columns');
    const reserved = table.columns.find((column) => ['_op', '_seq', '_extracted_at'].includes(column));
    if (reserved !== undefined) problem(`column ${reserved} has a name that bronze uses itself`, 'columns');
  });

const sourceSchema = z.strictObject({
  kind: z.literal('postgres'),
  name,
  schema: z.string().min(1),
  description: z.string().optional(),
  tables: z
    .record(z.string().min(1), tableSchema)
    .refine((tables) => Object.keys(tables).length > 0, 'must name at least one table'),
});

/** Imports every file of models/sources/ and checks what it exports (SOURCE_DEFINITION_INVALID, all problems of a file at once). Sorted by name. */
export async function loadSources(projectDir: string): Promise<readonly SourceDefinition[]> {
  const dir = join(projectDir, 'models', 'sources');
  const files = (await readdir(dir).catch(() => []))
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts'))
    .sort();
  const sources = (await Promise.all(files.map((file) => loadFile(dir, file)))).flat();
  if (sources.length === 0) {
    throw new SluiceError('SOURCE_DEFINITION_INVALID', `${dir} defines no source.`, {
      remedy:
        'Add a file such as models/sources/shop.ts that exports an object of type SourceDefinition; docs/sources.md shows one.',
    });
  }
  const seen = new Map<string, string>();
  for (const { source, file } of sources) {
    const other = seen.get(source.name);
    if (other !== undefined) {
      throw new SluiceError(
        'SOURCE_DEFINITION_INVALID',
        `models/sources/${file} and models/sources/${other} both define the source ${source.name}.`,
        {
          remedy: 'Give each source a name of its own.',
        },
      );
    }
    seen.set(source.name, file);
  }
  return sources.map(({ source }) => source).sort((a, b) => (a.name < b.name ? -1 : 1));
}

async function loadFile(dir: string, file: string): Promise<{ source: SourceDefinition; file: string }[]> {
  const where = `models/sources/${file}`;
  let exported: Record<string, unknown>;
  try {
    exported = (await import(pathToFileURL(join(dir, file)).href)) as Record<string, unknown>;
  } catch (error) {
    throw new SluiceError('SOURCE_DEFINITION_INVALID', `${where} cannot be loaded: ${messageOf(error)}`, {
      remedy: 'Correct the file; it may use only syntax that Node can strip.',
      cause: error,
    });
  }
  const candidates = Object.entries(exported).filter(
    ([, value]) => typeof value === 'object' && value !== null && 'kind' in value,
  );
  return candidates.map(([variable, value]) => {
    const parsed = sourceSchema.safeParse(value);
    if (!parsed.success) {
      const problems = parsed.error.issues.map((issue) => `${[variable, ...issue.path].join('.')}: ${issue.message}`);
      throw new SluiceError(
        'SOURCE_DEFINITION_INVALID',
        `${where} is not a source definition:\n  ${problems.join('\n  ')}`,
        {
          remedy: 'Correct the fields named; docs/sources.md describes each.',
          details: { file: where, problems },
        },
      );
    }
    return { source: parsed.data as SourceDefinition, file };
  });
}
