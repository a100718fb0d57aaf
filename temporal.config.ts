/** Names, time-outs and retries of every step, as plain constants: both ways to run read them. Durations are milliseconds. */

export interface ActivityPolicy {
  readonly startToCloseTimeoutMs: number;
  readonly retry: {
    readonly initialIntervalMs: number;
    readonly backoffCoefficient: number;
    readonly maximumIntervalMs: number;
    readonly maximumAttempts: number;
  };
}

const MINUTE = 60_000;

/** Build steps hold files on one host: they are not tried again alone, the whole build is. */
export const ACTIVITY_POLICIES = {
  extract: {
    startToCloseTimeoutMs: 120 * MINUTE,
    retry: { initialIntervalMs: 500, backoffCoefficient: 2, maximumIntervalMs: MINUTE, maximumAttempts: 4 },
  },
  openBuild: {
    startToCloseTimeoutMs: 10 * MINUTE,
    retry: { initialIntervalMs: 500, backoffCoefficient: 2, maximumIntervalMs: MINUTE, maximumAttempts: 3 },
  },
  runModels: {
    startToCloseTimeoutMs: 120 * MINUTE,
    retry: { initialIntervalMs: 500, backoffCoefficient: 2, maximumIntervalMs: MINUTE, maximumAttempts: 1 },
  },
  runTests: {
    startToCloseTimeoutMs: 60 * MINUTE,
    retry: { initialIntervalMs: 500, backoffCoefficient: 2, maximumIntervalMs: MINUTE, maximumAttempts: 1 },
  },
  publish: {
    startToCloseTimeoutMs: 30 * MINUTE,
    retry: { initialIntervalMs: 500, backoffCoefficient: 2, maximumIntervalMs: MINUTE, maximumAttempts: 1 },
  },
  abortBuild: {
    startToCloseTimeoutMs: MINUTE,
    retry: { initialIntervalMs: 500, backoffCoefficient: 2, maximumIntervalMs: 5_000, maximumAttempts: 2 },
  },
} as const satisfies Readonly<Record<string, ActivityPolicy>>;
