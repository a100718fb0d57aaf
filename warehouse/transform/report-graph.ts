import { byteOf } from './ast.ts';
import { locateInBody } from './bind.ts';
import type { Diagnostics } from './diagnostics.ts';
import type { ParsedModel } from './parsed-model.ts';
import { readReferences } from './references.ts';
import { offsetOfByte } from './source-text.ts';

/** What is wrong with the models as a graph: names that stand twice, and circles. */

/** Two files of one table. */
export function reportDuplicates(parsed: readonly ParsedModel[], diagnostics: Diagnostics): void {
  const first = new Map<string, string>();
  for (const { model } of parsed) {
    const other = first.get(model.name);
    if (other === undefined) first.set(model.name, model.file);
    else {
      diagnostics.add({
        code: 'MODEL_HEADER_INVALID',
        message: `the table ${model.name} is defined by ${other} already`,
        at: { file: model.file, line: 1, column: 1 },
        remedy: 'Rename one of the two files: a table name stands once per layer.',
      });
    }
  }
}

/** One circle, at the read that leads into it; nothing where its first model was not parsed. */
export function reportCycle(
  cycle: readonly string[],
  byName: ReadonlyMap<string, ParsedModel>,
  diagnostics: Diagnostics,
): void {
  const entry = byName.get(cycle[0] ?? '');
  if (entry === undefined) return;
  const reference = readReferences(entry.query).tables.find((table) => table.name === cycle[1]);
  const byte = reference === undefined ? undefined : byteOf(reference.node);
  const at = locateInBody(entry.model.bodyAt, entry.model.sql, offsetOfByte(entry.model.sql, byte ?? 0));
  const files = cycle.slice(0, -1).map((name) => byName.get(name)?.model.file ?? name);
  diagnostics.add({
    code: 'MODEL_CYCLE',
    message: `models read each other in a circle: ${cycle.join(' → ')}`,
    at,
    remedy: `Take one of the reads out of ${files.join(', ')}.`,
  });
}
