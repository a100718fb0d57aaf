import type { AsOf } from '../core/bronze-table.ts';
import { quoteIdentifier, quoteLiteral, quotePath } from '../core/quote.ts';
import type { Macro } from './model.ts';

/** Macros that every model may use. as_of() is made per run; ratio and mean are exact where DuckDB's `/` and avg would go through DOUBLE. */

/**
 * n / d as DECIMAL(18,6), rounded half away from zero; NULL when d is 0 or NULL. Exact for integers and decimals of up to nine
 * decimal places and amounts below 10^20: both are scaled to whole HUGEINTs, divided, and rounded by adding half the divisor.
 */
const RATIO = `create or replace macro ratio(n, d) as (
  case when d <> 0 then (
    (((2000000 * abs((n)::decimal(38, 9) * 1000000000)::hugeint + abs((d)::decimal(38, 9) * 1000000000)::hugeint)
      // (2 * abs((d)::decimal(38, 9) * 1000000000)::hugeint))
      * case when (n < 0) <> (d < 0) then -1 else 1 end)::decimal(38, 0) * 0.000001::decimal(6, 6)
  )::decimal(18, 6) end
)`;

const MEAN = `create or replace macro mean(x) as ratio(sum(x), count(x))`;

/** File of the macros that every project has. */
export const BUILT_IN = '(built in)';

export const BUILT_IN_MACROS: readonly Macro[] = [
  { name: 'ratio', parameters: ['n', 'd'], file: BUILT_IN, sql: RATIO },
  { name: 'mean', parameters: ['x'], file: BUILT_IN, sql: MEAN },
];

/** The statement that creates a macro in the connection (`temp`) or inside a database file, e.g. gold. */
export function createMacroSql(macro: Macro, target: 'temp' | { readonly catalog: string }): string {
  const head = /^create\s+or\s+replace\s+macro\s+("(?:[^"]|"")+"|\w+)/i;
  const name =
    target === 'temp'
      ? `create or replace temp macro ${quoteIdentifier(macro.name)}`
      : `create or replace macro ${quotePath(target.catalog, 'main', macro.name)}`;
  return macro.sql.replace(head, () => name);
}

/** The expression a macro stands for. */
export function macroBody(macro: Macro): string {
  return macro.sql.replace(/^create\s+or\s+replace\s+macro\s+(?:"(?:[^"]|"")+"|\w+)\s*\([^)]*\)\s*as\s*/i, '');
}

/** as_of() for one logical date. */
export function asOfMacro(asOf: AsOf): Macro {
  return {
    name: 'as_of',
    parameters: [],
    file: BUILT_IN,
    sql: `create or replace macro as_of() as (date ${quoteLiteral(asOf)})`,
  };
}
