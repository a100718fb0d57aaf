import type { DuckDb } from '../../core/duckdb.ts';
import { messageOf } from '../../core/errors.ts';
import { quoteIdentifier, quoteLiteral, quotePath } from '../../core/quote.ts';
import type { TestResult } from '../../core/release.ts';
import type { CompiledModel, ModelTest, SqlTest } from '../model.ts';

/** Tests on the clones. Row-wise tests of a model share one scan; a failing test is asked again for a few of its rows. */

const SAMPLE_ROWS = 5;

export interface ModelTestRun {
  /** Rows of the model, counted by the same scan. */
  readonly rows: number;
  readonly results: readonly TestResult[];
}

/** A test as SQL: `where` picks failing rows of the model itself; `failures` is a query of its own that yields them. */
type TestSql =
  | { readonly kind: 'rows'; readonly where: string }
  | { readonly kind: 'query'; readonly failures: string };

export async function runModelTests(db: DuckDb, model: CompiledModel): Promise<ModelTestRun> {
  const path = quotePath(model.layer, 'main', model.table);
  const planned = model.tests.map((test) => ({ test, sql: toSql(test, path) }));
  const counts = await countInOneScan(db, path, planned);
  const results: TestResult[] = [];
  for (const { test, sql } of planned) {
    const facts = { name: test.name, model: model.name, severity: test.severity };
    const counted = counts.failures.get(test.name);
    const failing = sql.kind === 'rows' ? failingRowsSql(model, test, path, sql.where) : sql.failures;
    results.push(await settle(db, facts, failing, counted));
  }
  return { rows: counts.rows, results };
}

/** One row of the query is one failure. */
export async function runSqlTest(db: DuckDb, test: SqlTest): Promise<TestResult> {
  return settle(db, { name: test.name, model: test.name, severity: test.severity }, test.sql);
}

/** Counts rows and the failures of all row-wise tests at once; when that query cannot run, every test is left to run alone. */
async function countInOneScan(
  db: DuckDb,
  path: string,
  planned: readonly { readonly test: ModelTest; readonly sql: TestSql }[],
): Promise<{ readonly rows: number; readonly failures: ReadonlyMap<string, number> }> {
  const rowTests = planned.flatMap(({ test, sql }) => (sql.kind === 'rows' ? [{ test, where: sql.where }] : []));
  const columns = rowTests.map(({ where }, i) => `count(*) filter (where ${where}) as t${i}`);
  try {
    const [row] = await db.rows<Record<string, bigint>>(
      `select ${['count(*) as n', ...columns].join(', ')} from ${path}`,
    );
    const failures = new Map(rowTests.map(({ test }, i) => [test.name, Number(row?.[`t${i}`] ?? 0)]));
    return { rows: Number(row?.['n'] ?? 0), failures };
  } catch {
    const [row] = await db.rows<{ n: bigint }>(`select count(*) as n from ${path}`);
    return { rows: Number(row?.n ?? 0), failures: new Map() };
  }
}

async function settle(
  db: DuckDb,
  facts: Pick<TestResult, 'name' | 'model' | 'severity'>,
  failing: string,
  counted?: number,
): Promise<TestResult> {
  try {
    const failures = counted ?? (await countFailures(db, failing));
    if (failures === 0) return { ...facts, status: 'pass', failures, sample: [] };
    return {
      ...facts,
      status: facts.severity === 'error' ? 'fail' : 'warn',
      failures,
      sample: await readSample(db, failing),
    };
  } catch (error) {
    return { ...facts, status: 'error', failures: 0, sample: [{ error: messageOf(error) }] };
  }
}

async function countFailures(db: DuckDb, failing: string): Promise<number> {
  const [row] = await db.rows<{ n: bigint }>(`select count(*) as n from (${failing})`);
  return Number(row?.n ?? 0);
}

async function readSample(db: DuckDb, failing: string): Promise<Record<string, string | null>[]> {
  return db.rows<Record<string, string | null>>(
    `select columns(*)::varchar from (select * from (${failing}) order by all limit ${SAMPLE_ROWS})`,
  );
}

function failingRowsSql(model: CompiledModel, test: ModelTest, path: string, where: string): string {
  const shown =
    test.kind === 'expression' || model.key.length === 0 ? [] : [...new Set([...model.key, ...columnsOf(test)])];
  return `select ${shown.length === 0 ? '*' : shown.map(quoteIdentifier).join(', ')} from ${path} where ${where}`;
}

function columnsOf(test: ModelTest): readonly string[] {
  if (test.kind === 'expression') return [];
  return test.kind === 'unique' ? test.columns : [test.column];
}

/** NULL passes every test but not_null and unique, as in SQL's own CHECK; in unique NULL is a value like any other. */
function toSql(test: ModelTest, path: string): TestSql {
  switch (test.kind) {
    case 'not_null':
      return { kind: 'rows', where: `${quoteIdentifier(test.column)} is null` };
    case 'accepted_values':
      return {
        kind: 'rows',
        where: `${quoteIdentifier(test.column)} not in (${test.values.map(toLiteral).join(', ')})`,
      };
    case 'range': {
      const column = quoteIdentifier(test.column);
      const bounds = [
        ...(test.min === undefined ? [] : [`${column} < ${toBound(test.min)}`]),
        ...(test.max === undefined ? [] : [`${column} > ${toBound(test.max)}`]),
      ];
      return { kind: 'rows', where: bounds.length === 0 ? 'false' : bounds.join(' or ') };
    }
    case 'expression':
      return { kind: 'rows', where: `not (${test.sql}\n)` };
    case 'unique': {
      const columns = test.columns.map(quoteIdentifier).join(', ');
      return {
        kind: 'query',
        failures: `select ${columns}, count(*) as "rows" from ${path} group by ${columns} having count(*) > 1`,
      };
    }
    case 'relationships': {
      const column = quoteIdentifier(test.column);
      const target = quotePath(...toPath(test.to));
      // ANTI JOIN and not NOT EXISTS, for which DuckDB first groups all keys of the child: 10 times slower on 2 million rows.
      return {
        kind: 'query',
        failures: `select child.* from ${path} as child
          anti join ${target} as parent on parent.${quoteIdentifier(test.toColumn)} = child.${column}
          where child.${column} is not null`,
      };
    }
    default:
      return test satisfies never;
  }
}

/** silver.x stands in the schema main; bronze.<source>.<table> names its schema. */
function toPath(name: string): string[] {
  const parts = name.split('.');
  return parts.length === 2 ? [parts[0] ?? '', 'main', parts[1] ?? ''] : parts;
}

function toLiteral(value: string | number | boolean): string {
  return typeof value === 'string' ? quoteLiteral(value) : String(value);
}

/** A number stays one, so that 0.5 is not rounded to an integer column's type; anything else is text that DuckDB casts. */
function toBound(text: string): string {
  return /^[+-]?\d+(\.\d+)?$/.test(text) ? text : quoteLiteral(text);
}
