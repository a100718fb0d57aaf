import type { AsOf } from '../../core/bronze-table.ts';
import type { DuckDb } from '../../core/duckdb.ts';
import { messageOf } from '../../core/errors.ts';
import { quoteIdentifier, quoteLiteral } from '../../core/quote.ts';
import type { TestResult, TestScope } from '../../core/release.ts';
import type { Age, CompiledModel, ModelTest, SqlTest } from '../model.ts';
import { keepFailingRows } from './failing-rows.ts';
import { countSuspects } from './suspect-rows.ts';
import { definitionOf, type TestHistory } from './test-scope.ts';
import { failingRowsSql, pathOf, rowsOf, shownColumns, type TestSql, toTestSql } from './test-sql.ts';
import { judge } from './test-verdict.ts';

/**
 * Tests on the clones. Each says of the whole table what it says; how much of it is looked at depends on what is known already:
 *
 *   nothing changed ─────────────────────────────► the verdict stands
 *   rows changed, none failed before ─► those rows ─┬─ no suspect ─► none fails now either
 *   anything else ───────────────────► one scan ◄───┘ of the table for all tests that need it
 */

export interface TestContext {
  readonly db: DuckDb;
  readonly history: TestHistory;
  readonly asOf: AsOf;
  /** Folder for failing rows; they are not kept when absent. */
  readonly failuresDir: string | undefined;
}

export interface ModelTestRun {
  /** Rows of the model; undefined when they are as many as before, 0 for a silver view that no test counted. */
  readonly rows: number | undefined;
  readonly results: readonly TestResult[];
}

interface PlannedTest {
  readonly test: ModelTest;
  readonly sql: TestSql;
  readonly definition: string;
}

/** What a scan found of one test. */
interface Counted {
  readonly failures: number;
  /** Rows the test was about. */
  readonly rows: number;
  /** For figures of the table, which have no failing rows: what was found, and the verdict where it is not one of a number. */
  readonly sample?: TestResult['sample'];
  readonly status?: TestResult['status'];
}

export async function runModelTests(context: TestContext, model: CompiledModel): Promise<ModelTestRun> {
  const planned = model.tests.map((test, i) => ({
    test,
    sql: toTestSql(test, i),
    definition: definitionOf(test, model),
  }));
  const scopes = new Map<PlannedTest, TestScope>();
  for (const entry of planned) scopes.set(entry, await narrowestScope(context, model, entry));
  const isWhole = (entry: PlannedTest) => scopes.get(entry) === 'whole';
  const whole = planned.filter(isWhole);
  // To count a view is to compute it: one that did not change is as long as it was, and how long one in silver is concerns no reader (over two
  // million rows of bronze it took a quarter of a small increment).
  const isUnchanged = context.history.isUnchanged(model.name);
  const mustCount = model.materialized !== 'view' || (model.layer === 'gold' && !isUnchanged);
  const scan = mustCount || whole.length > 0 ? await scanWhole(context, model, whole) : undefined;
  const results: TestResult[] = [];
  for (const entry of planned) {
    const counted = isWhole(entry) ? scan?.counts.get(entry.test.name) : { failures: 0, rows: 0 };
    results.push(await settle(context, model, entry, scopes.get(entry) ?? 'whole', counted));
  }
  return { rows: scan?.rows ?? (isUnchanged ? undefined : 0), results };
}

/** One row of the query is one failure. */
export async function runSqlTest(context: TestContext, test: SqlTest): Promise<TestResult> {
  const { db, history } = context;
  const definition = definitionOf(test);
  const facts = { name: test.name, model: test.name, severity: test.severity, definition };
  const stands =
    test.isSteady &&
    history.cleanVerdict(test.name, definition) !== undefined &&
    test.dependencies.every((name) => history.isUnchanged(name));
  if (stands) return { ...facts, status: judge(test, 0, 0), failures: 0, sample: [], scope: 'unchanged' };
  try {
    const failures = await countRows(db, test.sql);
    const status = judge(test, failures, failures);
    if (failures === 0) return { ...facts, status, failures, sample: [], scope: 'whole' };
    const kept = await keepFailingRows(db, test.sql, { test: test.name, dir: context.failuresDir, shown: [] });
    return { ...facts, status, failures, ...kept, scope: 'whole' };
  } catch (error) {
    return { ...facts, status: 'error', failures: 0, sample: [{ error: messageOf(error) }], scope: 'whole' };
  }
}

