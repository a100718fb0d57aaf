import { randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Bronze } from '../warehouse/bronze/index.ts';
import { systemClock } from '../warehouse/core/clock.ts';
import { SluiceError } from '../warehouse/core/errors.ts';
import type { Log } from '../warehouse/core/log.ts';
import { ignoreProgress, type OnProgress } from '../warehouse/core/progress.ts';
import { type Release, WAREHOUSE_FILES } from '../warehouse/core/release.ts';
import type { Releases, Turn, TurnRequest } from '../warehouse/release/index.ts';
import {
  assertTestsPassed,
  type Build,
  type BuildLimits,
  type CompiledProject,
  openBuild,
  planBuild,
} from '../warehouse/transform/index.ts';
import type { EltActivities, OpenBuildRequest, StandingRelease } from './contract.ts';

export interface BuildDependencies {
  readonly bronze: Bronze;
  readonly releases: Releases;
  readonly sources: readonly string[];
  /** Compiles the project against what bronze holds; refresh rules are wanted of models that the previous release has. */
  readonly compile: (
    bronze: Awaited<ReturnType<Bronze['snapshot']>>,
    previous: Release | undefined,
  ) => Promise<CompiledProject>;
  readonly workDir: string;
  /** Folder of failing rows of tests, which outlive the build. */
  readonly failuresDir: string;
  readonly limits: BuildLimits;
  readonly log: Log;
  readonly onProgress: OnProgress;
  readonly signal: AbortSignal;
  /** Builds that are open on this host, by id. */
  readonly builds: Map<string, OpenBuild>;
  readonly turns: TurnManner;
}

/** How builds of this process wait for each other and for those of other processes. */
export interface TurnManner extends Pick<TurnRequest, 'holder' | 'isGone' | 'signEveryMs'> {
  /** A build without a step for so many milliseconds is not alive. */
  readonly idleMs: number;
}

export interface OpenBuild {
  readonly build: Build;
  readonly relay: Relay;
  readonly base: number;
  readonly paths: Parameters<Releases['publish']>[0]['paths'];
  readonly dir: string;
  /** Keep it under this name instead of publishing it. */
  readonly privateName: string | undefined;
  /** Sizes of files that the release before has already, by sha256. */
  readonly known: ReadonlyMap<string, number>;
  /** Private builds need none. */
  readonly turn: Turn | undefined;
}

/** A build outlives the step that opened it: its signal and progress are those of whichever step is under way. */
interface Relay {
  readonly signal: AbortSignal;
  readonly onProgress: OnProgress;
  /** Milliseconds since the last step ended; 0 while one is under way. */
  idleMs(): number;
  during<Result>(step: Pick<BuildDependencies, 'signal' | 'onProgress'>, work: () => Promise<Result>): Promise<Result>;
}

function createRelay(): Relay {
  const controller = new AbortController();
  let report = ignoreProgress;
  let underWay = 0;
  let lastEnd = performance.now();
  return {
    signal: controller.signal,
    onProgress: (event) => report(event),
    idleMs: () => (underWay > 0 ? 0 : performance.now() - lastEnd),
    during: async ({ signal, onProgress }, work) => {
      const abort = (): void => controller.abort(signal.reason);
      report = onProgress;
      underWay += 1;
      if (signal.aborted) abort();
      signal.addEventListener('abort', abort, { once: true });
      try {
        return await work();
      } finally {
        signal.removeEventListener('abort', abort);
        report = ignoreProgress;
        underWay -= 1;
        lastEnd = performance.now();
      }
    },
  };
}

type BuildActivities = Omit<EltActivities, 'extract'>;

