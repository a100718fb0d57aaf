/** What a project's models/sources/*.ts export: which tables of a Postgres schema are carried, and how. Types only are imported from here. */

import type { TableMode } from '../core/bronze-commit.ts';

export type { TableMode };

export interface TableDefinition {
  /**
   * cursor: only rows that changed since the last commit, without gaps: by the cursor where a trigger sets it, else by the transaction that
   *   wrote them. Deletes are not carried (only when the whole table had to be read do they come with it).
   * full: the whole table is read and compared with the last state; inserts, updates and deletes are carried.
   * append: rows that never change once written: only new ones are read, without gaps. Updates and deletes are not looked for; without a key
   *   they are noticed all the same, and the table is then replaced whole.
   */
  readonly mode: TableMode;
  /** Key columns. Empty with full: the table is replaced whole when it changed; with append: new rows are told by the transaction that wrote them. */
  readonly key: readonly string[];
  /** The columns that leave Postgres; everything else stays there. */
  readonly columns: readonly string[];
  /**
   * The column that moves with every change (cursor) or that every new row gets (append, where it may be left out). `setBy: database`: a trigger sets
   * it from now(), which the catalog must prove; application: anything else, rows are then found by the transaction that wrote them. Left out:
   * what the catalog says.
   */
  readonly cursor?: { readonly column: string; readonly setBy?: 'database' | 'application' };
  /**
   * Columns whose raw values never leave Postgres. hash: a keyed hash of the value's text, VARCHAR, equal for equal values.
   * drop: NULL in every row, so that the column is still there to be named; a key column cannot be dropped.
   */
  readonly mask?: Readonly<Record<string, 'hash' | 'drop'>>;
  /**
   * What becomes of a value that its column's type in the lake cannot hold, such as NaN in numeric(14,2), a timestamp
   * after the year 294247 or an array of two dimensions. error (the default): the run stops.
   * quarantine: the row is set aside with its key, the value and the reason. text: the column is carried as the text Postgres prints.
   */
  readonly unrepresentable?: Readonly<Record<string, 'error' | 'quarantine' | 'text'>>;
  readonly description?: string;
}

export interface SourceDefinition {
  readonly kind: 'postgres';
  /** The source's name in SQL: bronze.<name>.<table>. */
  readonly name: string;
  /** Postgres schema. */
  readonly schema: string;
  readonly description?: string;
  readonly tables: Readonly<Record<string, TableDefinition>>;
}
