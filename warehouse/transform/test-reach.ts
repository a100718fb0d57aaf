import { type AstNode, textsOf, walk } from './ast.ts';
import { BUILT_IN_MACROS } from './macros.ts';
import { readReferences } from './references.ts';
import type { SqlEngine } from './sql-engine.ts';

/** Which tests may judge a row otherwise while the row stays as it is: those a build may not leave out for want of changed rows. */

const BUILT_IN: ReadonlySet<string> = new Set(BUILT_IN_MACROS.map((macro) => macro.name));

/** True when what the query finds is not decided by the rows of the tables it names alone: as_of(), a macro of the project, the clock, chance. */
export function isUnsteady(query: AstNode, engine: Pick<SqlEngine, 'volatile'>, macros: ReadonlySet<string>): boolean {
  const { functions, tableFunctions } = readReferences(query);
  return [...functions, ...tableFunctions].some(
    ({ name }) => name === 'as_of' || engine.volatile.has(name) || (macros.has(name) && !BUILT_IN.has(name)),
  );
}

/** True when a condition looks beyond the row it judges: tests of such a one may find otherwise while the row stays. */
export function reachesBeyondRow(
  query: AstNode,
  engine: Pick<SqlEngine, 'volatile'>,
  macros: ReadonlySet<string>,
): boolean {
  if (isUnsteady(query, engine, macros)) return true;
  for (const node of walk(query)) {
    if (node['class'] === 'SUBQUERY' || node['class'] === 'WINDOW') return true;
    if (node['class'] === 'COLUMN_REF' && isClock(node)) return true;
  }
  return false;
}

/** current_date and its like parse as columns; a column of that name is no harm, only tested whole. */
function isClock(node: AstNode): boolean {
  return textsOf(node['column_names']).some((name) => /^(current_|local)(date|time|timestamp)/i.test(name));
}
