import type { Caller } from '../warehouse/serve/index.ts';

/** What a request carries through the app. */
export interface AppEnvironment {
  readonly Variables: {
    readonly requestId: string;
    readonly caller: Caller;
    /** Rows of the answer, for the log. */
    readonly rows: number;
  };
}
