import { type DuckDb, listValue, openDuckDb } from '../core/duckdb.ts';
import { messageOf } from '../core/errors.ts';
import { quoteIdentifier } from '../core/quote.ts';
import { type AstNode, markNumbers, nodeOf, nodesOf, printAst, textOf } from './ast.ts';
import { offsetOfByte, offsetOfCodePoint } from './source-text.ts';

/** DuckDB as the compiler's parser and type checker: no second dialect, and what binds here binds in the build. */

export interface BoundColumn {
  readonly name: string;
  readonly type: string;
}

/** Why DuckDB refused a text, and where in it (UTF-16 offset), when it says. */
export interface SqlProblem {
  readonly kind: 'problem';
  readonly message: string;
  /** DuckDB's own class, e.g. COLUMN_NOT_FOUND, MISSING_ENTRY, SYNTAX_ERROR. */
  readonly subtype: string;
  /** What is missing, for unknown columns, tables and functions. */
  readonly name: string | undefined;
  readonly offset: number | undefined;
}

export type ParsedSql = { readonly kind: 'query'; readonly node: AstNode } | SqlProblem;

export type ParsedText =
  | {
      readonly kind: 'query';
      /** The tree without places, which are a sixth of its text. */
      readonly node: AstNode;
      /** That tree as JSON.stringify() writes it. */
      readonly text: string;
      /** The node as DuckDB's own JSON, with places. */
      readonly json: string;
    }
  | SqlProblem;

export type DescribedSql = { readonly kind: 'columns'; readonly columns: readonly BoundColumn[] } | SqlProblem;

export interface SqlEngine {
  /** The one SELECT in a text. */
  parse(sql: string): Promise<ParsedSql>;
  /** As parse, for many texts, whose places are seldom asked for; they are read and answered in order, as they are asked for. */
  parseAll<T>(
    items: Iterable<T>,
    sqlOf: (item: T) => string,
  ): AsyncIterable<{ readonly item: T; readonly parsed: ParsedText }>;
  /** SQL text of a query node. */
  print(node: AstNode): Promise<string>;
  /** Names and types of a query's columns, bound against what was created with run(). */
  describe(sql: string): Promise<DescribedSql>;
  /** As describe, for many queries; each must be known to parse. */
  describeAll(sqls: readonly string[]): Promise<readonly DescribedSql[]>;
  /** Runs one or more statements. */
  run(sql: string): Promise<void>;
  /** As run, but a refusal is returned; `prefix` characters of the text are not the user's. */
  attempt(sql: string, prefix: number): Promise<SqlProblem | undefined>;
  /** Names of DuckDB's aggregate functions. */
  readonly aggregates: ReadonlySet<string>;
  /** Names of functions whose value is not decided by their arguments. */
  readonly volatile: ReadonlySet<string>;
  /** Names of all functions and of the macros made so far, for suggestions. */
  readonly functions: Set<string>;
  /** The names that DuckDB itself brings. */
  readonly names: FunctionNames;
  close(): void;
}

/** Names resolve as in production: bronze.<source>.<table> is catalog.schema.table, silver.<table> the catalog's main schema. */
const CATALOGS = ['bronze', 'bronze_log', 'silver', 'gold'] as const;

/** Of each connection that binds. Nothing that is bound here is run for its rows. */
const SETTINGS = 'set errors_as_json = true; pragma disable_optimizer';

/** `names`: of this DuckDB's functions, when they are known already. */
export async function openSqlEngine(names?: FunctionNames): Promise<SqlEngine> {
  const db = await openDuckDb({ threads: 1, memoryLimitMb: 512 });
  const attach = CATALOGS.map((catalog) => `attach ':memory:' as ${quoteIdentifier(catalog)};`).join(' ');
  // What binds here must never read anything outside.
  await db.run(`${attach} set enable_external_access = false; ${SETTINGS}`);
  // Texts are parsed while others are bound.
  const parser = await db.connectReader();
  const describeBatch = createBinders(db);
  const known = names ?? (functionNames ??= await listFunctions(db));
  return {
    parse: (sql) => parseSql(parser, sql),
    parseAll: (items, sqlOf) => parseAll(parser, items, sqlOf),
    print: (node) => printSql(db, node),
    describe: (sql) => describe(db, sql),
    describeAll: async (sqls) => {
      const described: DescribedSql[] = [];
      for (let from = 0; from < sqls.length; from += DESCRIBED_TOGETHER)
        described.push(...(await describeBatch(sqls.slice(from, from + DESCRIBED_TOGETHER))));
      return described;
    },
    run: (sql) => db.run(sql),
    attempt: async (sql, prefix) => {
      try {
        await db.run(sql);
        return undefined;
      } catch (error) {
        return toProblem(error, sql, prefix);
      }
    },
    aggregates: known.aggregates,
    volatile: known.volatile,
    functions: new Set(known.functions),
    names: known,
    close: () => db.close(),
  };
}

