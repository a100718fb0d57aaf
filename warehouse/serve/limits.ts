/** What one serving process may use. Every bound is enforced here, not by DuckDB alone: its memory_limit does not cover results. */
export interface ServingLimits {
  /** Time for one request from arrival to answer, waiting included, milliseconds. */
  readonly timeoutMs: number;
  /** How long an interrupted query may take to stop before its process is killed, milliseconds. */
  readonly graceMs: number;
  /** DuckDB memory_limit of the engine process, MB. */
  readonly memoryMb: number;
  /** Resident memory at which the engine process is exchanged for a fresh one, MB: DuckDB’s own limit plus the heap and what the allocator keeps. */
  readonly recycleRssMb: number;
  /** Disk the engine may spill to, MB. */
  readonly spillMb: number;
  /** DuckDB worker threads. */
  readonly threads: number;
  /** Queries that run at once. */
  readonly poolSize: number;
  /** Largest `limit` a request may ask for. */
  readonly maxRows: number;
  /** `limit` of a request that names none. */
  readonly defaultRows: number;
  /** Largest `offset`. */
  readonly maxOffset: number;
  /** Largest answer, bytes of text. */
  readonly maxBytes: number;
  /** Requests that may wait, over all tenants. */
  readonly maxQueued: number;
  /** Requests of one tenant that may wait. */
  readonly maxQueuedPerTenant: number;
  /** Ids one filter may name. */
  readonly maxIds: number;
}

export const DEFAULT_SERVING_LIMITS: ServingLimits = {
  timeoutMs: 10_000,
  graceMs: 2_000,
  memoryMb: 1_024,
  recycleRssMb: 2_560,
  spillMb: 2_048,
  threads: 2,
  poolSize: 4,
  maxRows: 10_000,
  defaultRows: 1_000,
  maxOffset: 1_000_000,
  maxBytes: 16 * 1024 * 1024,
  maxQueued: 256,
  maxQueuedPerTenant: 64,
  maxIds: 300,
};
