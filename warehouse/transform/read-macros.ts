import { type AstNode, byteOf, nodeOf, nodesOf, walk } from './ast.ts';
import { describeProblem } from './bind.ts';
import type { Diagnostics } from './diagnostics.ts';
import { orderGraph } from './graph.ts';
import { lintExpression } from './lint.ts';
import type { ProjectFile } from './load.ts';
import { asOfMacro, BUILT_IN_MACROS, createMacroSql } from './macros.ts';
import type { Macro } from './model.ts';
import { readReferences } from './references.ts';
import { scanSql } from './scan-sql.ts';
import { locate, offsetOfByte } from './source-text.ts';
import type { SqlEngine } from './sql-engine.ts';

/** Macros of sql/macros/*.sql, checked, ordered and created for binding. One macro per file, scalar, reading no tables. */

export interface LoadedMacros {
  readonly macros: readonly Macro[];
  /** Body of each macro by its name, as_of() left out. */
  readonly bodies: ReadonlyMap<string, AstNode>;
  /** The macros that a macro reaches, itself and as_of included, by its name. */
  readonly reached: ReadonlyMap<string, ReadonlySet<string>>;
}

const STATEMENT =
  /^create\s+(?:or\s+replace\s+)?(?:temp(?:orary)?\s+)?(?:macro|function)\s+(\w+)\s*\(([^)]*)\)\s*as\s+/i;
/** Parentheses within the list of parameters: a default that is a call. */
const DEFAULTS = /^create\s+(?:or\s+replace\s+)?(?:temp(?:orary)?\s+)?(?:macro|function)\s+(\w+)\s*\([^)]*:=/i;
/** Where every connection of the compiler's database finds them. */
const EVERYWHERE = { catalog: 'memory' };
const REMEDY = 'Write one statement: create macro name(parameters) as expression.';

export async function loadMacros(
  engine: SqlEngine,
  files: readonly ProjectFile[],
  diagnostics: Diagnostics,
): Promise<LoadedMacros> {
  const taken = new Set(['as_of', ...BUILT_IN_MACROS.map((macro) => macro.name)]);
  const own = files.flatMap((file) => readMacro(file, taken, engine, diagnostics) ?? []);
  const parsed: { macro: Macro; body: AstNode; place?: Place }[] = [];
  for (const macro of BUILT_IN_MACROS) {
    const body = await engine.parse(`select ${macro.sql.slice(macro.sql.indexOf(' as ') + 4)}`);
    if (body.kind === 'query') parsed.push({ macro, body: body.node });
  }
  for (const { macro, place } of own) {
    const body = await parseBody(engine, place, diagnostics);
    if (body !== undefined) parsed.push({ macro, body, place });
  }
  const byName = new Map(parsed.map((entry) => [entry.macro.name, entry]));
  const callsOf = (body: AstNode) => readReferences(body).functions.map((call) => call.name);
  const graph = orderGraph(parsed.map(({ macro, body }) => ({ name: macro.name, dependencies: callsOf(body) })));
  for (const cycle of graph.cycles) {
    const place = byName.get(cycle[0] ?? '')?.place;
    if (place === undefined) continue;
    const at = locate(place.file, place.text, place.start);
    const message = `macros call each other in a circle: ${cycle.join(' → ')}`;
    diagnostics.add({ code: 'MODEL_CYCLE', message, at, remedy: 'Take one of the calls out.' });
  }
  await engine.run(createMacroSql(asOfMacro('2000-01-01'), EVERYWHERE));
  engine.functions.add('as_of');
  const ordered = graph.order.flatMap((name) => byName.get(name) ?? []);
  for (const { macro, place } of ordered) {
    const sql = createMacroSql(macro, EVERYWHERE);
    const bodyOffset = place === undefined ? 0 : sql.length - place.body.length;
    const problem = await engine.attempt(sql, bodyOffset);
    if (problem === undefined) {
      engine.functions.add(macro.name);
      continue;
    }
    const facts = describeProblem(problem, engine);
    const at =
      place === undefined
        ? { file: macro.file, line: 1, column: 1 }
        : locate(place.file, place.text, place.start + (problem.offset ?? 0));
    diagnostics.add({ ...facts, message: `macro ${macro.name}: ${facts.message}`, at });
  }
  const bodies = new Map(ordered.map(({ macro, body }) => [macro.name, body]));
  const reached = new Map<string, ReadonlySet<string>>([['as_of', new Set(['as_of'])]]);
  for (const { macro, body } of ordered) {
    reached.set(macro.name, new Set([macro.name, ...callsOf(body).flatMap((name) => [...(reached.get(name) ?? [])])]));
  }
  return { macros: ordered.map(({ macro }) => macro), bodies, reached };
}

