import { join } from 'node:path';
import { openDuckDb } from '../warehouse/core/duckdb.ts';
import { messageOf } from '../warehouse/core/errors.ts';
import { quoteLiteral } from '../warehouse/core/quote.ts';
import type { KnownColumn } from './bind-models.ts';
import type { CarriedTests } from './carry-tests.ts';
import { configOfFolder, mergeConfig } from './config.ts';
import type { ImportContext } from './import-context.ts';
import type { ImportedFile } from './imported-file.ts';
import { type DbtNode, tableOf } from './nodes.ts';
import { writeSeedHeader } from './write-model.ts';
import { toFields, toText } from './yaml-file.ts';

/** Columns of each seed: its header's, with the types of column_types, else those that DuckDB reads out of the values, as dbt-duckdb does. */
export async function readSeedColumns(context: ImportContext): Promise<ReadonlyMap<string, readonly KnownColumn[]>> {
  const seeds = [...context.nodes.values()].filter(({ kind }) => kind === 'seed');
  const columns = new Map<string, readonly KnownColumn[]>();
  if (seeds.length === 0) return columns;
  const db = await openDuckDb({ threads: 1, memoryLimitMb: 512 });
  try {
    for (const seed of seeds) {
      const types = columnTypes(context, seed);
      const path = quoteLiteral(join(context.project.dir, seed.file.file));
      const delimiter = toText(seedConfig(context, seed)['delimiter']);
      const options = delimiter === undefined ? '' : `, delim = ${quoteLiteral(delimiter)}`;
      try {
        const rows = await db.rows<{ column_name: string; column_type: string }>(
          `describe select * from read_csv(${path}, header = true, sample_size = -1${options})`,
        );
        const found = rows.map(({ column_name: name, column_type: type }) => ({ name, type: types.get(name) ?? type }));
        columns.set(tableOf(seed), found);
      } catch (error) {
        context.findings.add({
          kind: 'left_out',
          file: seed.file.file,
          line: 1,
          subject: seed.name,
          what: `the seed cannot be read: ${messageOf(error).split('\n')[0]}`,
          remedy: 'Correct the CSV file.',
        });
      }
    }
  } finally {
    db.close();
  }
  return columns;
}

/** A seed as two files of sql/seeds: its rows as they are, and a header with the types of its columns. */
export function carrySeed(
  context: ImportContext,
  seed: DbtNode,
  columns: readonly KnownColumn[],
  tests: CarriedTests,
): readonly ImportedFile[] {
  const { properties, file, placement, name } = seed;
  const declared = new Map((properties?.columns ?? []).map((column) => [column.name, column]));
  const description = context.describe(properties?.description) ?? `The dbt seed ${name}.`;
  const yaml = writeSeedHeader({
    description,
    columns: columns.map((column) => {
      const text = context.describe(declared.get(column.name)?.description);
      return { ...column, ...(text && { description: text }), tests: tests.columns.get(column.name) ?? [] };
    }),
    tests: tests.model,
  });
  const at = { from: file.file, lineOf: () => 1 };
  return [
    { path: `sql/seeds/${placement.table}.csv`, text: file.text, ...at },
    { path: `sql/seeds/${placement.table}.yaml`, text: yaml, ...at },
  ];
}

function seedConfig(context: ImportContext, seed: DbtNode) {
  return mergeConfig(configOfFolder(context.project, 'seeds', seed.file), seed.properties?.config ?? {});
}

export function columnTypes(context: ImportContext, seed: DbtNode): ReadonlyMap<string, string> {
  const types = toFields(seedConfig(context, seed)['column_types']);
  return new Map(Object.entries(types).flatMap(([name, type]) => [[name, toText(type) ?? 'varchar']]));
}
