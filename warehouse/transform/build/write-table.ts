import type { BronzeSnapshot } from '../../core/bronze-table.ts';
import type { DuckDb } from '../../core/duckdb.ts';
import { quoteIdentifier, quotePath } from '../../core/quote.ts';
import { type CompiledModel, type RefreshRule, TOUCHED_TABLE } from '../model.ts';
import type { ChangedRows } from './changed-rows.ts';
import { keepWinners } from './one-row-per-key.ts';
import { handOnLimit, isLarge, refreshLimit } from './refresh-limit.ts';
import { createMatcher, differRows, haveOtherSums, type RowDifference } from './row-difference.ts';
import { withTouchedBronze } from './touched-bronze.ts';
import type { TouchedKeys, TouchedQuery } from './touched-keys.ts';
import {
  countRows,
  describeQuery,
  inTransaction,
  type StoredColumn,
  type StoredRelation,
  sameColumns,
} from './warehouse-engine.ts';

/** Brings one model's table or view to the state its query has now, writing no more than what differs. */

export interface WriteFacts {
  readonly db: DuckDb;
  readonly model: CompiledModel;
  /** What stands under the model's name in the clone. */
  readonly relation: StoredRelation | undefined;
  /** In place of the shares that were measured (refresh-limit.ts). */
  readonly maxTouchedShare: number | undefined;
  /** Of a rebuild: so much changed that the table will be another. */
  readonly isLarge?: boolean | undefined;
}

export interface Written {
  /** False when the content was the same already: then the file was not written to. */
  readonly changed: boolean;
  readonly rows: number;
  readonly changedRows: number;
  readonly columns: readonly StoredColumn[];
  /** Name of the temporary table of the rows that changed, old and new, with their sign; absent when all may have. */
  readonly changes?: string;
  /** "12 of 5,000 account_id", for people. */
  readonly note?: string;
}

export const NEXT = quoteIdentifier('_sluice_next');
const TOUCHED = quoteIdentifier(TOUCHED_TABLE);
const REWRITTEN = quoteIdentifier('_sluice_rewritten');

export const pathOf = (model: CompiledModel): string => quotePath(model.layer, 'main', model.table);
export const changesName = (model: CompiledModel): string => `_sluice_changes_${model.layer}_${model.table}`;
export const changesTable = (model: CompiledModel): string => quoteIdentifier(changesName(model));

/** (Re)creates the view, dropping a table of that name. */
export async function writeView({ db, model, relation }: WriteFacts): Promise<Written> {
  await inTransaction(db, async () => {
    if (relation?.kind === 'table') await db.run(`drop table ${pathOf(model)}`);
    await db.run(`create or replace view ${pathOf(model)} as ${model.sql}`);
  });
  return { changed: true, rows: 0, changedRows: 0, columns: await describeQuery(db, `select * from ${pathOf(model)}`) };
}

/** Computes the whole table; over an old one of the same columns it writes the rows that differ, or nothing. */
export async function rebuildTable(facts: WriteFacts): Promise<Written> {
  const { db, model, relation } = facts;
  const path = pathOf(model);
  if (relation?.kind !== 'table') {
    await inTransaction(db, async () => {
      if (relation !== undefined) await db.run(`drop view ${path}`);
      await db.run(`create table ${path} as ${model.sql}`);
      if (model.winner !== undefined) await keepWinners(db, path, model, model.key);
    });
    return describeRewritten(facts);
  }
  try {
    await db.run(`create or replace temp table ${NEXT} as ${model.sql}`);
    if (model.winner !== undefined) await keepWinners(db, NEXT, model, model.key);
    const columns = await describeQuery(db, `select * from ${NEXT}`);
    if (!sameColumns(columns, relation.columns)) {
      await db.run(`create or replace table ${path} as select * from ${NEXT}`);
      return await describeRewritten(facts);
    }
    if (facts.isLarge === true && (await haveOtherSums(db, path, NEXT, columns))) {
      await db.run(`create or replace table ${path} as select * from ${NEXT}`);
      return { ...(await describeRewritten(facts)), note: 'written whole' };
    }
    const difference = await differRows(db, changesTable(model), {
      before: `select * from ${path}`,
      after: `select * from ${NEXT}`,
      columns,
    });
    const rows = await countRows(db, NEXT);
    if (difference.rows === 0) return { changed: false, rows, changedRows: 0, columns, note: 'the same content' };
    const small = difference.rows <= handOnLimit(Math.max(rows, difference.rows), facts.maxTouchedShare);
    if (small && model.key.length > 0) await replaceRows(db, path, model.key, difference);
    else await db.run(`create or replace table ${path} as select * from ${NEXT}`);
    if (!small) await db.run(`drop table ${difference.table}`);
    return {
      changed: true,
      rows,
      changedRows: difference.rows,
      columns,
      ...(small && { changes: changesName(model) }),
    };
  } finally {
    await db.run(`drop table if exists ${NEXT}`);
  }
}

