import { createHash } from 'node:crypto';
import type { Dataset } from '../core/dataset.ts';
import { messageOf, SluiceError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import { nearestOf } from '../core/nearest.ts';
import type { Release } from '../core/release.ts';
import { type Caller, forbidden, ownerScope } from './caller.ts';
import { type ColumnType, parseColumnType } from './column-type.ts';
import { compileCount, compileOwnedIds, compilePage, type Statement } from './compile.ts';
import type { Engine } from './engine.ts';
import { createEngineKeeper, type EngineKeeper } from './engine-keeper.ts';
import type { AnswerFormat, EngineAnswer } from './engine-protocol.ts';
import { createFairQueue } from './fair-queue.ts';
import { DEFAULT_SERVING_LIMITS, type ServingLimits } from './limits.ts';
import type { PinnedRelease } from './pinned-release.ts';
import { type DatasetRequest, filterOf, parseDatasetRequest } from './request.ts';
import { assertServable } from './servable.ts';

/** Dataset + filters → the caller's rows, over one pinned release at a time. */
export interface Serving {
  /** The release served now. Throws NO_RELEASE. */
  release(): Release;
  /** True when a release is served and its engine runs. */
  isReady(): boolean;
  /** What runs now, for doctors and metrics. */
  load(): { readonly running: number; readonly waiting: number; readonly enginePid: number | undefined };
  readonly limits: ServingLimits;
  /** Throws DATASET_NOT_FOUND. */
  dataset(id: string): Dataset;
  datasets(): readonly Dataset[];
  /** Reads a request's parameters against the dataset. Throws DATASET_NOT_FOUND, QUERY_INVALID. */
  parse(datasetId: string, parameters: readonly (readonly [name: string, value: string])[]): DatasetRequest;
  /**
   * One page of the caller's rows. Throws FORBIDDEN, QUERY_INVALID, QUERY_TIMEOUT, QUERY_TOO_LARGE, ENGINE_BUSY, TOO_MANY_REQUESTS, CANCELLED.
   */
  query(datasetId: string, caller: Caller, request: DatasetRequest, options?: QueryOptions): Promise<QueryResult>;
  /** Serves another release from now on; requests that run finish on the one they began with. Throws RELEASE_UNSERVABLE, and then nothing changes. */
  swap(pinned: PinnedRelease): Promise<void>;
  close(): Promise<void>;
}

export interface QueryOptions {
  readonly signal?: AbortSignal | undefined;
  /** Entity tags the caller has an answer for. */
  readonly knownTags?: readonly string[];
}

export type QueryResult =
  | { readonly kind: 'unchanged'; readonly tag: string; readonly release: Release }
  | {
      readonly kind: 'page';
      readonly tag: string;
      readonly release: Release;
      readonly dataset: Dataset;
      readonly format: AnswerFormat;
      /** JSON objects joined by commas, or lines, without a heading. */
      readonly text: string;
      readonly rows: number;
      readonly bytes: number;
      readonly limit: number;
      readonly offset: number;
      readonly hasMore: boolean;
      readonly total?: number;
    };

export interface ServingOptions {
  /** Absent: nothing is served until the first swap. */
  readonly pinned?: PinnedRelease | undefined;
  readonly limits?: Partial<ServingLimits>;
  readonly log: Log;
}

/** A release with its engine. */
interface Served {
  readonly pinned: PinnedRelease;
  readonly keeper: EngineKeeper;
  readonly datasets: ReadonlyMap<string, Dataset>;
}

const COUNT_COLUMNS: readonly { readonly name: string; readonly type: ColumnType }[] = [
  { name: 'total', type: parseColumnType('BIGINT') },
];

export async function openServing(options: ServingOptions): Promise<Serving> {
  const { log } = options;
  const limits: ServingLimits = { ...DEFAULT_SERVING_LIMITS, ...options.limits };
  const queue = createFairQueue({
    places: limits.poolSize,
    maxQueued: limits.maxQueued,
    maxQueuedPerTenant: limits.maxQueuedPerTenant,
  });
  let served: Served | undefined;
  let closed = false;
  let recycling = false;
  let swapping: Promise<void> = Promise.resolve();
  const retiring = new Set<Promise<void>>();

  function current(): Served {
    if (served === undefined) {
      throw new SluiceError('NO_RELEASE', 'No release is served yet.', {
        remedy: 'Run the pipeline once; the service picks the release up by itself.',
        retryable: true,
        details: { retryAfterSeconds: 5 },
      });
    }
    return served;
  }

  function datasetOf(state: Served, id: string): Dataset {
    const dataset = state.datasets.get(id);
    if (dataset !== undefined) return dataset;
    const nearest = nearestOf(id, [...state.datasets.keys()]);
    throw new SluiceError('DATASET_NOT_FOUND', `There is no dataset ${JSON.stringify(id.slice(0, 60))}.`, {
      remedy: nearest === undefined ? 'See the list of datasets.' : `Did you mean ${nearest}?`,
    });
  }

  function retire(state: Served): Promise<void> {
    const done = state.keeper.retire();
    retiring.add(done);
    return done.finally(() => retiring.delete(done));
  }

  async function swap(pinned: PinnedRelease): Promise<void> {
    if (closed) return;
    if (served?.pinned.release.version === pinned.release.version) {
      // A rollback to what is served: the same content under a new number.
      served = { ...served, pinned: { ...served.pinned, release: pinned.release } };
      return;
    }
    const keeper = await createEngineKeeper(pinned, limits, log);
    const next: Served = {
      pinned,
      keeper,
      datasets: new Map(pinned.release.datasets.map((dataset) => [dataset.id, dataset])),
    };
    try {
      await assertServable(pinned, await keeper.engine(performance.now() + limits.timeoutMs));
    } catch (error) {
      await keeper.retire();
      throw error;
    }
    if (closed) return keeper.retire();
    const previous = served;
    served = next;
    log.info(
      { release: pinned.release.version, as_of: pinned.release.asOf, before: previous?.pinned.release.version },
      'release is served',
    );
    if (previous !== undefined) void retire(previous);
  }

  /** A fresh engine for the same release: memory an engine does not give back ends with it (duckdb#20569). */
  function recycle(state: Served): void {
    if (recycling || closed || served !== state) return;
    recycling = true;
    swapping = swapping
      .then(async () => {
        if (closed || served !== state) return;
        const keeper = await createEngineKeeper(state.pinned, limits, log);
        served = { ...state, keeper };
        log.info({ before: state.keeper.pid(), now: keeper.pid() }, 'engine process was exchanged for a fresh one');
        void retire(state);
      })
      .catch((error: unknown) => log.error({ error: messageOf(error) }, 'engine process could not be exchanged'))
      .finally(() => {
        recycling = false;
      });
  }

  async function query(
    datasetId: string,
    caller: Caller,
    request: DatasetRequest,
    options: QueryOptions,
  ): Promise<QueryResult> {
    const deadline = performance.now() + limits.timeoutMs;
    const state = current();
    const { release } = state.pinned;
    const dataset = datasetOf(state, datasetId);
    const owner = ownerScope(dataset, caller);
    const { limit, offset } = boundsOf(request, limits);
    const format = request.format ?? 'json';
    const filter = filterOf(dataset, request);
    const page = compilePage(dataset, owner, filter, { fetch: limit + 1, offset, maxBytes: limits.maxBytes });
    const checks = ownershipChecks(dataset, state.datasets, caller, request);
    const tag = tagOf([
      release.version,
      dataset.id,
      owner.kind === 'own' ? owner.terms.map((term) => term.value) : null,
      page.sql,
      page.values,
      format,
      request.total === true,
    ]);
    const known = options.knownTags?.includes(tag) === true;
    // With ids the tag alone proves nothing: whether they are the caller's is asked each time.
    if (known && checks.length === 0) return { kind: 'unchanged', tag, release };

    const letGo = state.keeper.hold();
    try {
      return await withPlace(caller.orgId, deadline, options.signal, async (run) => {
        const engine = await state.keeper.engine(deadline);
        const count = async (statement: Statement): Promise<number> => {
          const answer = await run(engine, { ...statement, columns: COUNT_COLUMNS, format: 'csv', maxRows: 1 });
          return Number(answer.text);
        };
        for (const check of checks) if ((await count(check)) !== check.expected) throw forbidden();
        if (known) return { kind: 'unchanged', tag, release };
        const answer = await run(engine, { ...page, format, maxRows: limit });
        if (answer.rss > limits.recycleRssMb * 1_048_576) recycle(state);
        const total = request.total === true ? await count(compileCount(dataset, owner, filter)) : undefined;
        return {
          kind: 'page',
          tag,
          release,
          dataset,
          format,
          text: answer.text,
          rows: answer.rows,
          bytes: answer.bytes,
          limit,
          offset,
          hasMore: answer.more,
          ...(total === undefined ? {} : { total }),
        };
      });
    } finally {
      letGo();
    }
  }

  type Run = (
    engine: Engine,
    statement: Omit<Parameters<Engine['run']>[0], 'deadline' | 'signal'>,
  ) => Promise<EngineAnswer>;

  /** Runs statements one after the other in one place of the queue, which is given back only when the engine has let go of the last. */
  async function withPlace<T>(
    tenant: string,
    deadline: number,
    signal: AbortSignal | undefined,
    work: (run: Run) => Promise<T>,
  ): Promise<T> {
    const giveBack = await queue.acquire(tenant, { deadline, signal });
    let settled: Promise<void> = Promise.resolve();
    try {
      return await work((engine, statement) => {
        const running = engine.run({ ...statement, deadline, signal });
        settled = running.settled;
        return running.answer;
      });
    } finally {
      void settled.then(giveBack);
    }
  }

  const serving: Serving = {
    limits,
    release: () => current().pinned.release,
    load: () => ({ ...queue.load(), enginePid: served?.keeper.pid() }),
    isReady: () => served !== undefined && served.keeper.isUp(),
    dataset: (id) => datasetOf(current(), id),
    datasets: () => [...current().datasets.values()],
    parse: (datasetId, parameters) => {
      const state = current();
      return parseDatasetRequest(
        datasetOf(state, datasetId),
        (entity) => entityDataset(state.datasets, entity),
        parameters,
        limits,
      );
    },
    query: (datasetId, caller, request, options = {}) => query(datasetId, caller, request, options),
    swap: (pinned) => {
      const next = swapping.then(() => swap(pinned));
      swapping = next.catch(() => undefined);
      return next;
    },
    close: async () => {
      closed = true;
      await swapping;
      const last = served;
      served = undefined;
      if (last !== undefined) void retire(last);
      await Promise.all(retiring);
    },
  };
  if (options.pinned !== undefined) await serving.swap(options.pinned);
  return serving;
}

function boundsOf(request: DatasetRequest, limits: ServingLimits): { readonly limit: number; readonly offset: number } {
  const limit = request.limit ?? limits.defaultRows;
  const offset = request.offset ?? 0;
  if (
    !Number.isSafeInteger(limit) ||
    limit < 1 ||
    limit > limits.maxRows ||
    !Number.isSafeInteger(offset) ||
    offset < 0 ||
    offset > limits.maxOffset
  ) {
    throw new SluiceError(
      'QUERY_INVALID',
      `limit must be 1 to ${limits.maxRows} and offset 0 to ${limits.maxOffset}.`,
      {
        remedy: 'Ask for the rows in pages.',
      },
    );
  }
  return { limit, offset };
}

/** One statement per kind of id: the caller must own all of them, whether or not others exist. */
function ownershipChecks(
  dataset: Dataset,
  datasets: ReadonlyMap<string, Dataset>,
  caller: Caller,
  request: DatasetRequest,
): readonly (Statement & { readonly expected: number })[] {
  return Object.entries(request.ids ?? {}).map(([name, given]) => {
    const entity = entityDataset(datasets, name);
    const ids = [...new Set(given)];
    if (entity === undefined || !Object.hasOwn(dataset.filters.ids, name)) throw forbidden();
    return { ...compileOwnedIds(entity, ownerScope(entity, caller), ids), expected: ids.length };
  });
}

function entityDataset(datasets: ReadonlyMap<string, Dataset>, entity: string): Dataset | undefined {
  return [...datasets.values()].find((candidate) => candidate.entity === entity);
}

/** Release, owner and query as one opaque tag: another caller's tag never matches. */
function tagOf(parts: readonly unknown[]): string {
  return `"${createHash('sha256').update(JSON.stringify(parts)).digest('base64url')}"`;
}
