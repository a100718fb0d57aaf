import type { EltActivities, ExtractReport, ModelReport, ReleaseReport } from '../activities/contract.ts';

/** Everything a pipeline may touch that is not a pure function of its input; each binding supplies it. */
export interface PipelineRuntime {
  readonly activities: EltActivities;
  readonly log: (message: string, facts?: Readonly<Record<string, unknown>>) => void;
  /** Resolves after so many milliseconds; throws when the pipeline is cancelled. */
  wait(ms: number): Promise<void>;
  /** Runs even while the pipeline is being cancelled. */
  cleanup(work: () => Promise<void>): Promise<void>;
  /** The error code of a failed activity, whichever way the binding carries it. */
  codeOf(error: unknown): string;
}

export interface EltInput {
  /** Names the run in logs and ids. */
  readonly pipeline: string;
  /** Logical date, YYYY-MM-DD. */
  readonly asOf: string;
  readonly sources?: readonly string[];
  readonly select?: readonly string[];
  readonly exclude?: readonly string[];
  /** Do what the plan of this id said, or nothing. */
  readonly planId?: string;
  /** Keep the result as a private release of this name. */
  readonly privateName?: string;
  readonly fullRefresh?: boolean;
  /** Test every table whole, also where nothing changed. */
  readonly fullTests?: boolean;
  /** Snapshots whose history may go. */
  readonly dropHistory?: readonly string[];
  /** What to do: all of it, or one half. */
  readonly steps?: 'all' | 'extract' | 'build';
}

export interface EltResult {
  readonly asOf: string;
  readonly extract?: ExtractReport;
  readonly models: readonly ModelReport[];
  readonly tests: { readonly passed: number; readonly warned: number };
  /** Absent when nothing changed: the current release already holds it. Without new bytes when it was found standing after the worker that published it had died. */
  readonly release?: ReleaseReport;
}
