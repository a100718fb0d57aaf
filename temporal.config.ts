/**
 * Names, time-outs, retries and schedules, as plain constants: both ways to run read them, and they are bundled into the workflows. Durations
 * are milliseconds. Where the server is comes from the environment (TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_PROFILE …), never from here.
 */

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

/** Queue of the workflows and of every step that any worker can do; the steps of a build go to the queue of the host that opened it. */
export const TASK_QUEUE = 'sluice';

/** Pipeline that runs are named for when nobody says otherwise. */
export const DEFAULT_PIPELINE = 'elt';

export const STEP_SIGNS = {
  /** How often a step says that it lives. The server passes on a cancellation in the answer. */
  heartbeatIntervalMs: 5_000,
  /** A worker that was silent for so long is taken for dead. */
  heartbeatTimeoutMs: 30_000,
  /** A host that did not take the next step of its build for so long is taken for dead: the whole build starts again elsewhere. */
  hostPickupTimeoutMs: 15_000,
} as const;

/** Looks up what the input left open, and refuses what the project does not have. */
export const PREPARE_POLICY = {
  startToCloseTimeoutMs: 2 * MINUTE,
  retry: { initialIntervalMs: 1_000, backoffCoefficient: 2, maximumIntervalMs: MINUTE, maximumAttempts: 5 },
} as const satisfies ActivityPolicy;

/** One slice of a backfill; a commit of a run that came between is a reason to read it again. */
export const BACKFILL_POLICY = {
  startToCloseTimeoutMs: 60 * MINUTE,
  retry: { initialIntervalMs: 500, backoffCoefficient: 2, maximumIntervalMs: MINUTE, maximumAttempts: 8 },
} as const satisfies ActivityPolicy;

export const BACKFILL = {
  /** Rows that one slice reads, unless the input says otherwise. */
  rowsPerSlice: 250_000,
  /** Slices per run before the workflow continues as new, which keeps its history short. */
  slicesPerRun: 50,
} as const;

/** Waits between looks at a child that another run holds under the same id. */
export const CHILD_BUSY_WAIT = { initialMs: 1_000, maximumMs: 30_000 } as const;

/** One build at a time per warehouse; those that come meanwhile wait, and then take everything that came. */
export const TURNS = {
  /** Waits between looks at the build that is under way. */
  initialMs: 500,
  maximumMs: 10_000,
  /** How often a build says that it lives. */
  signEveryMs: 10_000,
  /** One that said nothing for so long is taken for dead. */
  givenUpAfterMs: 60_000,
  /** A build whose run did not come back for its next step for so long says no more that it lives. */
  idleMs: 10 * MINUTE,
} as const;

export const WORKER = {
  /** A cached workflow costs about 0.2 MB. */
  maxCachedWorkflows: 100,
  /** Extractions, slices and openings of builds at a time; each may use SLUICE_MEMORY_MB. */
  maxSharedSteps: 2,
  /** Steps of builds wait for their turn inside the host, so that a full queue is never taken for a dead host. */
  maxHostSteps: 50,
  /** A run whose worker of last time does not take its next task is given to any other after this. */
  stickyPatienceMs: 2_000,
  /** Heartbeats are sent at least this often, whatever the time-out: cancellation and progress travel with them. */
  maxHeartbeatThrottleIntervalMs: 5_000,
  /** A worker that stops goes on refusing the steps of its open builds for so long, which hands them to the others. */
  handOverMs: 5_000,
  shutdownGraceMs: 30_000,
  shutdownForceMs: 60_000,
  /** A build whose run never came back for its next step is thrown away after this. */
  abandonedBuildMs: 6 * 60 * MINUTE,
} as const;

/** Search attributes that runs set on themselves: names of the Web UI's filters. */
export const SEARCH_ATTRIBUTES = {
  EltPipeline: 'KEYWORD',
  EltRunKind: 'KEYWORD',
  EltSource: 'KEYWORD',
  EltTable: 'KEYWORD',
  // A date, not an instant: the dev server finds no Datetime by equality.
  EltLogicalDate: 'KEYWORD',
  EltRows: 'INT',
} as const;

export interface ScheduleDefinition {
  readonly id: string;
  readonly pipeline: string;
  readonly cron: string;
  /** IANA zone of the cron expression and of the logical date. */
  readonly timeZone: string;
  /** Nominal instants missed for longer than this are not made up for. */
  readonly catchupWindowMs: number;
}

export const SCHEDULES: readonly ScheduleDefinition[] = [
  {
    id: 'elt-nightly',
    pipeline: DEFAULT_PIPELINE,
    cron: '0 2 * * *',
    timeZone: 'UTC',
    catchupWindowMs: 12 * 60 * MINUTE,
  },
];
