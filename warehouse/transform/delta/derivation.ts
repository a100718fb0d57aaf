import type { AstNode } from '../ast.ts';
import { ONE, renamed } from './nodes.ts';
import { type NormalForm, outputName, type Query } from './normal-query.ts';
import type { Rule } from './rules.ts';
import type { Traceable, Tracer } from './trace.ts';

/**
 * From the changed rows of tables to the touched rows of a query, by recursion over its normal form. For every query E, read as sets:
 *
 *   delta(need) ⊇ the columns `need` of every row that E has more or less often after the change than before
 *   plus(need)  ⊇ the columns `need` of every row of E before and of E after
 *
 * A column is known when these hold its value. Dropping a condition or an aggregate only adds rows, so both stay supersets; and rows of an
 * old state are never needed: what was there and is not now is among the changed rows.
 */
export interface Derived {
  readonly affected: boolean;
  /** For each output. */
  readonly known: readonly boolean[];
  /** Queries to be put together by union all, with columns named by outputName(). Only where affected. */
  readonly delta: (need: readonly number[]) => readonly AstNode[];
  readonly plus: (need: readonly number[]) => readonly AstNode[];
}

export interface ChangedTables {
  readonly tables: ReadonlySet<string>;
  /** Name of the temporary table of a table's changed rows: columns as read, and `_sluice_sign`, below 0 for rows that stood before. */
  readonly nameOf: (table: string) => string;
  /** How the logical date moved: the earlier date and the later. Present when AS_OF is among the tables. */
  readonly dates?: { readonly earlier: string; readonly later: string } | undefined;
}

export interface Derivation {
  readonly form: NormalForm;
  readonly tracer: Tracer;
  readonly changed: ChangedTables;
  readonly without: ReadonlySet<Rule>;
  readonly nextAlias: () => string;
  readonly derive: (query: Query, traceable: Traceable) => Derived;
}

/** Name of the column that tells rows that stood before from others. */
export const SIGN_COLUMN = '_sluice_sign';

export function itemsOf(need: readonly number[], expression: (i: number) => AstNode): readonly AstNode[] {
  return need.length === 0 ? [renamed(ONE, '_one')] : need.map((i) => renamed(expression(i), outputName(i)));
}
