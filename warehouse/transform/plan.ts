import type { AsOf, BronzeSnapshot, BronzeTable } from '../core/bronze-table.ts';
import { SluiceError } from '../core/errors.ts';
import type { ModelState, Release } from '../core/release.ts';
import { countBronzeChanges } from './build/changed-rows.ts';
import { bronzeVersions, decideModel } from './build/decide-model.ts';
import { requireHistoryKept } from './kept-history.ts';
import type { CompiledModel, CompiledProject, Layer, Materialization } from './model.ts';
import { type ColumnChange, changeOf, UNCHANGED } from './plan/column-changes.ts';
import { type PlanFacts, planFacts, planId } from './plan/plan-facts.ts';
import { followChange } from './plan/reach-of-change.ts';
import { selectModels } from './select.ts';

/** What a build will do and why, before it does it: a pure function that decides with the build's own decideModel(). */

export interface PlanOptions {
  readonly project: CompiledProject;
  readonly previous: Release | undefined;
  readonly bronze: BronzeSnapshot;
  readonly asOf: AsOf;
  /** Selectors as selectModels() takes them; all models when absent or empty. */
  readonly select?: readonly string[];
  /** Selectors of models that are left out. */
  readonly exclude?: readonly string[];
  /** Recompute every selected model. */
  readonly fullRefresh?: boolean;
  /** Snapshots whose history may go. */
  readonly dropHistory?: ReadonlySet<string>;
}

/** One input that a model has not consumed yet. */
export interface PlanChange {
  readonly input: string;
  /** Version consumed and version now; commits of a bronze table, data versions of a model. 0: never. */
  readonly from: number;
  readonly to: number;
  /** Bronze only: commits since, and the rows they carry. */
  readonly commits?: number;
  readonly rows?: number;
  /** True for a model that will run in this build: whether its rows change is known only then. */
  readonly pending?: true;
}

export interface PlanStep {
  readonly model: string;
  readonly layer: Layer;
  readonly materialized: Materialization | 'gone';
  /** `unchanged` and `not selected` do nothing. A step of which every change is pending may turn out unchanged. */
  readonly action: 'view' | 'rebuild' | 'refresh' | 'unchanged' | 'not selected' | 'drop';
  readonly why: string;
  readonly changes: readonly PlanChange[];
  /** What its definition is to that of the release. `affected`: only what it reads changed; `none` may still have new input. */
  readonly impact: 'added' | 'changed' | 'affected' | 'removed' | 'none';
  /** True when somebody reads a column that will be gone, have another name or another type. */
  readonly breaking: boolean;
  /** True when a change of definition may bring other rows; false when it is known to leave them. */
  readonly otherRows: boolean;
  readonly columns: readonly ColumnChange[];
  /** Columns and tables it reads through which a change of definition reaches it. */
  readonly through: readonly string[];
  /** Rows it will compute, by what the release and bronze's commits tell; absent when nothing is known. */
  readonly estimatedRows?: number;
}

export interface Plan {
  /** Equal for builds that do the same; `facts` say what it stands for. */
  readonly id: string;
  readonly facts: PlanFacts;
  readonly asOf: AsOf;
  /** In build order; models that the project no longer has come last, as drops. */
  readonly steps: readonly PlanStep[];
  /** Steps that do something. */
  readonly toRun: number;
  /** True when tests, owners, datasets or descriptions are not those of the release: a build tests and publishes even where no step runs. */
  readonly declarationsChanged: boolean;
  /** False: the release holds all of this already, and a build would publish nothing. */
  readonly needed: boolean;
  readonly selected: ReadonlySet<string>;
  /** Models below a changed one that read nothing of what changed. */
  readonly spared: readonly string[];
}

