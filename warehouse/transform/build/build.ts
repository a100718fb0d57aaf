import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { AsOf, BronzeSnapshot } from '../../core/bronze-table.ts';
import type { DuckDb } from '../../core/duckdb.ts';
import { isSluiceError, messageOf, SluiceError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import type { OnProgress } from '../../core/progress.ts';
import { quoteIdentifier, quotePath } from '../../core/quote.ts';
import {
  type ModelState,
  type Release,
  type ReleaseContent,
  type TestResult,
  WAREHOUSE_FILES,
  type WarehouseFile,
  type WarehousePaths,
} from '../../core/release.ts';
import { AS_OF } from '../delta/normal-query.ts';
import { requireHistoryKept } from '../kept-history.ts';
import { asOfMacro, createMacroSql } from '../macros.ts';
import { type CompiledModel, type CompiledProject, LAYERS, type Layer } from '../model.ts';
import { storedShape } from '../plan/model-shape.ts';
import { appendRows } from './append-rows.ts';
import { assertTestsPassed, buildFailed, firstLine } from './build-errors.ts';
import { createChangedRows } from './changed-rows.ts';
import { bronzeVersions, type Decision, decideModel } from './decide-model.ts';
import { checkGoldAlone, requireNoLog, toDatasets } from './finished-files.ts';
import { runModelTests, runSqlTest } from './run-tests.ts';
import { createTestHistory } from './test-scope.ts';
import { createTouchedKeys } from './touched-keys.ts';
import {
  type BuildLimits,
  describeQuery,
  listRelations,
  type NamedRelation,
  openEngine,
  type StoredRelation,
} from './warehouse-engine.ts';
import { writeSnapshot } from './write-snapshot.ts';
import { rebuildTable, refreshTable, type WriteFacts, type Written, writeView } from './write-table.ts';

/**
 * One build in private clones of the two files.
 *
 *   openBuild → runModels(silver) → runTests(silver) → runModels(gold) → runTests(gold) → finish → (publish)
 *        └────────── any failure, or abort(): the clones go, nobody has seen them ───────────┘
 */

export interface BuildOptions {
  readonly project: CompiledProject;
  /** Writable clones of the previous release, or names of files to be made. */
  readonly paths: WarehousePaths;
  /** The release the clones were made from. */
  readonly previous: Release | undefined;
  readonly bronze: BronzeSnapshot;
  readonly asOf: AsOf;
  /** Folder of this run alone. */
  readonly workDir: string;
  /** Names of the models to run; the others stay as they are. All when absent. */
  readonly selected?: ReadonlySet<string>;
  /** Test every table whole, whatever the changed rows prove. */
  readonly fullTests?: boolean;
  /** Folder for the failing rows of tests, one file each; they are not kept when absent. */
  readonly failuresDir?: string;
  /** Recompute every selected model, whatever its ledger says. */
  readonly fullRefresh?: boolean;
  /** Snapshots whose history may go: it is read again from bronze's log as far as that goes back. */
  readonly dropHistory?: ReadonlySet<string>;
  readonly limits: BuildLimits;
  readonly log: Log;
  readonly onProgress: OnProgress;
  readonly signal?: AbortSignal;
}

export interface ModelOutcome {
  readonly name: string;
  readonly layer: Layer;
  readonly action: 'view' | 'rebuilt' | 'refreshed' | 'unchanged' | 'not selected' | 'dropped';
  readonly why: string;
  /** Rows of the table afterwards; of a view 0, since its tests count them later. */
  readonly rows: number;
  readonly changedRows: number;
  readonly ms: number;
}

export interface Build {
  /** Brings the layer's models to the snapshot and as_of; drops what the project no longer has. Errors: BUILD_FAILED, CANCELLED, DISK_FULL. */
  runModels(layer: Layer): Promise<readonly ModelOutcome[]>;
  /** Every test of the layer, whatever changed. A failing test does not throw here; finish() refuses. */
  runTests(layer: Layer): Promise<readonly TestResult[]>;
  /** Checkpoints and closes the files: no .wal is left. Errors: TESTS_FAILED when a test of severity error failed. */
  finish(): Promise<ReleaseContent>;
  /** Checkpoints and closes the files, tested or not: for a build that is compared and thrown away. Errors: BUILD_FAILED, DISK_FULL. */
  closeFiles(): Promise<void>;
  /** Closes and removes the clones. */
  abort(): Promise<void>;
}

export async function openBuild(options: BuildOptions): Promise<Build> {
  const { project, paths, previous, bronze, asOf, limits, log, onProgress, signal } = options;
  requireHistoryKept(project, previous, options.dropHistory);
  const db = await openEngine(options);
  const stopListening = interruptOnAbort(db, signal);
  // A seed hands on its changed rows however many they are: it is small, and those who read it may not be.
  const shareOf = ({ materialized }: CompiledModel) => (materialized === 'seed' ? 1 : limits.maxTouchedShare);
  const changes = createChangedRows(db, project, bronze);
  const touchedKeys = createTouchedKeys(db, project, bronze);
  const relations = await listRelations(db);
  // Content written by this build gets the number its release will have: never used before, also after a rollback or a model's return.
  const nextVersion = (previous?.number ?? 0) + 1;
  const states = new Map((previous?.models ?? []).map((state) => [state.name, state]));
  const versions = bronzeVersions(bronze);
  for (const state of states.values()) versions.set(state.name, state.dataVersion);
  const written = new Set<WarehouseFile>();
  const tests = new Map<Layer, readonly TestResult[]>();
  const built = new Set<Layer>();
  let open = true;
  let running: Promise<unknown> = Promise.resolve();
  let wroteGoldMacros = false;

  const close = (): void => {
    if (!open) return;
    open = false;
    stopListening();
    db.close();
  };

  async function runModel(model: CompiledModel): Promise<ModelOutcome> {
    const started = performance.now();
    const state = relations.has(model.name) ? states.get(model.name) : undefined;
    const selected = options.selected?.has(model.name) ?? true;
    const decision: Decision = decideModel({
      model,
      state,
      versions,
      knowsChanges: (input, consumed) => changes.knows(input, consumed),
      countChanges: (input, consumed) => changes.countOf(input, consumed),
      maxTouchedShare: limits.maxTouchedShare,
      asOf,
      fullRefresh: options.fullRefresh ?? false,
      ...(options.dropHistory && { dropHistory: options.dropHistory }),
    });
    onProgress({ stage: model.layer, item: model.name, state: 'started' });
    const step = selected ? await carryOut(model, state, decision) : keep(state, 'not selected', decision.why);
    const outcome = { name: model.name, layer: model.layer, ...step, ms: Math.round(performance.now() - started) };
    const { rows, ms } = outcome;
    const idle = outcome.action === 'unchanged' || outcome.action === 'not selected';
    const note = `${outcome.action}: ${outcome.why}`;
    onProgress({ stage: model.layer, item: model.name, state: idle ? 'skipped' : 'finished', rows, ms, note });
    log.debug({ ...outcome }, 'model run');
    return outcome;
  }

  async function carryOut(
    model: CompiledModel,
    state: ModelState | undefined,
    decision: Decision,
  ): Promise<Pick<ModelOutcome, 'action' | 'why' | 'rows' | 'changedRows'>> {
    const relation = decision.kind === 'unchanged' ? undefined : await describeTable(relations.get(model.name));
    const facts: WriteFacts = { db, model, relation, maxTouchedShare: shareOf(model) };
    if (model.materialized === 'snapshot' && decision.kind !== 'unchanged') {
      const isKept = state?.materialized === 'snapshot' && decision.kind === 'refresh';
      const result = await writeSnapshot({ ...facts, project, bronze, asOf, state: isKept ? state : undefined });
      return report(model, state, result, isKept ? 'refreshed' : 'rebuilt', decision.why);
    }
    switch (decision.kind) {
      case 'unchanged':
        if (state !== undefined) remember(model, state, undefined);
        return keep(state, 'unchanged', decision.why);
      case 'create-view': {
        if (model.layer === 'gold') await writeGoldMacros();
        const result = await writeView(facts);
        remember(model, state, result);
        return { action: 'view', why: decision.why, rows: state?.rows ?? 0, changedRows: 0 };
      }
      case 'rebuild':
        return rebuild({ ...facts, isLarge: decision.isLarge }, state, decision.why);
      case 'refresh': {
        const { refresh } = model;
        if (refresh.kind === 'rebuild' || state === undefined) return rebuild(facts, state, decision.why);
        const inputs = decision.changed.filter((input) => input !== AS_OF);
        const changed = new Map(inputs.map((input) => [input, state.consumed[input] ?? 0]));
        const isMoved = decision.changed.includes(AS_OF) && state.asOf !== undefined;
        const dates = isMoved ? { before: state.asOf, now: asOf } : undefined;
        const refreshFacts = { ...facts, bronze, changes, touchedKeys, changed, dates };
        const refreshing =
          refresh.kind === 'append'
            ? appendRows({ ...refreshFacts, rule: refresh })
            : refreshTable({ ...refreshFacts, rule: refresh });
        const result = await refreshing.catch((error: unknown) => {
          // Rules may be right and DuckDB still refuse the rewritten query; the whole query is the safe way then.
          if (signal?.aborted === true || isSluiceError(error)) throw error;
          log.warn({ model: model.name, error: messageOf(error) }, 'refresh failed, rebuilding');
          return { kind: 'rebuild' as const, why: `the refresh failed: ${firstLine(error)}`, isLarge: false };
        });
        if (result.kind === 'rebuild') {
          return rebuild({ ...facts, isLarge: result.isLarge }, state, `${decision.why}; ${result.why}`);
        }
        return report(model, state, result.written, 'refreshed', decision.why);
      }
      default:
        return decision satisfies never;
    }
  }

  /** Columns are asked for table by table, where they count: DuckDB's list of all of them costs more than a small refresh. */
  async function describeTable(relation: NamedRelation | undefined): Promise<StoredRelation | undefined> {
    if (relation === undefined) return undefined;
    const path = quotePath(relation.layer, 'main', relation.table);
    return { ...relation, columns: relation.kind === 'view' ? [] : await describeQuery(db, `select * from ${path}`) };
  }

  async function rebuild(facts: WriteFacts, state: ModelState | undefined, why: string) {
    return report(facts.model, state, await rebuildTable(facts), 'rebuilt', why);
  }

  function report(
    model: CompiledModel,
    state: ModelState | undefined,
    result: Written,
    action: 'rebuilt' | 'refreshed',
    why: string,
  ): Pick<ModelOutcome, 'action' | 'why' | 'rows' | 'changedRows'> {
    if (result.changed) {
      const { rows, changedRows, changes: relation } = result;
      changes.record(model.name, { before: state?.dataVersion ?? 0, relation, rows, changedRows });
    }
    remember(model, state, result);
    const { rows, changedRows, note } = result;
    return {
      action: result.changed ? action : 'unchanged',
      why: note === undefined ? why : `${why}; ${note}`,
      rows,
      changedRows,
    };
  }

  /** Writes the model's ledger: what it has consumed, and a new data version when its content changed. */
  function remember(model: CompiledModel, state: ModelState | undefined, result: Written | undefined): void {
    const changed = result?.changed ?? false;
    if (changed) {
      written.add(model.layer);
      const kind = model.materialized === 'view' ? 'view' : 'table';
      relations.set(model.name, { layer: model.layer, table: model.table, kind });
    }
    const dataVersion = changed || state === undefined ? nextVersion : state.dataVersion;
    versions.set(model.name, dataVersion);
    states.set(model.name, {
      name: model.name,
      materialized: model.materialized,
      fingerprint: model.fingerprint,
      shape: storedShape(model.shape),
      dataVersion,
      consumed: Object.fromEntries(model.inputs.map((input) => [input, versions.get(input) ?? 0])),
      ...(model.reachesAsOf ? { asOf } : {}),
      rows: model.materialized === 'view' ? (state?.rows ?? 0) : (result?.rows ?? state?.rows ?? 0),
      columns: result?.columns ?? state?.columns ?? [],
    });
  }

  /** Gold is read alone: the macros its views call live in the file, as_of() with this run's date. */
  async function writeGoldMacros(): Promise<void> {
    if (wroteGoldMacros) return;
    wroteGoldMacros = true;
    for (const macro of [asOfMacro(asOf), ...project.macros]) {
      await db.run(createMacroSql(macro, { catalog: 'gold' }));
    }
  }

  async function dropRemoved(layer: Layer): Promise<ModelOutcome[]> {
    const kept = new Set(project.models.map((model) => model.name));
    const outcomes: ModelOutcome[] = [];
    for (const [name, relation] of relations) {
      if (relation.layer !== layer || kept.has(name)) continue;
      await dropRelation(db, relation);
      written.add(layer);
      relations.delete(name);
      states.delete(name);
      outcomes.push({
        name,
        layer,
        action: 'dropped',
        why: 'no longer in the project',
        rows: 0,
        changedRows: 0,
        ms: 0,
      });
    }
    return outcomes;
  }

  return {
    async runModels(layer) {
      const outcomes = await guard('dropping removed models', undefined, () => dropRemoved(layer));
      for (const model of project.models) {
        if (model.layer !== layer) continue;
        outcomes.push(await guard(model.name, model, () => runModel(model)));
      }
      built.add(layer);
      return outcomes;
    },

    async runTests(layer) {
      const results: TestResult[] = [];
      const fullTests = options.fullTests === true || options.fullRefresh === true;
      const history = createTestHistory({ project, previous, states, bronze, changes, asOf, fullTests });
      const testing = { db, history, asOf, failuresDir: options.failuresDir };
      for (const model of project.models) {
        const state = states.get(model.name);
        if (model.layer !== layer || state === undefined) continue;
        const run = await guard(`the tests of ${model.name}`, model, () => runModelTests(testing, model));
        states.set(model.name, { ...state, rows: run.rows ?? state.rows });
        results.push(...run.results);
        reportTests(onProgress, model.name, run.results);
      }
      for (const test of project.sqlTests.filter((candidate) => candidate.layer === layer)) {
        const result = await guard(test.name, undefined, () => runSqlTest(testing, test));
        results.push(result);
        reportTests(onProgress, test.name, [result]);
      }
      tests.set(layer, results);
      return results;
    },

    async finish() {
      const missing = LAYERS.filter((layer) => !built.has(layer) || !tests.has(layer));
      if (missing.length > 0) {
        throw new SluiceError('INTERNAL', `The build cannot finish: ${missing.join(', ')} was not built and tested.`);
      }
      const results = LAYERS.flatMap((layer) => tests.get(layer) ?? []);
      assertTestsPassed(results);
      await closeFiles();
      const kept = project.models.flatMap((model) => states.get(model.name) ?? []);
      if (written.has('gold')) await checkGoldAlone(paths.gold, project, relations);
      return {
        format: 1,
        asOf,
        commits: bronze.commits,
        models: kept,
        datasets: toDatasets(project, states),
        declarations: project.declarations,
        tests: results,
      };
    },

    closeFiles,

    async abort() {
      await stopRunning();
      close();
      const leftovers = WAREHOUSE_FILES.flatMap((file) => [paths[file], `${paths[file]}.wal`]);
      await Promise.all(
        [...leftovers, join(options.workDir, 'spill')].map((path) => rm(path, { recursive: true, force: true })),
      );
    },
  };

  async function closeFiles(): Promise<void> {
    await guard('closing the warehouse', undefined, async () => {
      for (const file of WAREHOUSE_FILES) {
        if (written.has(file)) await db.run(`checkpoint ${quoteIdentifier(file)}`);
        await db.run(`detach ${quoteIdentifier(file)}`);
      }
    });
    close();
    await Promise.all(WAREHOUSE_FILES.map((file) => requireNoLog(paths[file])));
  }

  /** A file must not be closed under a running query: it is interrupted and waited for. */
  async function stopRunning(): Promise<void> {
    if (!open) return;
    const timer = setInterval(() => db.connection.interrupt(), 50);
    await running.catch(() => undefined);
    clearInterval(timer);
  }

  /** Turns what DuckDB throws into BUILD_FAILED with the model's file, and an interrupted query into CANCELLED. */
  async function guard<T>(subject: string, model: CompiledModel | undefined, work: () => Promise<T>): Promise<T> {
    if (!open) throw new SluiceError('INTERNAL', `The build is closed; ${subject} cannot run.`);
    try {
      signal?.throwIfAborted();
      const result = work();
      running = result;
      return await result;
    } catch (error) {
      if (signal?.aborted === true) {
        throw new SluiceError('CANCELLED', `The build was cancelled at ${subject}; the last release stands.`, {
          cause: error,
        });
      }
      if (isSluiceError(error)) throw error;
      if (model !== undefined)
        onProgress({ stage: model.layer, item: model.name, state: 'failed', note: firstLine(error) });
      throw buildFailed(subject, model, error);
    }
  }
}

function keep(state: ModelState | undefined, action: 'unchanged' | 'not selected', why: string) {
  return { action, why, rows: state?.rows ?? 0, changedRows: 0 };
}

async function dropRelation(db: DuckDb, { kind, layer, table }: NamedRelation): Promise<void> {
  await db.run(`drop ${kind} ${quotePath(layer, 'main', table)}`);
}

/** Interrupts until closed: DuckDB forgets an interrupt that comes just before a query begins. */
function interruptOnAbort(db: DuckDb, signal: AbortSignal | undefined): () => void {
  let timer: NodeJS.Timeout | undefined;
  const interrupt = (): void => {
    db.connection.interrupt();
    timer ??= setInterval(() => db.connection.interrupt(), 50);
  };
  signal?.addEventListener('abort', interrupt);
  return () => {
    signal?.removeEventListener('abort', interrupt);
    clearInterval(timer);
  };
}

function reportTests(onProgress: OnProgress, item: string, results: readonly TestResult[]): void {
  if (results.length === 0) return;
  const bad = results.filter((result) => result.status !== 'pass');
  const note = bad.map((result) => `${result.name} ${result.status}`).join(', ') || `${results.length} passed`;
  const failed = bad.some((result) => result.status !== 'warn');
  onProgress({ stage: 'test', item, state: failed ? 'failed' : 'finished', note });
}