export interface FunctionNames extends Pick<SqlEngine, 'aggregates' | 'volatile'> {
  readonly functions: ReadonlySet<string>;
}

/** A process has one DuckDB, whose own functions stay the same; listing them takes longer (30 ms) than opening a database. */
let functionNames: FunctionNames | undefined;

async function listFunctions(db: DuckDb): Promise<FunctionNames> {
  const rows = await db.rows<{ name: string; kind: string; stability: string | null }>(
    'select distinct function_name as name, function_type as kind, stability from duckdb_functions()',
  );
  const named = (keep: (row: { kind: string; stability: string | null }) => boolean) =>
    new Set(rows.filter(keep).map((row) => row.name.toLowerCase()));
  return {
    aggregates: named((row) => row.kind === 'aggregate'),
    volatile: named((row) => row.kind !== 'table' && row.stability !== null && row.stability !== 'CONSISTENT'),
    functions: named((row) => row.kind !== 'table'),
  };
}

/** The one SELECT in a text, as any DuckDB reads it. */
export async function parseSql(db: Pick<DuckDb, 'rows'>, sql: string): Promise<ParsedSql> {
  return readParsed(sql, (await parseBatch(db, [sql]))[0] ?? '{}');
}

/** A call costs about as much as parsing a few texts. */
const PARSE_BATCH = 64;

async function* parseAll<T>(
  db: Pick<DuckDb, 'rows'>,
  items: Iterable<T>,
  sqlOf: (item: T) => string,
): AsyncGenerator<{ readonly item: T; readonly parsed: ParsedText }> {
  const rest: Iterator<T, unknown> = items[Symbol.iterator]();
  const nextBatch = async () => {
    const batch: T[] = [];
    while (batch.length < PARSE_BATCH) {
      const { value, done } = rest.next();
      if (done === true) break;
      batch.push(value);
    }
    return { batch, answers: batch.length === 0 ? [] : await parseBatch(db, batch.map(sqlOf)) };
  };
  let next = nextBatch();
  try {
    for (;;) {
      const { batch, answers } = await next;
      if (batch.length === 0) return;
      // DuckDB parses the next texts while these are looked at.
      next = nextBatch();
      for (const [i, item] of batch.entries()) yield { item, parsed: readText(sqlOf(item), answers[i] ?? '{}') };
    }
  } finally {
    await next;
  }
}

/** DuckDB's answers, in order. */
async function parseBatch(db: Pick<DuckDb, 'rows'>, sqls: readonly string[]): Promise<string[]> {
  const rows = await db.rows<{ ast: string }>('select json_serialize_sql(unnest($1::varchar[])) as ast', [
    listValue([...sqls]),
  ]);
  return rows.map((row) => row.ast);
}

function readParsed(sql: string, answer: string): ParsedSql {
  const tree = parseTree(markNumbers(answer));
  if (tree === undefined) {
    const offset = sql.search(BEYOND_DOUBLE);
    const message = 'a number is larger than a DOUBLE can hold (about 1.8e308)';
    return { kind: 'problem', message, subtype: 'NUMBER', name: undefined, offset: offset < 0 ? undefined : offset };
  }
  if (tree['error'] === true) {
    const position = textOf(tree['position']);
    return {
      kind: 'problem',
      message: textOf(tree['error_message']),
      subtype: textOf(tree['error_subtype']),
      name: undefined,
      offset: position === '' ? undefined : offsetOfCodePoint(sql, Number(position)),
    };
  }
  const statements = nodesOf(tree['statements']);
  const node = nodeOf(statements[0]?.['node']);
  if (node === undefined || statements.length !== 1) {
    const message = node === undefined ? 'the text holds no statement' : 'the text holds more than one statement';
    return { kind: 'problem', message, subtype: 'STATEMENTS', name: undefined, offset: undefined };
  }
  return { kind: 'query', node };
}

