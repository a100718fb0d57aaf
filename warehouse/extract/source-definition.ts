/** What a project's models/sources/*.ts export: which tables of a Postgres schema are carried, and how. Types only are imported from here. */

export type TableMode = 'cursor' | 'full';

export interface TableDefinition {
  /**
   * cursor: only rows whose cursor moved since the last commit, without gaps; deletes are not carried (only when the whole
   *   table had to be read, because the guard could not be proven, do they come with it).
   * full: the whole table is read and compared with the last state; inserts, updates and deletes are carried.
   */
  readonly mode: TableMode;
  /** Key columns; empty only with mode full, where the table is then replaced whole when it changed. */
  readonly key: readonly string[];
  /** The columns that leave Postgres; everything else stays there. */
  readonly columns: readonly string[];
  /** The column that moves with every change. `setBy: database`: a trigger sets it from now(), which makes the computed guard valid. */
  readonly cursor?: { readonly column: string; readonly setBy: 'database' | 'application' };
  /**
   * Columns whose raw values never leave Postgres. hash: a keyed hash of the value's text, VARCHAR, equal for equal values.
   * drop: NULL in every row, so that the column is still there to be named; a key column cannot be dropped.
   */
  readonly mask?: Readonly<Record<string, 'hash' | 'drop'>>;
  /**
   * What happens to a value that a column's type in Parquet cannot hold (NaN in numeric(14,2), a timestamp after the year 294247, an array of
   * two dimensions). error: the run stops and names it (the default). quarantine: its row is left out and reported. text: the whole column is
   * carried as the text Postgres prints.
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
