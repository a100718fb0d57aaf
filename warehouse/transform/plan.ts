import type { AsOf, BronzeSnapshot, BronzeTable } from '../core/bronze-table.ts';
import type { ModelState, Release } from '../core/release.ts';
import { bronzeVersions, decideModel } from './build/decide-model.ts';
import { requireHistoryKept } from './kept-history.ts';
import type { CompiledModel, CompiledProject, Layer, Materialization } from './model.ts';
import { selectModels } from './select.ts';

/** What a build will do and why, before it does it: a pure function that decides with the build's own decideModel(). */

export interface PlanOptions {
  readonly project: CompiledProject;
  readonly previous: Release | undefined;
  readonly bronze: BronzeSnapshot;
  readonly asOf: AsOf;
  /** Selectors as selectModels() takes them; all models when absent or empty. */
  readonly select?: readonly string[];
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
}

export interface Plan {
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
}

/** Errors: MODEL_SELECT_UNKNOWN, SNAPSHOT_HISTORY. */
export function planBuild(options: PlanOptions): Plan {
  const { project, previous, bronze, asOf, fullRefresh = false } = options;
  const selected = selectModels(project.models, options.select);
  requireHistoryKept(project, previous, options.dropHistory);
  const states = new Map((previous?.models ?? []).map((state) => [state.name, state]));
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
      asOf,
      fullRefresh,
      ...(options.dropHistory && { dropHistory: options.dropHistory }),
    });
    const changes = changesOf(model, state, { versions, tables, running });
    const facts = { model: model.name, layer: model.layer, materialized: model.materialized, changes };
    if (decision.kind === 'unchanged') return { ...facts, action: 'unchanged', why: decision.why };
    if (!selected.has(model.name)) return { ...facts, action: 'not selected', why: decision.why };
    running.add(model.name);
    // Until the build has compared its rows, whoever reads the model must expect a change.
    versions.set(model.name, next);
    const action = decision.kind === 'create-view' ? 'view' : decision.kind;
    const isPending = changes.length > 0 && changes.every((change) => change.pending === true);
    const isOwn = fullRefresh || state?.fingerprint !== model.fingerprint || (model.reachesAsOf && state.asOf !== asOf);
    return {
      ...facts,
      action,
      why: isPending && !isOwn ? `if changed: ${changes.map(({ input }) => input).join(', ')}` : decision.why,
    };
  });
  const kept = new Set(project.models.map(({ name }) => name));
  const drops = [...states.values()].flatMap((state): PlanStep[] => (kept.has(state.name) ? [] : [dropOf(state)]));
  const all = [...steps, ...drops];
  const toRun = all.filter(({ action }) => action !== 'unchanged' && action !== 'not selected').length;
  const declarationsChanged = previous !== undefined && previous.declarations !== project.declarations;
  // A newer as_of is a release of its own even where no model asks for it: readers are told how far the figures go.
  const needed = toRun > 0 || declarationsChanged || previous === undefined || previous.asOf !== asOf;
  return { asOf, steps: all, toRun, declarationsChanged, needed, selected };
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