function readText(sql: string, answer: string): ParsedText {
  const isOne = answer.startsWith(FRAME_START) && answer.endsWith(FRAME_END) && !answer.includes(NEXT_STATEMENT);
  const json = isOne ? answer.slice(FRAME_START.length, -FRAME_END.length) : '';
  const text = markNumbers(json.replaceAll(PLACE, ''));
  const node = isOne ? parseTree(text) : undefined;
  if (node !== undefined) return { kind: 'query', node, json, text: ESCAPED.test(text) ? JSON.stringify(node) : text };
  const parsed = readParsed(sql, answer);
  if (parsed.kind === 'query') throw new TypeError(`DuckDB's answer has another form than its trees have: ${answer}`);
  return parsed;
}

const BEYOND_DOUBLE = /\b\d[\d_.]*e\+?[\d_]{3,}|\b\d[\d_]{308,}/i;

/** DuckDB's tree; undefined where it has a number that JSON has no word for: DuckDB writes Infinity. */
function parseTree(json: string): AstNode | undefined {
  try {
    return JSON.parse(json) as AstNode;
  } catch (error) {
    if (/:-?Infinity\b/.test(json)) return undefined;
    throw error;
  }
}

const FRAME_START = '{"error":false,"statements":[{"node":';
const FRAME_END = ',"named_param_map":[]}]}';
/** A quote inside of a string is escaped: none of these is a piece of one. */
const NEXT_STATEMENT = ',"named_param_map":[]},{"node":';
/** DuckDB writes \u001F where JavaScript writes \u001f; all else they write alike. */
const ESCAPED = /\\u00[01][A-F]/;
const PLACE = /"query_location":\d+,|,"query_location":\d+(?=\})/g;

/** SQL text of a query node. */
export async function printSql(db: DuckDb, node: AstNode): Promise<string> {
  const tree: AstNode = { error: false, statements: [{ node: withoutCrossJoins(node), named_param_map: [] }] };
  const [row] = await db.rows<{ sql: string }>('select json_deserialize_sql($1::json) as sql', [printAst(tree)]);
  return row?.sql ?? '';
}

/** DuckDB prints CROSS JOIN as a comma, which binds weaker and so may mean another query: inner joins on true are the same and print well. */
export function withoutCrossJoins<T extends AstNode>(node: T): T {
  return rewrite(node) as T;
}

function rewrite(value: AstNode[string]): AstNode[string] {
  if (Array.isArray(value)) return value.map(rewrite);
  if (value === null || typeof value !== 'object') return value;
  const copy = Object.fromEntries(
    Object.entries(value).map(([field, inner]: [string, AstNode[string]]) => [field, rewrite(inner)]),
  );
  if (copy['type'] !== 'JOIN' || copy['ref_type'] !== 'CROSS') return copy;
  return { ...copy, ref_type: 'REGULAR', join_type: 'INNER', condition: TRUE };
}

const TRUE: AstNode = {
  class: 'CAST',
  type: 'OPERATOR_CAST',
  alias: '',
  query_location: '\u000018446744073709551615',
  child: {
    class: 'CONSTANT',
    type: 'VALUE_CONSTANT',
    alias: '',
    query_location: '\u000018446744073709551615',
    value: { type: { id: 'VARCHAR', type_info: null }, is_null: false, value: 't' },
  },
  cast_type: { id: 'BOOLEAN', type_info: null },
  try_cast: false,
};

type Queries = Pick<DuckDb, 'rows'>;

const DESCRIBE = 'describe ';

async function describe(db: Queries, sql: string): Promise<DescribedSql> {
  try {
    const rows = await db.rows<DescribedColumn>(`${DESCRIBE}${sql}`);
    return { kind: 'columns', columns: rows.map((row) => ({ name: row.column_name, type: row.column_type })) };
  } catch (error) {
    return toProblem(error, `${DESCRIBE}${sql}`, DESCRIBE.length);
  }
}

interface DescribedColumn {
  readonly column_name: string;
  readonly column_type: string;
}

