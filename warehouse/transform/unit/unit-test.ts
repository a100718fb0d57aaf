import type { TableContract } from '../../core/bronze-table.ts';
import type { SourceLocation } from '../source-location.ts';

/** A unit test of models as read from sql/unit/<name>/: rows in, rows out, in one run of the engine or several. */

/** A cell as written: NULL, the text of a value, or the JSON of a list or struct. */
export type Cell = null | string | { readonly json: string };

export interface WrittenRow {
  readonly at: SourceLocation;
  readonly cells: ReadonlyMap<string, Cell>;
}

/** Rows as a file or a YAML list states them: text that is cast to the table's own types. */
export interface WrittenRows {
  readonly at: SourceLocation;
  /** Columns named by the head of a CSV file, or by any row of a list, with the type stated for them. */
  readonly columns: readonly { readonly name: string; readonly type?: string; readonly at: SourceLocation }[];
  readonly rows: readonly WrittenRow[];
}

/** What happens to an input before a run: it becomes these rows, or these rows come, change and go. */
export type GivenChange =
  | { readonly kind: 'rows'; readonly rows: WrittenRows }
  | {
      readonly kind: 'changes';
      readonly at: SourceLocation;
      readonly insert?: WrittenRows;
      readonly update?: WrittenRows;
      readonly delete?: WrittenRows;
    };

export type RunAction = 'view' | 'rebuilt' | 'refreshed' | 'unchanged';

/** One run of the engine: what changes before it, what must stand after it. */
export interface UnitStep {
  /** `given` for the first run of a test with steps, else `step 1` and so on. */
  readonly label: string;
  readonly at: SourceLocation;
  readonly asOf: string;
  readonly given: ReadonlyMap<string, GivenChange>;
  /** Columns of bronze tables from this run on. */
  readonly bronze: ReadonlyMap<string, TableContract>;
  /** SQL files of the project that read differently from this run on: path → text. */
  readonly files: ReadonlyMap<string, string>;
  /** Model → rows it must hold afterwards. */
  readonly expect: ReadonlyMap<string, WrittenRows>;
  /** Model → what the run must do to it; held against runs in mode increment only. */
  readonly actions: ReadonlyMap<string, { readonly action: RunAction; readonly at: SourceLocation }>;
  /** Tests that must fail in this run, with rows that must be among those kept; nothing is published then. */
  readonly fails: ReadonlyMap<string, { readonly at: SourceLocation; readonly rows?: WrittenRows }>;
}

export const UNIT_MODES = ['increment', 'rebuild'] as const;
export type UnitMode = (typeof UNIT_MODES)[number];

export interface UnitTest {
  /** Folder below sql/unit. */
  readonly name: string;
  /** sql/unit/<name>/test.yaml */
  readonly file: string;
  readonly description: string;
  /** The ways the steps are run, one after the other; both must meet the expectations. */
  readonly modes: readonly UnitMode[];
  /** Models to build besides those that are expected. */
  readonly models: readonly { readonly name: string; readonly at: SourceLocation }[];
  /** False: the tests of the models are not run. */
  readonly runsTests: boolean;
  /** Model → rows that stand in its table when the first step begins. */
  readonly existing: ReadonlyMap<string, WrittenRows>;
  readonly steps: readonly UnitStep[];
}