/** Errors: MODEL_SELECT_UNKNOWN, MODEL_SELECT_INCOMPLETE, SNAPSHOT_HISTORY. */
export function planBuild(options: PlanOptions): Plan {
  const { project, previous, bronze, asOf, fullRefresh = false } = options;
  requireHistoryKept(project, previous, options.dropHistory);
  const states = new Map((previous?.models ?? []).map((state) => [state.name, state]));
  const selected = selectModels(project.models, options.select, {
    ...(options.exclude && { exclude: options.exclude }),
    known: states,
  });
  const readersOf = indexReaders(project.models);
  const definitions = new Map(
    project.models.map((model) => [
      model.name,
      changeOf(model, states.get(model.name), (column) => readersOf().get(`${model.name}.${column}`) ?? []),
    ]),
  );
  const { reached, spared } = followChange(project.models, definitions);
  const estimates = new Map<string, number>();
  const tables = new Map(bronze.tables.map((table) => [`${table.source}.${table.table}`, table]));
  const versions = bronzeVersions(bronze);
  for (const state of states.values()) versions.set(state.name, state.dataVersion);
  const next = (previous?.number ?? 0) + 1;
  const running = new Set<string>();
  const steps = project.models.map((model): PlanStep => {
    const state = states.get(model.name);
    const decision = decideModel({
      model,
      state,
      versions,
      knowsChanges: (input, consumed) => running.has(input) || isKnown(tables.get(tableOf(input)), consumed),
      countChanges: (input, consumed) => countBronzeChanges(tables.get(tableOf(input)), consumed),
      asOf,
      fullRefresh,
      ...(options.dropHistory && { dropHistory: options.dropHistory }),
    });
    const changes = changesOf(model, state, { versions, tables, running });
    const definition = definitions.get(model.name) ?? UNCHANGED;
    const reach = reached.get(model.name);
    const impact =
      definition.kind === 'through' || (definition.kind === 'none' && reach !== undefined)
        ? 'affected'
        : definition.kind;
    const facts = {
      model: model.name,
      layer: model.layer,
      materialized: model.materialized,
      changes,
      impact,
      breaking: definition.columns.some((column) => column.breaking),
      otherRows: reach?.rows ?? false,
      columns: definition.columns,
      through: reach?.through ?? [],
    } as const;
    if (decision.kind === 'unchanged') return { ...facts, action: 'unchanged', why: decision.why };
    if (!selected.has(model.name)) return { ...facts, action: 'not selected', why: decision.why };
    running.add(model.name);
    // Until the build has compared its rows, whoever reads the model must expect a change.
    versions.set(model.name, next);
    const action = decision.kind === 'create-view' ? 'view' : decision.kind;
    const estimatedRows = estimateRows(action, state, changes, estimates);
    if (estimatedRows !== undefined) estimates.set(model.name, estimatedRows);
    const isPending = changes.length > 0 && changes.every((change) => change.pending === true);
    const isOwn = fullRefresh || state?.fingerprint !== model.fingerprint || (model.reachesAsOf && state.asOf !== asOf);
    return {
      ...facts,
      ...(estimatedRows !== undefined && { estimatedRows }),
      action,
      why: isPending && !isOwn ? `if changed: ${changes.map(({ input }) => input).join(', ')}` : decision.why,
    };
  });
  requireWhatIsRead(project.models, steps, new Set(states.keys()));
  const kept = new Set(project.models.map(({ name }) => name));
  const drops = [...states.values()].flatMap((state): PlanStep[] => (kept.has(state.name) ? [] : [dropOf(state)]));
  const all = [...steps, ...drops];
  const toRun = all.filter(({ action }) => action !== 'unchanged' && action !== 'not selected').length;
  const declarationsChanged = previous !== undefined && previous.declarations !== project.declarations;
  // A newer as_of is a release of its own even where no model asks for it: readers are told how far the figures go.
  const needed = toRun > 0 || declarationsChanged || previous === undefined || previous.asOf !== asOf;
  const facts = planFacts({ project, previous, bronze, asOf, selected, fullRefresh });
  return { id: planId(facts), facts, asOf, steps: all, toRun, declarationsChanged, needed, selected, spared };
}

