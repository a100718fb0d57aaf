import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type DuckDb, openDuckDb } from '../../core/duckdb.ts';
import { SluiceError } from '../../core/errors.ts';
import { nearestOf } from '../../core/nearest.ts';
import type { OnProgress } from '../../core/progress.ts';
import { quoteIdentifier, quoteLiteral, quotePath } from '../../core/quote.ts';
import { type ModelState, WAREHOUSE_FILES, type WarehousePaths } from '../../core/release.ts';
import { type BuildLimits, readRelations, type StoredRelation } from '../build/warehouse-engine.ts';
import { compareTables, type RowsDifference } from './compare-tables.ts';

/** Two warehouses compared model by model: schema, rows, columns. Views hold no rows: they are compared by their SQL. */

export interface ComparedWarehouse {
  readonly paths: WarehousePaths;
  readonly models: readonly ModelState[];
}

export interface SchemaDifference {
  readonly added: readonly { readonly name: string; readonly type: string }[];
  readonly removed: readonly { readonly name: string; readonly type: string }[];
  readonly retyped: readonly { readonly name: string; readonly from: string; readonly to: string }[];
}

export interface ModelDifference {
  readonly model: string;
  /** definition: a view whose SQL differs. */
  readonly kind: 'added' | 'removed' | 'different' | 'definition' | 'same';
  readonly schema: SchemaDifference;
  /** Absent for views, and where the two hold the same without being read. */
  readonly rows?: RowsDifference;
  readonly note?: string;
}

export interface DiffOptions {
  readonly before: ComparedWarehouse;
  readonly after: ComparedWarehouse;
  /** Key of each model, as far as known; without one rows are compared as bags. */
  readonly keys: ReadonlyMap<string, readonly string[]>;
  /** Names of the models to compare; all when absent. */
  readonly only?: readonly string[];
  /** True when a model of one data version in both needs no reading. */
  readonly isSameVersion?: (before: ModelState, after: ModelState) => boolean;
  readonly sample: number;
  readonly workDir: string;
  readonly limits: BuildLimits;
  readonly onProgress: OnProgress;
  readonly signal?: AbortSignal;
}

/** In the order of the models of `after`, those that are gone last. Errors: MODEL_SELECT_UNKNOWN, CANCELLED, DISK_FULL. */
export async function diffWarehouses(options: DiffOptions): Promise<readonly ModelDifference[]> {
  const { before, after, only, onProgress, signal } = options;
  const old = new Map(before.models.map((state) => [state.name, state]));
  const now = new Map(after.models.map((state) => [state.name, state]));
  const all = [...now.keys(), ...[...old.keys()].filter((name) => !now.has(name))];
  const names = only === undefined ? all : only.map((name) => findModel(name, all));
  const tempDirectory = join(options.workDir, 'diff-spill');
  await mkdir(tempDirectory, { recursive: true });
  const { threads, memoryLimitMb } = options.limits;
  const db = await openDuckDb({
    tempDirectory,
    ...(threads !== undefined && { threads }),
    ...(memoryLimitMb !== undefined && { memoryLimitMb }),
  });
  const interrupt = setInterval(() => signal?.aborted === true && db.connection.interrupt(), 50);
  try {
    const sides = { before: await readFiles(db, before.paths), after: await readFiles(db, after.paths) };
    const found: ModelDifference[] = [];
    for (const [i, model] of names.entries()) {
      signal?.throwIfAborted();
      onProgress({ stage: 'verify', item: model, state: 'running', rows: i, totalRows: names.length });
      const started = performance.now();
      const difference = await diffModel(db, options, sides, { model, old: old.get(model), now: now.get(model) });
      found.push(difference);
      const rows = difference.rows?.rowsAfter ?? now.get(model)?.rows;
      onProgress({
        stage: 'verify',
        item: model,
        state: 'finished',
        ...(rows !== undefined && { rows }),
        ms: Math.round(performance.now() - started),
        note: difference.note ?? difference.kind,
      });
    }
    return found;
  } catch (error) {
    if (signal?.aborted !== true) throw error;
    throw new SluiceError('CANCELLED', 'The comparison was cancelled.', { cause: error });
  } finally {
    clearInterval(interrupt);
    db.close();
    await rm(tempDirectory, { recursive: true, force: true });
  }
}

