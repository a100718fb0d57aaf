import type { DuckDb } from '../../core/duckdb.ts';
import { SluiceError } from '../../core/errors.ts';
import { quoteIdentifier } from '../../core/quote.ts';
import type { CompiledModel } from '../model.ts';

/** Several result rows of one key: the declared winner stays, or the run stops with the rows and what to do. */

const RANKED = quoteIdentifier('_sluice_ranked');
const PLACE = quoteIdentifier('_sluice_place');
const ROW = quoteIdentifier('_sluice_row');
const SHOWN_ROWS = 4;

/**
 * Deletes from a table of the model's rows all but the winner of each key. Only the keys that repeat are ranked, so a clean table costs one
 * grouping. Errors: KEY_NOT_UNIQUE when rows share a key and no winner is declared, or share the first place of its order.
 */
export async function keepWinners(
  db: DuckDb,
  table: string,
  model: Pick<CompiledModel, 'name' | 'file' | 'winner'>,
  key: readonly string[],
  /** The moment the rows are of, where it is not now. */
  instant?: string,
): Promise<void> {
  const columns = key.map(quoteIdentifier).join(', ');
  const repeated = `select ${columns} from ${table} group by ${columns} having count(*) > 1`;
  const [any] = await db.rows(`${repeated} limit 1`);
  if (any === undefined) return;
  const when = instant === undefined ? '' : ` at ${instant}`;
  const same = key.map((name) => `row.${quoteIdentifier(name)} is not distinct from twin.${quoteIdentifier(name)}`);
  const twins = `select row.*, row.rowid as ${ROW} from ${table} as row semi join (${repeated}) as twin on ${same.join(' and ')}`;
  if (model.winner === undefined) {
    throw notUnique(await db.rows(shownSql(twins, columns)), model, key, `share a key${when}`, NO_WINNER);
  }
  await db.run(
    `create or replace temp table ${RANKED} as
     select *, rank() over (partition by ${columns} order by ${model.winner}) as ${PLACE} from (${twins})`,
  );
  try {
    const first = `select * from ${RANKED} where ${PLACE} = 1`;
    const tied = `select * exclude (${PLACE}) from (${first}) qualify count(*) over (partition by ${columns}) > 1`;
    const rows = await db.rows(shownSql(tied, columns));
    if (rows.length > 0) {
      const what = `share a key and the first place of its winner (${model.winner})${when}`;
      throw notUnique(rows, model, key, what, 'Add columns to `winner` until it decides between all rows of a key.');
    }
    await db.run(`delete from ${table} where rowid in (select ${ROW} from ${RANKED} where ${PLACE} > 1)`);
  } finally {
    await db.run(`drop table if exists ${RANKED}`);
  }
}

const NO_WINNER =
  'Let the SELECT give one row per key, widen `key`, or declare which row is kept: `winner: updated_at desc, id`.';

/** Rows of the first keys, whole and as text, the key's columns first. */
function shownSql(rows: string, key: string): string {
  return `select columns(*)::varchar from (select ${key}, * exclude (${ROW}, ${key}) from (${rows}) order by all limit ${SHOWN_ROWS})`;
}

function notUnique(
  rows: readonly Record<string, unknown>[],
  model: Pick<CompiledModel, 'name' | 'file'>,
  key: readonly string[],
  what: string,
  remedy: string,
): SluiceError {
  const [first = {}] = rows;
  const shown = key.map((name) => `${name} ${showValue(first[name])}`).join(', ');
  const text = rows.map((row) => JSON.stringify(row)).join('\n  ');
  return new SluiceError('KEY_NOT_UNIQUE', `${model.name} (${model.file}): rows ${what}: ${shown}\n  ${text}`, {
    remedy,
    details: { model: model.name, key, rows },
  });
}

function showValue(value: unknown): string {
  return value === null || value === undefined ? 'NULL' : JSON.stringify(value);
}
