import type pg from 'pg';
import { quoteIdentifier, quotePath } from '../warehouse/core/quote.ts';
import type { Change } from './entity.ts';
import { type Row, TABLES, type TableName } from './rows.ts';

/** Writes changes as the application's statements. Each is harmless when repeated, so that a day that broke off can be played again. */

const ROWS_PER_STATEMENT = 1000;

/** What the application does in one database transaction: which changes, in which order. */
export type Step = readonly (readonly [Change['kind'], TableName])[];

/** Someone signs up and connects a bank. */
export const SIGN_UP: Step = [
  ['insert', 'users'],
  ['insert', 'institutions'],
  ['insert', 'connections'],
  ['insert', 'accounts'],
  ['insert', 'tags'],
];
/** The banks are asked for what is new. */
export const SYNC: Step = [
  ['update', 'connections'],
  ['insert', 'transactions'],
  ['update', 'transactions'],
  ['insert', 'balance_snapshots'],
];
/** People tidy up. */
export const EDIT: Step = [
  ['update', 'orgs'],
  ['update', 'users'],
  ['update', 'accounts'],
  ['update', 'tags'],
  ['insert', 'transaction_tags'],
];
export const REMOVE: Step = [
  ['delete', 'transaction_tags'],
  ['delete', 'transactions'],
  ['delete', 'tags'],
];

/** Runs the changes that belong to a step, in its order. */
export async function applyStep(client: pg.ClientBase, step: Step, changes: readonly Change[]): Promise<void> {
  for (const [kind, table] of step) {
    const rows = changes.filter((change) => change.kind === kind && change.table === table).map((change) => change.row);
    for (let start = 0; start < rows.length; start += ROWS_PER_STATEMENT) {
      await client.query(statementOf(kind, table), [JSON.stringify(rows.slice(start, start + ROWS_PER_STATEMENT))]);
    }
  }
}

export function keyOf(table: TableName): readonly string[] {
  return table === 'transaction_tags' ? ['transaction_id', 'tag_id'] : ['id'];
}

/** Text that is the same for the same row of a table. */
export function keyText(table: TableName, row: Row): string {
  return keyOf(table)
    .map((column) => String(row[column]))
    .join(' ');
}

function statementOf(kind: Change['kind'], table: TableName): string {
  const path = quotePath('app', table);
  const rows = `json_populate_recordset(null::${path}, $1)`;
  const isSame = keyOf(table)
    .map((column) => `old.${quoteIdentifier(column)} = new.${quoteIdentifier(column)}`)
    .join(' and ');
  switch (kind) {
    case 'insert': {
      const columns = TABLES[table].filter((column) => column !== 'updated_at').map(quoteIdentifier);
      return `insert into ${path} (${columns.join(', ')}) select ${columns.join(', ')} from ${rows} on conflict do nothing`;
    }
    case 'update': {
      const isFixed = (column: string): boolean => ['created_at', 'updated_at', ...keyOf(table)].includes(column);
      const sets = TABLES[table].filter((column) => !isFixed(column)).map(quoteIdentifier);
      const assignments = sets.map((column) => `${column} = new.${column}`).join(', ');
      return `update ${path} old set ${assignments} from ${rows} new where ${isSame}`;
    }
    case 'delete':
      return `delete from ${path} old using ${rows} new where ${isSame}`;
    default:
      return kind satisfies never;
  }
}
