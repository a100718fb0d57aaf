import { nearestOf } from '../core/nearest.ts';
import { byteOf } from './ast.ts';
import { locateInBody } from './bind.ts';
import type { Diagnostics } from './diagnostics.ts';
import type { Model } from './model.ts';
import type { References } from './references.ts';
import { offsetOfByte } from './source-text.ts';

/** Reports tables that neither the project nor bronze has, with the nearest name there is. */
export function reportUnknownTables(
  entry: { readonly model: Pick<Model, 'bodyAt' | 'sql'>; readonly references: References },
  tables: ReadonlySet<string>,
  diagnostics: Diagnostics,
): void {
  const { bodyAt, sql } = entry.model;
  for (const { name, written, node } of entry.references.tables) {
    if (name !== undefined && tables.has(name)) continue;
    const at = locateInBody(bodyAt, sql, offsetOfByte(sql, byteOf(node) ?? 0));
    const near = suggestTable(written.toLowerCase(), tables);
    diagnostics.add({
      code: 'MODEL_REFERENCE_UNKNOWN',
      message: `unknown table ${written}${near === undefined ? '' : `; did you mean ${near}?`}`,
      at,
      remedy:
        near === undefined
          ? 'Name tables as bronze.<source>.<table>, silver.<table> or gold.<table>; extract a new source table before models read it.'
          : `Write ${near}, or add the table.`,
    });
  }
}

/** The same table in another layer is the likeliest slip; then a near spelling. */
function suggestTable(written: string, tables: ReadonlySet<string>): string | undefined {
  const last = (name: string) => name.slice(name.lastIndexOf('.') + 1);
  const same = [...tables].filter((table) => last(table) === last(written) && !table.startsWith('bronze_log.')).sort();
  if (same[0] !== undefined) return same[0];
  const near = nearestOf(last(written), [...tables].map(last).sort());
  return [...tables].sort().find((table) => last(table) === near && !table.startsWith('bronze_log.'));
}