interface Place {
  readonly file: string;
  readonly text: string;
  /** Where the macro's body begins in the file. */
  readonly start: number;
  readonly body: string;
}

function readMacro(
  { file, text }: ProjectFile,
  taken: Set<string>,
  engine: SqlEngine,
  diagnostics: Diagnostics,
): { macro: Macro; place: Place } | undefined {
  const report = (offset: number, message: string, remedy = REMEDY): undefined => {
    diagnostics.add({ code: 'MODEL_SQL_INVALID', message, at: locate(file, text, offset), remedy });
  };
  const tokens = [...scanSql(text)];
  // Leading comments describe the macro; blanking them keeps every offset.
  let plain = text;
  for (const { kind, start, end } of tokens) {
    if (kind === 'comment')
      plain = plain.slice(0, start) + plain.slice(start, end).replaceAll(/\S/g, ' ') + plain.slice(end);
  }
  const semicolon = tokens.find((token) => token.kind === 'semicolon')?.start ?? text.length;
  if (plain.slice(semicolon + 1).trim() !== '') return report(semicolon + 1, 'a second statement follows');
  const from = Math.max(plain.search(/\S/), 0);
  const head = STATEMENT.exec(plain.slice(from, semicolon));
  const name = head?.[1]?.toLowerCase();
  if (head === null && DEFAULTS.test(plain.slice(from)))
    return report(
      from,
      'a parameter of the macro has a default',
      'Name parameters without default, and write a second macro for it.',
    );
  if (head === null || name === undefined) return report(from, 'the file does not define a macro');
  if (taken.has(name)) return report(from, `the macro ${name} is defined already`, 'Choose another name.');
  if (engine.functions.has(name)) {
    return report(from, `the macro ${name} has the name of a function of DuckDB`, 'Choose another name.');
  }
  taken.add(name);
  const words = (head[2] ?? '').split(',').map((word) => word.trim());
  const odd = words.find((word) => !/^\w+$/.test(word) && (words.length > 1 || word !== ''));
  if (odd !== undefined) {
    const message = `the parameter \`${odd}\` of the macro ${name} is not a plain name`;
    return report(from, message, 'Name parameters without type and default; write a second macro for a default.');
  }
  const parameters = words.filter((word) => word !== '');
  const start = from + head[0].length;
  const body = text.slice(start, semicolon).trimEnd();
  const sql = `create or replace macro ${name}(${parameters.join(', ')}) as ${body}`;
  return { macro: { name, parameters, file, sql }, place: { file, text, start, body } };
}

async function parseBody(engine: SqlEngine, place: Place, diagnostics: Diagnostics): Promise<AstNode | undefined> {
  const at = (offset: number) => locate(place.file, place.text, place.start + offset);
  if (/^table\b/i.test(place.body)) {
    const message = 'a macro that gives a table is not carried';
    diagnostics.add({ code: 'MODEL_SQL_INVALID', message, at: at(0), remedy: 'Make it a silver model.' });
    return undefined;
  }
  const prefix = 'select ';
  const parsed = await engine.parse(`${prefix}${place.body}`);
  if (parsed.kind === 'problem') {
    const facts = describeProblem(parsed, engine);
    diagnostics.add({ ...facts, at: at(Math.max(0, (parsed.offset ?? 0) - prefix.length)) });
    return undefined;
  }
  if (nodesOf(parsed.node['select_list']).length !== 1 || nodeOf(parsed.node['from_table'])?.['type'] !== 'EMPTY') {
    diagnostics.add({
      code: 'MODEL_SQL_INVALID',
      message: 'the macro is not one expression',
      at: at(0),
      remedy: REMEDY,
    });
    return undefined;
  }
  if (readReferences(parsed.node).tables.length > 0) {
    const message = 'the macro reads a table';
    const remedy = 'Pass the value as a parameter, or make it a silver model.';
    diagnostics.add({ code: 'MODEL_SQL_INVALID', message, at: at(0), remedy });
    return undefined;
  }
  lintExpression(parsed.node, engine, (node, message, remedy) => {
    const byte = node === undefined ? undefined : [...walk(node)].map(byteOf).find((found) => found !== undefined);
    const offset = offsetOfByte(`${prefix}${place.body}`, byte ?? 0) - prefix.length;
    diagnostics.add({ code: 'MODEL_LINT', message, at: at(Math.max(0, offset)), remedy });
  });
  return parsed.node;
}