/** Column → the models that read it; made when the first change asks. */
function indexReaders(models: readonly CompiledModel[]): () => ReadonlyMap<string, readonly string[]> {
  let index: Map<string, string[]> | undefined;
  return () => {
    if (index !== undefined) return index;
    index = new Map();
    for (const { name, shape } of models) {
      for (const column of new Set([...shape.reads.rows, ...Object.values(shape.reads.columns).flat()])) {
        index.set(column, [...(index.get(column) ?? []), name]);
      }
    }
    return index;
  };
}

/** A view is part of the query that reads it, so its old SQL must not stand below a model that is taken for new. Errors: MODEL_SELECT_INCOMPLETE. */
function requireWhatIsRead(
  models: readonly CompiledModel[],
  steps: readonly PlanStep[],
  known: ReadonlySet<string>,
): void {
  const byName = new Map(models.map((model) => [model.name, model]));
  const left = new Map(steps.flatMap((step) => (step.action === 'not selected' ? [[step.model, step] as const] : [])));
  const lacking = (model: CompiledModel): readonly string[] =>
    model.dependencies.flatMap((name) => {
      const upstream = byName.get(name);
      if (upstream === undefined) return [];
      const isView = upstream.materialized === 'view';
      const step = left.get(name);
      const isStale = step !== undefined && (isView ? step.impact !== 'none' : !known.has(name));
      return [...(isStale ? [name] : []), ...(isView ? lacking(upstream) : [])];
    });
  for (const step of steps) {
    const model = byName.get(step.model);
    if (model === undefined || step.action === 'unchanged' || step.action === 'not selected') continue;
    const [missing] = lacking(model);
    if (missing === undefined) continue;
    const why = known.has(missing) ? 'changed' : 'was never built';
    throw new SluiceError(
      'MODEL_SELECT_INCOMPLETE',
      `${model.name} is to be built, but ${missing}, which it reads, ${why} and is not selected.`,
      { remedy: `Select it too: --select ${model.name} ${missing}, or +${model.name} for all it reads.` },
    );
  }
}

/** A rebuild writes what the table holds; a refresh what came in. */
function estimateRows(
  action: PlanStep['action'],
  state: ModelState | undefined,
  changes: readonly PlanChange[],
  estimates: ReadonlyMap<string, number>,
): number | undefined {
  if (action === 'rebuild') return state?.rows;
  if (action !== 'refresh') return undefined;
  return changes.reduce((sum, { input, rows }) => sum + (rows ?? estimates.get(input) ?? 0), 0);
}

function dropOf(state: ModelState): PlanStep {
  const layer = state.name.startsWith('gold.') ? 'gold' : 'silver';
  return {
    model: state.name,
    layer,
    materialized: 'gone',
    action: 'drop',
    why: 'the project no longer has it',
    changes: [],
    impact: 'removed',
    breaking: layer === 'gold',
    otherRows: false,
    columns: [],
    through: [],
  };
}

function tableOf(input: string): string {
  return input.slice(input.indexOf('.') + 1);
}

function isKnown(table: BronzeTable | undefined, consumed: number): boolean {
  return table !== undefined && consumed >= table.replacedAt && consumed <= table.lastCommit;
}

function changesOf(
  model: CompiledModel,
  state: ModelState | undefined,
  facts: {
    readonly versions: ReadonlyMap<string, number>;
    readonly tables: ReadonlyMap<string, BronzeTable>;
    readonly running: ReadonlySet<string>;
  },
): readonly PlanChange[] {
  // A view has nothing to consume, and a new model consumes everything.
  if (state === undefined || model.materialized === 'view') return [];
  return model.inputs.flatMap((input): PlanChange[] => {
    const from = state.consumed[input] ?? 0;
    const to = facts.versions.get(input) ?? 0;
    if (from === to) return [];
    if (!input.startsWith('bronze'))
      return [{ input, from, to, ...(facts.running.has(input) && { pending: true as const }) }];
    const files = (facts.tables.get(tableOf(input))?.files ?? []).filter((file) => file.commit > from);
    const commits = new Set(files.map((file) => file.commit)).size;
    return [{ input, from, to, commits, rows: files.reduce((sum, file) => sum + file.rows, 0) }];
  });
}
