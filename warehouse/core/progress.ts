/** What long work tells whoever watches: the terminal draws bars from it, Temporal heartbeats carry it, tests ignore it. */
export interface ProgressEvent {
  /** The stage's own word. */
  readonly stage: 'extract' | 'bronze' | 'silver' | 'gold' | 'test' | 'publish' | 'serve' | 'load' | 'verify' | 'gc';
  /** Table, model or test. */
  readonly item: string;
  readonly state: 'started' | 'running' | 'finished' | 'skipped' | 'failed';
  readonly rows?: number;
  readonly bytes?: number;
  /** Estimated total rows, where known. */
  readonly totalRows?: number;
  /** Wall time so far, milliseconds. */
  readonly ms?: number;
  /** A short word on why or how: "unchanged", "12 of 5,000 keys", "guard not provable: whole table". */
  readonly note?: string;
}

export type OnProgress = (event: ProgressEvent) => void;

export const ignoreProgress: OnProgress = () => undefined;
