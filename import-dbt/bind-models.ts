import { type DuckDb, openDuckDb } from '../warehouse/core/duckdb.ts';
import { messageOf } from '../warehouse/core/errors.ts';
import { quoteIdentifier, quotePath } from '../warehouse/core/quote.ts';

/**
 * The columns of each model, found out by DuckDB on empty stand-ins. Where nobody says which columns a source has, those that the SQL names are
 * taken to be there.
 */

export interface KnownColumn {
  readonly name: string;
  /** Unknown where nobody says. */
  readonly type?: string;
}

export interface BindInput {
  /** silver.x or gold.x. */
  readonly name: string;
  readonly sql: string;
  readonly reads: readonly string[];
  /** A snapshot's table has more columns than its SELECT. */
  readonly isSnapshot?: boolean;
}

export interface BoundModel {
  readonly columns: readonly KnownColumn[];
  /** False where columns may be missing, because the SQL takes `*` of a table whose columns nobody says. */
  readonly isWhole: boolean;
  /** True when the final SELECT has a `*`. */
  readonly hasStar: boolean;
  readonly problem?: { readonly message: string; readonly offset: number };
}

export interface BindRequest {
  /** In build order. */
  readonly models: readonly BindInput[];
  /** bronze.<source>.<table>, seeds and snapshots → columns; undefined where nobody says. */
  readonly tables: ReadonlyMap<string, readonly KnownColumn[] | undefined>;
  /** create macro statements, in order. */
  readonly macros: readonly string[];
}

const MACROS = [
  "create temp macro as_of() as (date '2000-01-01')",
  'create temp macro ratio(n, d) as (cast(n as decimal(18, 6)) + cast(d as decimal(18, 6)))::decimal(18, 6)',
  'create temp macro mean(x) as (sum(x))::decimal(18, 6)',
];
const SNAPSHOT_COLUMNS: readonly KnownColumn[] = [
  { name: 'valid_from', type: 'TIMESTAMP WITH TIME ZONE' },
  { name: 'valid_to', type: 'TIMESTAMP WITH TIME ZONE' },
  { name: 'is_current', type: 'BOOLEAN' },
];
/** A column that tables have of which more may be there: where `*` takes it along, the result is not known whole. */
const OPEN = '_more_columns';
const MAX_INFERRED = 500;

export async function bindModels(request: BindRequest): Promise<ReadonlyMap<string, BoundModel>> {
  const db = await openDuckDb({ threads: 1, memoryLimitMb: 512 });
  try {
    await db.run('set errors_as_json = true');
    for (const catalog of ['bronze', 'silver', 'gold'])
      await db.run(`attach ':memory:' as ${quoteIdentifier(catalog)}`);
    await db.run('set enable_external_access = false');
    for (const macro of [...MACROS, ...request.macros]) await db.run(macro).catch(() => undefined);
    const binder = new Binder(db, request);
    for (const name of request.tables.keys()) await binder.createStandIn(name);
    const bound = new Map<string, BoundModel>();
    for (const model of request.models) bound.set(model.name, await binder.bind(model));
    return bound;
  } finally {
    db.close();
  }
}

class Binder {
  readonly #db: DuckDb;
  /** Columns taken to be there, of tables whose columns nobody says. */
  readonly #inferred = new Map<string, string[]>();
  readonly #columns = new Map<string, readonly KnownColumn[]>();
  readonly #isWhole = new Map<string, boolean>();
  /** Of which every column's type is known as well. */
  readonly #isTyped = new Map<string, boolean>();

  constructor(db: DuckDb, request: BindRequest) {
    this.#db = db;
    for (const [name, columns] of request.tables) {
      if (columns === undefined) this.#inferred.set(name, []);
      else this.#columns.set(name, columns);
      this.#isWhole.set(name, columns !== undefined);
      this.#isTyped.set(name, columns?.every(({ type }) => type !== undefined) ?? false);
    }
  }