/** How little proves the verdict; a test with suspects among the changed rows is left to the whole scan, which counts them. */
async function narrowestScope(context: TestContext, model: CompiledModel, entry: PlannedTest): Promise<TestScope> {
  const { history } = context;
  const { test } = entry;
  if (test.beyondRow === true || test.kind === 'freshness') return 'whole';
  if (history.cleanVerdict(test.name, entry.definition) === undefined) return 'whole';
  const isParentUnchanged = test.kind !== 'relationships' || history.isUnchanged(test.to);
  if (history.isUnchanged(model.name) && isParentUnchanged) return 'unchanged';
  try {
    return (await countSuspects(context, model, test, entry.sql)) === 0 ? 'changes' : 'whole';
  } catch {
    // What the changed rows cannot answer, e.g. for want of a column, the table can.
    return 'whole';
  }
}

/** Counts the rows and the failures of all the tests in one query; when it cannot run, each test is left to run alone. */
async function scanWhole(
  context: TestContext,
  model: CompiledModel,
  planned: readonly PlannedTest[],
): Promise<{ readonly rows: number; readonly counts: ReadonlyMap<string, Counted> }> {
  try {
    return await scanTogether(context, model, planned);
  } catch {
    return scanTogether(context, model, []);
  }
}

async function scanTogether(
  context: TestContext,
  model: CompiledModel,
  planned: readonly PlannedTest[],
): Promise<{ readonly rows: number; readonly counts: ReadonlyMap<string, Counted> }> {
  const { db } = context;
  const [row = {}] = await db.rows<Row>(scanSql(model, planned));
  const counts = new Map<string, Counted>();
  for (const [i, entry] of planned.entries()) {
    const counted = await readCount(context, model, entry, row, i);
    if (counted !== undefined) counts.set(entry.test.name, counted);
  }
  return { rows: Number(row['n'] ?? 0), counts };
}

type Row = Readonly<Record<string, bigint | string | null>>;

/** The one query over a model's table: `n` rows, and per test `t<i>` and what else it takes. Exported for the test that counts scans. */
export function scanSql(
  model: CompiledModel,
  planned: readonly { readonly test: ModelTest; readonly sql: TestSql }[],
): string {
  const found = planned.flatMap(({ sql }) => (sql.kind === 'rows' && sql.found !== undefined ? [sql.found.sql] : []));
  const columns = planned.flatMap(({ test, sql }, i) => {
    const rows = test.where === undefined ? 'count(*)' : `count(*) filter (where ${rowsOf(test)})`;
    const filter = test.where === undefined ? '' : ` filter (where ${rowsOf(test)})`;
    switch (sql.kind) {
      case 'rows':
        return [`count(*) filter (where ${rowsOf(test, sql.where)}) as t${i}`, `${rows} as r${i}`];
      case 'unique': {
        const [only] = sql.columns;
        const isOne = sql.columns.length === 1 && only !== undefined;
        // count(distinct) passes over NULL, which is one value more if there is any; a row of several columns is never NULL as a whole.
        const distinct = isOne
          ? `count(distinct ${quoteIdentifier(only)})${filter} + (${rows} > count(${quoteIdentifier(only)})${filter})::bigint`
          : `count(distinct row(${sql.columns.map(quoteIdentifier).join(', ')}))${filter}`;
        return [`${distinct} as t${i}`, `${rows} as r${i}`];
      }
      case 'rows-count':
        return [`${rows} as r${i}`];
      case 'newest':
        return [`(max(${quoteIdentifier(sql.column)})${filter})::varchar as t${i}`, `${rows} as r${i}`];
      default:
        return sql satisfies never;
    }
  });
  const path = pathOf(model.name);
  const from = found.length === 0 ? path : `(select *, ${found.join(', ')} from ${path})`;
  return `select ${['count(*) as n', ...columns].join(', ')} from ${from}`;
}

