import type { AsOf } from '../warehouse/core/bronze-table.ts';
import type { TestResult } from '../warehouse/core/release.ts';
import type { TableOutcome } from '../warehouse/extract/index.ts';

/** What the pipeline may ask for. Requests and results are small plain JSON: manifests and counts, never rows. */

export interface ExtractRequest {
  /** Business key of the run, for logs. */
  readonly runKey: string;
  /** Sources by name; all when absent. */
  readonly sources?: readonly string[];
}

/** What became of one table. */
export type TableReport = Omit<TableOutcome, 'how' | 'next'>;

export interface ExtractReport {
  readonly tables: readonly TableReport[];
  /** Number of the last commit per source after this batch. */
  readonly commits: Readonly<Record<string, number>>;
  /** ISO instant of the Postgres snapshot that every table was read at. */
  readonly snapshotAt: string;
  readonly ms: number;
}

export interface OpenBuildRequest {
  readonly runKey: string;
  readonly asOf: AsOf;
  /** Model selectors; all when absent. */
  readonly select?: readonly string[];
  /** Selectors of models that are left out. */
  readonly exclude?: readonly string[];
  /** Do what the plan of this id said or nothing. */
  readonly planId?: string;
  /** Keep the result under this name, where no reader looks, instead of publishing it. */
  readonly privateName?: string;
  /** Rebuild every selected model from bronze instead of refreshing it. */
  readonly fullRefresh?: boolean;
  /** Test every table whole, also where nothing changed. */
  readonly fullTests?: boolean;
  /** Snapshots whose history may go. */
  readonly dropHistory?: readonly string[];
  /** Sign of life of the build that this one waits for; `isDead` when it has stood so long that nobody can be at work. */
  readonly waitingFor?: { readonly sign: string; readonly isDead: boolean };
}

export interface BuildHandle {
  readonly buildId: string;
  /** False when the current release already holds all of this: nothing was opened. */
  readonly needed: boolean;
  /** Models that will run. */
  readonly toRun: number;
  readonly total: number;
  /** The release that stood when the build was opened; absent before the first one, and in histories of older runs. */
  readonly standing?: StandingRelease;
  /** Another build is under way: nothing was opened, ask again later. */
  readonly busy?: { readonly sign: string; readonly holder: string; readonly since: string };
}

export type StandingRelease = Pick<ReleaseReport, 'number' | 'version' | 'asOf' | 'bytes'>;

export interface ModelReport {
  readonly name: string;
  readonly action: string;
  readonly why: string;
  /** Rows of the table after the step. */
  readonly rows: number;
  readonly changedRows: number;
  readonly ms: number;
}

export interface ReleaseReport {
  /** Of a private release: its name. Its number is the one it will have once it is promoted. */
  readonly privateName?: string;
  readonly number: number;
  readonly version: string;
  readonly asOf: AsOf;
  readonly bytes: number;
  readonly newBytes: number;
  readonly ms: number;
}

export interface LayerRequest {
  readonly buildId: string;
  readonly layer: 'silver' | 'gold';
}

export interface PrepareRequest {
  readonly steps: 'all' | 'extract' | 'build';
  /** Logical date, where the run has one already. */
  readonly asOf?: AsOf;
  readonly sources?: readonly string[];
  readonly select?: readonly string[];
  readonly exclude?: readonly string[];
}

export interface PreparedRun {
  readonly asOf: AsOf;
  /** The sources that will be read, by name. */
  readonly sources: readonly string[];
}

/** Values of one column, both ends inclusive, written as Postgres reads them; no end means to the last row. */
export interface BackfillRange {
  /** Keys, or values of a column; keys when absent. */
  readonly by?: 'key' | 'column';
  /** With `by: column`: which one; the table's cursor when absent. */
  readonly column?: string;
  readonly from?: string;
  readonly to?: string;
}

export interface BackfillRequest {
  readonly runKey: string;
  readonly source: string;
  readonly table: string;
  readonly range: BackfillRange;
  /** Where the slice before ended: this one begins behind it. */
  readonly after?: string;
  readonly maxRows: number;
}

export interface BackfillReport {
  readonly rowsRead: number;
  readonly inserted: number;
  readonly updated: number;
  readonly deleted: number;
  /** Where the slice ended; null when nothing of the range is left. */
  readonly next: string | null;
  readonly note?: string;
  readonly ms: number;
}

/** What only a run on a server asks for, around the pipeline. */
export interface ServerActivities {
  /** Throws USAGE or MODEL_SELECT_UNKNOWN for what the project does not have. */
  prepare(request: PrepareRequest): Promise<PreparedRun>;
  /** Reads one slice of a table again and commits the differences; the watermark stays. */
  backfillSlice(request: BackfillRequest): Promise<BackfillReport>;
}

/** The steps of a run. Each may be called again with the same request without doing harm. */
export interface EltActivities {
  extract(request: ExtractRequest): Promise<ExtractReport>;
  openBuild(request: OpenBuildRequest): Promise<BuildHandle>;
  runModels(request: LayerRequest): Promise<readonly ModelReport[]>;
  /** Runs every test of the layer; throws TESTS_FAILED when one of severity error fails. */
  runTests(request: LayerRequest): Promise<readonly TestResult[]>;
  publish(request: { readonly buildId: string }): Promise<ReleaseReport>;
  /** Throws the clones away; a build that is not there is fine. */
  abortBuild(request: { readonly buildId: string }): Promise<void>;
}
