import type { DuckDb } from '../../core/duckdb.ts';
import { quoteIdentifier } from '../../core/quote.ts';
import type { CompiledModel, ModelTest } from '../model.ts';
import { createMatcher } from './row-difference.ts';
import type { TestHistory } from './test-scope.ts';
import { pathOf, rowsOf, type TestSql } from './test-sql.ts';

/**
 * Rows that may be new failures of a test that found none in the release before. No suspect: none fails now. Old rows are among the changed
 * ones and may be suspects without being there any more; the scan of the whole then says so.
 *
 *   not_null, range, …   a row that fails now and did not is a changed row
 *   unique               a value that stands twice now and did not stands in a changed row
 *   relationships        a changed row without a parent, or any row whose parent went away
 */
export async function countSuspects(
  { db, history }: { readonly db: DuckDb; readonly history: TestHistory },
  model: CompiledModel,
  test: ModelTest,
  sql: TestSql,
): Promise<number> {
  const own = history.isUnchanged(model.name) ? 'none' : await history.changedRows(model.name);
  if (own === undefined) return Number.POSITIVE_INFINITY;
  switch (sql.kind) {
    case 'rows': {
      const inChanges =
        own === 'none'
          ? 0
          : await count(
              db,
              sql.found === undefined ? own : `(select *, ${sql.found.sql} from ${own})`,
              rowsOf(test, sql.where),
            );
      if (test.kind !== 'relationships' || history.isUnchanged(test.to)) return inChanges;
      return inChanges + (await countOrphans(db, history, model, test));
    }
    case 'unique': {
      if (own === 'none') return 0;
      const columns = sql.columns.map(quoteIdentifier).join(', ');
      const touched = quoteIdentifier('_sluice_tested');
      await db.run(`create or replace temp table ${touched} as select distinct ${columns} from ${own}`);
      const hit = (await createMatcher(db, sql.columns, touched))('tested');
      const twice = `(select 1 from ${pathOf(model.name)} as tested where ${rowsOf(test, hit)} group by ${columns} having count(*) > 1)`;
      const suspects = await count(db, twice, 'true');
      await db.run(`drop table ${touched}`);
      return suspects;
    }
    // Figures of the whole table.
    case 'rows-count':
    case 'newest':
      return Number.POSITIVE_INFINITY;
    default:
      return sql satisfies never;
  }
}

/** Rows of the child whose parent was there and is not any more. */
async function countOrphans(
  db: DuckDb,
  history: TestHistory,
  model: CompiledModel,
  test: ModelTest & { readonly kind: 'relationships' },
): Promise<number> {
  const changed = await history.changedRows(test.to);
  if (changed === undefined) return Number.POSITIVE_INFINITY;
  const [column, parent] = [quoteIdentifier(test.column), quoteIdentifier(test.toColumn)];
  const gone = `select changed.${parent} from ${changed} as changed
    anti join ${pathOf(test.to)} as parent on parent.${parent} = changed.${parent} where changed.${parent} is not null`;
  return count(db, pathOf(model.name), rowsOf(test, `${column} in (${gone})`));
}

async function count(db: DuckDb, from: string, where: string): Promise<number> {
  const [row] = await db.rows<{ n: bigint }>(`select count(*) as n from ${from} where ${where}`);
  return Number(row?.n ?? 0);
}