async function readCount(
  { db, asOf }: TestContext,
  model: CompiledModel,
  { test, sql }: PlannedTest,
  row: Row,
  i: number,
): Promise<Counted | undefined> {
  const rows = Number(row[`r${i}`] ?? 0);
  switch (sql.kind) {
    case 'rows':
      return { failures: Number(row[`t${i}`] ?? 0), rows };
    case 'unique': {
      if (Number(row[`t${i}`] ?? 0) === rows) return { failures: 0, rows };
      return { failures: await countRows(db, failingRowsSql(model, test, sql) ?? ''), rows };
    }
    case 'rows-count': {
      if (test.kind !== 'row_count') return undefined;
      const { min = 0, max = Number.POSITIVE_INFINITY } = test;
      if (rows >= min && rows <= max) return { failures: 0, rows };
      const bounds = {
        ...(test.min === undefined ? {} : { min: String(test.min) }),
        ...(test.max === undefined ? {} : { max: String(test.max) }),
      };
      return { failures: 1, rows, sample: [{ rows: String(rows), ...bounds }] };
    }
    case 'newest':
      return test.kind === 'freshness' ? readAge(db, test, row[`t${i}`] ?? null, rows, asOf) : undefined;
    default:
      return sql satisfies never;
  }
}

/** The clock of freshness stands at the end of the logical date, in UTC: the same data and the same date are as fresh in every run. */
async function readAge(
  db: DuckDb,
  test: ModelTest & { readonly kind: 'freshness' },
  newest: bigint | string | null,
  rows: number,
  asOf: AsOf,
): Promise<Counted> {
  const sample = [{ newest: newest === null ? null : String(newest), as_of: asOf }];
  const minutes = newest === null ? Number.POSITIVE_INFINITY : await minutesBefore(db, asOf, String(newest));
  const isOlder = (limit: Age | undefined) => limit !== undefined && minutes > limit.minutes;
  const status = isOlder(test.errorAfter) ? 'fail' : isOlder(test.warnAfter) ? 'warn' : 'pass';
  return { failures: status === 'pass' ? 0 : 1, rows, sample, status };
}

/** Minutes from an instant, or from the end of a day, to the end of the logical date. */
async function minutesBefore(db: DuckDb, asOf: AsOf, newest: string): Promise<number> {
  const text = quoteLiteral(newest);
  const at = /^\d{4,6}-\d\d-\d\d$/.test(newest) ? `${text}::date + interval 1 day` : `${text}::timestamp`;
  const [row] = await db.rows<{ minutes: number }>(
    `select (epoch(${quoteLiteral(asOf)}::date + interval 1 day) - epoch(${at})) / 60 as minutes`,
  );
  return row?.minutes ?? Number.POSITIVE_INFINITY;
}

async function settle(
  context: TestContext,
  model: CompiledModel,
  { test, sql, definition }: PlannedTest,
  scope: TestScope,
  counted: Counted | undefined,
): Promise<TestResult> {
  const facts = { name: test.name, model: model.name, severity: test.severity, scope, definition };
  try {
    const found = counted ?? (await scanAlone(context, model, { test, sql, definition }));
    const { failures, rows, sample } = found;
    const status = found.status ?? judge(test, failures, rows);
    if (failures === 0) return { ...facts, status, failures, sample: [] };
    const failing = failingRowsSql(model, test, sql);
    if (failing === undefined) return { ...facts, status, failures, sample: sample ?? [] };
    // Of an expression nobody knows which columns it is about: the whole row is shown.
    const shown = sql.kind === 'unique' || test.kind === 'expression' ? [] : shownColumns(model, test);
    const kept = await keepFailingRows(context.db, failing, { test: test.name, dir: context.failuresDir, shown });
    const key = test.kind === 'unique' ? test.columns : model.key;
    return { ...facts, status, failures, ...kept, ...(key.length === 0 ? {} : { key }) };
  } catch (error) {
    return { ...facts, status: 'error', failures: 0, sample: [{ error: messageOf(error) }] };
  }
}

async function scanAlone(context: TestContext, model: CompiledModel, entry: PlannedTest): Promise<Counted> {
  const { counts } = await scanTogether(context, model, [entry]);
  return counts.get(entry.test.name) ?? { failures: 0, rows: 0 };
}

async function countRows(db: DuckDb, query: string): Promise<number> {
  const [row] = await db.rows<{ n: bigint }>(`select count(*) as n from (${query})`);
  return Number(row?.n ?? 0);
}