/** So many are described by one query. */
export const DESCRIBED_TOGETHER = 32;

/** A connection binds one query at a time: there is a second one, which opens when it is first asked for. */
function createBinders(db: DuckDb): (sqls: readonly string[]) => Promise<readonly DescribedSql[]> {
  let isBusy = false;
  let second: Promise<Queries> | undefined;
  const openSecond = async (): Promise<Queries> => {
    const reader = await db.connectReader();
    await reader.rows(SETTINGS);
    return reader;
  };
  return async (sqls) => {
    if (isBusy) return describeTogether(await (second ??= openSecond()), sqls);
    isBusy = true;
    try {
      return await describeTogether(db, sqls);
    } finally {
      isBusy = false;
    }
  };
}

/**
 * Many queries described by one, whose answers come as one text: a call for each would cost as much again on this side, and a DESCRIBE for each
 * a fifth as much in DuckDB. As CTEs, for what stands beside another in FROM may name its columns. There is one thread, so that columns come in
 * their order.
 */
async function describeTogether(db: Queries, sqls: readonly string[]): Promise<readonly DescribedSql[]> {
  const names = sqls.map((_, i) => `${MARK}${i}"`);
  const queries = sqls.map((sql, i) => `${names[i] ?? ''} as (${sql}\n)`);
  const columns = names.map((name) => `${name}.*, 0 as ${MARK}"`);
  const together = `with ${queries.join(',\n')} select ${columns.join(', ')} from ${names.join(', ')}`;
  const lists = sqls.some((sql) => sql.includes(MARK)) ? [] : await listColumns(db, together);
  const described: DescribedSql[] = [];
  for (const [i, sql] of sqls.entries()) {
    const list = lists.length === sqls.length ? lists[i] : undefined;
    // One that is refused says nothing of the others: each is asked by itself.
    described.push(
      list === undefined || mayBeRenamed(list) ? await describe(db, sql) : { kind: 'columns', columns: list },
    );
  }
  return described;
}

/** Begins the names around the queries that are described together, and is the name of the column that ends each. */
const MARK = '"|';

/** The columns between marks; nothing when the query is refused. */
async function listColumns(db: Queries, sql: string): Promise<readonly (readonly BoundColumn[])[]> {
  let answers: string | undefined;
  try {
    const [row] = await db.rows<{ answers: string }>(
      `select json_group_array(json_array(column_name, column_type)) as answers from (${DESCRIBE}${sql})`,
    );
    answers = row?.answers;
  } catch {
    return [];
  }
  const lists: BoundColumn[][] = [];
  let list: BoundColumn[] = [];
  for (const [name, type] of JSON.parse(answers ?? '[]') as [string, string][]) {
    if (name !== '|') list.push({ name, type });
    else {
      lists.push(list);
      list = [];
    }
  }
  return lists;
}

/** Below another query, columns of one name are told apart: a, a is a, a_1. */
function mayBeRenamed(columns: readonly BoundColumn[]): boolean {
  if (!columns.some(({ name }) => NUMBERED.test(name))) return false;
  const names = new Set(columns.map(({ name }) => name.toLowerCase()));
  return columns.some(({ name }) => NUMBERED.test(name) && names.has(name.toLowerCase().replace(NUMBERED, '')));
}

const NUMBERED = /_\d+$/;

/** Reads the JSON that errors_as_json makes of an error; anything else keeps its first line. */
function toProblem(error: unknown, sql: string, prefix: number): SqlProblem {
  const text = messageOf(error);
  const brace = text.indexOf('{');
  try {
    const facts = JSON.parse(text.slice(brace)) as Record<string, string | undefined>;
    const position = facts['position'];
    // Syntax errors are counted in characters, all others in bytes.
    const offsetOf = facts['exception_type'] === 'Parser' ? offsetOfCodePoint : offsetOfByte;
    return {
      kind: 'problem',
      message: facts['exception_message'] ?? text,
      subtype: facts['error_subtype'] ?? facts['exception_type'] ?? '',
      name: facts['name'],
      offset: position === undefined ? undefined : Math.max(0, offsetOf(sql, Number(position)) - prefix),
    };
  } catch {
    return { kind: 'problem', message: text.split('\n')[0] ?? text, subtype: '', name: undefined, offset: undefined };
  }
}
