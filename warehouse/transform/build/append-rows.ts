import { firstSeqOf } from '../../core/bronze-table.ts';
import { quoteIdentifier, quotePath } from '../../core/quote.ts';
import { SIGN_COLUMN } from '../delta/derivation.ts';
import type { RefreshRule } from '../model.ts';
import { differRows } from './row-difference.ts';
import { countRows, describeQuery, inTransaction, type StoredColumn } from './warehouse-engine.ts';
import { changesName, NEXT, pathOf, type RefreshFacts, type RefreshResult } from './write-table.ts';

const SIGN = quoteIdentifier(SIGN_COLUMN);

type AppendFacts = Omit<RefreshFacts, 'rule'> & { readonly rule: RefreshRule & { readonly kind: 'append' } };

/** Writes the rows that come of new rows alone; says why when rows changed or went, and the whole table must be rebuilt. */
export async function appendRows(facts: AppendFacts): Promise<RefreshResult> {
  const { db, model, relation, rule, changes, changed, touchedKeys } = facts;
  if (relation?.kind !== 'table') return { kind: 'rebuild', why: 'its table is not there' };
  const path = pathOf(model);
  const made: string[] = [];
  const names = new Map<string, string>();
  try {
    for (const input of Object.keys(rule.reads)) {
      const consumed = changed.get(input);
      const name = `_sluice_new_${made.length}`;
      const rows = consumed === undefined ? undefined : await changes.relationOf(input, consumed);
      if (rows !== undefined) {
        const gone = await countRows(db, `(select 1 from ${quoteIdentifier(rows)} where ${SIGN} < 0)`);
        if (gone > 0) return { kind: 'rebuild', why: `${gone} rows of ${input} changed or went` };
      }
      const columns = (rule.reads[input] ?? []).map(quoteIdentifier).join(', ') || '1 as _one';
      await db.run(`create or replace temp table ${name} as ${newRowsSql(input, columns, rows, consumed)}`);
      made.push(name);
      names.set(input, name);
    }
    await db.run(`create or replace temp table ${NEXT} as ${await touchedKeys.queryOver(model, names)}`);
    const { columns } = relation;
    const described = await describeQuery(db, `select * from ${NEXT}`);
    if (!sameTypes(described, columns)) return { kind: 'rebuild', why: 'its columns changed' };
    const list = columns.map(({ name }, i) => `c${i} as ${quoteIdentifier(name)}`).join(', ');
    const after = `select ${list} from ${NEXT}`;
    const name = changesName(model);
    const difference = await differRows(db, quoteIdentifier(name), {
      before: `select * from ${path} where false`,
      after,
      columns,
    });
    if (difference.rows > 0) {
      await inTransaction(db, () => db.run(`insert into ${path} by name ${after}`));
    }
    const note = `${difference.rows} rows appended`;
    const rows = await countRows(db, path);
    const written = { changed: difference.rows > 0, rows, changedRows: difference.rows, columns, changes: name, note };
    return { kind: 'written', written };
  } finally {
    for (const name of [...made.map(quoteIdentifier), NEXT]) await db.run(`drop table if exists ${name}`);
  }
}

function sameTypes(one: readonly StoredColumn[], other: readonly StoredColumn[]): boolean {
  return one.length === other.length && one.every(({ type }, i) => type === other[i]?.type);
}

/** Bronze carries in `_seq` the commit that last wrote a row; a model's changed rows carry how often each came. */
function newRowsSql(input: string, columns: string, rows: string | undefined, consumed: number | undefined): string {
  const isBronze = input.startsWith('bronze');
  const path = quotePath(...input.split('.'));
  if (rows === undefined || consumed === undefined) return `select ${columns} from ${path} where false`;
  if (isBronze) return `select ${columns} from ${path} where _seq >= ${firstSeqOf(consumed + 1)}`;
  return `select ${columns} from (select *, unnest(range(${SIGN})) as _sluice_copy from ${quoteIdentifier(rows)})`;
}
