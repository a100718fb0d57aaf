import type { Dataset, Owner } from '../core/dataset.ts';
import type { ModelShape } from './plan/model-shape.ts';
import type { SourceLocation } from './source-location.ts';

/** The compiler's plain data: parse → graph → compile → plan. Nothing here touches DuckDB. */

export const LAYERS = ['silver', 'gold'] as const;
export type Layer = (typeof LAYERS)[number];

/** What a header may ask for. */
export const MATERIALIZATIONS = ['view', 'table', 'incremental', 'snapshot'] as const;
/** A seed is a table whose rows stand in a CSV file of the project. */
export type Materialization = (typeof MATERIALIZATIONS)[number] | 'seed';

export const HARD_DELETES = ['close', 'ignore', 'new_record'] as const;

/** How a snapshot tells a new version of a row from the one it has. */
export interface SnapshotRule {
  /** What identifies a row of the SELECT. The model's own key is this and valid_from. */
  readonly key: readonly string[];
  readonly change:
    | { readonly kind: 'timestamp'; readonly updatedAt: string }
    | { readonly kind: 'check'; readonly columns: readonly string[] | 'all' };
  readonly hardDeletes: (typeof HARD_DELETES)[number];
  /** valid_to of current versions; NULL when absent. */
  readonly openEnd?: string;
}

export type Severity = 'error' | 'warn';

/** How many failures are too many: a number of rows, or a share of the rows tested in percent. */
export interface Threshold {
  readonly operator: '>' | '>=' | '=' | '!=' | '<' | '<=';
  readonly value: number;
  readonly isShare: boolean;
}

/** A span of time as written, e.g. 36 hours. */
export interface Age {
  readonly text: string;
  readonly minutes: number;
}

/** One test of a model, as declared in its header. */
export type ModelTest = {
  readonly name: string;
  readonly severity: Severity;
  readonly at: SourceLocation;
  /** SQL that picks the rows the test is about; all of them when absent. */
  readonly where?: string;
  /** Failures that are a warning, an error; any at all when absent. */
  readonly warnIf?: Threshold;
  readonly errorIf?: Threshold;
  /** Its verdict on a row may change while the row does not: it asks as_of(), another row or another table by SQL of its own. */
  readonly beyondRow?: true;
} & (
  | { readonly kind: 'not_null'; readonly column: string }
  | { readonly kind: 'unique'; readonly columns: readonly string[] }
  | {
      readonly kind: 'accepted_values';
      readonly column: string;
      readonly values: readonly (string | number | boolean)[];
    }
  | { readonly kind: 'relationships'; readonly column: string; readonly to: string; readonly toColumn: string }
  | { readonly kind: 'range'; readonly column: string; readonly min?: string; readonly max?: string }
  | { readonly kind: 'expression'; readonly sql: string }
  | { readonly kind: 'row_count'; readonly min?: number; readonly max?: number }
  | { readonly kind: 'freshness'; readonly column: string; readonly warnAfter?: Age; readonly errorAfter?: Age }
);

export interface ModelColumn {
  readonly name: string;
  readonly type?: string;
  readonly description?: string;
  readonly at: SourceLocation;
}

/** A file sql/<layer>/<domain>/<table>.sql, read but not yet bound. */
export interface Model {
  /** silver.<table> or gold.<table>. */
  readonly name: string;
  readonly layer: Layer;
  readonly table: string;
  readonly domain: string;
  /** Path relative to the project, with `/`. */
  readonly file: string;
  readonly description: string;
  readonly materialized: Materialization;
  readonly key: readonly string[];
  /** Terms of ORDER BY that decide which of several result rows of one key is kept; absent: several rows of one key stop the run. */
  readonly winner?: string;
  /** snapshot only. */
  readonly snapshot?: SnapshotRule;
  /** incremental only: the columns whose touched values are recomputed; the key when not given. */
  readonly incrementalBy: readonly string[];
  /** `incremental: append`: rows are added, and those written never change. */
  readonly appends: boolean;
  readonly columns: readonly ModelColumn[];
  readonly tests: readonly ModelTest[];
  readonly owner?: Owner;
  /** The header's dataset block; columns are filled in when the model is bound. */
  readonly dataset?: Omit<Dataset, 'columns'>;
  readonly tags: readonly string[];
  readonly asOf?: { readonly kind: 'recompute' } | { readonly kind: 'appends'; readonly column: string };
  /** The SELECT, without the header and without a trailing semicolon; `bodyAt` is where it begins in the file. */
  readonly sql: string;
  readonly bodyAt: SourceLocation;
}

