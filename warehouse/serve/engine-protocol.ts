import type { ColumnType } from './column-type.ts';

/** What the service and its engine process say to each other, over Node's own channel. */

export const ANSWER_FORMATS = ['json', 'ndjson', 'csv'] as const;
export type AnswerFormat = (typeof ANSWER_FORMATS)[number];

export interface EngineSettings {
  /** The gold file's real path; symbolic links fail once file access is off. */
  readonly path: string;
  readonly spillDirectory: string;
  readonly threads: number;
  readonly memoryMb: number;
  readonly spillMb: number;
  readonly poolSize: number;
}

export type EngineRequest =
  | { readonly kind: 'open'; readonly settings: EngineSettings }
  | {
      readonly kind: 'query';
      readonly id: number;
      readonly sql: string;
      readonly values: readonly string[];
      readonly columns: readonly { readonly name: string; readonly type: ColumnType }[];
      readonly format: AnswerFormat;
      /** Rows that are text of the answer; one more row only says that there are more. */
      readonly maxRows: number;
      readonly maxBytes: number;
      readonly budgetMs: number;
    }
  /** Binds a statement without running it. */
  | { readonly kind: 'check'; readonly id: number; readonly sql: string }
  | { readonly kind: 'cancel'; readonly id: number };

export interface EngineAnswer {
  /** Rows as text: JSON objects joined by commas, or lines. */
  readonly text: string;
  readonly rows: number;
  readonly bytes: number;
  /** Resident memory of the engine process after the query, bytes. */
  readonly rss: number;
  /** More rows than `maxRows` came. */
  readonly more: boolean;
}

/** Why a query gave no answer. */
export type EngineFailure = 'timeout' | 'cancelled' | 'too_large' | 'memory' | 'failed' | 'fatal';

export type EngineReply =
  | { readonly kind: 'ready' }
  | { readonly kind: 'not_ready'; readonly message: string }
  | { readonly kind: 'answer'; readonly id: number; readonly answer: EngineAnswer }
  | {
      readonly kind: 'checked';
      readonly id: number;
      readonly columns: readonly { readonly name: string; readonly type: string }[];
    }
  | { readonly kind: 'failure'; readonly id: number; readonly failure: EngineFailure; readonly message: string };
