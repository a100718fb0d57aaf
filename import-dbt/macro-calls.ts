import { type DuckDb, openDuckDb } from '../warehouse/core/duckdb.ts';
import { adaptSql } from './adapt-sql.ts';
import { type Expression, evaluate, printValue, type Scope, type Value } from './jinja/index.ts';
import type { DbtMacro, MacroLibrary } from './macros.ts';
import { toTableName } from './place-models.ts';
import { readSqlTokens } from './sql-tokens.ts';

/** Macros whose body is one SQL expression, as DuckDB macros: they stay macros. Every other macro is expanded where it is called. */

export interface SqlMacro {
  readonly name: string;
  readonly macro: DbtMacro;
  readonly parameters: readonly string[];
  /** The statement of the file in sql/macros. */
  readonly sql: string;
}

/** Errors: none; a macro that DuckDB does not take is left to be expanded. */
export async function findSqlMacros(
  library: MacroLibrary,
  projectName: string,
): Promise<ReadonlyMap<string, SqlMacro>> {
  const found = new Map<string, SqlMacro>();
  const candidates = [...(library.packages.get(projectName)?.values() ?? [])].flatMap(
    (macro) => toSqlMacro(macro) ?? [],
  );
  if (candidates.length === 0) return found;
  const db = await openDuckDb({ threads: 1, memoryLimitMb: 256 });
  try {
    for (const candidate of candidates) if (await isTaken(db, candidate)) found.set(candidate.macro.name, candidate);
  } finally {
    db.close();
  }
  return found;
}

async function isTaken(db: DuckDb, { name, sql, parameters }: SqlMacro): Promise<boolean> {
  const [known] = await db.rows<{ n: bigint }>(
    'select count(*) as n from duckdb_functions() where lower(function_name) = $1',
    [name],
  );
  if (known?.n !== 0n) return false;
  try {
    await db.run(sql);
  } catch {
    return false;
  }
  // A body that is no expression of its parameters alone would be taken, too, and fail where it is called.
  for (const type of ['integer', 'varchar', 'timestamp', 'boolean']) {
    const args = parameters.map(() => `null::${type}`).join(', ');
    const binds = await db.rows(`describe select ${name}(${args}) as value`).then(
      () => true,
      () => false,
    );
    if (binds) return true;
  }
  return false;
}

function toSqlMacro(macro: DbtMacro): SqlMacro | undefined {
  const { statement } = macro;
  const names = new Set(statement.parameters.map((parameter) => parameter.name));
  let body = '';
  for (const part of statement.body) {
    if (part.kind === 'text') body += part.text;
    else if (part.kind === 'output' && part.expression.kind === 'name' && names.has(part.expression.name)) {
      // Part of a longer word, a string or a type: not an expression.
      if (/[\w.'"]$/.test(body) || /(::\s*|\bas\s+)$/i.test(body)) return undefined;
      body += part.expression.name;
    } else if (part.kind !== 'comment') return undefined;
  }
  const name = toTableName(macro.name);
  const sql = body.trim();
  if (!isOneOperand(sql) || [...names].some((word) => !/^[a-z_]\w*$/i.test(word))) return undefined;
  // What would have to be written otherwise is written where it is called, as any other SQL.
  if (adaptSql({ text: sql, origins: [] }).changes.length > 0) return undefined;
  const parameters = [...names];
  return { name, macro, parameters, sql: `create macro ${name}(${parameters.join(', ')}) as ${sql}` };
}

/** True for parentheses or one call, with casts after it: such a text means the same wherever it stands. */
function isOneOperand(sql: string): boolean {
  const tokens = readSqlTokens(sql).filter((token) => token.kind !== 'comment');
  let i = tokens[0]?.kind === 'word' && tokens[1]?.text === '(' ? 1 : 0;
  if (tokens[i]?.text !== '(') return false;
  let depth = 0;
  for (; i < tokens.length; i++) {
    if (tokens[i]?.text === '(') depth++;
    if (tokens[i]?.text === ')' && --depth === 0) break;
  }
  const rest = tokens.slice(i + 1);
  return (
    rest.every(({ kind, text }) => kind === 'word' || kind === 'number' || ['::', '(', ')', ','].includes(text)) &&
    (rest.length === 0 || rest[0]?.text === '::')
  );
}

/** The call of a DuckDB macro in place of a call in a template; undefined where it must be expanded. */
export function toMacroCall(
  expression: Expression,
  scope: Scope,
  macros: ReadonlyMap<string, SqlMacro>,
): { readonly sql: string; readonly macro: SqlMacro } | undefined {
  if (expression.kind !== 'call' || expression.callee.kind !== 'name') return undefined;
  const macro = macros.get(expression.callee.name);
  if (macro === undefined || expression.spread !== undefined || expression.spreadNamed !== undefined) return undefined;
  const named = new Map(expression.named);
  const args: string[] = [];
  for (const [i, parameter] of macro.macro.statement.parameters.entries()) {
    const given = expression.positional[i] ?? named.get(parameter.name) ?? parameter.preset;
    if (given === undefined) return undefined;
    const text = toOperand(evaluate(given, scope));
    if (text === undefined) return undefined;
    args.push(text);
  }
  return { sql: `${macro.name}(${args.join(', ')})`, macro };
}

/** An argument that means the same inside the macro as in its text: a name, a literal, a call, parentheses. */
function toOperand(value: Value): string | undefined {
  const text = printValue(value).trim();
  const tokens = readSqlTokens(text);
  const isName = tokens.every(({ kind, text: sign }, i) =>
    i % 2 === 0 ? kind === 'word' || kind === 'quoted' : sign === '.',
  );
  const isLiteral = tokens.length === 1 && ['number', 'string'].includes(tokens[0]?.kind ?? '');
  return tokens.length > 0 && (isName || isLiteral || isOneOperand(text)) ? text : undefined;
}