/** The steps of a build. The clones live on this host between them; losing the host loses nothing but the build. */
export function createBuildActivities(dependencies: BuildDependencies): BuildActivities {
  const { bronze, releases, builds, log, onProgress, limits } = dependencies;

  async function prepare(request: OpenBuildRequest) {
    const snapshot = await bronze.snapshot(dependencies.sources);
    const previous = await releases.current();
    const project = await dependencies.compile(snapshot, previous);
    const plan = planBuild({
      project,
      previous,
      bronze: snapshot,
      asOf: request.asOf,
      ...(request.select && { select: request.select }),
      ...(request.exclude && { exclude: request.exclude }),
      ...(request.fullRefresh && { fullRefresh: true }),
      ...(request.dropHistory && { dropHistory: new Set(request.dropHistory) }),
    });
    if (request.planId !== undefined && request.planId !== plan.id) throw planStale(request.planId, plan.id);
    // To test all that stands is a build too: what it finds belongs to a release.
    return { snapshot, previous, project, plan, needed: plan.needed || request.fullTests === true };
  }
  type Prepared = Awaited<ReturnType<typeof prepare>>;

  async function takeTurn({ waitingFor }: OpenBuildRequest, relay: Relay) {
    const { idleMs, ...manner } = dependencies.turns;
    const answer = await releases.turns.take({
      ...manner,
      isAlive: () => relay.idleMs() < idleMs,
      now: () => systemClock.now(),
      ...(waitingFor?.isDead === true && { givenUp: waitingFor.sign }),
    });
    const event = { stage: 'publish', item: 'turn' } as const;
    if ('taken' in answer) {
      const { holder, since } = answer.taken;
      onProgress({ ...event, state: 'running', note: `waiting for the build of ${holder}, under way since ${since}` });
    } else if (waitingFor !== undefined) {
      onProgress({ ...event, state: 'finished', note: 'the build before is over' });
    }
    return answer;
  }

  async function open(
    request: OpenBuildRequest,
    { snapshot, previous, project, plan }: Prepared,
    place: Pick<OpenBuild, 'dir' | 'relay' | 'turn'> & { readonly buildId: string },
  ): Promise<OpenBuild> {
    const { dir, relay, turn } = place;
    await mkdir(dir, { recursive: true });
    const paths = await releases.checkout(previous, dir);
    const build = await relay.during(dependencies, () =>
      openBuild({
        project,
        paths,
        previous,
        bronze: snapshot,
        asOf: request.asOf,
        workDir: dir,
        selected: plan.selected,
        ...(request.fullRefresh && { fullRefresh: true }),
        ...(request.fullTests && { fullTests: true }),
        failuresDir: join(dependencies.failuresDir, nameFailures(place.buildId)),
        ...(request.dropHistory && { dropHistory: new Set(request.dropHistory) }),
        limits,
        log,
        onProgress: relay.onProgress,
        signal: relay.signal,
      }),
    );
    const known = new Map(
      WAREHOUSE_FILES.flatMap((file) =>
        previous === undefined ? [] : [[previous.files[file].sha256, previous.files[file].bytes] as const],
      ),
    );
    return { build, relay, base: previous?.number ?? 0, paths, dir, known, turn, privateName: request.privateName };
  }

  return {
    async openBuild(request) {
      const buildId = randomUUID();
      const relay = createRelay();
      const answer = ({ plan, previous }: Prepared) => ({
        buildId,
        total: plan.steps.length,
        ...(previous && { standing: describeRelease(previous) }),
      });
      // Who waits has seen that there is something to build, and looks again when its turn has come.
      const seen = request.waitingFor === undefined ? await prepare(request) : undefined;
      if (seen?.needed === false) return { ...answer(seen), needed: false, toRun: 0 };
      const taken = request.privateName === undefined ? await takeTurn(request, relay) : { turn: undefined };
      if ('taken' in taken) return { buildId, total: 0, needed: false, toRun: 0, busy: taken.taken };
      const { turn } = taken;
      const dir = join(dependencies.workDir, `build-${buildId}`);
      try {
        const isOld = turn !== undefined && (await releases.current())?.number !== seen?.previous?.number;
        const prepared = seen === undefined || isOld ? await prepare(request) : seen;
        if (!prepared.needed) {
          await turn?.end();
          return { ...answer(prepared), needed: false, toRun: 0 };
        }
        builds.set(buildId, await open(request, prepared, { buildId, dir, relay, turn }));
        return { ...answer(prepared), needed: true, toRun: prepared.plan.toRun };
      } catch (error) {
        await rm(dir, { recursive: true, force: true });
        await turn?.end();
        throw error;
      }
    },

    async runModels({ buildId, layer }) {
      const { build, relay } = find(builds, buildId);
      return relay.during(dependencies, () => build.runModels(layer));
    },

    async runTests({ buildId, layer }) {
      const { build, relay } = find(builds, buildId);
      const results = await relay.during(dependencies, () => build.runTests(layer));
      assertTestsPassed(results);
      return results;
    },

    async publish({ buildId }) {
      const started = performance.now();
      const open = find(builds, buildId);
      onProgress({ stage: 'publish', item: 'release', state: 'started' });
      const content = await open.relay.during(dependencies, () => open.build.finish());
      const draft = { base: open.base, paths: open.paths, content };
      const { privateName, turn } = open;
      // The pointer would decide as well; it would decide after the upload.
      if (turn !== undefined && !(await turn.isLast())) throw turnLost();
      const release =
        privateName === undefined
          ? await releases.publish(draft)
          : { ...(await releases.privates.keep(privateName, draft)), number: open.base + 1 };
      builds.delete(buildId);
      await turn?.end();
      await rm(open.dir, { recursive: true, force: true });
      const files = WAREHOUSE_FILES.map((file) => release.files[file]);
      const newBytes = files.reduce((sum, file) => sum + (open.known.has(file.sha256) ? 0 : file.bytes), 0);
      const ms = Math.round(performance.now() - started);
      onProgress({
        stage: 'publish',
        item: privateName === undefined ? `release ${release.number}` : `private release ${privateName}`,
        state: 'finished',
        bytes: newBytes,
        ms,
        note: release.version,
      });
      return { ...describeRelease(release), newBytes, ms, ...(privateName !== undefined && { privateName }) };
    },

    async abortBuild({ buildId }) {
      const open = builds.get(buildId);
      if (open === undefined) return;
      builds.delete(buildId);
      try {
        await open.build.abort();
      } finally {
        await open.turn?.end();
        await rm(open.dir, { recursive: true, force: true });
      }
    },
  };
}

