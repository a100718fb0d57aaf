import type { BuildHandle, ModelReport, ReleaseReport } from '../activities/contract.ts';
import { TURNS } from '../temporal.config.ts';
import type { EltInput, EltResult, PipelineRuntime } from './contract.ts';

/**
 * The pipeline: extract → silver → test → gold → test → publish. Pure: order and decisions only, so that Temporal and the embedded runner
 * share it.
 *
 *   extract ── openBuild ─┬─ nothing to run ──────────────────────────────────── done
 *                         ├─ another build is under way: wait, ask again
 *                         └─ silver ── tests ── gold ── tests ── publish ─────── done
 *                              └─ any failure: abortBuild, the last release stands
 *                                               publish lost the race, or the host with the clones died:
 *                                               again from openBuild, on the newest release; one that came
 *                                               meanwhile and leaves nothing to do is the release of this run
 */
export async function runElt(runtime: PipelineRuntime, input: EltInput): Promise<EltResult> {
  const { activities } = runtime;
  const runKey = `${input.pipeline}:${input.asOf}`;
  const steps = input.steps ?? 'all';
  const extract =
    steps === 'build'
      ? undefined
      : await activities.extract({ runKey, ...(input.sources && { sources: input.sources }) });
  if (steps === 'extract')
    return { asOf: input.asOf, ...(extract && { extract }), models: [], tests: { passed: 0, warned: 0 } };
  const seen: Seen = {};
  for (let attempt = 1; ; attempt++) {
    try {
      const built = await buildAndPublish(runtime, input, runKey, seen);
      return { asOf: input.asOf, ...(extract && { extract }), ...built };
    } catch (error) {
      const code = runtime.codeOf(error);
      if (!STARTS_AGAIN.includes(code) || attempt === MAX_BUILDS) throw error;
      runtime.log('the build starts again on the newest release', { attempt, code });
    }
  }
}

/** Another build published first, or the clones are gone with their host: nothing is wrong with the work itself. */
const STARTS_AGAIN: readonly string[] = ['RELEASE_CONFLICT', 'BUILD_HOST_LOST'];
/** Builds after which a run gives up: each one means that somebody else published or a host died meanwhile. */
const MAX_BUILDS = 5;

type Built = Pick<EltResult, 'models' | 'tests' | 'release'>;

/** What a run remembers from one of its builds to the next. */
interface Seen {
  /** Number of the release that stood when the first build was opened. */
  base?: number;
  /** The last build that got as far as publishing. */
  finished?: Built;
}

/** A worker may die between publishing and saying so: what the next build then finds standing, newer than what the first one found, is what this run brought about. */
function findPublished({ standing }: BuildHandle, { base, finished }: Seen): Built | undefined {
  if (base === undefined || finished === undefined || standing === undefined || standing.number <= base)
    return undefined;
  return { ...finished, release: { ...standing, newBytes: 0, ms: 0 } };
}

async function buildAndPublish(runtime: PipelineRuntime, input: EltInput, runKey: string, seen: Seen): Promise<Built> {
  const { activities } = runtime;
  const build = await openInTurn(runtime, {
    runKey,
    asOf: input.asOf,
    ...(input.select && { select: input.select }),
    ...(input.exclude && { exclude: input.exclude }),
    ...(input.planId !== undefined && { planId: input.planId }),
    ...(input.privateName !== undefined && { privateName: input.privateName }),
    ...(input.fullRefresh && { fullRefresh: true }),
    ...(input.fullTests && { fullTests: true }),
    ...(input.dropHistory && { dropHistory: input.dropHistory }),
  });
  let published = false;
  try {
    const models: ModelReport[] = [];
    const tests = { passed: 0, warned: 0 };
    if (!build.needed) return findPublished(build, seen) ?? { models, tests };
    seen.base ??= build.standing?.number ?? 0;
    for (const layer of ['silver', 'gold'] as const) {
      models.push(...(await activities.runModels({ buildId: build.buildId, layer })));
      for (const result of await activities.runTests({ buildId: build.buildId, layer })) {
        if (result.status === 'pass') tests.passed++;
        else tests.warned++;
      }
    }
    seen.finished = { models, tests };
    const release: ReleaseReport = await activities.publish({ buildId: build.buildId });
    published = true;
    return { models, tests, release };
  } finally {
    if (!published) await abandon(runtime, build.buildId);
  }
}

/** Opens the build as soon as no other one is under way. */
async function openInTurn(
  runtime: PipelineRuntime,
  request: Parameters<PipelineRuntime['activities']['openBuild']>[0],
): Promise<BuildHandle> {
  let waitingFor: { readonly sign: string; readonly isDead: boolean } | undefined;
  let silentMs = 0;
  for (let waitMs: number = TURNS.initialMs; ; waitMs = Math.min(waitMs * 2, TURNS.maximumMs)) {
    const build = await runtime.activities.openBuild({ ...request, ...(waitingFor && { waitingFor }) });
    const { busy } = build;
    if (busy === undefined) return build;
    if (busy.sign !== waitingFor?.sign) silentMs = 0;
    if (waitingFor === undefined) runtime.log('another build is under way; waiting for it', { ...busy });
    await runtime.wait(waitMs);
    silentMs += waitMs;
    waitingFor = { sign: busy.sign, isDead: silentMs >= TURNS.givenUpAfterMs };
  }
}

/** Throws the clones away. That this fails must not hide why the build did; what it leaves goes with the next run. */
async function abandon(runtime: PipelineRuntime, buildId: string): Promise<void> {
  try {
    await runtime.cleanup(() => runtime.activities.abortBuild({ buildId }));
  } catch (error) {
    runtime.log('the clones of the build could not be removed', { buildId, code: runtime.codeOf(error) });
  }
}
