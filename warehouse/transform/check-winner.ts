import { nearestOf } from '../core/nearest.ts';
import { quoteIdentifier } from '../core/quote.ts';
import type { Diagnostics } from './diagnostics.ts';
import type { ParsedModel } from './parsed-model.ts';
import type { BoundColumn, SqlEngine } from './sql-engine.ts';

/** Checks `winner`: which of several result rows of one key is kept, as terms of ORDER BY over columns of the SELECT. */

const TERM = /^\s*(?:"((?:[^"]|"")+)"|(\w+))(\s+(?:asc|desc))?(\s+nulls\s+(?:first|last))?\s*$/i;

export async function checkWinner(
  engine: SqlEngine,
  { model, header, headerAt }: ParsedModel,
  selected: readonly BoundColumn[],
  diagnostics: Diagnostics,
): Promise<void> {
  if (header.winner === undefined) return;
  const report = (message: string, remedy: string) =>
    diagnostics.add({ code: 'MODEL_HEADER_INVALID', message: `header: ${message}`, at: headerAt('winner'), remedy });
  if (model.materialized === 'view')
    report(
      'a view has no winner: its rows are those of its SELECT',
      'Make it a table, or choose the rows in the SELECT.',
    );
  if ((header.key ?? []).length === 0)
    report('a winner is one of the rows of a key, and there is no key', 'Add `key`.');
  const stray = model.incrementalBy.find((column) => !model.key.includes(column));
  if (stray !== undefined)
    report(
      `the winner of a key may stand under another ${stray}, which an increment does not look at`,
      `Choose incremental.by among the key's columns (${model.key.join(', ')}).`,
    );
  for (const term of splitWinner(header.winner)) {
    const parts = TERM.exec(term);
    const name = parts?.[1]?.replaceAll('""', '"') ?? parts?.[2];
    if (name === undefined) {
      report(`winner: ${term.trim() || 'an empty term'} is not a column with asc or desc`, WINNER_REMEDY);
      continue;
    }
    const column = selected.find((candidate) => candidate.name.toLowerCase() === name.toLowerCase());
    if (column !== undefined) {
      const typed = `select null::${column.type} as ${quoteIdentifier(column.name)}`;
      const described = await engine.describe(`select * from (${typed}) order by ${term}`);
      if (described.kind === 'problem') report(`winner: ${described.message}`, WINNER_REMEDY);
      continue;
    }
    const near = nearestOf(
      name,
      selected.map((candidate) => candidate.name),
    );
    diagnostics.add({
      code: 'MODEL_COLUMN_UNKNOWN',
      message: `header: winner names ${name}, which the SELECT does not give${near === undefined ? '' : `; did you mean ${near}?`}`,
      at: headerAt('winner'),
      remedy: `The SELECT gives ${selected.map((candidate) => candidate.name).join(', ')}.`,
    });
  }
}

const WINNER_REMEDY = 'Write columns of the SELECT as in ORDER BY, e.g. `winner: updated_at desc, id`.';

/** Terms between commas; a quoted name may hold one. */
function splitWinner(winner: string): readonly string[] {
  return winner.match(/(?:"(?:[^"]|"")*"|[^,])+|(?<=,)(?=,|$)|^(?=,)/g) ?? [winner];
}