/** A model with its place in the graph and its bound columns. */
export interface CompiledModel extends Model {
  /** silver.x, gold.x, bronze.<source>.<table>, bronze_log.<source>.<table>: sorted, without repeats. */
  readonly dependencies: readonly string[];
  readonly boundColumns: readonly { readonly name: string; readonly type: string }[];
  readonly fingerprint: string;
  /** What its rows and each column are made of. */
  readonly shape: ModelShape;
  /**
   * What its content is a function of, views looked through: bronze and bronze_log tables and models that are not views. Sorted.
   * A change of one of these (or of as_of, or of the fingerprint) is the only thing that can change the model.
   */
  readonly inputs: readonly string[];
  /** True when its SQL itself calls as_of(), directly or through a macro. */
  readonly usesAsOf: boolean;
  /** True when it calls as_of() or reads a view that does: its own content moves with the logical date. */
  readonly reachesAsOf: boolean;
  /** How a change upstream becomes a change here. */
  readonly refresh: RefreshRule;
}

/**
 * partition: the values of `by` in every row that a change of an input may reach can be derived from the changed rows (warehouse/transform/delta),
 * and those partitions alone are computed again.
 */
export type RefreshRule =
  | {
      readonly kind: 'partition';
      readonly by: readonly string[];
      /** Input (or `as_of()`) → its columns that the query reads: what the changed rows must carry. Inputs not named here force a rebuild when they change. */
      readonly reads: Readonly<Record<string, readonly string[]>>;
      /** The other inputs, and why a change of them cannot be traced. */
      readonly others: Readonly<Record<string, string>>;
      /** Input → its columns that carry `by`, once per way it is read: of these `touchedSql` reads the touched partitions only. */
      readonly cut: Readonly<Record<string, readonly (readonly string[])[]>>;
      /**
       * The query cut down to the partitions in the temporary table TOUCHED_TABLE (columns = `by`, of the model's own types): exactly the
       * model's rows of the touched partitions, its columns in order.
       */
      readonly touchedSql: string;
    }
  /** New rows of its inputs make new rows of the model, and nothing else does. A row that changes or goes forces a rebuild. */
  | {
      readonly kind: 'append';
      /** As above: every input. */
      readonly reads: Readonly<Record<string, readonly string[]>>;
      readonly others: Readonly<Record<string, string>>;
    }
  | { readonly kind: 'rebuild'; readonly why: string };

/** Name of the temporary table of touched partitions that `touchedSql` reads. */
export const TOUCHED_TABLE = '_sluice_touched';

export interface Macro {
  readonly name: string;
  readonly parameters: readonly string[];
  readonly file: string;
  /** A whole statement: create or replace macro <name>(…) as (…). createMacroSql() puts it into the connection or a file. */
  readonly sql: string;
}

/** A file of sql/tests: every row it selects is a failure. */
export interface SqlTest {
  /** tests.<file name> */
  readonly name: string;
  readonly file: string;
  readonly description: string;
  readonly severity: Severity;
  readonly warnIf?: Threshold;
  readonly errorIf?: Threshold;
  /** True when nothing but the rows it reads decides what it finds: no as_of(), no macro of the project. */
  readonly isSteady: boolean;
  /** gold when it reads any gold table: run after gold is built; else after silver. */
  readonly layer: Layer;
  readonly dependencies: readonly string[];
  readonly sql: string;
  readonly bodyAt: SourceLocation;
}

export interface CompiledProject {
  /** In build order: every model after those it depends on. */
  readonly models: readonly CompiledModel[];
  /** In the order in which they must be created; as_of() comes before them and is made per run. */
  readonly macros: readonly Macro[];
  readonly sqlTests: readonly SqlTest[];
  /** Hash of tests, owners, datasets and descriptions; the models' content is not in it. */
  readonly declarations: string;
}