async function describeRewritten({ db, model }: WriteFacts): Promise<Written> {
  const rows = await countRows(db, pathOf(model));
  const columns = await describeQuery(db, `select * from ${pathOf(model)}`);
  return { changed: true, rows, changedRows: rows, columns };
}

/** Replaces all rows whose `by` values occur in the difference: correct whether `by` is unique or not. */
async function replaceRows(db: DuckDb, path: string, by: readonly string[], difference: RowDifference): Promise<void> {
  const columns = by.map(quoteIdentifier).join(', ');
  await db.run(`create or replace temp table ${REWRITTEN} as select distinct ${columns} from ${difference.table}`);
  const isRewritten = await createMatcher(db, by, REWRITTEN);
  await inTransaction(db, async () => {
    await db.run(`delete from ${path} as old where ${isRewritten('old')}`);
    await db.run(`insert into ${path} by name select * from ${NEXT} as next where ${isRewritten('next')}`);
  });
  await db.run(`drop table ${REWRITTEN}`);
}

export interface RefreshFacts extends WriteFacts {
  readonly rule: RefreshRule & { readonly kind: 'partition' };
  readonly bronze: Pick<BronzeSnapshot, 'tables'>;
  readonly changes: ChangedRows;
  readonly touchedKeys: TouchedKeys;
  /** Input → version it was consumed at, for the inputs that changed. */
  readonly changed: ReadonlyMap<string, number>;
  /** The logical dates before and now, where the model follows a move. */
  readonly dates?: { readonly before: string; readonly now: string } | undefined;
}

export type RefreshResult =
  | { readonly kind: 'written'; readonly written: Written }
  | { readonly kind: 'rebuild'; readonly why: string; readonly isLarge?: boolean };

/** Recomputes the touched partitions only; says why when the whole table must be rebuilt instead. */
export async function refreshTable(facts: RefreshFacts): Promise<RefreshResult> {
  const { db, model, relation, rule } = facts;
  if (relation?.kind !== 'table') return { kind: 'rebuild', why: 'its table is not there' };
  const path = pathOf(model);
  const { columns } = relation;
  const by = rule.by.map(quoteIdentifier).join(', ');
  const rows = await countRows(db, path);
  try {
    await db.run(`create or replace temp table ${TOUCHED} as select ${by} from ${path} limit 0`);
    const found = await findTouched(facts);
    if (found.kind === 'rebuild') return found;
    if (found.kind === 'sql') await db.run(`insert into ${TOUCHED} ${found.sql}`);
    const touched = await countRows(db, TOUCHED);
    if (touched === 0) {
      const written = { changed: false, rows, changedRows: 0, columns, note: `no ${rule.by.join(', ')} touched` };
      return { kind: 'written', written };
    }
    const isTouched = await createMatcher(db, rule.by, TOUCHED);
    const inTable = `select * from ${path} as old where ${isTouched('old')}`;
    const rowsTouched = await countRows(db, `(${inTable})`);
    // Keys that are new count like rows: what stands under them is yet to be computed.
    if (Math.max(touched, rowsTouched) > refreshLimit(Math.max(touched, rows), facts.maxTouchedShare)) {
      const why = `the change touches ${rowsTouched} of its ${rows} rows`;
      return { kind: 'rebuild', why, isLarge: isLarge(Math.max(touched, rowsTouched)) };
    }
    await withTouchedBronze(db, facts.bronze, rule, () =>
      db.run(
        `create or replace temp table ${NEXT} as select * from (${rule.touchedSql}) as fresh where ${isTouched('fresh')}`,
      ),
    );
    if (model.winner !== undefined) await keepWinners(db, NEXT, model, model.key);
    if (!sameColumns(await describeQuery(db, `select * from ${NEXT}`), columns)) {
      return { kind: 'rebuild', why: 'its columns changed' };
    }
    const after = `select * from ${NEXT}`;
    const difference = await differRows(db, changesTable(model), { before: inTable, after, columns });
    const note = `${touched} ${rule.by.join(', ')} touched`;
    if (difference.rows === 0) {
      return { kind: 'written', written: { changed: false, rows, changedRows: 0, columns, note } };
    }
    await replaceRows(db, path, rule.by, difference);
    const written: Written = {
      changed: true,
      rows: await countRows(db, path),
      changedRows: difference.rows,
      columns,
      changes: changesName(model),
      note,
    };
    return { kind: 'written', written };
  } finally {
    await db.run(`drop table if exists ${NEXT}; drop table if exists ${TOUCHED}`);
  }
}

/** The query of the touched values of `by`, or why there is none. */
async function findTouched({ model, rule, changes, changed, dates, touchedKeys }: RefreshFacts): Promise<TouchedQuery> {
  const names = new Map<string, string>();
  for (const [input, consumed] of changed) names.set(input, await changes.relationOf(input, consumed));
  return touchedKeys.queryFor(model, rule, names, dates);
}