function planStale(planned: string, now: string): SluiceError {
  return new SluiceError(
    'PLAN_STALE',
    `The plan ${planned} no longer holds: the same build would now be plan ${now}.`,
    {
      remedy: 'Nothing was built. sluice plan shows what a build would do now.',
    },
  );
}

function turnLost(): SluiceError {
  return new SluiceError('RELEASE_CONFLICT', 'This build gave no sign of life for so long that another one began.', {
    remedy: 'Run the build again: it starts from the newest release.',
    retryable: true,
  });
}

/** Begins with the time, so that folders are in order: 20261121T081500Z-1a2b3c4d. */
function nameFailures(buildId: string): string {
  return `${systemClock
    .now()
    .toISOString()
    .replaceAll(/[-:]|\.\d+/g, '')}-${buildId.slice(0, 8)}`;
}

function describeRelease(release: Pick<Release, 'number' | 'version' | 'asOf' | 'files'>): StandingRelease {
  const { number, version, asOf, files } = release;
  return { number, version, asOf, bytes: WAREHOUSE_FILES.reduce((sum, file) => sum + files[file].bytes, 0) };
}

function find(builds: ReadonlyMap<string, OpenBuild>, buildId: string): OpenBuild {
  const open = builds.get(buildId);
  if (open !== undefined) return open;
  throw new SluiceError('BUILD_HOST_LOST', `The build ${buildId} is not open on this host.`, {
    remedy: 'Run the build again; the last release stands.',
    retryable: true,
  });
}