function findModel(name: string, all: readonly string[]): string {
  const found = all.find((model) => model === name || model.slice(model.indexOf('.') + 1) === name);
  if (found !== undefined) return found;
  const near = nearestOf(name, [...all, ...all.map((model) => model.slice(model.indexOf('.') + 1))]);
  throw new SluiceError(
    'MODEL_SELECT_UNKNOWN',
    `Neither release has a model ${name}${near === undefined ? '.' : `; did you mean ${near}?`}`,
    { remedy: 'sluice diff without --model names all that differ.' },
  );
}

type Side = 'before' | 'after';
type Relations = ReadonlyMap<string, StoredRelation & { readonly sql?: string }>;

/** What the files of one side hold, by model. */
async function readFiles(db: DuckDb, paths: WarehousePaths): Promise<Relations> {
  const found = new Map<string, StoredRelation & { readonly sql?: string }>();
  for (const file of WAREHOUSE_FILES) {
    await db.run(`attach ${quoteLiteral(paths[file])} as ${quoteIdentifier(file)} (read_only)`);
  }
  const views = await db.rows<{ layer: string; name: string; sql: string }>(
    `select database_name as layer, view_name as name, sql from duckdb_views() where database_name in ('silver', 'gold') and not internal`,
  );
  for (const [name, relation] of await readRelations(db)) {
    const sql = views.find((view) => `${view.layer}.${view.name}` === name)?.sql;
    found.set(name, sql === undefined ? relation : { ...relation, sql });
  }
  // One file cannot be attached twice, and two releases may share it.
  for (const file of WAREHOUSE_FILES) await db.run(`detach ${quoteIdentifier(file)}`);
  return found;
}

async function diffModel(
  db: DuckDb,
  options: DiffOptions,
  sides: Readonly<Record<Side, Relations>>,
  {
    model,
    old,
    now,
  }: { readonly model: string; readonly old: ModelState | undefined; readonly now: ModelState | undefined },
): Promise<ModelDifference> {
  const [was, is] = [sides.before.get(model), sides.after.get(model)];
  const nothing: SchemaDifference = { added: [], removed: [], retyped: [] };
  if (was === undefined || is === undefined) {
    const columns = (is ?? was)?.columns ?? [];
    const kind = is === undefined ? 'removed' : 'added';
    return { model, kind, schema: { ...nothing, [kind]: columns }, note: `${kind}, ${(now ?? old)?.rows ?? 0} rows` };
  }
  const schema = diffSchema(was, is);
  const hasSchema = schema.added.length + schema.removed.length + schema.retyped.length > 0;
  if (was.kind === 'view' || is.kind === 'view') {
    const isSame = was.sql === is.sql && !hasSchema;
    return {
      model,
      kind: isSame ? 'same' : 'definition',
      schema,
      note: isSame ? 'a view of the same SQL' : 'a view of other SQL',
    };
  }
  const { before, after, isSameVersion } = options;
  const file = is.layer;
  if (before.paths[file] === after.paths[file]) return { model, kind: 'same', schema, note: 'one file' };
  if (old !== undefined && now !== undefined && !hasSchema && isSameVersion?.(old, now) === true) {
    return { model, kind: 'same', schema, note: 'not written since' };
  }
  await db.run(
    `attach if not exists ${quoteLiteral(before.paths[file])} as ${quoteIdentifier(`before_${file}`)} (read_only)`,
  );
  await db.run(
    `attach if not exists ${quoteLiteral(after.paths[file])} as ${quoteIdentifier(`after_${file}`)} (read_only)`,
  );
  const rows = await compareTables(db, {
    before: quotePath(`before_${file}`, 'main', was.table),
    after: quotePath(`after_${file}`, 'main', is.table),
    columnsBefore: was.columns,
    columnsAfter: is.columns,
    key: options.keys.get(model) ?? [],
    sample: options.sample,
  });
  const isDifferent = hasSchema || rows.added + rows.removed + rows.changed > 0;
  return { model, kind: isDifferent ? 'different' : 'same', schema, rows };
}

function diffSchema(was: StoredRelation, is: StoredRelation): SchemaDifference {
  const before = new Map(was.columns.map(({ name, type }) => [name, type]));
  const after = new Map(is.columns.map(({ name, type }) => [name, type]));
  return {
    added: is.columns.filter(({ name }) => !before.has(name)),
    removed: was.columns.filter(({ name }) => !after.has(name)),
    retyped: is.columns.flatMap(({ name, type }) => {
      const from = before.get(name);
      return from === undefined || from === type ? [] : [{ name, from, to: type }];
    }),
  };
}