  async createStandIn(name: string): Promise<void> {
    const [catalog = '', schema = '', table] = name.split('.');
    const path = table === undefined ? quotePath(catalog, 'main', schema) : quotePath(catalog, schema, table);
    if (table !== undefined) await this.#db.run(`create schema if not exists ${quotePath(catalog, schema)}`);
    const inferred = this.#inferred.get(name)?.map((column): KnownColumn => ({ name: column }));
    // A view on NULLs: it has a column of any type, and of none where the type is not known.
    const list = (this.#columns.get(name) ?? inferred ?? []).map((column) => {
      const type = column.type ?? guessType(column.name);
      return `${type === undefined ? 'null' : `null::${type}`} as ${quoteIdentifier(column.name)}`;
    });
    const marker = this.#isWhole.get(name) === true ? [] : [`null as ${quoteIdentifier(OPEN)}`];
    const columns = [...list, ...marker].join(', ');
    const view = `create or replace view ${path} as select`;
    try {
      await this.#db.run(`${view} ${columns}`);
    } catch {
      // A type of another database: the column is there, of no type that is known.
      await this.#db.run(`${view} ${columns.replaceAll(/null::.*? as "/g, 'null as "')}`);
    }
  }

  async bind(model: BindInput): Promise<BoundModel> {
    const isKnown = model.reads.every((name) => this.#isWhole.get(name) ?? false);
    const isTyped = model.reads.every((name) => this.#isTyped.get(name) ?? false);
    const hasStar = await this.#hasStar(model.sql);
    for (let i = 0; i < MAX_INFERRED; i++) {
      try {
        const rows = await this.#db.rows<{ column_name: string; column_type: string }>(`describe ${model.sql}`);
        const columns = rows
          .filter((row) => !row.column_name.startsWith(OPEN))
          .map((row) => ({
            name: row.column_name,
            ...(isTyped && row.column_type !== '"NULL"' ? { type: row.column_type } : {}),
          }));
        const isWhole = columns.length === rows.length;
        this.#columns.set(model.name, model.isSnapshot === true ? [...columns, ...SNAPSHOT_COLUMNS] : columns);
        this.#isWhole.set(model.name, isWhole);
        this.#isTyped.set(model.name, isTyped);
        await this.createStandIn(model.name);
        return { columns, isWhole, hasStar };
      } catch (error) {
        const problem = readProblem(error);
        if (await this.#infer(model, problem)) continue;
        this.#inferred.set(model.name, []);
        this.#isWhole.set(model.name, false);
        await this.createStandIn(model.name);
        // Where columns are only taken to be there, a refusal may be ours and not the model's.
        const isCertain = isTyped || problem.kind === 'syntax' || (isKnown && problem.kind !== 'other');
        return {
          columns: [],
          isWhole: false,
          hasStar,
          ...(isCertain
            ? { problem: { message: problem.message, offset: Math.max(0, problem.offset - 'describe '.length) } }
            : {}),
        };
      }
    }
    return { columns: [], isWhole: false, hasStar };
  }

  /** Takes a column that is missing to be one of the first table that may have it and with which the complaint ends. */
  async #infer(model: BindInput, problem: Problem): Promise<boolean> {
    const name = problem.name?.split('.').at(-1);
    if (problem.kind !== 'column' || name === undefined) return false;
    for (const table of model.reads) {
      const columns = this.#inferred.get(table);
      if (columns === undefined || columns.includes(name)) continue;
      columns.push(name);
      await this.createStandIn(table);
      const next = await this.#db.rows(`describe ${model.sql}`).then(() => undefined, readProblem);
      if (next?.kind !== 'column' || next.name !== problem.name || next.offset !== problem.offset) return true;
      columns.pop();
      await this.createStandIn(table);
    }
    return false;
  }

  async #hasStar(sql: string): Promise<boolean> {
    const [row] = await this.#db.rows<{ ast: string }>('select json_serialize_sql($1::varchar) as ast', [sql]);
    const tree = JSON.parse(row?.ast ?? '{}') as { statements?: readonly { node?: QueryNode }[] };
    return selectsStar(tree.statements?.[0]?.node);
  }
}

function missingColumn(message: string): string | undefined {
  const forms = [
    /does not have a column named "([^"]+)"/,
    /^Column "([^"]+)" referenced that exists in the SELECT clause/,
    /^Column "([^"]+)" does not exist on (?:left|right) side of join/,
  ];
  return forms.map((form) => form.exec(message)?.[1]).find((name) => name !== undefined);
}

/** Functions of times take no NULL without a type; a guess is good enough to find names, and no type is told from it. */
function guessType(column: string): string | undefined {
  return /(_at|_on|_date|_time|_timestamp|_ts|^date|^day|^timestamp)$/i.test(column) ? 'timestamp' : undefined;
}

interface QueryNode {
  readonly type?: string;
  readonly left?: QueryNode;
  readonly right?: QueryNode;
  readonly children?: readonly QueryNode[];
  readonly select_list?: readonly { readonly class?: string }[];
}

function selectsStar(node: QueryNode | undefined): boolean {
  if (node === undefined) return false;
  if (node.type === 'SET_OPERATION_NODE') return [node.left, node.right, ...(node.children ?? [])].some(selectsStar);
  return (node.select_list ?? []).some((item) => item.class === 'STAR');
}

interface Problem {
  readonly kind: 'column' | 'function' | 'syntax' | 'other';
  readonly message: string;
  readonly name?: string;
  readonly offset: number;
}

function readProblem(error: unknown): Problem {
  const text = messageOf(error);
  try {
    const facts = JSON.parse(text.slice(text.indexOf('{'))) as Readonly<Record<string, string | undefined>>;
    // Of a column behind an alias only the sentence says which it is.
    const name = facts['name'] ?? missingColumn(facts['exception_message'] ?? '');
    const isColumn =
      facts['error_subtype'] === 'COLUMN_NOT_FOUND' || (facts['name'] === undefined && name !== undefined);
    const isMissing = facts['error_subtype'] === 'MISSING_ENTRY';
    return {
      kind: isColumn ? 'column' : isMissing ? 'function' : facts['exception_type'] === 'Parser' ? 'syntax' : 'other',
      message: (facts['exception_message'] ?? text).split('\n')[0] ?? text,
      ...(name === undefined ? {} : { name }),
      offset: Number(facts['position'] ?? 0),
    };
  } catch {
    return { kind: 'other', message: text.split('\n')[0] ?? text, offset: 0 };
  }
}
